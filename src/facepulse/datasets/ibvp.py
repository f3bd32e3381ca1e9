"""iBVP: 31 subjects in four conditions of three minutes each, BMP images and ear PPG with a quality label per sample.

    pNN_x/pNN_x_rgb/*.bmp and pNN_x_bvp.csv: a header, then BVP, ..., and in the fourth column SQ2, its quality of 0..1

Samples of bad quality are kept: leaving their frames out, as others do, would break the time axis. Thermal images
(pNN_x_t) are not read.

Joshi and Cho, Electronics 2024, 13(7), 1334, "iBVP dataset: RGB-thermal rPPG dataset with high resolution signal
quality labels".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_signal, frame_rate_times, read_numbers
from facepulse.video.frames import TimedFrames, Video
from facepulse.video.images import read_images

FPS = 30.0

_BAD_QUALITY = 0.3  # rPPG-Toolbox leaves frames out up to this quality
_TASKS = {"a": "slow breathing", "b": "easy maths", "c": "hard maths", "d": "head motion"}


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "folders p01_a, p01_b, ... with p01_a_rgb and p01_a_bvp.csv", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [
        Recording(
            dataset="ibvp",
            name=folder.name,
            subject=match[1],
            files=(images_folder, reference),
            open_frames=partial(_open_frames, images_folder),
            read_labels=partial(_read_labels, images_folder, reference, match[2]),
        )
        for folder, match in matching(root, r"(p\d+)_(\w+)")
        for images_folder, reference in [(folder / f"{folder.name}_rgb", folder / f"{folder.name}_bvp.csv")]
        if images_folder.is_dir() or reference.is_file()
    ]


def _open_frames(images_folder: Path) -> Video:
    images = _images(images_folder)
    return TimedFrames.of_images(str(images_folder), "images", read_images(images), np.arange(len(images)) / FPS)


def _read_labels(images_folder: Path, reference: Path, condition: str) -> Labels:
    expected = "a header and rows of BVP, ..., and SQ2 in the fourth column"
    bvp, quality = read_numbers(reference, expected, delimiter=",", skiprows=1, usecols=(0, 3)).T
    notes = []
    if bad := np.count_nonzero(quality <= _BAD_QUALITY):
        notes.append(f"ppg: samples of bad quality (SQ2 up to {_BAD_QUALITY}), kept: {bad / len(quality):.0%}")
    times = frame_rate_times(len(bvp), len(_images(images_folder)), FPS, notes)
    ppg = as_signal(reference, "ppg", times, bvp, notes)
    attributes: dict[str, Attribute] = {"task": _TASKS[condition]} if condition in _TASKS else {}
    return Labels(ppg, None, attributes, tuple(notes))


def _images(images_folder: Path) -> list[Path]:
    if images := [path for path, _ in matching(images_folder, r"[^.].*\.bmp")]:
        return images
    raise DatasetError(f"{images_folder}: contains no image; expected .bmp files, one per frame")


IBVP = Dataset(
    name="ibvp",
    title="iBVP: 31 subjects breathing slowly, doing arithmetic and moving their heads, three minutes each",
    licence="for academic research, on signed request to the authors",
    find=_find,
)

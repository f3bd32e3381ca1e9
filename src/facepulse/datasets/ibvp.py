"""iBVP: 31 people in four conditions of three minutes each, BMP pictures and an ear clip, each sample judged.

    pNN_x/pNN_x_rgb/*.bmp and pNN_x_bvp.csv: a header, then BVP, ..., and in the fourth column SQ2, its quality of 0..1

Samples of bad quality stay where they are: leaving frames out, as others do, would break the time. Thermal pictures
(pNN_x_t) are not read.

Joshi and Cho, Electronics 2024, 13(7), 1334, "iBVP dataset: RGB-thermal rPPG dataset with high resolution signal
quality labels".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facepulse.datasets.frame_sources import TimedFrames, read_rgb
from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_signal, frame_rate_times, read_numbers
from facepulse.video.reader import Video

FPS = 30.0

_BAD_QUALITY = 0.3  # up to this, rPPG-Toolbox leaves frames out
_TASKS = {"a": "slow breathing", "b": "easy maths", "c": "hard maths", "d": "head motion"}


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "folders p01_a, p01_b, ... with p01_a_rgb and p01_a_bvp.csv", _look)


def _look(root: Path) -> list[Recording]:
    return [
        Recording(
            dataset="ibvp",
            name=folder.name,
            subject=match[1],
            files=(pictures, reference),
            open_frames=partial(_open_frames, pictures),
            read_labels=partial(_read_labels, pictures, reference, match[2]),
        )
        for folder, match in matching(root, r"(p\d+)_(\w+)")
        for pictures, reference in [(folder / f"{folder.name}_rgb", folder / f"{folder.name}_bvp.csv")]
        if pictures.is_dir() or reference.is_file()
    ]


def _open_frames(pictures: Path) -> Video:
    images = _images(pictures)
    return TimedFrames(pictures, "images", map(read_rgb, images), np.arange(len(images)) / FPS)


def _read_labels(pictures: Path, reference: Path, condition: str) -> Labels:
    wanted = "a header and lines of BVP, ..., and SQ2 in the fourth column"
    bvp, quality = read_numbers(reference, wanted, delimiter=",", skiprows=1, usecols=(0, 3)).T
    notes = []
    if bad := np.count_nonzero(quality <= _BAD_QUALITY):
        notes.append(f"ppg: samples of bad quality (SQ2 up to {_BAD_QUALITY}), kept: {bad / len(quality):.0%}")
    times = frame_rate_times(len(bvp), len(_images(pictures)), FPS, notes)
    ppg = as_signal(reference, "ppg", times, bvp, notes)
    attributes: dict[str, Attribute] = {"task": _TASKS[condition]} if condition in _TASKS else {}
    return Labels(ppg, None, attributes, tuple(notes))


def _images(pictures: Path) -> list[Path]:
    if images := [path for path, _ in matching(pictures, r"[^.].*\.bmp")]:
        return images
    raise DatasetError(f"{pictures}: holds no picture; expected are .bmp files, one a frame")


IBVP = Dataset(
    name="ibvp",
    title="iBVP: 31 people breathing slowly, calculating, and moving their heads, three minutes each",
    licence="for academic research, on signed request to its authors",
    find=_find,
)

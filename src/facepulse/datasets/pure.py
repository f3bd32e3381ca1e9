"""PURE: ten subjects, six setups of a minute each (06-02 does not exist), PNG images and finger PPG.

    SS-TT/SS-TT.json and SS-TT/SS-TT/Image<nanoseconds>.png, or SS-TT.json and SS-TT/Image<nanoseconds>.png

Stricker et al., IEEE RO-MAN 2014, "Non-contact video-based pulse rate measurement on a mobile service robot".
"""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from facepulse.datasets.recording import Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_heart_rate, as_signal, unreadable
from facepulse.video.images import read_image
from facepulse.video.reader import open_video

_MOTIONS = {
    "01": "Stationary",
    "02": "Talking",
    "03": "slow translation",
    "04": "fast translation",
    "05": "small rotation",
    "06": "medium rotation",
}


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "folders named 01-01 to 10-06", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [
        _recording(folder, match[1], match[2]) for folder, match in matching(root, r"(\d\d)-(\d\d)") if folder.is_dir()
    ]


def _recording(folder: Path, subject: str, setup: str) -> Recording:
    inside, beside = folder / f"{folder.name}.json", folder.with_name(f"{folder.name}.json")
    reference = beside if beside.is_file() else inside
    return Recording(
        dataset="pure",
        name=folder.name,
        subject=subject,
        files=(folder, reference),
        open_frames=partial(open_video, folder),
        read_labels=partial(_read_labels, folder, reference, setup),
    )


def _read_labels(folder: Path, reference: Path, setup: str) -> Labels:
    try:
        packages = [
            (int(package["Timestamp"]), float(package["Value"]["waveform"]), float(package["Value"]["pulseRate"]))
            for package in json.loads(reference.read_bytes())["/FullPackage"]
        ]
    except OSError as error:
        raise unreadable(reference, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{reference}: is damaged, or not of PURE; expected JSON with Timestamp and Value in /FullPackage"
        ) from error
    notes: list[str] = []
    if steps_back := sum(later < earlier for (earlier, *_), (later, *_) in pairwise(packages)):
        notes.append(f"packages of the PPG out of order, sorted: {steps_back}")
    packages.sort(key=lambda package: package[0])  # a stable sort: of equal times the first stays the first
    start_ns = _first_image_ns(folder)
    times = np.array([(stamp - start_ns) * 1e-9 for stamp, _, _ in packages])
    values = np.array([value for _, *value in packages]).reshape(-1, 2)
    ppg = as_signal(reference, "ppg", times, values[:, 0], notes)
    bpm = as_heart_rate(reference, times, values[:, 1], notes)
    attributes = {"motion": _MOTIONS[setup]} if setup in _MOTIONS else {}
    return Labels(ppg, bpm, attributes, tuple(notes))


def _first_image_ns(folder: Path) -> int:
    """Return the time in nanoseconds of the first frame of `open_video`: the earliest image that can be read."""
    for parent in (folder, folder / folder.name):
        stamped = sorted((int(match[1]), path) for path, match in matching(parent, r"[^.].*?(\d+)\.png"))
        for stamp, path in stamped:
            if read_image(path) is not None:
                return stamp
    raise DatasetError(f"{folder}: contains no readable image; expected Image<nanoseconds>.png")


PURE = Dataset(
    name="pure",
    title="PURE: 10 subjects in 6 setups of head motion, a minute each",
    licence="for research, on request to TU Ilmenau",
    find=_find,
)

"""Recordings of a dataset: frames, reference signals with their own timestamps, subject and attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facepulse._types import Floats
from facepulse.errors import FacepulseError
from facepulse.video.frames import Video

Attribute = str | int | float | bool


class DatasetError(FacepulseError):
    """A dataset or one of its files is missing, damaged, or of another format."""

    exit_code = 3


@dataclass(frozen=True, eq=False)
class Signal:
    """Signal with its own timestamps.

    Attributes:
        times: (N,) seconds from the first frame of the video, strictly increasing; samples may lie before the first
            frame and after the last.
        values: (N,).

    Raises:
        DatasetError: there are fewer than two samples, the lengths differ, a time or value is NaN or infinite, or the
            times do not increase.
    """

    times: Floats
    values: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", np.asarray(self.times, np.float64))
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        if self.times.ndim != 1 or self.times.shape != self.values.shape:
            raise DatasetError(f"a signal needs one time per value, got {self.times.shape} and {self.values.shape}")
        if len(self.times) < 2:
            raise DatasetError(f"a signal needs at least two samples, got {len(self.times)}")
        if not (np.isfinite(self.times).all() and np.isfinite(self.values).all()):
            raise DatasetError("a signal contains NaN or infinity: leave such samples out")
        if not (np.diff(self.times) > 0).all():
            raise DatasetError("the times of a signal must increase")

    def at(self, times: Floats) -> Floats:
        """Interpolate the signal linearly; NaN before its first and after its last sample."""
        return np.asarray(np.interp(times, self.times, self.values, left=np.nan, right=np.nan), np.float64)


@dataclass(frozen=True)
class Labels:
    """Reference signals and attributes of a recording.

    Attributes:
        ppg: reference blood volume pulse, arbitrary unit, systole up; None if the recording has none.
        bpm: heart rate computed by the reference device; None if the recording has none.
        attributes: light, motion, exercise, skin_color, gender, ... in the dataset's own terms.
        notes: irregularities of the labels, one line each.
    """

    ppg: Signal | None = None
    bpm: Signal | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """One entry of a dataset, whose files are read on demand.

    Attributes:
        dataset: key in `facepulse.datasets.DATASETS`.
        name: unique in the dataset, for example `01-01`, `subject1`, `subject3/p3_12`.
        subject: identifier of the person.
        files: files or folders that the recording consists of.
        open_frames: opens the frames, with times from the first one; picklable.
        read_labels: reads reference signals and attributes; picklable.
        stated_fps: frame rate in Hz that replaces the timestamps of the video; None to use these.
    """

    dataset: str
    name: str
    subject: str
    files: tuple[Path, ...]
    open_frames: Callable[[], Video]
    read_labels: Callable[[], Labels]
    stated_fps: float | None = None


@dataclass(frozen=True)
class Dataset:
    """A dataset and its layout on disk.

    Attributes:
        name: key in `facepulse.datasets.DATASETS`, and on the command line.
        title: description in one line.
        licence: terms of use.
        find: lists the recordings below a root folder in natural order of their names; raises `DatasetError` if the
            folder is not a root of this dataset, or contains no recording.
    """

    name: str
    title: str
    licence: str
    find: Callable[[Path], list[Recording]]


def natural_sort_key(name: str) -> list[Any]:
    """Return a sort key that compares numbers in names as numbers: subject2 before subject10."""
    return [int(token) if token.isdecimal() else token for token in re.split(r"(\d+)", name)]

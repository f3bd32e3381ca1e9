"""What every dataset yields: recordings of one person each: frames, a reference on a clock of its own, and labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facepulse._types import Floats
from facepulse.errors import FacepulseError
from facepulse.video.reader import Video

Attribute = str | int | float | bool


class DatasetError(FacepulseError):
    """A dataset, or one of its files, is not what it should be."""

    exit_code = 3


@dataclass(frozen=True, eq=False)
class Signal:
    """A signal with timestamps of its own.

    Attributes:
        times: (N,) seconds from the first frame of the video, ascending; may begin before it and end after the last.
        values: (N,).

    Raises:
        DatasetError: fewer than two samples, unequal lengths, values that are not finite, or times that do not ascend.
    """

    times: Floats
    values: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", np.asarray(self.times, np.float64))
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        if self.times.ndim != 1 or self.times.shape != self.values.shape:
            raise DatasetError(f"a signal needs a time for each value, got {self.times.shape} and {self.values.shape}")
        if len(self.times) < 2:
            raise DatasetError(f"a signal needs at least two samples, got {len(self.times)}")
        if not (np.isfinite(self.times).all() and np.isfinite(self.values).all()):
            raise DatasetError("a signal holds NaN or infinity: leave such samples out")
        if not (np.diff(self.times) > 0).all():
            raise DatasetError("the times of a signal must ascend")

    def at(self, times: Floats) -> Floats:
        """The signal at other times, interpolated linearly; NaN outside its own."""
        return np.asarray(np.interp(times, self.times, self.values, left=np.nan, right=np.nan), np.float64)


@dataclass(frozen=True)
class Labels:
    """What is known of a recording.

    Attributes:
        ppg: the reference blood volume pulse, any unit, systole upwards; None where there is none.
        bpm: heart rate as the device itself gave it; None where there is none.
        attributes: light, motion, exercise, skin_color, gender, ... in the dataset's own terms.
        notes: what was odd about the labels, a line each.
    """

    ppg: Signal | None = None
    bpm: Signal | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """One entry of a dataset. Nothing is read from its files before it is asked for.

    Attributes:
        dataset: key in `facepulse.datasets.DATASETS`.
        name: unique in the dataset, for example `01-01`, `subject1`, `subject3/p3_12`.
        subject: whose recording it is.
        files: what it is made of, files or folders.
        open_frames: opens its frames, whose times count from the first one. Can be sent to another process.
        read_labels: reads the rest. Can be sent to another process.
    """

    dataset: str
    name: str
    subject: str
    files: tuple[Path, ...]
    open_frames: Callable[[], Video]
    read_labels: Callable[[], Labels]


@dataclass(frozen=True)
class Dataset:
    """How one dataset lies on disk.

    Attributes:
        name: its key in `facepulse.datasets.DATASETS`, as users type it.
        title: what it is, in one line.
        licence: under which terms it can be had.
        find: from its root to its recordings, in natural order of their names; raises `DatasetError` where the root is
            not one of this dataset, or holds no recording.
    """

    name: str
    title: str
    licence: str
    find: Callable[[Path], list[Recording]]


def natural_sort_key(name: str) -> list[Any]:
    """Sorts names by the numbers in them: subject2 before subject10."""
    return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", name)]

"""Times of the frames of callers: a stated frame rate or times, their units, and frames out of order."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import numpy as np

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.video.frames import Frame
from facepulse.video.timing import MAX_TIME_GAP_S

CHECKED_FRAMES = 11  # whose spacing shows the unit of the times, in a source of unknown length
UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


@dataclass(frozen=True, eq=False)
class Clock:
    """Times stated for frames that have none of their own; one of the attributes is None.

    Attributes:
        fps: frame rate in Hz.
        times: seconds, (T,), one per frame.
    """

    fps: float | None = None
    times: Floats | None = None

    def __post_init__(self) -> None:
        if (self.fps is None) == (self.times is None):
            raise ValueError("a clock takes either a frame rate or times")

    def time(self, index: int) -> float:
        """Time of a frame in seconds.

        Raises:
            UsageError: there are fewer times.
        """
        if self.times is None:
            return index / (self.fps or math.nan)
        if index >= len(self.times):
            raise UsageError(f"there are more frames than times ({len(self.times)}); give one time per frame")
        return float(self.times[index])

    def check_count(self, count: int) -> None:
        """Raise a `UsageError` if there are not as many times as frames."""
        if self.times is not None and len(self.times) != count:
            raise UsageError(f"there are {len(self.times)} times for {count} frames; give one time per frame")

    def duration_s(self, count: int) -> float:
        """Seconds from the first of some number of frames to the last."""
        return self.time(count - 1) - self.time(0)


def stated_clock(fps: object, times: object) -> Clock | None:
    """Check a stated frame rate or times; return None if neither is given.

    Args:
        fps: Hz, or None.
        times: seconds, (T,), or None.

    Raises:
        UsageError: both are given, or they are no frame rate or no times in seconds.
    """
    if fps is not None and times is not None:
        raise UsageError("a frame rate (fps) and times were given; give one of them")
    if fps is not None:
        return Clock(fps=checked_rate(fps))
    return None if times is None else Clock(times=_checked_times(times))


def checked_rate(fps: object) -> float:
    """Return a frame rate in Hz as a float.

    Raises:
        UsageError: it is not a number above zero.
    """
    is_number = isinstance(fps, Real) and not isinstance(fps, bool)
    if not is_number or not 0 < float(fps) < math.inf:  # type: ignore[arg-type]
        raise UsageError(f"a frame rate (fps) is a number of frames per second, such as 30, not {fps!r}")
    return float(fps)  # type: ignore[arg-type]


def _checked_times(times: object) -> Floats:
    try:
        array = np.asarray(times)
    except ValueError:  # lists of different lengths
        array = np.zeros(())
    if array.dtype.kind not in "iuf" or array.ndim != 1 or isinstance(times, str):
        given = f"shape {array.shape}" if array.dtype.kind in "iuf" else f"type {array.dtype}"
        raise UsageError(f"times are seconds, as many numbers as there are frames, not an array of {given}")
    seconds = np.asarray(array, np.float64)
    for index in np.flatnonzero(~np.isfinite(seconds))[:1]:
        raise UsageError(f"time {index} is {seconds[index]}; give a finite time in seconds for each frame")
    for index in np.flatnonzero(np.diff(seconds) < 0)[:1] + 1:
        raise UsageError(_earlier(f"time {index}", seconds[index], seconds[index - 1]))
    check_unit(seconds)
    return seconds


def check_unit(times: Iterable[float]) -> None:
    """Refuse times that, by their spacing, are not in seconds.

    Args:
        times: those of successive frames; fewer than two are accepted.

    Raises:
        UsageError: most of them are equal, or over a second apart, which shows no pulse in any case.
    """
    steps = [later - earlier for earlier, later in pairwise(times)]
    spacing = statistics.median(steps) if steps else 0.1
    if spacing == 0:
        raise UsageError("the times of most frames are equal; give increasing seconds, as float64")
    if spacing == 1:
        raise UsageError("the times of the frames are 1 apart, as frame numbers are; divide them by the frame rate")
    if spacing > MAX_TIME_GAP_S:
        unit = next((unit for unit, factor in UNITS.items() if spacing <= factor), "nanoseconds")
        raise UsageError(
            f"the times of the frames are {spacing:.6g} apart, which fits {unit}; "
            f"give seconds, by dividing by {UNITS[unit]:,.0f}"
        )


def increasing(frames: Iterable[Frame], name: str) -> Iterator[Frame]:
    """Pass frames on whose times are finite seconds and never decrease.

    Args:
        frames: in order of time.
        name: of the source in messages.

    Raises:
        UsageError: a time is NaN or infinite, earlier than the one before, or not in seconds, or there is no frame.
    """
    latest_s, first_times = -math.inf, list[float]()
    for index, frame in enumerate(frames):
        if not math.isfinite(frame.time):
            raise UsageError(f"frame {index} has the time {frame.time}; give a finite time in seconds for each frame")
        if frame.time < latest_s:
            raise UsageError(_earlier(f"frame {index}", frame.time, latest_s))
        latest_s = frame.time
        _note(frame, first_times)
        yield frame
    if not first_times:
        raise UsageError(f"{name}: there is no frame; give at least 5 s of frames")
    if len(first_times) < CHECKED_FRAMES:
        check_unit(first_times)


def in_order(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Pass frames on that are later than the one before, and skip those that are not or have no finite time.

    Raises:
        UsageError: the times are not in seconds.
    """
    latest_s, first_times = -math.inf, list[float]()
    for frame in frames:
        if latest_s < frame.time < math.inf:
            latest_s = frame.time
            _note(frame, first_times)
            yield frame


def _note(frame: Frame, first_times: list[float]) -> None:
    """Collect the times of the first frames, and check their unit when there are enough."""
    if len(first_times) < CHECKED_FRAMES:
        first_times.append(frame.time)
        if len(first_times) == CHECKED_FRAMES:
            check_unit(first_times)


def _earlier(what: str, time: float, before: float) -> str:
    return f"{what} ({time:.6f} s) is earlier than the one before ({before:.6f} s); sort the frames by time"

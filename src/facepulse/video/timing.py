"""Timing of a video: its frame rate, how its frames were coded, and how far its clock can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from facepulse._types import Floats

MAX_TIME_GAP_S = 1.0  # frames further apart than this belong to different segments: nothing is interpolated between
TOLERATED_DROPS = 0.02  # of all frames: cameras and recorders repeat a time now and then


class CodedTime(NamedTuple):
    """Time of a frame in seconds and how it was coded, as in `facepulse.video.frames.Frame`."""

    time: float
    key: bool
    anchor: bool


@dataclass(frozen=True)
class Timing:
    """Timing of a video as far as it affects heart rates.

    Attributes:
        fps: frame rate in Hz from the timestamps, gaps left out; 0 if there are hardly any frames.
        key_times: of the key frames in seconds, ascending; empty if every frame is one, as without a codec.
        anchor_times: of the I and P frames in seconds, ascending; empty without B frames.
        clock_quality: 0..1, factor of the quality of heart rates. It is below 1 if more than 2 % of the frames were
            dropped because their times did not increase: each shows that another time is wrong.
    """

    fps: float
    key_times: Sequence[float] = ()
    anchor_times: Sequence[float] = ()
    clock_quality: float = 1.0

    @classmethod
    def of(cls, frames: Sequence[CodedTime], dropped: int = 0) -> Timing:
        """Compute the timing from the frames of a video, and the number of those that were dropped."""
        fraction = dropped / max(dropped + len(frames), 1)
        return cls(
            fps=frame_rate(np.array([frame.time for frame in frames])),
            key_times=[] if all(frame.key for frame in frames) else [frame.time for frame in frames if frame.key],
            anchor_times=[] if all(f.anchor for f in frames) else [frame.time for frame in frames if frame.anchor],
            clock_quality=1.0 if fraction <= TOLERATED_DROPS else max(0.0, 1 - 2 * fraction),
        )


def frame_rate(times: Floats) -> float:
    """Frame rate in Hz from times (N,) in seconds, without gaps longer than `MAX_TIME_GAP_S`; 0 if all are longer."""
    steps = np.diff(times)
    steps = steps[steps <= MAX_TIME_GAP_S]
    return float(len(steps) / steps.sum()) if len(steps) else 0.0


def length_s(times: Floats) -> float:
    """Seconds from the first frame to the end of the last one, from times (N,) in seconds."""
    rate = frame_rate(times)
    return float(times[-1] - times[0]) + (1.0 / rate if rate else 0.0)

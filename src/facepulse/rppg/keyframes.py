"""Colour rhythm of a video codec's key frames, and its removal from traces.

A key frame is coded independently and the frames after it as differences, so the colours of a static scene jump at each
key frame and drift until the next. One key frame per second, as many phones write, gives a rhythm of 60 bpm and its
multiples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.rppg.arguments import as_array, as_positive, as_times

# Two periods are enough to suspect a rhythm; it takes a few more to separate it from a pulse. The multiples of a rhythm
# slower than the longest period are so dense that removing them would remove everything.
SUSPECT_PERIODS = 2
MINIMUM_PERIODS = 4
LONGEST_PERIOD_S = 3.0
HIGHEST_HZ = 5.0


def key_frame_period(key_times: Sequence[float]) -> float | None:
    """Median interval between key frames in seconds; None if it is not near the period of a heart.

    Args:
        key_times: times of the key frames in seconds, ascending.

    Raises:
        UsageError: the times are not finite and ascending.
    """
    if np.size(key_times) == 0:
        return None
    intervals = np.diff(as_times(key_times, "key_times"))
    if len(intervals) < SUSPECT_PERIODS:
        return None
    period = float(np.median(intervals))
    return period if 0 < period <= LONGEST_PERIOD_S else None


def is_removable(times: Floats, key_times: Sequence[float]) -> bool:
    """True if a trace covers enough periods of the key frames for `remove_key_frame_rhythm`.

    Args:
        times: of the trace in seconds, (T,).
        key_times: times of the key frames in seconds, ascending.
    """
    period = key_frame_period(key_times)
    return period is not None and float(times[-1] - times[0]) >= MINIMUM_PERIODS * period


def remove_key_frame_rhythm(rgb: npt.ArrayLike, times: npt.ArrayLike, key_times: Sequence[float]) -> Floats:
    """Remove from traces whatever repeats from key frame to key frame.

    The phase runs from 0 to 1 between two key frames, however far apart they are; the sines and cosines of its
    multiples are fitted by least squares and subtracted. A pulse loses only what stays synchronous with the key frames
    over the whole trace.

    Args:
        rgb: one trace (T, 3), or those of several regions (T, K, 3).
        times: of the rows of `rgb` in seconds, (T,).
        key_times: times of the video's key frames in seconds, ascending, as `ffprobe -skip_frame nokey` lists them.

    Returns:
        Float64 traces of the same shape; unchanged if the rhythm cannot be removed: there are fewer than three key
        frames, they are more than 3 s apart, or the trace is shorter than four of their periods.

    Raises:
        UsageError: `rgb` and `times` are not finite, of the same length and ascending, or `key_times` is not ascending.
    """
    rgb, times = as_array(rgb, "rgb", "(T, 3) or (T, K, 3)", 2, 3), as_times(times, "times")
    if len(rgb) != len(times):
        raise UsageError(f"rgb and times must have the same length, not {len(rgb)} and {len(times)}")
    period = key_frame_period(key_times)
    if period is None or not is_removable(times, key_times):
        return rgb
    phase = np.interp(times, key_times, np.arange(len(key_times)))
    # Before the first and after the last key frame the phase advances at the median rate.
    phase += np.minimum(times - key_times[0], 0.0) / period + np.maximum(times - key_times[-1], 0.0) / period
    angles = 2 * np.pi * phase[:, None] * np.arange(1, int(HIGHEST_HZ * period) + 1)
    basis = np.hstack([np.cos(angles), np.sin(angles)])
    basis -= basis.mean(axis=0)
    flat = rgb.reshape(len(rgb), -1)
    # Drift is fitted with the rhythm, which would otherwise absorb it, but is not removed.
    line = np.linspace(-1.0, 1.0, len(rgb))[:, None]
    design = np.hstack([basis, line, line**2, line**3, np.ones_like(line)])
    coefficients, *_ = np.linalg.lstsq(design, flat, rcond=None)
    rhythm: Floats = (basis @ coefficients[: basis.shape[1]]).reshape(rgb.shape)
    return rgb - rhythm


def coincides_with_key_frames(bpm: float, key_times: Sequence[float], seconds: float) -> bool:
    """True if a heart rate cannot be told from a multiple of the key-frame rate.

    Args:
        bpm: heart rate.
        key_times: times of the key frames in seconds, ascending.
        seconds: length of the trace that it was estimated from, which sets the frequency resolution.

    Raises:
        UsageError: bpm or seconds is not above zero, or the times are not finite and ascending.
    """
    bpm, seconds = as_positive(bpm, "bpm"), as_positive(seconds, "seconds")
    period = key_frame_period(key_times)
    if period is None:
        return False
    multiple = bpm / 60.0 * period
    return multiple > 0.5 and abs(multiple - round(multiple)) / period < max(1.0 / seconds, 0.02)

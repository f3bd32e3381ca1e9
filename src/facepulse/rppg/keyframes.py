"""The rhythm that a video codec adds by itself, and how to take it out.

A key frame is coded afresh, the frames after it as changes; so the colours of a still picture jump at each key frame
and drift until the next. With a key frame a second, as many phones write, that beats at 60 bpm and its multiples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Two turns make a rhythm that must be suspected, a few more one that can be told from a pulse and removed. One slower
# than this has its multiples so close together that removing them would remove everything.
SUSPECT_TURNS = 2
MINIMUM_TURNS = 4
LONGEST_PERIOD_S = 3.0
HIGHEST_HZ = 5.0


def key_frame_period(key_times: Sequence[float]) -> float | None:
    """Seconds between key frames where they make a rhythm near that of a heart, else None.

    Args:
        key_times: times of the key frames in seconds, ascending.
    """
    if len(key_times) < SUSPECT_TURNS + 1:
        return None
    period = float(np.median(np.diff(key_times)))
    return period if period <= LONGEST_PERIOD_S else None


def can_be_removed(times: NDArray[np.float64], key_times: Sequence[float]) -> bool:
    """Whether a trace sees enough of the key frames' rhythm for `remove_key_frame_rhythm` to take it out.

    Args:
        times: of the trace in seconds, (T,).
        key_times: times of the key frames in seconds, ascending.
    """
    period = key_frame_period(key_times)
    return period is not None and float(times[-1] - times[0]) >= MINIMUM_TURNS * period


def remove_key_frame_rhythm(
    rgb: NDArray[np.float64], times: NDArray[np.float64], key_times: Sequence[float]
) -> NDArray[np.float64]:
    """Take out of colour traces whatever repeats from key frame to key frame.

    The phase runs from 0 to 1 between two key frames, however far apart they are; the sines and cosines of its
    multiples are fitted by least squares and subtracted. A pulse loses only what stays in step with the key frames for
    the whole trace.

    Args:
        rgb: traces, (T, ...).
        times: seconds, (T,).
        key_times: times of the key frames in seconds, ascending.

    Returns:
        Traces of the same shape; the same array where the rhythm cannot be removed.
    """
    period = key_frame_period(key_times)
    if period is None or not can_be_removed(times, key_times):
        return rgb
    turns = np.interp(times, key_times, np.arange(len(key_times)))
    # Before the first and after the last key frame the phase goes on at the usual pace.
    turns += np.minimum(times - key_times[0], 0.0) / period + np.maximum(times - key_times[-1], 0.0) / period
    angles = 2 * np.pi * turns[:, None] * np.arange(1, int(HIGHEST_HZ * period) + 1)
    basis = np.hstack([np.cos(angles), np.sin(angles)])
    basis -= basis.mean(axis=0)
    flat = rgb.reshape(len(rgb), -1)
    # Drift is no rhythm, but would be fitted as one.
    slope = np.linspace(-1.0, 1.0, len(rgb))[:, None]
    design = np.hstack([basis, slope, slope**2, slope**3, np.ones_like(slope)])
    weights, *_ = np.linalg.lstsq(design, flat, rcond=None)
    rhythm: NDArray[np.float64] = (basis @ weights[: basis.shape[1]]).reshape(rgb.shape)
    return rgb - rhythm


def coincides_with_key_frames(bpm: float, key_times: Sequence[float], seconds: float) -> bool:
    """Whether a heart rate cannot be told from a multiple of the key frames' own.

    Args:
        bpm: heart rate.
        key_times: times of the key frames in seconds, ascending.
        seconds: length of the trace it was read from; two rates nearer than its resolution are the same.
    """
    period = key_frame_period(key_times)
    if period is None:
        return False
    multiple = bpm / 60.0 * period
    return multiple > 0.5 and abs(multiple - round(multiple)) / period < max(1.0 / seconds, 0.02)

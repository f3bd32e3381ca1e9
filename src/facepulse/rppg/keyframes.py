"""Colour rhythms of a video codec's key frames and groups of B frames, and their removal from traces.

A key frame is coded independently and the frames after it as differences, so the colours of a static scene jump at each
key frame and drift until the next. One key frame per second, as many phones write, gives a rhythm of 60 bpm and its
multiples. B frames are coded more coarsely than the I and P frames between which they lie: one in four an I or P frame,
as x264 writes by default, gives a rhythm of 225 bpm at 15 frames per second. If they are coded so coarsely that they
are little more than an interpolation, the pulse is sampled at the I and P frames alone: 150 bpm are read as 75.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.rppg.arguments import as_array, as_positive, as_times
from facepulse.rppg.regions import RateEstimate

# Two periods are enough to suspect a rhythm; it takes a few more to separate it from a pulse. The multiples of a rhythm
# slower than the longest period are so dense that removing them would remove everything.
SUSPECT_PERIODS = 2
MINIMUM_PERIODS = 4
LONGEST_PERIOD_S = 3.0
# The shortest one is beyond the fastest heart, 240 bpm. B frames at 24 frames per second or more are usually shorter.
SHORTEST_PERIOD_S = 0.21
HIGHEST_HZ = 5.0
# Groups of irregular length may follow a rate, too: an encoder that chooses the cheapest groups chooses them by the
# pulse. They follow it if the mean of the phase vectors at their times is longer than this. By chance, that of 20 times
# is so at one rate in 25, that of 50 at one in 3000.
FOLLOWING, FOLLOWING_FRAMES = 0.4, 20
# On painted faces through x264, images of a right rate that is fused with a network have up to 0.11 of its power, those
# of a wrong one 0.15 or more. Of the regions alone, images at the second harmonic of a right rate may have more, too.
IMAGE_POWER = 0.12


def key_frame_period(key_times: Sequence[float]) -> float | None:
    """Median interval between key frames in seconds; None if it is not near the period of a heart.

    Args:
        key_times: times of the key frames, or of the I and P frames, in seconds, ascending.

    Raises:
        UsageError: the times are not finite and ascending.
    """
    if np.size(key_times) == 0:
        return None
    intervals = np.diff(as_times(key_times, "key_times"))
    if len(intervals) < SUSPECT_PERIODS:
        return None
    period = float(np.median(intervals))
    return period if SHORTEST_PERIOD_S <= period <= LONGEST_PERIOD_S else None


def is_removable(times: Floats, key_times: Sequence[float]) -> bool:
    """True if a trace covers enough periods of the key frames for `remove_key_frame_rhythm`.

    Args:
        times: of the trace in seconds, (T,).
        key_times: times of the key frames, or of the I and P frames, in seconds, ascending.
    """
    period = key_frame_period(key_times)
    return period is not None and float(times[-1] - times[0]) >= MINIMUM_PERIODS * period


def remove_key_frame_rhythm(
    rgb: npt.ArrayLike, times: npt.ArrayLike, key_times: Sequence[float], anchor_times: Sequence[float] = ()
) -> Floats:
    """Remove from traces whatever repeats from key frame to key frame, and from one group of B frames to the next.

    The phase runs from 0 to 1 between two key frames, however far apart they are; the sines and cosines of its
    multiples are fitted by least squares and subtracted, those of both rhythms at once. A pulse loses only what stays
    synchronous with the frames over the whole trace.

    Args:
        rgb: one trace (T, 3), or those of several regions (T, K, 3).
        times: of the rows of `rgb` in seconds, (T,).
        key_times: times of the video's key frames in seconds, ascending, as `ffprobe -skip_frame nokey` lists them.
        anchor_times: times of its I and P frames in seconds, ascending; empty if there are no B frames between them.

    Returns:
        Float64 traces of the same shape; without the rhythms that can be removed. A rhythm cannot be if there are fewer
        than three of its frames, they are less than 0.21 s or more than 3 s apart, or the trace is shorter than four of
        their periods.

    Raises:
        UsageError: `rgb` and `times` are not finite, of the same length and ascending, or the times of frames are not
            ascending.
    """
    rgb, times = as_array(rgb, "rgb", "(T, 3) or (T, K, 3)", 2, 3), as_times(times, "times")
    if len(rgb) != len(times):
        raise UsageError(f"rgb and times must have the same length, not {len(rgb)} and {len(times)}")
    bases = [_harmonics(times, frames) for frames in (key_times, anchor_times) if is_removable(times, frames)]
    if not bases:
        return rgb
    basis = np.hstack(bases)
    basis -= basis.mean(axis=0)
    flat = rgb.reshape(len(rgb), -1)
    # Drift is fitted with the rhythm, which would otherwise absorb it, but is not removed.
    line = np.linspace(-1.0, 1.0, len(rgb))[:, None]
    design = np.hstack([basis, line, line**2, line**3, np.ones_like(line)])
    coefficients, *_ = np.linalg.lstsq(design, flat, rcond=None)
    rhythm: Floats = (basis @ coefficients[: basis.shape[1]]).reshape(rgb.shape)
    return rgb - rhythm


def _harmonics(times: Floats, frame_times: Sequence[float]) -> Floats:
    """Cosines and sines of the phase from one frame to the next, and of its multiples, (T, columns)."""
    period = key_frame_period(frame_times)
    assert period is not None, "the rhythm is removable"
    phase = np.interp(times, frame_times, np.arange(len(frame_times)))
    # Before the first and after the last of these frames the phase advances at the median rate.
    phase += np.minimum(times - frame_times[0], 0.0) / period + np.maximum(times - frame_times[-1], 0.0) / period
    angles = 2 * np.pi * phase[:, None] * np.arange(1, int(HIGHEST_HZ * period) + 1)
    return np.hstack([np.cos(angles), np.sin(angles)])


def coincides_with_key_frames(bpm: float, key_times: Sequence[float], seconds: float) -> bool:
    """True if a heart rate cannot be told from a multiple of the key-frame rate, or the frames follow it irregularly.

    Args:
        bpm: heart rate.
        key_times: times of the key frames, or of the I and P frames, in seconds, ascending.
        seconds: length of the trace that it was estimated from, which sets the frequency resolution.

    Raises:
        UsageError: bpm or seconds is not above zero, or the times are not finite and ascending.
    """
    bpm, seconds = as_positive(bpm, "bpm"), as_positive(seconds, "seconds")
    period = key_frame_period(key_times)
    if period is None:
        return False
    multiple = bpm / 60.0 * period
    if multiple > 0.5 and abs(multiple - round(multiple)) / period < max(1.0 / seconds, 0.02):
        return True
    # Regular frames have a mean below the limit at rates that are no multiple of theirs.
    near_hz = bpm / 60.0 + np.linspace(-0.25, 0.25, 9) / seconds
    phase_vectors = np.exp(-2j * np.pi * np.outer(near_hz, key_times))
    return len(key_times) >= FOLLOWING_FRAMES and bool(np.abs(phase_vectors.mean(axis=1)).max() > FOLLOWING)


def may_be_image(rate: RateEstimate, anchor_times: Sequence[float], highest_bpm: float) -> bool:
    """True if a heart rate may be the image of a faster pulse that is sampled at the I and P frames alone.

    Sampling at a rate F adds to a pulse at f images at kF - f and kF + f. As far as the B frames show the pulse, its
    images are weaker: those of the slowest rate, if that is the pulse, or the slowest rate itself, if it is an image.

    Args:
        rate: heart rate, and the spectrum in which it was found.
        anchor_times: times of the I and P frames in seconds, ascending.
        highest_bpm: highest heart rate that is searched for.
    """
    period = key_frame_period(anchor_times)
    if period is None:
        return False
    found_hz = rate.bpm / 60
    multiples_hz = np.arange(1, int(2 * HIGHEST_HZ * period) + 1) / period
    images_hz = np.concatenate([multiples_hz - found_hz, multiples_hz + found_hz])
    faster_hz = images_hz[(images_hz > found_hz + 2 / rate.seconds) & (images_hz <= highest_bpm / 60)]
    near_hz = faster_hz[:, None] + np.linspace(-0.5, 0.5, 9) / rate.seconds
    at_image, at_rate = np.interp(near_hz, rate.hz, rate.power), np.interp(found_hz, rate.hz, rate.power)
    return bool((at_image > IMAGE_POWER * at_rate).any())

"""Correction of a reference's clock by the pulse in the video.

A reference is put on the video's clock by its timestamps, which may be wrong: delayed by a constant, or counted by a
clock that runs fast or slow. The pulse in the video is correlated with the reference under every offset and drift
within limits. Heartbeats are irregular enough for the right offset and drift to give the highest correlation; if it is
clearly the highest, they are applied and reported.

The pulse reaches a finger up to 0.15 s after the face. Networks are trained on the pulse of the face, so this delay is
removed with the rest, but it is not reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.recording import Signal
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import bandpass, heart_rate, parabola_vertex

MAX_OFFSET_S = 1.0
MAX_DRIFT = 0.02
FINGER_DELAY_S = 0.15  # after the face (Allen, Physiol. Meas. 2007: 0.06 to 0.13 s between ear and finger)
NOTED_DRIFT = 2e-3
GRID_HZ = 30.0
BAND_HZ = (0.7, 3.5)

MINIMUM_S = 15.0  # of video and reference together
MINIMUM_SEGMENT_S = 5.0
MINIMUM_CORRELATION = 0.4
# Least difference in correlation to offsets that are a heartbeat away, absolute and in standard errors.
MINIMUM_DIFFERENCE = 0.007
MINIMUM_DIFFERENCE_ERRORS = 1.3


@dataclass(frozen=True)
class Alignment:
    """Offset and drift of a reference's clock against the video's.

    Attributes:
        offset_s: seconds to add to the reference's times in the middle of the video.
        drift: relative error of the rate of the reference's clock, positive if it runs slow: intervals between its
            times are multiplied by 1 + drift.
        middle_s: time on the video's clock at which `offset_s` holds.
        correlation: of the video's pulse with the corrected reference.
        uncorrected: of the video's pulse with the reference as it is.
        reliable: True if the correction is clearly better than its rivals; only then it is applied.
    """

    offset_s: float
    drift: float
    middle_s: float
    correlation: float
    uncorrected: float
    reliable: bool

    def to_video(self, times: Floats) -> Floats:
        """Convert times of the reference to the video's clock."""
        return np.asarray(self.middle_s + self.offset_s + (1 + self.drift) * (np.asarray(times) - self.middle_s))

    def corrected(self, signal: Signal) -> Signal:
        """Put a signal of the reference on the video's clock if the alignment is reliable; else return it as it is."""
        return Signal(self.to_video(signal.times), signal.values) if self.reliable else signal

    def note(self) -> str | None:
        """Describe the correction; None if none was applied, or if it is within the delay of a finger."""
        if not self.reliable or (abs(self.offset_s) <= FINGER_DELAY_S and abs(self.drift) < NOTED_DRIFT):
            return None
        error = f"the reference is {abs(self.offset_s):.2f} s {'early' if self.offset_s > 0 else 'late'}"
        if abs(self.drift) >= NOTED_DRIFT:
            error += f" and its clock {100 * abs(self.drift):.1f} % {'fast' if self.drift < 0 else 'slow'}"
        return f"clocks: {error}, corrected by the pulse in the video"


@dataclass(frozen=True, eq=False)
class OffsetDriftSurface:
    """Correlation of the video's pulse with the reference under each offset and drift of a grid.

    Attributes:
        correlation: (D, F), a row per drift and a column per offset.
        drifts: (D,) ascending; 0 is in the middle.
        offsets_s: (F,) ascending; 0 is in the middle.
        middle_s: time on the video's clock at which the offsets hold.
        beat_s: mean length of a heartbeat in the reference.
        samples: number of samples of the video's pulse, at `GRID_HZ`.
    """

    correlation: Floats
    drifts: Floats
    offsets_s: Floats
    middle_s: float
    beat_s: float
    samples: int


@dataclass(frozen=True)
class SurfacePeak:
    """Maximum of a surface, interpolated between the steps of its grid.

    Attributes:
        offset_s: seconds.
        drift: relative.
        correlation: height of the maximum.
    """

    offset_s: float
    drift: float
    correlation: float


@dataclass(frozen=True, eq=False)
class _Overlap:
    """Segment of the video's pulse, and the interval in which the reference has samples too."""

    start_s: float
    end_s: float
    times: Floats
    waveform: Floats


def align(segments: Sequence[tuple[Floats, Floats]], reference: Signal) -> Alignment | None:
    """Find the offset and the drift between a video's pulse and its reference.

    Args:
        segments: (times, waveform) of the video's pulse in each segment, (T,) each, uniform within a segment,
            systole up.
        reference: blood volume pulse with its own timestamps, systole up.

    Returns:
        The best alignment within `MAX_OFFSET_S` and `MAX_DRIFT`; None if video and reference have less than
        `MINIMUM_S` in common.
    """
    surface = offset_drift_surface(segments, reference)
    if surface is None:
        return None
    best, rival = best_and_rival(surface)
    # Two waveforms of this bandwidth have that many independent pairs of values.
    pairs = 2 * (BAND_HZ[1] - BAND_HZ[0]) * surface.samples / GRID_HZ
    error = (1 - best.correlation**2) / np.sqrt(pairs)
    difference = best.correlation - rival.correlation
    reliable = best.correlation >= MINIMUM_CORRELATION and difference >= max(
        MINIMUM_DIFFERENCE, MINIMUM_DIFFERENCE_ERRORS * error
    )
    uncorrected = float(surface.correlation[len(surface.drifts) // 2, len(surface.offsets_s) // 2])
    return Alignment(best.offset_s, best.drift, surface.middle_s, best.correlation, uncorrected, bool(reliable))


def offset_drift_surface(segments: Sequence[tuple[Floats, Floats]], reference: Signal) -> OffsetDriftSurface | None:
    """Correlate a video's pulse with its reference under all offsets and drifts.

    Args:
        segments: as of `align`.
        reference: as of `align`.

    Returns:
        The surface; None if video and reference have less than `MINIMUM_S` in common.
    """
    overlaps = _overlaps(segments, reference)
    if sum(overlap.end_s - overlap.start_s for overlap in overlaps) < MINIMUM_S:
        return None
    start_s, end_s = overlaps[0].start_s, overlaps[-1].end_s
    middle_s = (start_s + end_s) / 2
    clock = np.arange(start_s, end_s, 1 / GRID_HZ)
    video_pulse = _pulse_on(clock, overlaps)
    reference_clock = np.arange(float(reference.times[0]), float(reference.times[-1]), 1 / GRID_HZ)
    reference_pulse = _in_band(np.interp(reference_clock, reference.times, reference.values))

    def drifted(drift: float) -> tuple[Floats, Floats]:
        """Reference on the video's clock under a drift, (T,), and 1 where it has samples, else 0, (T,)."""
        at = middle_s + (clock - middle_s) / (1 + drift)
        covered = (at >= reference_clock[0]) & (at <= reference_clock[-1])
        return np.where(covered, np.interp(at, reference_clock, reference_pulse), 0.0), covered.astype(np.float64)

    # A step of drift moves either end by half a sample; one correlation gives all offsets of a drift.
    step = 1 / (GRID_HZ * (end_s - start_s))
    steps = round(MAX_DRIFT / step)
    drifts = np.asarray(step * np.arange(-steps, steps + 1), np.float64)
    reach = round(MAX_OFFSET_S * GRID_HZ)
    return OffsetDriftSurface(
        correlation=np.stack([_correlations(video_pulse, *drifted(drift), reach) for drift in drifts]),
        drifts=drifts,
        offsets_s=np.arange(-reach, reach + 1) / GRID_HZ,
        middle_s=middle_s,
        beat_s=60 / heart_rate(reference_pulse, GRID_HZ, PROTOCOLS["facepulse"]),
        samples=int(np.count_nonzero(video_pulse)),
    )


def best_and_rival(surface: OffsetDriftSurface) -> tuple[SurfacePeak, SurfacePeak]:
    """Find the maximum of a surface, and the highest one whose offset differs by more than 0.6 heartbeats.

    The hill of the maximum extends over half a heartbeat; beyond it, each hill matches the beats to their neighbours.
    """
    best = _highest(surface, surface.correlation)
    away = np.abs(surface.offsets_s - best.offset_s) > 0.6 * surface.beat_s
    return best, _highest(surface, np.where(away, surface.correlation, -1.0))


def _highest(surface: OffsetDriftSurface, correlation: Floats) -> SurfacePeak:
    """Maximum of correlations (D, F) on the grid of a surface."""
    row, column = map(int, np.unravel_index(int(np.argmax(correlation)), correlation.shape))
    middle_row, middle_column = len(surface.drifts) // 2, len(surface.offsets_s) // 2
    drift_step = surface.drifts[middle_row + 1]
    return SurfacePeak(
        offset_s=float((column - middle_column + _top(correlation[row], column)) / GRID_HZ),
        drift=float(surface.drifts[row] + drift_step * _top(correlation[:, column], row)),
        correlation=_height(correlation[row], column),
    )


def _overlaps(segments: Sequence[tuple[Floats, Floats]], reference: Signal) -> list[_Overlap]:
    """Segments that have at least `MINIMUM_SEGMENT_S` in common with the reference."""
    overlaps = [
        _Overlap(
            max(float(times[0]), float(reference.times[0])),
            min(float(times[-1]), float(reference.times[-1])),
            times,
            waveform,
        )
        for times, waveform in segments
    ]
    return [overlap for overlap in overlaps if overlap.end_s - overlap.start_s >= MINIMUM_SEGMENT_S]


def _pulse_on(clock: Floats, overlaps: Sequence[_Overlap]) -> Floats:
    """Filtered pulse of the video at the times of a clock, (T,): unit variance per segment, 0 outside of them."""
    pulse = np.zeros_like(clock)
    for overlap in overlaps:
        inside = (clock >= overlap.start_s) & (clock <= overlap.end_s)
        waveform = _in_band(np.interp(clock[inside], overlap.times, overlap.waveform))
        pulse[inside] = waveform / max(float(waveform.std()), 1e-12)
    return pulse


def _in_band(waveform: Floats) -> Floats:
    return bandpass(waveform - waveform.mean(), GRID_HZ, *BAND_HZ, order=2)


def _correlations(video_pulse: Floats, reference_pulse: Floats, covered: Floats, reach: int) -> Floats:
    """Correlate two waveforms where both have samples, the second one delayed by -reach to reach samples.

    Args:
        video_pulse: (T,), 0 where the video has none.
        reference_pulse: (T,).
        covered: (T,), 1 where the reference has samples, else 0.
        reach: largest delay in samples.

    Returns:
        (2 reach + 1,) correlations.
    """
    length = 1 << (2 * len(video_pulse) - 1).bit_length()

    def lagged(fixed: Floats, moved: Floats) -> Floats:
        products = np.fft.irfft(np.fft.rfft(fixed, length) * np.conj(np.fft.rfft(moved, length)), length)
        return np.concatenate([products[-reach:], products[: reach + 1]])

    video_power = lagged(video_pulse**2, covered)
    reference_power = lagged((video_pulse != 0).astype(np.float64), reference_pulse**2)
    return lagged(video_pulse, reference_pulse) / np.sqrt(np.maximum(video_power * reference_power, 1e-12))


def _top(values: Floats, peak: int) -> float:
    """Distance in steps from a maximum to the vertex of the parabola through it and its neighbours; 0 at the ends."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    return parabola_vertex(*values[peak - 1 : peak + 2])


def _height(values: Floats, peak: int) -> float:
    """Height of that parabola, by which maxima compare fairly wherever they lie between the steps."""
    if not 0 < peak < len(values) - 1:
        return float(values[peak])
    return float(values[peak] - 0.25 * (values[peak - 1] - values[peak + 1]) * _top(values, peak))

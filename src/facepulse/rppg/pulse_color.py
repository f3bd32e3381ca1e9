"""Test of whether the signal that the regions share at a heart rate has the colour of the blood volume pulse.

Haemoglobin absorbs most in green and least in red, so the pulse changes the chrominance of skin along one known
direction, the PBV signature, and its brightness along with it. Head motion and changing light also change all regions
coherently, but along other directions: towards the colour of the light on specular skin, towards hair or melanin at
moving edges. A coloured lamp changes chrominance with hardly any brightness, and codec and camera noise is not coherent
between regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.rppg.arguments import as_fps, as_list
from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.rppg.protocols import Protocol, find_protocol
from facepulse.rppg.regions import RateEstimate
from facepulse.rppg.spectrum import PADDING, detrend

# Axes of relative colour changes, one per column: brightness (all channels alike), the chrominance of the pulse, and
# the chrominance orthogonal to it.
_BRIGHTNESS = np.ones(3) / np.sqrt(3)
_CHROMINANCE = PULSE_SIGNATURE - (PULSE_SIGNATURE @ _BRIGHTNESS) * _BRIGHTNESS
_PULSE = _CHROMINANCE / np.linalg.norm(_CHROMINANCE)
AXES = np.stack([_BRIGHTNESS, _PULSE, np.cross(_BRIGHTNESS, _PULSE)], axis=1)

# Ratio of brightness power to pulse chrominance power. By the PBV signature it is nine; saturated colours and tone
# curves of cameras reduce it to two to eight, motion usually has more, a coloured lamp less than one.
MINIMUM_BRIGHTNESS, FULL_BRIGHTNESS = 1.0, 2.0
# Logistic regression in addition to the quality model, on simulated people with and without a pulse
# (benchmarks/pulse_color.py; 31 complex and 16 calm recordings of seed 101, most rendered only around the face).
PULSE_COEFFICIENT, MOTION_COEFFICIENT = 0.67, 3.55
# Below the lower limit the chrominance is lost in noise; above the upper one it takes nothing from the log odds.
PULSE_LIMITS, MOTION_LIMIT = (0.05, 0.30), 0.999
NO_COLOR = 1e-6  # ratio of chrominance power to brightness power below which a video has no usable colour


class PulseColor(NamedTuple):
    """Composition of the chrominance change at a heart rate; the remainder to 1 is not shared by the regions.

    Attributes:
        pulse_share: 0..1, fraction shared by the regions along the PBV direction.
        motion_share: 0..1, fraction shared by the regions in other directions (motion, illumination).
    """

    pulse_share: float
    motion_share: float

    @property
    def predictors(self) -> tuple[float, float]:
        """Predictors, 0 or less: log odds by which the pulse share is below its limit, and log(1 - motion share)."""
        share, limit = np.clip(self.pulse_share, *PULSE_LIMITS), PULSE_LIMITS[1]
        missing = np.log(share / (1 - share)) - np.log(limit / (1 - limit))
        return float(missing), float(np.log(1 - min(self.motion_share, MOTION_LIMIT)))

    @property
    def log_odds(self) -> float:
        """Log odds to add to those of a pulse, 0 or less: the right colour alone is no evidence for a pulse."""
        missing, unmoved = self.predictors
        return PULSE_COEFFICIENT * missing + MOTION_COEFFICIENT * unmoved


def with_color_test(
    estimate: RateEstimate,
    segments: Sequence[npt.ArrayLike],
    fps: float,
    protocol: Protocol | str = "facepulse",
) -> RateEstimate:
    """Add to an estimate the log odds that the colour test gives, from which `calibrated_quality` is computed.

    Args:
        estimate: from `estimate_rate`.
        segments: list of the mean RGB of the regions in each segment of the recording, (T, K, 3) each, K >= 2.
        fps: sampling rate in Hz.
        protocol: that of the estimate, which gives the detrending; a `Protocol`, or its name.

    Returns:
        The estimate with its `color`; unchanged if the video has no colour.

    Raises:
        UsageError: the traces are not finite arrays of this shape, fps is not above zero, no protocol has this name, or
            `estimate` is not a `RateEstimate`.
    """
    if not isinstance(estimate, RateEstimate):
        raise UsageError(f"estimate must be a RateEstimate as from estimate_rate, not {type(estimate).__name__}")
    traces = as_list(segments, "segments", "(T, K, 3)", 3)
    if any(each.shape[1] < 2 or each.shape[2] != 3 for each in traces):
        raise UsageError("each of segments must have the RGB of at least two regions, (T, K, 3)")
    found = pulse_color(traces, as_fps(fps), estimate.bpm, find_protocol(protocol))
    return estimate if found is None else replace(estimate, color=found.log_odds)


def pulse_color(segments: Sequence[Floats], fps: float, bpm: float, protocol: Protocol) -> PulseColor | None:
    """Decompose the chrominance change of the regions at a heart rate.

    The shared part is the mean cross-spectrum over all pairs of regions, as in `regions.estimate_rate`, here for each
    colour axis.

    Args:
        segments: mean RGB of the regions in each segment of the recording, (T, K, 3) each, K >= 2.
        fps: sampling rate in Hz.
        bpm: heart rate at which the change is decomposed.
        protocol: gives the detrending.

    Returns:
        The composition, or None if the video has no colour.
    """
    shared, total = np.zeros(3), np.zeros(3)
    for segment in segments:
        lines = _spectral_lines(segment, fps, bpm, protocol) @ AXES
        regions = lines.shape[1]
        own = _power(lines).sum(axis=(0, 1))
        shared += (_power(lines.sum(axis=1)).sum(axis=0) - own) / (regions * (regions - 1))
        total += own / regions
    brightness, along_pulse, chrominance = total[0], total[1], total[1] + total[2]
    if chrominance <= NO_COLOR * brightness:
        return None
    _, pulse, other = np.maximum(shared, 0.0) / chrominance
    bright = np.interp(brightness, [MINIMUM_BRIGHTNESS * along_pulse, FULL_BRIGHTNESS * along_pulse], [0.0, 1.0])
    pulse_share = min(bright * pulse, 1.0)
    return PulseColor(float(pulse_share), float(min(pulse + other, 1.0) - pulse_share))


def _power(lines: NDArray[np.complex128]) -> Floats:
    return np.asarray(lines.real**2 + lines.imag**2)


def _spectral_lines(rgb: Floats, fps: float, bpm: float, protocol: Protocol) -> NDArray[np.complex128]:
    """Fourier coefficients (F, K, 3) of the relative colour (T, K, 3) within a resolution cell of a heart rate."""
    samples = len(rgb)
    level = rgb.mean(axis=0)
    relative = np.divide(rgb, level, out=np.ones_like(rgb), where=level > 0)
    detrended = detrend(relative.reshape(samples, -1), protocol.regularization_at(fps))
    hz = bpm / 60 + np.arange(-PADDING, PADDING + 1) / PADDING * fps / samples
    rotation = np.exp(-2j * np.pi * hz[:, None] * np.arange(samples) / fps)
    return np.asarray((rotation @ (np.hanning(samples)[:, None] * detrended)).reshape(len(hz), *rgb.shape[1:]))

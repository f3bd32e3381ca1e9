"""Whether what a face's regions share at a rate has the colour of blood.

Blood takes from green what it takes from red and more, and from blue something in between: as it comes and goes, the
skin's tint changes along one known direction and the skin darkens and brightens with it, everywhere alike. Steps, nods
and moving light also change the colour of every region in one rhythm. But they move the tint along other directions
(towards the light's own colour where skin shines, towards hair or melanin where an edge moves), a coloured lamp moves
it with hardly any brightness, and a codec or a camera moves each region's by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats
from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.rppg.protocols import Protocol
from facepulse.rppg.regions import RateEstimate
from facepulse.rppg.spectrum import PADDING, detrend

# Axes of relative colour changes, one a column: all channels alike; the tint as blood moves it; and as it does not.
_BRIGHTNESS = np.ones(3) / np.sqrt(3)
_TINT = PULSE_SIGNATURE - (PULSE_SIGNATURE @ _BRIGHTNESS) * _BRIGHTNESS
_BLOOD = _TINT / np.linalg.norm(_TINT)
AXES = np.stack([_BRIGHTNESS, _BLOOD, np.cross(_BRIGHTNESS, _BLOOD)], axis=1)

# Power of brightness beside that of tint. By its signature blood has nine; lively colours and tone curves make two to
# eight of it, motion mostly more. A coloured lamp has less than one.
LEAST_BRIGHTNESS, SURE_BRIGHTNESS = 1.0, 2.0
# Logistic regression, on top of what the agreement says, on simulated people whose blood moves or stands still
# (benchmarks/pulse_color.py; here 31 complex and 16 calm recordings of seed 101, most rendered only around the face).
BLOOD_WEIGHT, STRANGE_WEIGHT = 0.67, 3.55
# Below its lower limit the colour is lost in noise, and from the upper one on no doubt is to be had from it.
BLOOD_LIMITS, STRANGE_LIMIT = (0.05, 0.30), 0.999
COLOURLESS = 1e-6  # power of tint beside that of brightness below which a picture has no colour to speak of


class Signature(NamedTuple):
    """What a change of tint at a rate is made of; what is left to 1 is each region's own.

    Attributes:
        blood: 0..1, share that the regions have in common and that looks like blood.
        strange: 0..1, share that they have in common and that does not.
    """

    blood: float
    strange: float

    @property
    def logarithms(self) -> tuple[float, float]:
        """What is weighed, 0 or less: how far blood falls short of enough, in log odds; log of what is not strange."""
        blood, enough = np.clip(self.blood, *BLOOD_LIMITS), BLOOD_LIMITS[1]
        missing = np.log(blood / (1 - blood)) - np.log(enough / (1 - enough))
        return float(missing), float(np.log(1 - min(self.strange, STRANGE_LIMIT)))

    @property
    def evidence(self) -> float:
        """Natural logarithm of the odds of a pulse that it leaves, 0 or less: the right colour alone proves nothing."""
        missing, familiar = self.logarithms
        return BLOOD_WEIGHT * missing + STRANGE_WEIGHT * familiar


def with_color_test(found: RateEstimate, parts: Sequence[Floats], fps: float, protocol: Protocol) -> RateEstimate:
    """An agreement together with what the colour of it says; the arguments are those of `signature`."""
    seen = signature(parts, fps, found.bpm, protocol)
    return found if seen is None else replace(found, color=seen.evidence)


def signature(parts: Sequence[Floats], fps: float, bpm: float, protocol: Protocol) -> Signature | None:
    """Take apart how the regions' tint changes at a rate.

    What regions share is the mean of the cross-spectra of all pairs, as in `regions.estimate_rate`; here with the
    colour channels kept apart.

    Args:
        parts: colour of the regions in each segment of the recording, (T, K, 3) each, K >= 2.
        fps: sampling rate in Hz.
        bpm: the rate.
        protocol: gives the detrending.

    Returns:
        None where there is no colour.
    """
    shared, everything = np.zeros(3), np.zeros(3)
    for part in parts:
        lines = _lines(part, fps, bpm, protocol) @ AXES
        regions = lines.shape[1]
        own = _power(lines).sum(axis=(0, 1))
        shared += (_power(lines.sum(axis=1)).sum(axis=0) - own) / (regions * (regions - 1))
        everything += own / regions
    brightness, bloody, tint = everything[0], everything[1], everything[1] + everything[2]
    if tint <= COLOURLESS * brightness:
        return None
    _, like_blood, unlike = np.maximum(shared, 0.0) / tint
    certain = np.interp(brightness, [LEAST_BRIGHTNESS * bloody, SURE_BRIGHTNESS * bloody], [0.0, 1.0])
    blood = min(certain * like_blood, 1.0)
    return Signature(float(blood), float(min(like_blood + unlike, 1.0) - blood))


def _power(lines: NDArray[np.complex128]) -> Floats:
    return np.asarray(lines.real**2 + lines.imag**2)


def _lines(part: Floats, fps: float, bpm: float, protocol: Protocol) -> NDArray[np.complex128]:
    """Spectral lines of relative colour within a resolution cell of a rate, (F, K, 3), each part by its length."""
    samples = len(part)
    level = part.mean(axis=0)
    relative = np.divide(part, level, out=np.ones_like(part), where=level > 0)
    steady = detrend(relative.reshape(samples, -1), protocol.regularization_at(fps))
    hz = bpm / 60 + np.arange(-PADDING, PADDING + 1) / PADDING * fps / samples
    turns = np.exp(-2j * np.pi * hz[:, None] * np.arange(samples) / fps)
    return np.asarray((turns @ (np.hanning(samples)[:, None] * steady)).reshape(len(hz), *part.shape[1:]))

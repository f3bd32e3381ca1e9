"""What the regions of a face agree on, and how far that makes a heart rate trustworthy.

The heart drives all of a face at once; camera noise and coding noise strike each region by itself. So the spectrum that
the regions share, the mean of their cross-spectra, holds the pulse and little else; and how much of their power they
share around the heart rate says how far to trust it. A waveform of the whole face, a network's, may lead them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepulse.rppg.protocols import Protocol
from facepulse.rppg.spectrum import peak_bpm, spectrum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trust:
    """What the evidence for a heart rate weighs: a logistic regression on whether it is within 5 bpm of the truth.

    Attributes:
        offset: logarithm of the odds where all else says nothing.
        share: weight of the logarithm of the odds that what the regions have there is shared.
        rate: weight of the logarithm of the rate over `USUAL_BPM`.
        length: weight of the logarithm of the length over `USUAL_S`.
        colour: weight of what the colour of it leaves.
        lead: weight of the logarithm of the odds that the power of a lead's waveform is at its rate.
    """

    offset: float
    share: float
    rate: float
    length: float
    colour: float = 1.0
    lead: float = 0.0


# On painted faces, with and without a pulse, through real codecs: benchmarks/quality.py --fit.
REGIONS = Trust(offset=2.7, share=1.9, rate=4.4, length=1.2)
# Motion and changing light are the stronger the slower, so a slow rate has to be shared more; and in a short stretch
# noise is shared by chance. Both are known to hold between these limits; beyond, they are not relied on. A stretch of
# more than 10 s is not trusted more for its length: a codec's rhythm lasts as long as the video.
USUAL_BPM, RATE_LIMITS_BPM = 70.0, (40.0, 120.0)
USUAL_S, LENGTH_LIMITS_S = 10.0, (5.0, 10.0)
# A fit over few such cases says 2; set on the safe side, so that a key-frame rhythm of a photograph never passes.
DOUBT = 3.0
# Where a step or a nod drowns it, regions share next to nothing of a pulse that a lead reads: not a proof against it.
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Agreement:
    """What several regions of one face say together about its pulse.

    Attributes:
        hz: (F,) frequencies.
        power: (F,) power in which the heart rate was found: what the regions share, not below 0; under a lead, its own,
            theirs and what both have in step, each as a part of all that there is in the band.
        bpm: heart rate at the peak of that power.
        share: 0..1, of all the regions' power in the band, how much they share around bpm and its second harmonic; at
            least `LEAST_SHARE` under a lead.
        seconds: length of the longest stretch, which sets the resolution.
        colour: logarithm of the odds that the colour of what they share leaves (`signature`); 0 where nobody looked.
        lead: 0..1, of a lead's power in the band, how much is around bpm and its second harmonic; 0.5 without a lead.
    """

    hz: Floats
    power: Floats
    bpm: float
    share: float
    seconds: float
    colour: float = 0.0
    lead: float = 0.5


def agree(parts: Sequence[Floats], fps: float, protocol: Protocol, lead: Sequence[Floats] | None = None) -> Agreement:
    """Read the heart rate on which the regions of a face agree, with a lead that sees the whole face or alone.

    A lead, as a network's waveform, holds on where single regions drown; where it wanders off, they often do not. And
    what disturbs the one seldom keeps step with what disturbs the others. So three powers are added up, the lead's own,
    what the regions share, and what they have in step with the lead; the rate is at the peak of the sum.

    Args:
        parts: the waveforms of the regions in each stretch of the recording, (K, T) each, K >= 2.
        fps: sampling rate in Hz.
        protocol: search range, detrending and window.
        lead: in each stretch a waveform (T,) of the whole face that is heard as much as all regions together; one that
            rises with them, since what has another phase is not in step.

    Returns:
        The agreement over all stretches, each weighing by its length.
    """
    seconds = max(part.shape[1] for part in parts) / fps
    leads: Sequence[Floats | None] = lead or [None] * len(parts)
    longest_first = sorted(zip(parts, leads, strict=True), key=lambda pair: -pair[0].shape[1])
    spectra = [_powers(part, wave, fps, protocol) for part, wave in longest_first]
    hz = spectra[0][0]
    powers = np.sum([[np.interp(hz, own_hz, power) for power in own] for own_hz, own in spectra], axis=0)
    total, shared, leading, in_step = np.maximum(powers, 0.0)
    low, high = protocol.search_bpm
    band = (60 * hz >= low) & (60 * hz <= high)
    everything, all_led = float(total[band].sum()), float(leading[band].sum())
    power = shared
    if lead is not None:
        power = _part(leading, all_led) + _part(shared, everything) + _part(in_step, np.sqrt(all_led * everything))
    bpm = peak_bpm(hz, power, protocol)
    half_width_hz = max(0.1, 2 / seconds)
    near = (np.abs(hz - bpm / 60) <= half_width_hz) | (np.abs(hz - bpm / 30) <= half_width_hz)
    silent = everything == 0.0 or (lead is not None and all_led == 0.0)
    # At the edge of the range there is no peak, only the slope of something outside it.
    if silent or not low < bpm < high:
        return Agreement(hz, power, bpm, 0.0, seconds)
    share = min(float(shared[band & near].sum()) / everything, 1.0)
    if lead is None:
        return Agreement(hz, power, bpm, share, seconds)
    clear = float(leading[band & near].sum()) / all_led
    return Agreement(hz, power, bpm, max(share, LEAST_SHARE), seconds, lead=clear)


def _powers(part: Floats, lead: Floats | None, fps: float, protocol: Protocol) -> tuple[Floats, Floats]:
    """Frequencies, and power: of the regions (mean), of what they share, of the lead, of what both have in step."""
    even = _even(part)
    regions = len(even)
    hz, of_sum = spectrum(even.sum(axis=0), fps, protocol)
    alone = np.sum([spectrum(region, fps, protocol)[1] for region in even], axis=0)
    # |sum of lines|^2 = sum of |line|^2 + sum over pairs of cross-spectra: the last term is what they share.
    shared = (of_sum - alone) / (regions * (regions - 1))
    leading = in_step = np.zeros_like(hz)
    if lead is not None:
        line = _even(lead)
        leading, both = (spectrum(wave, fps, protocol)[1] for wave in (line, line + even.mean(axis=0)))
        # Likewise |lead + mean|^2, whose last term is twice the cross-spectrum of the lead and the regions' mean.
        in_step = (both - leading - of_sum / regions**2) / 2
    return hz, np.stack([alone / regions, shared, leading, in_step])


def _part(power: Floats, whole: float) -> Floats:
    """Power as a part of a whole; of a whole that is nothing, nothing."""
    return power / whole if whole > 0 else np.zeros_like(power)


def _even(waves: Floats) -> Floats:
    """Waveforms of unit spread; flat ones are zeros."""
    scale = waves.std(axis=-1, keepdims=True)
    return np.asarray(np.divide(waves, scale, out=np.zeros_like(waves), where=scale > 0))


def trust(agreement: Agreement, weights: Trust = REGIONS, *, doubtful: bool = False) -> float:
    """How far to trust a heart rate: about the chance that it is within 5 bpm of the truth.

    Args:
        agreement: what the regions say together.
        weights: of the evidence.
        doubtful: the rate is one that a codec makes by itself, so that much more must speak for it.

    Returns:
        0..1.
    """
    if agreement.share <= 0.0:
        return 0.0
    evidence = evidence_for(agreement, weights) - (DOUBT if doubtful else 0.0)
    return float(1 / (1 + np.exp(-evidence)))


def evidence_for(agreement: Agreement, weights: Trust) -> float:
    """Logarithm of the odds that a heart rate is within 5 bpm of the truth; linear in the weights."""
    rate = np.log(np.clip(agreement.bpm, *RATE_LIMITS_BPM) / USUAL_BPM)
    length = np.log(np.clip(agreement.seconds, *LENGTH_LIMITS_S) / USUAL_S)
    evidence = weights.offset + weights.share * _log_odds(agreement.share) + weights.lead * _log_odds(agreement.lead)
    evidence += weights.rate * rate + weights.length * length + weights.colour * agreement.colour
    return float(evidence)


def _log_odds(share: float) -> float:
    """Logarithm of the odds of a share 0..1, kept finite."""
    share = min(max(share, 1e-9), 0.999)
    return float(np.log(share / (1 - share)))

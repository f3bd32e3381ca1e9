"""Quality: the calibrated probability that a heart rate is within 5 bpm of the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facepulse.errors import UsageError
from facepulse.rppg.regions import RateEstimate


@dataclass(frozen=True)
class QualityModel:
    """Coefficients of a logistic regression on whether a heart rate is within 5 bpm of the truth.

    Attributes:
        intercept: log odds where every predictor is zero.
        coherence: coefficient of the log odds of the coherence of the regions.
        rate: coefficient of the logarithm of the rate over `REFERENCE_BPM`.
        length: coefficient of the logarithm of the length over `REFERENCE_S`.
        color: coefficient of the log odds that the test of pulse colour gives.
        network: coefficient of the log odds of the fraction of the network's power at the rate.
    """

    intercept: float
    coherence: float
    rate: float
    length: float
    color: float = 1.0
    network: float = 0.0


# Fitted on painted faces, with and without a pulse, through real codecs: benchmarks/quality.py --fit.
CLASSICAL_QUALITY = QualityModel(intercept=2.7, coherence=1.9, rate=4.4, length=1.2)
# Motion and changing light have more power at low frequencies, so a slow rate needs more coherence; and short segments
# of noise are coherent by chance. Both effects were fitted between these limits and are held constant beyond them. A
# segment of more than 10 s gains nothing by its length: the rhythm of a codec lasts as long as the video.
REFERENCE_BPM, RATE_LIMITS_BPM = 70.0, (40.0, 120.0)
REFERENCE_S, LENGTH_LIMITS_S = 10.0, (5.0, 10.0)
# Log odds taken from a rate that a codec's key frames produce. A fit over few such cases gives 2; 3 is on the safe
# side, so that the key-frame rhythm of a photograph never passes.
KEY_FRAME_PENALTY = 3.0


def calibrated_quality(
    estimate: RateEstimate, model: QualityModel = CLASSICAL_QUALITY, *, key_frame_rhythm: bool = False
) -> float:
    """Probability that a heart rate is within 5 bpm of the truth.

    The coefficients hold for the regions and the colour test of `measure`; of other regions the probability orders the
    rates, but is not calibrated.

    Args:
        estimate: a heart rate with its evidence, from `estimate_rate` and `with_color_test`.
        model: coefficients of the logistic regression.
        key_frame_rhythm: whether the rate is one that the key frames of a codec produce by themselves, which takes
            `KEY_FRAME_PENALTY` from the log odds.

    Returns:
        0..1.

    Raises:
        UsageError: `estimate` is not a `RateEstimate`, or `model` not a `QualityModel`.
    """
    if not isinstance(estimate, RateEstimate):
        raise UsageError(f"estimate must be a RateEstimate as from estimate_rate, not {type(estimate).__name__}")
    if not isinstance(model, QualityModel):
        raise UsageError(f"model must be a QualityModel, not {type(model).__name__}")
    if estimate.coherence <= 0.0:
        return 0.0
    log_odds = quality_log_odds(estimate, model) - (KEY_FRAME_PENALTY if key_frame_rhythm else 0.0)
    return float(1 / (1 + np.exp(-log_odds)))


def quality_log_odds(estimate: RateEstimate, model: QualityModel) -> float:
    """Log odds that a heart rate is within 5 bpm of the truth; linear in the coefficients of the model."""
    rate = np.log(np.clip(estimate.bpm, *RATE_LIMITS_BPM) / REFERENCE_BPM)
    length = np.log(np.clip(estimate.seconds, *LENGTH_LIMITS_S) / REFERENCE_S)
    log_odds = (
        model.intercept + model.coherence * _log_odds(estimate.coherence) + model.network * _log_odds(estimate.network)
    )
    log_odds += model.rate * rate + model.length * length + model.color * estimate.color
    return float(log_odds)


def _log_odds(probability: float) -> float:
    """Log odds of a probability, kept finite."""
    probability = min(max(probability, 1e-9), 0.999)
    return float(np.log(probability / (1 - probability)))

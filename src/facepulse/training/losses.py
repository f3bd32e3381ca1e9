"""Losses between a predicted and a true pulse waveform (physFSUNet, arXiv 2507.07795, section II-D).

All losses take (B, T) waveforms, are computed clip by clip and averaged over the batch. Each clip is standardised
first, so that unit and offset of a waveform do not matter (except for `mse`).

The paper takes its frequency losses from RhythmFormer, whose code has two faults: the cross-entropy takes a normalised
spectrum as logits, so that it spans less than one nat, and the heart-rate loss is computed from an argmax outside the
graph, so that its gradient is zero. The functions named `..._as_published` reproduce that code for comparison;
the others, the default, implement the equations and are differentiable with respect to the prediction.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facepulse._types import Floats
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate, spectrum

LOW_BPM, HIGH_BPM = 40, 180  # spectrum of the default losses, one bin per bpm, both ends included
SIGMA_BPM = 3.0  # uncertainty of a heart rate, eq. 5
FLAT = 1e-8  # variance, relative to the mean square, below which a waveform counts as flat: float32 rounding
SILENT = 1e-16  # avoids 0/0 for a prediction that is zero throughout
FLOOR = 1e-6  # least fraction of the power in a bin: keeps -log p and its gradient finite if a bin is empty

PUBLISHED_LOW_BPM, PUBLISHED_HIGH_BPM = 45, 150  # bins 45..149 of the cited code
PUBLISHED_SIGMA_BINS = 3.0  # of a Welch spectrum with 0.54 bpm per bin, hence 1.6 bpm


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error, which depends on the unit of the waveforms.

    Args:
        prediction: (B, T).
        target: (B, T).

    Returns:
        Scalar.

    Raises:
        ValueError: the waveforms are not both (B, T).
    """
    _check(prediction, target)
    return functional.mse_loss(prediction, target)


def negative_pearson(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute one minus Pearson's correlation (eq. 8): 0 for equal shapes, 2 for opposite ones, 1 if one is flat.

    Args:
        prediction: (B, T).
        target: (B, T).

    Returns:
        Scalar.

    Raises:
        ValueError: the waveforms are not both (B, T).
    """
    _check(prediction, target)
    return (1 - (_standardise(prediction) * _standardise(target)).mean(1)).mean()


def frequency_cross_entropy(
    prediction: Tensor, target: Tensor, fps: float, reference_bpm: Tensor | None = None
) -> Tensor:
    """Compute the cross-entropy of true heart rate and predicted spectrum (eq. 9): ``-log p`` at the true bin.

    ``p`` is the fraction of the prediction's power at each bpm from 40 to 180.

    Args:
        prediction: (B, T).
        target: (B, T).
        fps: samples per second.
        reference_bpm: (B,) true heart rates; by default the highest bins of the targets' spectra.

    Returns:
        Scalar, in nats; log 141 = 4.95 for a flat prediction.

    Raises:
        ValueError: the waveforms are not both (B, T), fps is not positive, or `reference_bpm` is not (B,) in 40-180.
    """
    _check(prediction, target, fps)
    bpm = _reference_bpm(target, fps, reference_bpm)
    true_bin = (bpm - LOW_BPM).round().long()
    return functional.nll_loss(pulse_spectrum(prediction, fps).log(), true_bin)


def heart_rate_kl(prediction: Tensor, target: Tensor, fps: float, reference_bpm: Tensor | None = None) -> Tensor:
    """Compute the divergence of the predicted spectrum from the true heart rate: ``KL(N(HR, 3 bpm) || p)``.

    Equations 5-7, with the spectrum of the prediction as predicted distribution instead of its argmax, which has no
    gradient. ``p`` as in `frequency_cross_entropy`; the normal distribution is normalised on the same bins.

    Args:
        prediction: (B, T).
        target: (B, T).
        fps: samples per second.
        reference_bpm: (B,) true heart rates; by default the highest bins of the targets' spectra.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: the waveforms are not both (B, T), fps is not positive, or `reference_bpm` is not (B,) in 40-180.
    """
    _check(prediction, target, fps)
    bpm = _reference_bpm(target, fps, reference_bpm)
    distance = (_bins(prediction) - bpm[:, None]) / SIGMA_BPM
    log_truth = torch.log_softmax(-0.5 * distance.square(), dim=1)
    return functional.kl_div(pulse_spectrum(prediction, fps).log(), log_truth, reduction="batchmean", log_target=True)


def pulse_spectrum(waveform: Tensor, fps: float) -> Tensor:
    """Compute the distribution of the power of a waveform, standardised and under a Hann window, over heart rates.

    Args:
        waveform: (B, T).
        fps: samples per second.

    Returns:
        (B, 141): fractions at 40, 41, ..., 180 bpm, each at least 1e-6, with sum one; uniform for a flat waveform.
    """
    return _power_fractions(_standardise(waveform), fps, _bins(waveform), FLOOR)


def frequency_cross_entropy_as_published(prediction: Tensor, target: Tensor, fps: float) -> Tensor:
    """Compute equation 9 as in RhythmFormer's code, where the fractions at 45..149 bpm serve as logits: 3.67-4.67 nats.

    Args:
        prediction: (B, T).
        target: (B, T); its heart rate is estimated under the `paper` protocol, by scipy.
        fps: samples per second.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: the waveforms are not both (B, T), or fps is not positive.
        TooShortError: fewer than 9 samples.
    """
    _check(prediction, target, fps)
    bins = torch.arange(PUBLISHED_LOW_BPM, PUBLISHED_HIGH_BPM, dtype=prediction.dtype, device=prediction.device)
    bpm = [heart_rate(clip, fps, PROTOCOLS["paper"]) for clip in _clips(target)]
    true_bin = torch.tensor([math.floor(value - PUBLISHED_LOW_BPM) for value in bpm], device=prediction.device)
    return functional.cross_entropy(_power_fractions(_standardise(prediction), fps, bins), true_bin)


def heart_rate_kl_as_published(prediction: Tensor, target: Tensor, fps: float) -> Tensor:
    """Compute equations 5-7 as in RhythmFormer's code: normals around two argmax bins, 3 bins wide, floored at 1e-15.

    The loss grows with the squared distance (0.056 for one bin of 0.54 bpm, 5.56 for ten) up to 32. It is computed
    outside the graph: its gradient is zero, so that it has no effect on training.

    Args:
        prediction: (B, T).
        target: (B, T).
        fps: samples per second.

    Returns:
        Scalar, in nats, without a gradient.

    Raises:
        ValueError: the waveforms are not both (B, T), or fps is not positive.
        TooShortError: fewer than 9 samples.
    """
    _check(prediction, target, fps)
    losses = []
    for predicted, true in zip(_clips(_standardise(prediction)), _clips(target), strict=True):
        q, p = _normal_around_peak(predicted, fps), _normal_around_peak(true, fps)
        losses.append(float(np.sum(p * (np.log(p) - np.log(q)))))
    return prediction.new_tensor(losses).mean()


@dataclass(frozen=True)
class HybridLoss:
    """Dynamic hybrid loss of the paper: ``α L_time + β (L_CE + L_HR)``, with β growing over the epochs (eqs. 10, 11).

    ``β = λ θ^((epoch - 1) / epochs)``: with the paper's λ = 1 and θ = 1.5 from 1.0 in the first of 30 epochs to 1.48 in
    the last. The paper also states "β = 1.0", which is its value at the start.

    Attributes:
        epochs: length of the training.
        fps: samples per second of the waveforms.
        alpha: α.
        lambda_: λ.
        theta: θ.
        heart_rate: True to include L_HR; False for the ablation without it.
        as_published_code: True to use the frequency terms of RhythmFormer's code, faults included, for reproduction.
    """

    epochs: int
    fps: float
    alpha: float = 1.0
    lambda_: float = 1.0
    theta: float = 1.5
    heart_rate: bool = True
    as_published_code: bool = False

    def beta(self, epoch: int) -> float:
        """Compute the weight of the frequency terms in an epoch, counted from 1 (eq. 11)."""
        if not 1 <= epoch <= self.epochs:
            raise ValueError(f"epoch must be in 1..{self.epochs}, not {epoch}")
        growth: float = self.theta ** ((epoch - 1) / self.epochs)
        return self.lambda_ * growth

    def __call__(self, prediction: Tensor, target: Tensor, epoch: int, reference_bpm: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch.

        Args:
            prediction: (B, T).
            target: (B, T).
            epoch: counted from 1.
            reference_bpm: (B,) true heart rates; by default from the targets, as always with `as_published_code`.

        Returns:
            Scalar.

        Raises:
            ValueError: the waveforms are not both (B, T), `epoch` lies outside the training, or `reference_bpm` is not
                (B,) in 40-180.
        """
        if self.as_published_code:
            frequency = frequency_cross_entropy_as_published(prediction, target, self.fps)
            if self.heart_rate:
                frequency = frequency + heart_rate_kl_as_published(prediction, target, self.fps)
        else:
            frequency = frequency_cross_entropy(prediction, target, self.fps, reference_bpm)
            if self.heart_rate:
                frequency = frequency + heart_rate_kl(prediction, target, self.fps, reference_bpm)
        return self.alpha * negative_pearson(prediction, target) + self.beta(epoch) * frequency


def _standardise(waveform: Tensor) -> Tensor:
    """Scale each clip to zero mean and unit variance; a flat clip becomes zeros, with a finite gradient."""
    centred = waveform - waveform.mean(1, keepdim=True)
    # Relative to the level, so that the unit does not matter; SILENT avoids 0/0.
    flat = FLAT * waveform.square().mean(1, keepdim=True) + SILENT
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + flat)


def _bins(waveform: Tensor) -> Tensor:
    return torch.arange(LOW_BPM, HIGH_BPM + 1, dtype=waveform.dtype, device=waveform.device)


def _power_fractions(waveform: Tensor, fps: float, bpm: Tensor, floor: float = 0.0) -> Tensor:
    """Compute the fraction of a waveform's power at each heart rate, under a Hann window, (B, T) to (B, len(bpm))."""
    length = waveform.shape[1]
    window = torch.hann_window(length, periodic=False, dtype=waveform.dtype, device=waveform.device)
    seconds = torch.arange(length, dtype=waveform.dtype, device=waveform.device) / fps
    phase = 2 * math.pi * seconds[:, None] * bpm / 60
    with torch.autocast(waveform.device.type, enabled=False):  # half precision would blur neighbouring bins into one
        windowed = waveform * window
        power = (windowed @ phase.sin()).square() + (windowed @ phase.cos()).square()
    power = power + FLAT  # a flat waveform has the same fraction at every heart rate
    fractions = power / power.sum(1, keepdim=True)
    return (fractions + floor) / (1 + floor * len(bpm))


def _reference_bpm(target: Tensor, fps: float, reference_bpm: Tensor | None) -> Tensor:
    if reference_bpm is None:
        return LOW_BPM + pulse_spectrum(target, fps).argmax(1).to(target.dtype)
    if reference_bpm.shape != target.shape[:1]:
        raise ValueError(f"reference_bpm must be (B,) = ({len(target)},), not {tuple(reference_bpm.shape)}")
    if not bool(((reference_bpm >= LOW_BPM) & (reference_bpm <= HIGH_BPM)).all()):
        raise ValueError(f"reference_bpm must lie in {LOW_BPM}-{HIGH_BPM}, not {reference_bpm.tolist()}")
    return reference_bpm.to(target)


def _clips(waveform: Tensor) -> list[Floats]:
    """Return each clip in float64, detached from the graph."""
    return list(waveform.detach().double().cpu().numpy())


def _normal_around_peak(clip: Floats, fps: float) -> Floats:
    """Return a normal density over the spectrum's bins strictly inside 45-150 bpm, centred on the highest."""
    hz, power = spectrum(clip, fps, PROTOCOLS["paper"])
    inside = power[(60 * hz > PUBLISHED_LOW_BPM) & (60 * hz < PUBLISHED_HIGH_BPM)]
    distance = (np.arange(len(inside)) - np.argmax(inside)) / PUBLISHED_SIGMA_BINS
    density = np.exp(-0.5 * distance**2) / (PUBLISHED_SIGMA_BINS * math.sqrt(2 * math.pi))
    return np.asarray(np.maximum(density, 1e-15), dtype=np.float64)


def _check(prediction: Tensor, target: Tensor, fps: float = 1.0) -> None:
    if prediction.ndim != 2:
        raise ValueError(f"prediction must be (B, T), not {tuple(prediction.shape)}")
    if target.shape != prediction.shape:
        raise ValueError(f"target must be {tuple(prediction.shape)} as prediction, not {tuple(target.shape)}")
    if not 0 < fps < math.inf:
        raise ValueError(f"fps must be positive, not {fps}")
    if prediction.numel() == 0 or prediction.shape[1] < 2:
        raise ValueError(f"prediction must hold a clip of at least two samples, not {tuple(prediction.shape)}")
    if not bool(target.isfinite().all()):
        raise ValueError("target must be finite, but holds NaN or infinity: cut or fill the reference first")

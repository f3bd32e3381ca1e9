"""Losses between a predicted and a true pulse waveform (physFSUNet, arXiv 2507.07795, section II-D).

All take (B, T) waveforms, work clip by clip, and average over the batch. Each clip is standardised first, so that the
unit and offset of a waveform do not matter (except to `mse`).

The paper takes its frequency losses from RhythmFormer, whose code has two faults: the cross-entropy reads a normalised
spectrum as logits, so that it spans less than one nat, and the heart-rate loss is computed from an argmax outside the
graph, so that its gradient is zero. The functions named `..._as_coded` reproduce that code; the others, the default,
mean what the equations say and are differentiable in the prediction.
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

LOW_BPM, HIGH_BPM = 40, 180  # the spectrum of the default losses, one bin a bpm, both ends included
SIGMA_BPM = 3.0  # uncertainty of a heart rate, eq. 5
FLAT = 1e-8  # variance, relative to the mean square, below which a waveform counts as flat: float32 rounding
SILENT = 1e-16  # keeps a silent prediction from 0/0
FLOOR = 1e-6  # share of power that every bin has at least: keeps -log p and its gradient finite where a bin is empty

AS_CODED_LOW_BPM, AS_CODED_HIGH_BPM = 45, 150  # bins 45..149 of the cited code
AS_CODED_SIGMA_BINS = 3.0  # of a Welch spectrum of 0.54 bpm a bin, hence 1.6 bpm


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error; the unit of the waveforms matters.

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
    """One minus Pearson's correlation (eq. 8): 0 for the same shape, 2 for the opposite, 1 where either is flat.

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
    """Cross-entropy between the true heart rate and the predicted spectrum (eq. 9): ``-log p`` at the true bin.

    ``p`` is the share of each bpm from 40 to 180 in the power of the prediction.

    Args:
        prediction: (B, T).
        target: (B, T).
        fps: samples a second.
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
    """Divergence of the predicted spectrum from the true heart rate's distribution: ``KL(N(HR, 3 bpm) || p)``.

    Equations 5-7 with the predicted distribution read from the prediction's spectrum, not from its argmax, which has no
    gradient. ``p`` as in `frequency_cross_entropy`; the normal distribution is normalised on the same bins.

    Args:
        prediction: (B, T).
        target: (B, T).
        fps: samples a second.
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
    """Distribution of a waveform's power over heart rates, of the standardised waveform under a Hann window.

    Args:
        waveform: (B, T).
        fps: samples a second.

    Returns:
        (B, 141): shares at 40, 41, ..., 180 bpm, each at least 1e-6, summing to one; uniform for a flat waveform.
    """
    return _shares(_standardise(waveform), fps, _bins(waveform), FLOOR)


def frequency_cross_entropy_as_coded(prediction: Tensor, target: Tensor, fps: float) -> Tensor:
    """Equation 9 as RhythmFormer's code has it: the shares of 45..149 bpm serve as logits, 3.67 to 4.67 nats in all.

    Args:
        prediction: (B, T).
        target: (B, T); its heart rate is read under the `paper` protocol, by scipy.
        fps: samples a second.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: the waveforms are not both (B, T), or fps is not positive.
        TooShortError: fewer than 9 samples.
    """
    _check(prediction, target, fps)
    bins = torch.arange(AS_CODED_LOW_BPM, AS_CODED_HIGH_BPM, dtype=prediction.dtype, device=prediction.device)
    bpm = [heart_rate(clip, fps, PROTOCOLS["paper"]) for clip in _clips(target)]
    true_bin = torch.tensor([math.floor(value - AS_CODED_LOW_BPM) for value in bpm], device=prediction.device)
    return functional.cross_entropy(_shares(_standardise(prediction), fps, bins), true_bin)


def heart_rate_kl_as_coded(prediction: Tensor, target: Tensor, fps: float) -> Tensor:
    """Equations 5-7 as RhythmFormer's code has them: between normals around two argmax bins, 3 bins wide, cut at 1e-15.

    It grows with the squared distance (0.056 for one bin of 0.54 bpm, 5.56 for ten) up to 32. Computed outside the
    graph: its gradient is zero, and it can only choose between checkpoints.

    Args:
        prediction: (B, T).
        target: (B, T).
        fps: samples a second.

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
    """The paper's dynamic hybrid: ``α L_time + β (L_CE + L_HR)``, β growing over the epochs (eqs. 10 and 11).

    ``β = λ θ^((epoch - 1) / epochs)``: with the paper's λ = 1 and θ = 1.5 from 1.0 in the first of 30 epochs to 1.48 in
    the last. The text also says "β = 1.0"; that is its value at the start.

    Attributes:
        epochs: length of the training.
        fps: samples a second of the waveforms.
        alpha: α.
        lambda_: λ.
        theta: θ.
        heart_rate: have L_HR at all; without it, to see what it gives.
        as_coded: use the cited code's frequency terms, for reproduction.
    """

    epochs: int
    fps: float
    alpha: float = 1.0
    lambda_: float = 1.0
    theta: float = 1.5
    heart_rate: bool = True
    as_coded: bool = False

    def beta(self, epoch: int) -> float:
        """Weight of the frequency terms in an epoch, counted from 1 (eq. 11)."""
        if not 1 <= epoch <= self.epochs:
            raise ValueError(f"epoch must be in 1..{self.epochs}, not {epoch}")
        growth: float = self.theta ** ((epoch - 1) / self.epochs)
        return self.lambda_ * growth

    def __call__(self, prediction: Tensor, target: Tensor, epoch: int, reference_bpm: Tensor | None = None) -> Tensor:
        """Loss of a batch.

        Args:
            prediction: (B, T).
            target: (B, T).
            epoch: counted from 1.
            reference_bpm: (B,) true heart rates; by default read from the targets, as `as_coded` always does.

        Returns:
            Scalar.

        Raises:
            ValueError: the waveforms are not both (B, T), `epoch` lies outside the training, or `reference_bpm` is not
                (B,) in 40-180.
        """
        if self.as_coded:
            frequency = frequency_cross_entropy_as_coded(prediction, target, self.fps)
            if self.heart_rate:
                frequency = frequency + heart_rate_kl_as_coded(prediction, target, self.fps)
        else:
            frequency = frequency_cross_entropy(prediction, target, self.fps, reference_bpm)
            if self.heart_rate:
                frequency = frequency + heart_rate_kl(prediction, target, self.fps, reference_bpm)
        return self.alpha * negative_pearson(prediction, target) + self.beta(epoch) * frequency


def _standardise(waveform: Tensor) -> Tensor:
    """Zero mean and unit variance in each clip; zeros, with a finite gradient, where it is flat."""
    centred = waveform - waveform.mean(1, keepdim=True)
    # Relative to the level, so that the unit does not matter; the rest keeps silence from 0/0.
    flat = FLAT * waveform.square().mean(1, keepdim=True) + SILENT
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + flat)


def _bins(waveform: Tensor) -> Tensor:
    return torch.arange(LOW_BPM, HIGH_BPM + 1, dtype=waveform.dtype, device=waveform.device)


def _shares(waveform: Tensor, fps: float, bpm: Tensor, floor: float = 0.0) -> Tensor:
    """Share of each heart rate in the power of a waveform under a Hann window, (B, T) to (B, len(bpm))."""
    length = waveform.shape[1]
    window = torch.hann_window(length, periodic=False, dtype=waveform.dtype, device=waveform.device)
    seconds = torch.arange(length, dtype=waveform.dtype, device=waveform.device) / fps
    phase = 2 * math.pi * seconds[:, None] * bpm / 60
    with torch.autocast(waveform.device.type, enabled=False):  # half precision would blur neighbouring bins into one
        windowed = waveform * window
        power = (windowed @ phase.sin()).square() + (windowed @ phase.cos()).square()
    power = power + FLAT  # a flat waveform has the same share everywhere
    shares = power / power.sum(1, keepdim=True)
    return (shares + floor) / (1 + floor * len(bpm))


def _reference_bpm(target: Tensor, fps: float, reference_bpm: Tensor | None) -> Tensor:
    if reference_bpm is None:
        return LOW_BPM + pulse_spectrum(target, fps).argmax(1).to(target.dtype)
    if reference_bpm.shape != target.shape[:1]:
        raise ValueError(f"reference_bpm must be (B,) = ({len(target)},), not {tuple(reference_bpm.shape)}")
    if not bool(((reference_bpm >= LOW_BPM) & (reference_bpm <= HIGH_BPM)).all()):
        raise ValueError(f"reference_bpm must lie in {LOW_BPM}-{HIGH_BPM}, not {reference_bpm.tolist()}")
    return reference_bpm.to(target)


def _clips(waveform: Tensor) -> list[Floats]:
    """Each clip in float64 outside the graph."""
    return list(waveform.detach().double().cpu().numpy())


def _normal_around_peak(clip: Floats, fps: float) -> Floats:
    """Normal density over the spectrum's bins strictly inside 45-150 bpm, around the highest."""
    hz, power = spectrum(clip, fps, PROTOCOLS["paper"])
    inside = power[(60 * hz > AS_CODED_LOW_BPM) & (60 * hz < AS_CODED_HIGH_BPM)]
    distance = (np.arange(len(inside)) - np.argmax(inside)) / AS_CODED_SIGMA_BINS
    density = np.exp(-0.5 * distance**2) / (AS_CODED_SIGMA_BINS * math.sqrt(2 * math.pi))
    return np.asarray(np.maximum(density, 1e-15), dtype=np.float64)


def _check(prediction: Tensor, target: Tensor, fps: float = 1.0) -> None:
    if prediction.ndim != 2:
        raise ValueError(f"prediction must be (B, T), not {tuple(prediction.shape)}")
    if target.shape != prediction.shape:
        raise ValueError(f"target must be {tuple(prediction.shape)} as prediction, not {tuple(target.shape)}")
    if not 0 < fps < math.inf:
        raise ValueError(f"fps must be positive, not {fps}")
    if prediction.numel() == 0 or prediction.shape[1] < 2:
        raise ValueError(f"prediction must hold a clip of two samples at least, not {tuple(prediction.shape)}")
    if not bool(target.isfinite().all()):
        raise ValueError("target must be finite, but holds NaN or infinity: cut or fill the reference first")

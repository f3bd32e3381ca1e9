"""Classical methods: from the mean RGB of skin to the blood volume pulse, by optics and without training.

All have one signature, ``method(rgb, fps)``:

Args:
    rgb: (T, 3) RGB trace of one segment.
    fps: its sampling rate in Hz.

Returns:
    (T,) float64 with zero mean, systole up as in contact PPG: more blood absorbs more light, so the systolic peak is at
    the darkest skin. The unit is relative change of light, except for ICA. The result is zeros if nothing that the
    method uses changes (a black or constant trace, or a grey one for a method that needs colour).

Raises:
    UsageError: `rgb` is not a finite array (T, 3) or was detrended before, or fps is not above zero.
    TooShortError: `rgb` is shorter than 1.6 s.

Both errors are `ValueError`s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import TooShortError, UsageError, one_line
from facepulse.rppg.arguments import as_array, as_fps, as_waveform
from facepulse.rppg.spectrum import bandpass, detrend

WINDOW_S = 1.6  # of CHROM and POS: covers a beat at 40 bpm, and is short relative to changes of light and pose

# PBV signature: relative amplitude of the pulse in the normalised R, G and B channels (de Haan and van Leest 2014).
PULSE_SIGNATURE = np.array([0.33, 0.77, 0.53])

# Relative changes below this are rounding of float64, whose spectrum would still have a peak.
ROUNDING = 1e-9

PULSE_BAND_HZ = (40 / 60, 240 / 60)


def green(rgb: npt.ArrayLike, fps: float) -> Floats:
    """GREEN: the inverted green channel, in which haemoglobin absorbs most.

    Source: Verkruysse, Svaasand and Nelson, "Remote plethysmographic imaging using ambient light", Optics Express 16
    (2008).
    """
    return _centred(-_normalised(_checked(rgb, fps))[:, 1])


def ica(rgb: npt.ArrayLike, fps: float) -> Floats:
    """ICA: the most periodic of the three independent components of the RGB trace, with unit variance.

    Source: Poh, McDuff and Picard, "Non-contact, automated cardiac pulse measurements using video imaging and blind
    source separation", Optics Express 18 (2010), with JADE. The component is chosen as in their "Advancements in
    noncontact, multiparameter physiological measurements using a webcam", IEEE Trans. Biomed. Eng. 58 (2011): detrended
    channels, highest peak of the normalised spectrum. Its sign, which ICA does not determine, is set opposite to green.
    """
    channels = _normalised(_checked(rgb, fps))
    if not _has_color(channels):
        return np.zeros(len(channels))
    # The cut-off of smoothness priors scales with fps; λ = 100 refers to 30 fps.
    detrended = detrend(channels - channels.mean(axis=0), 100.0 * (fps / 30.0) ** 2)
    spread = detrended.std(axis=0)
    standard = np.divide(detrended, spread, out=np.zeros_like(detrended), where=spread > ROUNDING)
    sources = jade(standard.T)
    hz = np.fft.rfftfreq(len(channels), 1 / fps)
    power = np.abs(np.fft.rfft(sources * np.hanning(len(channels)), axis=1)) ** 2
    in_band = power[:, (hz >= PULSE_BAND_HZ[0]) & (hz <= PULSE_BAND_HZ[1])]
    peakedness = in_band.max(axis=1, initial=0.0) / np.maximum(power.sum(axis=1), ROUNDING)
    chosen = sources[int(np.argmax(peakedness))]
    return _centred(-chosen if chosen @ standard[:, 1] > 0 else chosen)


def chrom(rgb: npt.ArrayLike, fps: float) -> Floats:
    """CHROM: two chrominance signals free of specular reflection, weighted so that motion cancels.

    ``S = X - αY`` with ``X = 3R - 2G``, ``Y = 1.5R + G - 1.5B`` and ``α = σ(X) / σ(Y)`` on normalised, band-passed
    channels in Hann windows of 1.6 s. Source: de Haan and Jeanne, "Robust pulse rate from chrominance-based rPPG", IEEE
    Trans. Biomed. Eng. 60 (2013). Two changes: the band-pass is applied to the whole trace, where it does
    not ring at window edges, and windows begin at every sample instead of every half window, which would add a rhythm
    of 75 per minute.
    """
    channels = _normalised(_checked(rgb, fps))
    length = _window_length(fps)
    passed = bandpass(channels, fps, *PULSE_BAND_HZ, order=3)
    level = _windowed_moments(channels, length)[0]
    covariance = _relative(_windowed_moments(passed, length)[1], level)
    x, y = np.array([3.0, -2.0, 0.0]), np.array([1.5, 1.0, -1.5])
    weights = x - _ratio_of_deviations(covariance, x, y)[:, None] * y
    taper = np.hanning(length + 2)[1:-1]
    return _centred(_overlap_add(passed, _relative(weights, level), taper))


def pos(rgb: npt.ArrayLike, fps: float) -> Floats:
    """POS: projection on the plane orthogonal to skin tone.

    ``h = S1 + α S2`` with ``S1 = G - B``, ``S2 = G + B - 2R`` and ``α = σ(S1) / σ(S2)`` on channels normalised in
    windows of 1.6 s that begin at every sample. Source: Wang, den Brinker, Stuijk and de Haan, "Algorithmic principles
    of remote PPG", IEEE Trans. Biomed. Eng. 64 (2017), Algorithm 1. Overlapping windows are averaged instead of added,
    so that the ends keep their amplitude.
    """
    channels = _normalised(_checked(rgb, fps))
    length = _window_length(fps)
    level, covariance = _windowed_moments(channels, length)
    s1, s2 = np.array([0.0, 1.0, -1.0]), np.array([-2.0, 1.0, 1.0])
    weights = s1 + _ratio_of_deviations(_relative(covariance, level), s1, s2)[:, None] * s2
    # The weights of a window sum to zero, hence the mean of h needs no subtraction.
    return _centred(-_overlap_add(channels, _relative(weights, level), np.ones(length)))


def pbv(rgb: npt.ArrayLike, fps: float) -> Floats:
    """PBV: the combination of channels with the least variance under the constraint of the pulse signature.

    ``W ∝ P Q⁻¹`` with P the blood-volume pulse signature and Q the covariance of the normalised channels, here over the
    whole trace. Source: de Haan and van Leest, "Improved motion robustness of remote-PPG by using the blood volume
    pulse signature", Physiological Measurement 35 (2014).
    """
    channels = _normalised(_checked(rgb, fps))
    if not _has_color(channels):
        return np.zeros(len(channels))
    changes = channels - 1.0
    covariance = changes.T @ changes / len(changes)
    # Exactly dependent channels have no inverse covariance; this regularisation gives one and is below any noise.
    covariance += (1e-9 * np.trace(covariance)) * np.eye(3)
    weights = np.linalg.solve(covariance, PULSE_SIGNATURE)
    return _centred(-(changes @ weights) / (weights @ PULSE_SIGNATURE))


def lgi(rgb: npt.ArrayLike, fps: float) -> Floats:
    """LGI: green, after projecting out the main direction of colour change by light and motion.

    The direction is the first left singular vector of the (3, T) trace. Source: Pilz, Zaunseder, Krajewski and Blazek,
    "Local group invariance for heart rate estimation from face videos in the wild", CVPR Workshops 2018.
    """
    channels = _checked(rgb, fps)
    # The left singular vectors are the eigenvectors of a 3x3 matrix, whatever T.
    return _green_without(channels, np.linalg.eigh(channels.T @ channels)[1][:, -1])


def omit(rgb: npt.ArrayLike, fps: float) -> Floats:
    """OMIT: green, after projecting out the first vector of the QR decomposition of the trace.

    The first column of Q is the direction of the first colour. Source: Álvarez Casado and Bordallo López, "Face2PPG: an
    unsupervised pipeline for blood volume pulse extraction from faces", IEEE J. Biomed. Health Inform. 27 (2023).
    """
    channels = _checked(rgb, fps)
    return _green_without(channels, np.linalg.qr(channels[:1].T)[0][:, 0])


def jade(mixtures: npt.ArrayLike) -> Floats:
    """Separate real mixtures into independent components by their fourth-order cumulants.

    Source: Cardoso and Souloumiac, "Blind beamforming for non-Gaussian signals", IEE Proceedings F 140 (1993). The
    algorithm is deterministic.

    Args:
        mixtures: (n, T).

    Returns:
        (n, T) components with zero mean and unit variance, in arbitrary order and with arbitrary sign; zeros for
        each dimension that the mixtures do not span.
    """
    centred = np.asarray(mixtures, dtype=np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    count, length = centred.shape
    variances, directions = np.linalg.eigh(centred @ centred.T / length)
    spanned = variances > 1e-12 * variances[-1]
    scale = np.divide(1.0, np.sqrt(np.abs(variances)), out=np.zeros(count), where=spanned)
    white = scale[:, None] * directions.T @ centred

    # Cumulant matrices of all pairs of channels; a mixed pair counts twice, hence the square root of two.
    identity = np.diag(spanned.astype(np.float64))
    cumulants = []
    for i in range(count):
        for j in range(i + 1):
            outer = np.outer(identity[i], identity[j])
            moment = (white * (white[i] * white[j])) @ white.T / length
            cumulant = moment - identity * identity[i, j] - outer - outer.T
            cumulants.append(cumulant * (1.0 if i == j else math.sqrt(2.0)))
    return np.asarray(_joint_diagonaliser(np.stack(cumulants)).T @ white, dtype=np.float64)


def _joint_diagonaliser(matrices: Floats) -> Floats:
    """Rotation (n, n) that jointly diagonalises (k, n, n) matrices, ``Rᵀ M R``, by Jacobi sweeps."""
    count = matrices.shape[1]
    rotation = np.eye(count)
    for _ in range(100):
        largest = 0.0
        for p in range(count - 1):
            for q in range(p + 1, count):
                difference = matrices[:, p, p] - matrices[:, q, q]
                coupling = matrices[:, p, q] + matrices[:, q, p]
                on = difference @ difference - coupling @ coupling
                off = 2.0 * difference @ coupling
                angle = 0.5 * math.atan2(off, on + math.hypot(on, off))
                turn = np.eye(count)
                turn[[p, q, p, q], [p, q, q, p]] = math.cos(angle), math.cos(angle), -math.sin(angle), math.sin(angle)
                matrices = turn.T @ matrices @ turn
                rotation = rotation @ turn
                largest = max(largest, abs(angle))
        if largest < 1e-10:
            break
    return rotation


def _checked(rgb: npt.ArrayLike, fps: float) -> Floats:
    """Check the arguments of a method, and return the trace as float64."""
    channels = as_array(rgb, "rgb", "(T, 3)", 2)
    if channels.shape[1] != 3:
        hint = ": transpose it" if len(channels) == 3 else ""
        raise UsageError(f"rgb must be (T, 3), not of shape {channels.shape}{hint}")
    if as_fps(fps) <= 2 * PULSE_BAND_HZ[0]:
        raise UsageError(f"fps must be above {2 * PULSE_BAND_HZ[0]:.2f}, two samples a beat at 40 bpm, not {fps:g}")
    needed = _window_length(fps)
    if len(channels) < needed:
        raise TooShortError(f"rgb must last {WINDOW_S} s ({needed} rows at {fps:g} fps), got {len(channels)}")
    # Relative changes are the input of every method, and a trace without its level has none.
    if (channels.mean(axis=0) < ROUNDING * np.ptp(channels, axis=0)).any():
        raise UsageError("rgb must have its level: give it as measured, before detrending, centring or filtering it")
    return channels


def _window_length(fps: float) -> int:
    return max(2, math.ceil(WINDOW_S * fps - 1e-9))


def _normalised(channels: Floats) -> Floats:
    """Divide each channel by its mean; ones for a black channel."""
    level = channels.mean(axis=0)
    relative: Floats = np.divide(channels, level, out=np.ones_like(channels), where=np.abs(level) > 0)
    return relative


def _has_color(normalised: Floats) -> bool:
    return bool(np.ptp(normalised, axis=1).max() > ROUNDING)


def _centred(waveform: Floats) -> Floats:
    """Subtract the mean; exact zeros if only rounding error is left."""
    result: Floats = waveform - waveform.mean()
    return result if np.abs(result).max() > ROUNDING else np.zeros_like(result)


def _green_without(channels: Floats, direction: Floats) -> Floats:
    """Inverted green relative to its mean, after projecting a unit direction (3,) out of the trace."""
    residual = channels[:, 1] - direction[1] * (channels @ direction)
    level = channels[:, 1].mean()
    return _centred(-residual / level) if level != 0 else np.zeros(len(channels))


def _windowed_moments(trace: Floats, length: int) -> tuple[Floats, Floats]:
    """Mean (N, 3) and covariance (N, 3, 3) of every window of a (T, 3) trace; N = T - length + 1."""
    centre = trace.mean(axis=0)  # subtracted first: the covariance is small relative to the squared level
    windows = np.lib.stride_tricks.sliding_window_view(trace - centre, length, axis=0)
    mean = windows.mean(axis=2)
    covariance = np.einsum("nil,njl->nij", windows, windows) / length - mean[:, :, None] * mean[:, None, :]
    return mean + centre, covariance


def _relative(values: Floats, level: Floats) -> Floats:
    """Divide channel weights (N, 3) or covariances (N, 3, 3) by the level (N, 3) of their window; zeros if black."""
    inverse = np.divide(1.0, level, out=np.zeros_like(level), where=np.abs(level) > 1e-6)
    return values * inverse if values.ndim == 2 else values * inverse[:, :, None] * inverse[:, None, :]


def _ratio_of_deviations(covariance: Floats, first: Floats, second: Floats) -> Floats:
    """Ratio σ(first · C) / σ(second · C) in every window, (N,); zero if the second does not vary."""
    above = np.einsum("i,nij,j->n", first, covariance, first)
    below = np.einsum("i,nij,j->n", second, covariance, second)
    ratio = np.divide(above, below, out=np.zeros_like(above), where=below > ROUNDING**2)
    return np.asarray(np.sqrt(np.maximum(ratio, 0.0)), dtype=np.float64)


def _overlap_add(channels: Floats, gains: Floats, taper: Floats) -> Floats:
    """Mean of (gain of the window · channels of the sample) over all windows with a sample, weighted by a taper.

    The gains of a window are the same for all its samples, so the gains are overlap-added: one convolution per channel
    instead of a sum over windows.
    """
    gain = np.column_stack([np.convolve(column, taper) for column in gains.T])
    weight = np.convolve(np.ones(len(gains)), taper)
    return np.asarray((gain * channels).sum(axis=1) / weight, dtype=np.float64)


@dataclass(frozen=True)
class ClassicalMethod:
    """Classical method with the input that it requires.

    Attributes:
        name: key in `CLASSICAL`, or the name of a function that is not listed there.
        function: ``(rgb (T, 3), fps) -> (T,)``.
        description: one line for a listing.
        reference: authors, venue and year.
        size: side in pixels of the crops that the mean RGB is taken from.
        margin: widening of the face box to each side, as a fraction of its size.
        fps: clock rate in Hz.
    """

    name: str
    function: Callable[[Floats, float], npt.ArrayLike]
    description: str = ""
    reference: str = ""
    size: int = 72
    margin: float = 0.0
    fps: float = 30.0

    def waveform(self, rgb: npt.ArrayLike, fps: float) -> Floats:
        """Compute the BVP (T,) of an RGB trace (T, 3) sampled at `fps` Hz.

        Raises:
            UsageError: `rgb` or `fps` is invalid; or the function raised an error, or did not return T finite numbers.
            TooShortError: `rgb` is shorter than 1.6 s.
        """
        channels = _checked(rgb, fps)
        try:
            returned = self.function(channels.copy(), fps)  # a function may write into its arguments
        except Exception as error:  # any: the function may be a caller's
            raise UsageError(
                f"the method {self.name} failed on an RGB trace of shape {channels.shape}: {one_line(error)}"
            ) from error
        waveform = as_waveform(returned, name := f"the waveform of the method {self.name}")
        if len(waveform) != len(channels):
            raise UsageError(f"{name} must have a sample for each of the {len(channels)} of rgb, not {len(waveform)}")
        return waveform


CLASSICAL: dict[str, ClassicalMethod] = {
    method.name: method
    for method in (
        ClassicalMethod("GREEN", green, "the green channel alone", "Verkruysse et al., Optics Express 2008"),
        ClassicalMethod("ICA", ica, "independent components (JADE)", "Poh et al., Optics Express 2010"),
        ClassicalMethod("CHROM", chrom, "chrominance difference", "de Haan and Jeanne, IEEE TBME 2013"),
        ClassicalMethod("POS", pos, "plane orthogonal to skin", "Wang et al., IEEE TBME 2017"),
        ClassicalMethod("LGI", lgi, "local group invariance", "Pilz et al., CVPR Workshops 2018"),
        ClassicalMethod("PBV", pbv, "blood-volume pulse signature", "de Haan and van Leest, Physiol. Meas. 2014"),
        ClassicalMethod(
            "OMIT", omit, "orthogonal matrix image transform", "Álvarez Casado and Bordallo López, IEEE JBHI 2023"
        ),
    )
}

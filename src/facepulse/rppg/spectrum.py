"""Spectrum, heart rate and SNR of a waveform under a named protocol."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded
from scipy.signal import butter, filtfilt, welch

from facepulse._types import Floats
from facepulse.errors import TooShortError
from facepulse.rppg.protocols import Protocol

MINIMUM_SAMPLES = 9  # rPPG-Toolbox keeps windows down to this length; below it no band of a pulse can be told apart
SNR_LIMIT_DB = 40.0
PADDING = 8  # points a resolution cell, at least, so that a parabola through three of them finds the top
FLAT = 1e-10  # a spread this small beside the level is rounding, and a spectrum of rounding still has a peak


def detrend(x: npt.ArrayLike, regularization: float = 100.0) -> Floats:
    """Remove the slow trend by smoothness priors: ``(I - (I + λ² DᵀD)⁻¹) x``, D the second difference.

    The matrix has five diagonals, so a banded solver gives the dense result in linear time. The cut-off is about
    ``fps / (2π √λ)`` Hz. Source: Tarvainen, Ranta-aho and Karjalainen, IEEE Trans. Biomed. Eng. 49 (2002), eq. 8.

    Args:
        x: (T,) or (T, k) samples; columns are detrended one by one.
        regularization: λ; the larger, the slower the trend that is removed.

    Returns:
        Float64 array of the shape of `x`. Fewer than three samples have no second difference: zeros.
    """
    samples = np.asarray(x, dtype=np.float64)
    length = len(samples)
    if length < 3:
        return np.zeros_like(samples)
    bands = np.zeros((3, length))  # lower form: diagonal, first and second sub-diagonal of I + λ² DᵀD
    difference = (1.0, -2.0, 1.0)
    for row in range(3):
        for column in range(row, 3):
            bands[column - row, row : row + length - 2] += difference[row] * difference[column]
    bands *= regularization**2
    bands[0] += 1.0
    trend: Floats = solveh_banded(bands, samples, lower=True, check_finite=False)
    return samples - trend


def bandpass(x: npt.ArrayLike, fps: float, low_hz: float, high_hz: float, order: int = 1) -> Floats:
    """Butterworth band-pass, run forwards and backwards so that no phase is added.

    Order 1 is the field's "second-order" filter: a band-pass of prototype order 1 has two poles.

    Args:
        x: (T,) samples, or (T, k) filtered column by column.
        fps: sampling rate in Hz.
        low_hz: lower edge.
        high_hz: upper edge; held below the Nyquist frequency where it lies above.
        order: of the low-pass prototype.

    Raises:
        ValueError: the band is empty at this fps.
    """
    samples = np.asarray(x, dtype=np.float64)
    nyquist_hz = fps / 2
    high_hz = min(high_hz, 0.99 * nyquist_hz)
    if not 0 < low_hz < high_hz:
        raise ValueError(f"band {low_hz:g}-{high_hz:g} Hz is empty at {fps:g} fps: raise fps or lower low_hz")
    b, a = butter(order, [low_hz / nyquist_hz, high_hz / nyquist_hz], btype="bandpass")
    padding = min(3 * max(len(a), len(b)), len(samples) - 1)  # scipy refuses a waveform shorter than its padding
    return np.asarray(filtfilt(b, a, samples, axis=0, padlen=padding), dtype=np.float64)


def filtered(waveform: npt.ArrayLike, fps: float, protocol: Protocol) -> Floats:
    """Detrended and band-passed waveform: what the toolbox protocols measure, and what is compared by MACC and plotted.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        protocol: gives λ and the band.

    Returns:
        (T,) float64.

    Raises:
        TooShortError: fewer than 9 samples.
        ValueError: the waveform is not one-dimensional or not finite, or fps is too low for the band.
    """
    return bandpass(_detrended(waveform, fps, protocol), fps, protocol.low_hz, protocol.high_hz)


def spectrum(waveform: npt.ArrayLike, fps: float, protocol: Protocol) -> tuple[Floats, Floats]:
    """Power spectrum from 0 Hz to the Nyquist frequency, as the protocol reads it.

    The `harmonic` estimator sees the detrended waveform without band-pass, whose slope would push a peak at the edge of
    the band inwards (2 bpm at 40 bpm in 5 s), and pads it to at least eight points a resolution cell.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        protocol: the recipe.

    Returns:
        Frequencies in Hz and power in arbitrary units, both (F,) float64. Zero power where the waveform is flat.

    Raises:
        TooShortError: fewer than 9 samples.
        ValueError: the waveform is not one-dimensional or not finite, or fps is too low for the band.
    """
    if protocol.estimator == "harmonic":
        signal = _detrended(waveform, fps, protocol)
        return _periodogram(signal * np.hanning(len(signal)), fps, PADDING)
    signal = filtered(waveform, fps, protocol)
    if protocol.estimator == "periodogram":
        return _periodogram(signal, fps)
    segment = min(len(signal) - 1, 256)
    hz, power = welch(signal, fps, nperseg=segment, nfft=max(int(1e5 / fps), segment))
    return np.asarray(hz, dtype=np.float64), np.asarray(power, dtype=np.float64)


def heart_rate(waveform: npt.ArrayLike, fps: float, protocol: Protocol) -> float:
    """Heart rate of a whole waveform; the same function for estimates and references.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        protocol: the recipe.

    Returns:
        bpm. A flat waveform has no peak and reads the lowest rate searched; its `snr_db` tells.

    Raises:
        TooShortError: fewer than 9 samples.
        ValueError: the waveform is not one-dimensional or not finite, or fps is too low for the band.
    """
    return peak_bpm(*spectrum(waveform, fps, protocol), protocol)


def peak_bpm(hz: Floats, power: Floats, protocol: Protocol) -> float:
    """Heart rate that the protocol reads from a spectrum of its own (see `spectrum`).

    Args:
        hz: (F,) evenly spaced frequencies from 0.
        power: (F,) power.
        protocol: the recipe.

    Returns:
        bpm inside the protocol's search range.

    Raises:
        TooShortError: no bin lies inside the search range.
    """
    low_bpm, high_bpm = protocol.search_bpm
    inside = np.flatnonzero((60 * hz >= low_bpm) & (60 * hz <= high_bpm))
    if inside.size == 0:
        raise TooShortError(f"the waveform is too short to resolve {low_bpm:g}-{high_bpm:g} bpm: give it more seconds")
    if protocol.estimator != "harmonic":
        return float(60 * hz[inside[np.argmax(power[inside])]])

    # The slope of a drift below the range is highest at its edge without being a peak, hence local maxima only. Noise
    # may push the peak of a pulse at the edge just outside: look half a resolution cell further, and clip in the end.
    first, last = max(inside[0] - PADDING // 2, 1), min(inside[-1] + PADDING // 2, len(power) - 2)
    inside = np.arange(first, last + 1)
    candidates = inside[(power[inside] > power[inside - 1]) & (power[inside] >= power[inside + 1])]
    if candidates.size == 0:
        candidates = inside
    second = np.where(2 * candidates < len(power), power[np.minimum(2 * candidates, len(power) - 1)], 0.0)
    # A harmonic counts at most as much as its fundamental: a strong peak lends nothing to a nothing at half its rate.
    # The root of the frequency levels noise, which grows downwards; on real pulses a full 1/f prior starts to double.
    score = np.sqrt(hz[candidates]) * (power[candidates] + np.minimum(power[candidates], second))
    best = int(candidates[np.argmax(score)])
    return float(np.clip(60 * hz[1] * (best + _parabola_offset(power, best)), low_bpm, high_bpm))


def snr_db(waveform: npt.ArrayLike, fps: float, reference_bpm: float, protocol: Protocol) -> float:
    """Power at the heart rate and its second harmonic against the rest of the band.

    Under `periodogram` and `welch` exactly rPPG-Toolbox's since December 2024: ±0.1 Hz around both in the boxcar
    periodogram of the filtered waveform, the harmonic counted wherever it falls, the rest from the band alone.
    Under `harmonic` both stay inside the search range and are as wide as the window's main lobe needs, so that a short
    window does not count its own pulse as noise.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        reference_bpm: the true heart rate, or the waveform's own where no reference exists.
        protocol: the recipe.

    Returns:
        dB. Under `harmonic` between -40 and 40, -40 for a flat waveform; otherwise 0 where the rest holds no power.

    Raises:
        TooShortError: fewer than 9 samples.
        ValueError: the waveform is not one-dimensional or not finite, or fps is too low for the band.
    """
    harmonic = protocol.estimator == "harmonic"
    if harmonic:
        hz, power = spectrum(waveform, fps, protocol)
        low_hz, high_hz = protocol.search_bpm[0] / 60, protocol.search_bpm[1] / 60
        half_width_hz = max(0.1, 2 * fps / len(np.asarray(waveform)))
    else:
        hz, power = _periodogram(filtered(waveform, fps, protocol), fps)
        low_hz, high_hz, half_width_hz = protocol.low_hz, protocol.high_hz, 0.1
    rest = (hz >= low_hz) & (hz <= high_hz)
    pulse_power = 0.0
    for centre_hz in (reference_bpm / 60, 2 * reference_bpm / 60):
        near = (hz >= centre_hz - half_width_hz) & (hz <= centre_hz + half_width_hz)
        counted = near & rest if harmonic else near
        pulse_power += float(power[counted].sum())
        rest &= ~near
    rest_power = float(power[rest].sum())
    if harmonic and pulse_power == 0.0:
        return -SNR_LIMIT_DB
    if harmonic:
        ratio = pulse_power / max(rest_power, 1e-9 * pulse_power)
        return float(np.clip(10 * np.log10(ratio), -SNR_LIMIT_DB, SNR_LIMIT_DB))
    return float(10 * np.log10(pulse_power / rest_power)) if rest_power > 0 and pulse_power > 0 else 0.0


class WindowHeartRate(NamedTuple):
    """Heart rate of one window: start and end in seconds from the waveform's first sample, bpm, and its own SNR."""

    start_s: float
    end_s: float
    bpm: float
    snr_db: float


def window_heart_rates(
    waveform: npt.ArrayLike, fps: float, seconds: float, step_s: float, protocol: Protocol
) -> list[WindowHeartRate]:
    """Heart rate in sliding windows of one length.

    No window is shorter than asked: where the steps leave a rest, the last window is moved back to end with the
    waveform, and a waveform shorter than `seconds` is one window.

    Args:
        waveform: (T,) blood volume pulse.
        fps: sampling rate in Hz.
        seconds: length of a window.
        step_s: from one window's start to the next one's.
        protocol: the recipe.

    Returns:
        The windows in order of time; SNR is at the window's own bpm.

    Raises:
        TooShortError: a window holds fewer than 9 samples.
        ValueError: `seconds` or `step_s` is not positive, or as in `heart_rate`.
    """
    if not (seconds > 0 and step_s > 0):
        raise ValueError(f"seconds and step_s must be positive, not {seconds:g} and {step_s:g}")
    samples = np.asarray(waveform, dtype=np.float64)
    length = min(round(seconds * fps), len(samples))
    last = len(samples) - length
    starts = [start for i in range(int(last / (step_s * fps)) + 1) if (start := round(i * step_s * fps)) <= last]
    if starts[-1] != last:
        starts.append(last)
    windows = []
    for start in starts:
        window = samples[start : start + length]
        bpm = heart_rate(window, fps, protocol)
        snr = snr_db(window, fps, bpm, protocol)
        windows.append(WindowHeartRate(start / fps, (start + length) / fps, bpm, snr))
    return windows


def _detrended(waveform: npt.ArrayLike, fps: float, protocol: Protocol) -> Floats:
    """Checked, detrended waveform; exact zeros where it is flat to rounding."""
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"waveform must be one-dimensional (T,), not of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("waveform holds NaN or infinity: fill or cut the gap first")
    if len(samples) < MINIMUM_SAMPLES:
        raise TooShortError(f"the waveform holds {len(samples)} samples, too short to measure: give it several seconds")
    if np.ptp(samples) <= FLAT * np.abs(samples).max():
        return np.zeros_like(samples)
    return detrend(samples, protocol.regularization_at(fps))


def _periodogram(signal: Floats, fps: float, padding: int = 1) -> tuple[Floats, Floats]:
    """Squared magnitude spectrum, padded to `padding` times the next power of two, as the toolbox does with 1."""
    nfft = padding << (len(signal) - 1).bit_length()
    return np.asarray(np.fft.rfftfreq(nfft, 1 / fps), dtype=np.float64), np.abs(np.fft.rfft(signal, nfft)) ** 2


def _parabola_offset(power: Floats, peak: int) -> float:
    """Distance in bins from `peak` to the top of the parabola through it and its neighbours, in log power."""
    if not 0 < peak < len(power) - 1 or min(power[peak - 1 : peak + 2]) <= 0:
        return 0.0
    return parabola_top(*np.log(power[peak - 1 : peak + 2]))


def parabola_top(left: float, middle: float, right: float) -> float:
    """Distance from the middle of three evenly spaced values to the top of the parabola through them, in steps."""
    curvature = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0

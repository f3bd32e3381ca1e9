"""Spectrum, heart rate and SNR of a waveform under a named protocol."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import TooShortError, UsageError
from facepulse.rppg.arguments import as_array, as_fps, as_positive, as_waveform
from facepulse.rppg.protocols import Protocol, find_protocol

# scipy is imported inside the functions that use it: loading it takes half a second, and `import facepulse` needs none.

MINIMUM_SAMPLES = 9  # rPPG-Toolbox keeps windows down to this length; below it no band of a pulse can be resolved
SNR_LIMIT_DB = 40.0
PADDING = 8  # least number of points per resolution cell, so that a parabola through three of them finds the peak
MAXIMUM_REGULARIZATION = 2e7  # λ² exceeds the precision of float64 beyond it
FLAT = 1e-10  # range over level below which a waveform is rounding error, whose spectrum would still have a peak


class Spectrum(NamedTuple):
    """Power spectrum of a waveform.

    Attributes:
        hz: (F,) evenly spaced frequencies from 0 Hz to the Nyquist frequency.
        power: (F,) power in arbitrary units.
    """

    hz: Floats
    power: Floats


def detrend(x: npt.ArrayLike, regularization: float = 100.0) -> Floats:
    """Remove the slow trend by smoothness priors: ``(I - (I + λ² DᵀD)⁻¹) x``, D the second difference.

    The matrix has five diagonals, so a banded solver gives the same result in linear time. The cut-off is about
    ``fps / (2π √λ)`` Hz. Source: Tarvainen, Ranta-aho and Karjalainen, IEEE Trans. Biomed. Eng. 49 (2002), eq. 8.

    Args:
        x: (T,) or (T, k) samples; each column is detrended by itself.
        regularization: λ; a larger value removes a slower trend.

    Returns:
        Float64 array of the shape of `x`. Fewer than three samples have no second difference and give zeros.

    Raises:
        UsageError: `x` is not (T,) or (T, k), empty or not finite, or λ is not above zero and at most 2e7.
    """
    from scipy.linalg import solveh_banded

    samples = _columns(x)
    regularization = as_positive(regularization, "regularization", MAXIMUM_REGULARIZATION)
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
        high_hz: upper edge; reduced to below the Nyquist frequency if it lies above.
        order: of the low-pass prototype, 1 or more.

    Returns:
        Float64 array of the shape of `x`.

    Raises:
        UsageError: `x` is not (T,) or (T, k), empty or not finite; fps, an edge or the order is not above zero; or the
            band is empty at this fps.
    """
    from scipy.signal import butter, filtfilt

    samples = _columns(x)
    nyquist_hz = as_fps(fps) / 2
    low_hz, high_hz = as_positive(low_hz, "low_hz"), min(as_positive(high_hz, "high_hz"), 0.99 * nyquist_hz)
    if as_positive(order, "order") != int(order):
        raise UsageError(f"order must be a whole number, not {order:g}")
    if low_hz >= high_hz:
        raise UsageError(f"band {low_hz:g}-{high_hz:g} Hz is empty at {fps:g} fps: give a higher fps or a lower low_hz")
    b, a = butter(order, [low_hz / nyquist_hz, high_hz / nyquist_hz], btype="bandpass")
    padding = min(3 * max(len(a), len(b)), len(samples) - 1)  # scipy refuses a waveform shorter than its padding
    return np.asarray(filtfilt(b, a, samples, axis=0, padlen=padding), dtype=np.float64)


def filtered(waveform: npt.ArrayLike, fps: float, protocol: Protocol | str = "facepulse") -> Floats:
    """Detrend and band-pass a waveform, as for the toolbox protocols, MACC and plots.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        protocol: gives λ and the band; a `Protocol`, or its name.

    Returns:
        (T,) float64 in the unit of the waveform.

    Raises:
        TooShortError: fewer than 9 samples.
        UsageError: the waveform is not a finite array (T,), fps is not above zero or too low for the band, or no
            protocol has this name.
    """
    protocol = find_protocol(protocol)
    return bandpass(_detrended(waveform, fps, protocol), fps, protocol.low_hz, protocol.high_hz)


def unit_variance(waveforms: npt.ArrayLike) -> Floats:
    """Scale waveforms to unit variance; constant ones become zeros. The mean is scaled too, not removed.

    Args:
        waveforms: (T,) or (K, T); each waveform is scaled by itself.

    Returns:
        Float64 array of the shape of `waveforms`.
    """
    samples = np.asarray(waveforms, dtype=np.float64)
    scale = samples.std(axis=-1, keepdims=True)
    varies = scale > FLAT * np.abs(samples).max(axis=-1, keepdims=True)
    return np.asarray(np.divide(samples, scale, out=np.zeros_like(samples), where=varies))


def spectrum(waveform: npt.ArrayLike, fps: float, protocol: Protocol | str = "facepulse") -> Spectrum:
    """Power spectrum from 0 Hz to the Nyquist frequency, as the protocol computes it.

    The `harmonic` estimator takes the detrended waveform without band-pass, whose flanks would shift a peak at the edge
    of the band inwards (2 bpm at 40 bpm in 5 s), and pads it to at least eight points per resolution cell.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        protocol: the recipe; a `Protocol`, or its name.

    Returns:
        Frequencies and power, ``hz, power = spectrum(...)``. The power is zero for a constant waveform.

    Raises:
        TooShortError: fewer than 9 samples.
        UsageError: the waveform is not a finite array (T,), fps is not above zero or too low for the band, or no
            protocol has this name.
    """
    protocol, fps = find_protocol(protocol), as_fps(fps)
    if protocol.estimator == "harmonic":
        signal = _detrended(waveform, fps, protocol)
        return _periodogram(signal * np.hanning(len(signal)), fps, PADDING)
    signal = filtered(waveform, fps, protocol)
    if protocol.estimator == "periodogram":
        return _periodogram(signal, fps)
    from scipy.signal import welch

    segment = min(len(signal) - 1, 256)
    hz, power = welch(signal, fps, nperseg=segment, nfft=max(int(1e5 / fps), segment))
    return Spectrum(np.asarray(hz, dtype=np.float64), np.asarray(power, dtype=np.float64))


def heart_rate(waveform: npt.ArrayLike, fps: float, protocol: Protocol | str = "facepulse") -> float:
    """Estimate the heart rate of a whole waveform; the same function serves estimates and references.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        protocol: the recipe; a `Protocol`, or its name.

    Returns:
        bpm. A constant waveform has no peak and gives the lowest rate of the range; its `snr_db` is -40 dB.

    Raises:
        TooShortError: fewer than 9 samples, or too few to resolve the search range.
        UsageError: the waveform is not a finite array (T,), fps is not above zero or too low for the band, or no
            protocol has this name.
    """
    protocol = find_protocol(protocol)
    return peak_bpm(*spectrum(waveform, fps, protocol), protocol)


def peak_bpm(hz: Floats, power: Floats, protocol: Protocol) -> float:
    """Estimate the heart rate from a spectrum that `spectrum` has computed under the same protocol.

    Args:
        hz: (F,) evenly spaced frequencies from 0.
        power: (F,) power.
        protocol: the recipe.

    Returns:
        bpm inside the protocol's search range.

    Raises:
        TooShortError: no bin lies inside the search range.
        UsageError: the spectrum ends below the search range, because fps is too low.
    """
    low_bpm, high_bpm = protocol.search_bpm
    if 60 * hz[-1] < low_bpm:
        raise UsageError(f"fps is too low for {low_bpm:g}-{high_bpm:g} bpm: the spectrum ends at {60 * hz[-1]:g} bpm")
    inside = np.flatnonzero((60 * hz >= low_bpm) & (60 * hz <= high_bpm))
    if inside.size == 0:
        raise TooShortError(
            f"no frequency lies within {low_bpm:g}-{high_bpm:g} bpm: give a longer waveform or fewer fps"
        )
    if protocol.estimator != "harmonic":
        return float(60 * hz[inside[np.argmax(power[inside])]])

    # The flank of a drift below the range is highest at its edge without being a peak, hence local maxima only. Noise
    # may shift the peak of a pulse at the edge to just outside: the search covers half a resolution cell more, and the
    # result is clipped.
    first, last = max(inside[0] - PADDING // 2, 1), min(inside[-1] + PADDING // 2, len(power) - 2)
    inside = np.arange(first, last + 1)
    candidates = inside[(power[inside] > power[inside - 1]) & (power[inside] >= power[inside + 1])]
    if candidates.size == 0:
        candidates = inside
    second = np.where(2 * candidates < len(power), power[np.minimum(2 * candidates, len(power) - 1)], 0.0)
    # A harmonic counts at most as much as its fundamental, so that a strong peak does not favour half its rate. The
    # square root of the frequency compensates noise, which grows towards low frequencies; on real pulses a full 1/f
    # prior starts to double rates.
    score = np.sqrt(hz[candidates]) * (power[candidates] + np.minimum(power[candidates], second))
    best = int(candidates[np.argmax(score)])
    return float(np.clip(60 * hz[1] * (best + _parabola_offset(power, best)), low_bpm, high_bpm))


def snr_db(waveform: npt.ArrayLike, fps: float, reference_bpm: float, protocol: Protocol | str = "facepulse") -> float:
    """Signal-to-noise ratio: power at the heart rate and its second harmonic over the rest of the band.

    Under `periodogram` and `welch` this is exactly the definition of rPPG-Toolbox since December 2024: ±0.1 Hz around
    both in the boxcar periodogram of the filtered waveform, the harmonic counted wherever it lies, the rest from the
    band alone.
    Under `harmonic` both stay inside the search range and are as wide as the window's main lobe needs, so that the
    pulse of a short window is not counted as noise.

    Args:
        waveform: (T,) blood volume pulse, any unit and offset.
        fps: sampling rate in Hz.
        reference_bpm: the true heart rate, or that of the waveform itself if no reference exists.
        protocol: the recipe; a `Protocol`, or its name.

    Returns:
        dB. Under `harmonic` between -40 and 40, -40 for a constant waveform; otherwise 0 if the rest has no power.

    Raises:
        TooShortError: fewer than 9 samples.
        UsageError: the waveform is not a finite array (T,), fps or reference_bpm is not above zero, fps is too low for
            the band, or no protocol has this name.
    """
    protocol, fps = find_protocol(protocol), as_fps(fps)
    reference_bpm = as_positive(reference_bpm, "reference_bpm")
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


def _columns(x: npt.ArrayLike) -> Floats:
    """Check samples that are filtered column by column, (T,) or (T, k)."""
    return as_array(x, "x", "(T,) or (T, k)", 1, 2)


def _detrended(waveform: npt.ArrayLike, fps: float, protocol: Protocol) -> Floats:
    """Check and detrend a waveform; exact zeros if it is constant up to rounding."""
    samples, fps = as_waveform(waveform), as_fps(fps)
    if len(samples) < MINIMUM_SAMPLES:
        raise TooShortError(f"the waveform has {len(samples)} samples, too few to measure: give several seconds")
    if np.ptp(samples) <= FLAT * np.abs(samples).max():
        return np.zeros_like(samples)
    return detrend(samples, protocol.regularization_at(fps))


def _periodogram(signal: Floats, fps: float, padding: int = 1) -> Spectrum:
    """Squared magnitude spectrum, padded to `padding` times the next power of two, as in rPPG-Toolbox with 1."""
    nfft = padding << (len(signal) - 1).bit_length()
    hz = np.asarray(np.fft.rfftfreq(nfft, 1 / fps), dtype=np.float64)
    return Spectrum(hz, np.abs(np.fft.rfft(signal, nfft)) ** 2)


def _parabola_offset(power: Floats, peak: int) -> float:
    """Distance in bins from `peak` to the vertex of the parabola through it and its neighbours, in log power."""
    if not 0 < peak < len(power) - 1 or min(power[peak - 1 : peak + 2]) <= 0:
        return 0.0
    return parabola_vertex(*np.log(power[peak - 1 : peak + 2]))


def parabola_vertex(left: float, middle: float, right: float) -> float:
    """Distance from the middle of three evenly spaced values to the vertex of their parabola, in steps."""
    curvature = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0

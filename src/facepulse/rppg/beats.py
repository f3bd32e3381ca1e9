"""Times of single beats in a waveform, with the jitter that its noise causes.

A dropout of the sensor, saturation and a frozen picture leave a waveform in which nothing changes. It holds no beats,
and an interval across it is not one between successive beats.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.rppg.arguments import as_fps, as_positive, as_waveform
from facepulse.rppg.spectrum import FLAT, MINIMUM_SAMPLES, bandpass, detrend

CLOCK_HZ = 240.0  # beats are placed on a clock at least this fine, and between its samples by a parabola
HALF_WINDOW = 0.3  # in beat periods around the steepest rise: covers upstroke, peak and first descent
MINIMUM_CORRELATION = 0.9  # with the template, below which a beat is not accepted
MINIMUM_BEATS = 4  # and least length of an uninterrupted part in beat periods, for its filters to settle
STRAIGHT = 1e-13  # second difference over level, below which it is rounding error
STILL = 0.05  # range within a beat period, over the usual one, without a pulse


@dataclass(frozen=True, eq=False)
class Beats:
    """Beats of one waveform.

    Attributes:
        times_s: (B,) float64, seconds from the waveform's first sample, increasing: the steepest rise of the template
            at its best match.
        accepted: (B,) bool, False for a beat that hardly resembles the template.
        jitter_ms: RMS error of a beat's time due to noise, estimated from the waveform around the template.
        duration_s: length of the waveform.
        fps: sampling rate of the waveform in Hz.
        interruptions: (start, end) in seconds of each part in which nothing changes; fewer than four beat periods
            between two such parts belong to them.
    """

    times_s: Floats
    accepted: npt.NDArray[np.bool_]
    jitter_ms: float
    duration_s: float
    fps: float
    interruptions: tuple[tuple[float, float], ...] = ()

    @property
    def contiguous(self) -> npt.NDArray[np.bool_]:
        """(B - 1,) bool, True for an interval between two beats without an interruption between them."""
        ends_s = [end_s for _, end_s in self.interruptions]
        return np.asarray(np.diff(np.searchsorted(ends_s, self.times_s)) == 0)

    @property
    def uninterrupted_s(self) -> float:
        """Length of the waveform without its interruptions, in seconds."""
        return self.duration_s - sum(end_s - start_s for start_s, end_s in self.interruptions)


def find_beats(waveform: npt.ArrayLike, fps: float, bpm: float) -> Beats | None:
    """Find every beat to a fraction of a sample.

    A narrow band around `bpm` has one cycle per beat whatever the dicrotic notch; the steepest rise of the broader
    waveform places the beat; a matched filter with the median beat as its template refines it. Where nothing changes
    for a beat period or longer, the waveform is interrupted: there are no beats, and its parts are filtered separately.

    Args:
        waveform: (T,) blood volume pulse on a uniform clock, systole up.
        fps: sampling rate in Hz.
        bpm: heart rate of the waveform; beats at 0.6 to 1.6 times that rate are found.

    Returns:
        The beats, or None if fewer than four can be placed.

    Raises:
        UsageError: the waveform is not a finite array (T,), fps or bpm is not above zero, or there are fewer than two
            samples a beat.
    """
    samples, fps, rate_hz = as_waveform(waveform), as_fps(fps), as_positive(bpm, "bpm") / 60
    if rate_hz >= fps / 2:
        raise UsageError(f"bpm must be below {30 * fps:g} at {fps:g} fps, two samples a beat, not {bpm:g}")
    shortest = max(MINIMUM_SAMPLES, MINIMUM_BEATS * fps / rate_hz)
    if len(samples) < shortest:
        return None
    parts = [part for part in _changing(samples, fps / rate_hz) if part.stop - part.start >= shortest]
    factor = int(np.ceil(CLOCK_HZ / fps))
    clock_hz = fps * factor
    band_hz = 0.5 * rate_hz, min(5 * rate_hz, 0.45 * fps)
    matched = _match(*_filtered(samples, parts, fps, factor, band_hz, rate_hz), clock_hz / rate_hz)
    if matched is None:
        return None
    accepted = _correlation(matched.beats, np.median(matched.beats, axis=0), matched.taper) >= MINIMUM_CORRELATION
    sound = matched.beats[accepted] if accepted.any() else matched.beats
    edges = [0, *(edge for part in parts for edge in (part.start, part.stop)), len(samples)]
    return Beats(
        times_s=(matched.indices + matched.offsets) / clock_hz,
        accepted=accepted,
        jitter_ms=1e3 * _jitter_s(sound, matched.template, clock_hz, band_hz[1] - band_hz[0]),
        duration_s=len(samples) / fps,
        fps=fps,
        interruptions=tuple(
            (start / fps, stop / fps) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop
        ),
    )


def _changing(samples: Floats, period: float) -> list[slice]:
    """Parts of a waveform (T,) between those in which nothing changes for a beat period, given in samples.

    Nothing changes if the values keep to a level, or to a straight line by which a gap was closed. A level may have
    rounding errors, toggle by one step of the digitiser, or carry noise that is small beside the pulse.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    level = float(np.abs(samples).max())
    distances = np.diff(np.unique(samples))
    steps = distances[distances > FLAT * level]
    if len(steps) == 0:
        return []
    half = int(np.ceil(period / 2))
    window = 2 * half + 1
    inside = slice(half, len(samples) - half)  # the centres of windows that lie within the waveform
    ranges = (maximum_filter1d(samples, window) - minimum_filter1d(samples, window))[inside]
    bends = maximum_filter1d(np.pad(np.abs(np.diff(samples, 2)), 1), window - 2)[inside]
    still = (ranges <= steps.min() + FLAT * level) | (bends <= STRAIGHT * level)
    if not still.all():
        still |= ranges < STILL * np.median(ranges[~still])
    centres = np.zeros(len(samples), bool)
    centres[inside] = still
    changes = np.flatnonzero(np.diff(np.pad(~maximum_filter1d(centres, window), 1).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in changes.reshape(-1, 2)]


def _filtered(
    samples: Floats, parts: list[slice], fps: float, factor: int, band_hz: tuple[float, float], rate_hz: float
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Filter each uninterrupted part of a waveform (T,) by itself, on a clock that is `factor` times as fine.

    Returns:
        The waveform in a broad band and in a narrow one, and True where a beat may be placed: not in an interruption,
        nor within half a beat period of the edge of a part, where the filters lack context. Each is (factor T,).
    """
    from scipy.signal import resample_poly

    margin = int(0.5 * fps * factor / rate_hz)
    fine, cycles = np.zeros((2, factor * len(samples)))
    placeable = np.zeros(len(fine), bool)
    for part in parts:
        start, stop = factor * part.start, factor * part.stop
        detrended = detrend(samples[part], 600 * (fps / 30) ** 2)
        fine[start:stop] = resample_poly(bandpass(detrended, fps, *band_hz, order=2), factor, 1)
        cycles[start:stop] = resample_poly(bandpass(detrended, fps, 0.6 * rate_hz, 1.6 * rate_hz, order=2), factor, 1)
        placeable[start + margin : stop - margin] = True
    return fine, cycles, placeable


@dataclass(frozen=True, eq=False)
class _Matched:
    """Result of the matched filter: indices (B,), offsets (B,) in samples, beats (B, W), template and taper (W,)."""

    indices: npt.NDArray[np.int_]
    offsets: Floats
    beats: Floats
    template: Floats
    taper: Floats


def _match(fine: Floats, cycles: Floats, placeable: npt.NDArray[np.bool_], period: float) -> _Matched | None:
    """Place beats in the fine waveform (N,) by a matched filter; None if fewer than four can be placed.

    Args:
        fine: broad-band waveform.
        cycles: narrow-band waveform on the same clock, one cycle per beat.
        placeable: True where a beat may be placed.
        period: of a beat, in samples.
    """
    from scipy.signal import fftconvolve, find_peaks

    half = int(HALF_WINDOW * period)
    window = np.arange(-half, half + 1)
    taper = np.hanning(len(window))

    def inside(indices: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
        return np.unique(indices[placeable[indices]])

    crests, _ = find_peaks(cycles, distance=max(1, int(0.5 * period)))
    indices = _highest_near(np.gradient(fine), crests - int(0.2 * period), int(0.25 * period))
    for _ in range(2):  # the second template is the median of better aligned beats
        indices = inside(indices)
        if len(indices) < MINIMUM_BEATS:
            return None
        typical = np.median(fine[indices[:, None] + window], axis=0)
        template = taper * (typical - np.average(typical, weights=taper))
        match = fftconvolve(fine, template[::-1], mode="same")
        indices = _highest_near(match, indices, int(0.15 * period))
    indices = inside(indices)
    if len(indices) < MINIMUM_BEATS:
        return None
    left, middle, right = match[indices - 1], match[indices], match[indices + 1]
    curvature = left - 2 * middle + right
    offsets = 0.5 * (left - right) / np.where(curvature < 0, curvature, -np.inf)
    return _Matched(indices, np.clip(offsets, -0.5, 0.5), fine[indices[:, None] + window], template, taper)


def _highest_near(signal: Floats, indices: npt.NDArray[np.int_], radius: int) -> npt.NDArray[np.int_]:
    """Index of the highest sample within `radius` of each index, as far as the signal reaches."""
    indices = np.clip(indices, 0, len(signal) - 1)
    around = np.clip(indices[:, None] + np.arange(-radius, radius + 1), 0, len(signal) - 1)
    return np.asarray(around[np.arange(len(indices)), np.argmax(signal[around], axis=1)])


def _correlation(beats: Floats, typical: Floats, taper: Floats) -> Floats:
    """Correlation of each beat with the typical one, weighted by the taper."""
    centred = beats - np.average(beats, axis=1, weights=taper)[:, None]
    reference = typical - np.average(typical, weights=taper)
    scale = np.sqrt((centred**2 * taper).sum(axis=1) * (reference**2 * taper).sum())
    return np.asarray((centred * reference * taper).sum(axis=1) / np.where(scale > 0, scale, np.inf))


def _jitter_s(beats: Floats, template: Floats, clock_hz: float, bandwidth_hz: float) -> float:
    """RMS timing error of the matched filter, from the noise that remains when the typical beat is fitted to each beat.

    Noise of density N that is flat over the band moves the maximum of ``∫ w(t) u(t - τ) dt`` by
    ``√(N ∫ u'²) / ∫ u' s'`` (RMS), u being the template and s the beat. The formula holds for noise that is small
    beside the pulse; stronger noise makes other maxima the highest, which the residual does not show.
    """
    typical = np.median(beats, axis=0)
    # Each beat has its own level, size and time: they are fitted, and their three degrees of freedom are accounted for.
    shape = np.stack([np.ones_like(typical), typical, np.gradient(typical)], axis=1)
    residual = beats.T - shape @ np.linalg.lstsq(shape, beats.T, rcond=None)[0]
    freedom = 2 * bandwidth_hz * len(typical) / clock_hz
    noise = float(np.mean(residual**2)) * freedom / max(freedom - 3, 1)
    derivative = np.gradient(template)
    gain = float((derivative * np.gradient(typical)).sum())
    density = noise * clock_hz / (2 * bandwidth_hz)
    return sqrt(density * float((derivative**2).sum())) / max(gain, 1e-300) / clock_hz if gain > 0 else float("inf")

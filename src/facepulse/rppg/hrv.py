"""Single beats of a waveform, and heart-rate variability that knows its own noise floor.

Noise moves every beat found, and moved beats look like a variable heart. Beats therefore come with the jitter that the
waveform's noise explains, and a variability that does not stand clear of it is withheld.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from scipy.signal import fftconvolve, find_peaks, resample_poly

from facepulse._types import Floats
from facepulse.rppg.spectrum import MINIMUM_SAMPLES, bandpass, detrend

MINIMUM_S = {"bpm": 5.0, "rmssd_ms": 20.0, "sdnn_ms": 20.0, "pnn50": 30.0, "lf_hf": 55.0}
CLOCK_HZ = 240.0  # beats are placed on a clock at least this fine, then between its ticks by a parabola
HALF_BEAT = 0.3  # periods either side of the steepest rise that tell one beat's time: upstroke, peak, first descent
SIMILARITY = 0.9  # correlation with the typical beat below which a beat is not trusted
TOLERANCE = 0.25  # of the running median, beyond which an interval is a missed or a false beat
MINIMUM_KEPT = 0.6  # share of intervals without which the rest no longer stands for the recording
CLEAR_FLOOR_MS = 8.0  # a floor below this is harmless in any reading: a metronome stays under 15 ms
CLEAR_RATIO = 1 / 3  # noise of this share of the reading adds 6 % to it
MINIMUM_FRAMES = 8.0  # a beat; with fewer, its third harmonic nears the Nyquist frequency and the shape wavers
WORST_JITTER_MS = 10.0  # above it some beats are other waves altogether, and the reading is high for that reason


@dataclass(frozen=True, eq=False)
class Beats:
    """The beats of one waveform.

    Attributes:
        times_s: (B,) float64, seconds from the waveform's first sample, increasing: where the steepest rise of the
            typical beat falls in its best match.
        trusted: (B,) bool, False where the beat hardly resembles the typical one.
        jitter_ms: how far noise moves a beat (RMS), from the waveform around the typical beat.
        duration_s: length of the waveform.
        fps: its sampling rate in Hz.
    """

    times_s: Floats
    trusted: npt.NDArray[np.bool_]
    jitter_ms: float
    duration_s: float
    fps: float


@dataclass(frozen=True)
class Hrv:
    """Heart rate and its variability from beat intervals; None where a figure is withheld.

    Attributes:
        bpm: 60 s over the mean interval.
        rmssd_ms: root mean square of successive differences.
        sdnn_ms: standard deviation of the intervals.
        pnn50: percentage of successive differences above 50 ms.
        lf_hf: power of 0.04-0.15 Hz over 0.15-0.4 Hz.
        rmssd_floor_ms: the RMSSD that noise alone would read.
        kept: share of the intervals that passed artefact rejection, 0 to 1.
        withheld: for each figure that is None, the reason.
    """

    bpm: float
    rmssd_ms: float | None
    sdnn_ms: float | None
    pnn50: float | None
    lf_hf: float | None
    rmssd_floor_ms: float
    kept: float
    withheld: dict[str, str]

    def __str__(self) -> str:
        """What is known, and the first reason for what is not."""
        figures = {
            "RMSSD {:.0f} ms": self.rmssd_ms,
            "SDNN {:.0f} ms": self.sdnn_ms,
            "pNN50 {:.0f} %": self.pnn50,
            "LF/HF {:.1f}": self.lf_hf,
        }
        known = [text.format(value) for text, value in figures.items() if value is not None]
        unknown = [text.split()[0] for text, value in figures.items() if value is None]
        if unknown:
            known.append(f"{', '.join(unknown)} withheld ({next(iter(self.withheld.values()))})")
        return ", ".join(known)


def find_beats(waveform: npt.ArrayLike, fps: float, bpm: float) -> Beats | None:
    """Find every beat to a fraction of a sample.

    A narrow band around `bpm` gives one wave a beat, whatever the dicrotic notch does; the steepest rise of the broader
    waveform places it; the best match with the typical beat (a matched filter) refines it.

    Args:
        waveform: (T,) blood volume pulse on a uniform clock, systole upwards.
        fps: sampling rate in Hz.
        bpm: heart rate of the waveform; beats at 0.6 to 1.6 times that rate are found.

    Returns:
        The beats, or None where fewer than four can be placed.

    Raises:
        ValueError: the waveform is not one-dimensional or not finite, bpm is not positive, or fps is too low for it.
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"waveform must be finite and one-dimensional (T,), got shape {samples.shape}")
    if not bpm > 0:
        raise ValueError(f"bpm must be above zero, not {bpm:g}")
    rate_hz = bpm / 60
    if len(samples) < max(MINIMUM_SAMPLES, 4 * fps / rate_hz):
        return None
    steady = detrend(samples, 600 * (fps / 30) ** 2)
    factor = int(np.ceil(CLOCK_HZ / fps))
    clock_hz = fps * factor
    period = clock_hz / rate_hz
    low_hz, high_hz = 0.5 * rate_hz, min(5 * rate_hz, 0.45 * fps)
    wave = resample_poly(bandpass(steady, fps, low_hz, high_hz, order=2), factor, 1)
    cycles = resample_poly(bandpass(steady, fps, 0.6 * rate_hz, 1.6 * rate_hz, order=2), factor, 1)

    crests, _ = find_peaks(cycles, distance=max(1, int(0.5 * period)))
    margin = int(0.5 * period)  # the filters have no past at the edges, and bend the beats there
    at = _highest_near(np.gradient(wave), crests - int(0.2 * period), int(0.25 * period))
    half = int(HALF_BEAT * period)
    taper = np.hanning(2 * half + 1)
    for _ in range(2):  # the second typical beat is averaged from better aligned ones
        at = np.unique(at[(at >= margin) & (at < len(wave) - margin)])
        if len(at) < 4:
            return None
        beats = wave[at[:, None] + np.arange(-half, half + 1)]
        typical = np.median(beats, axis=0)
        template = taper * (typical - np.average(typical, weights=taper))
        match = fftconvolve(wave, template[::-1], mode="same")
        at = _highest_near(match, at, int(0.15 * period))
    at = np.unique(at[(at >= margin) & (at < len(wave) - margin)])
    if len(at) < 4:
        return None
    beats = wave[at[:, None] + np.arange(-half, half + 1)]
    left, middle, right = match[at - 1], match[at], match[at + 1]
    curvature = left - 2 * middle + right
    offset = 0.5 * (left - right) / np.where(curvature < 0, curvature, -np.inf)
    trusted = _similarity(beats, np.median(beats, axis=0), taper) >= SIMILARITY
    return Beats(
        times_s=(at + np.clip(offset, -0.5, 0.5)) / clock_hz,
        trusted=trusted,
        jitter_ms=1e3 * _jitter_s(beats[trusted] if trusted.any() else beats, template, clock_hz, high_hz - low_hz),
        duration_s=len(samples) / fps,
        fps=fps,
    )


def hrv(beats: Beats) -> Hrv | None:
    """Heart rate and its variability, each figure only where it means something.

    An interval counts if both its beats are trusted and it is within 25 % of the running median; a difference counts
    if both its intervals do. Heart rate needs 5 s, RMSSD and SDNN 20 s, pNN50 30 s, LF/HF 55 s. All but the heart rate
    need 60 % of the intervals, 8 frames a beat, beats that noise moves by under 10 ms, and a noise floor (√6 and √2
    times the jitter) of under 8 ms or a third of the reading; LF/HF the latter.

    Args:
        beats: from `find_beats`.

    Returns:
        The figures, or None below 5 s or three accepted intervals.
    """
    intervals_ms = 1e3 * np.diff(beats.times_s)
    accepted = _accepted(intervals_ms, beats.trusted)
    if beats.duration_s < MINIMUM_S["bpm"] or accepted.sum() < 3:
        return None
    good_ms = intervals_ms[accepted]
    differences_ms = np.diff(intervals_ms)[accepted[1:] & accepted[:-1]]
    kept = float(accepted.mean())
    frames = beats.fps * float(good_ms.mean()) / 1e3
    floors_ms = {"rmssd_ms": sqrt(6) * beats.jitter_ms, "sdnn_ms": sqrt(2) * beats.jitter_ms}
    readings: dict[str, float] = {"sdnn_ms": float(good_ms.std(ddof=1))}
    if len(differences_ms):
        readings["rmssd_ms"] = sqrt(np.mean(differences_ms**2))
        readings["pnn50"] = 100 * float(np.mean(np.abs(differences_ms) > 50))
    ratio = _lf_hf(beats.times_s[1:][accepted], good_ms)
    if ratio is not None:
        readings["lf_hf"] = ratio

    withheld: dict[str, str] = {}
    for name in ("rmssd_ms", "sdnn_ms", "pnn50", "lf_hf"):
        # pNN50 and LF/HF are made of the same differences as RMSSD, and are as good as it is.
        judged = "sdnn_ms" if name == "sdnn_ms" else "rmssd_ms"
        floor_ms, reading_ms = floors_ms[judged], readings.get(judged, 0.0)
        harmless_ms = 0.0 if name == "lf_hf" else CLEAR_FLOOR_MS  # a ratio of nothing to nothing is not small, but any
        if beats.duration_s < MINIMUM_S[name] - 0.5 / CLOCK_HZ:
            withheld[name] = f"needs {MINIMUM_S[name]:g} s, has {beats.duration_s:.1f} s"
        elif name not in readings:
            withheld[name] = "too few successive intervals"
        elif kept < MINIMUM_KEPT:
            withheld[name] = f"{100 * kept:.0f} % of the beat intervals are sound, needs {100 * MINIMUM_KEPT:.0f} %"
        elif frames < MINIMUM_FRAMES:
            withheld[name] = f"needs {MINIMUM_FRAMES:g} frames a beat, has {frames:.1f}: record at a higher frame rate"
        elif beats.jitter_ms > WORST_JITTER_MS or floor_ms > max(harmless_ms, CLEAR_RATIO * reading_ms):
            figure = judged.removesuffix("_ms").upper()
            withheld[name] = (
                f"noise alone would read {figure} {floor_ms:.0f} ms, the waveform reads {reading_ms:.0f} ms"
            )
    shown = {name: None if name in withheld else readings[name] for name in ("rmssd_ms", "sdnn_ms", "pnn50", "lf_hf")}
    return Hrv(
        bpm=float(60e3 / good_ms.mean()),
        **shown,
        rmssd_floor_ms=floors_ms["rmssd_ms"],
        kept=kept,
        withheld=withheld,
    )


def _accepted(intervals_ms: Floats, trusted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which intervals lie between trusted beats and near the running median of such intervals."""
    sound = trusted[1:] & trusted[:-1]
    if not sound.any():
        return sound
    indices = np.flatnonzero(sound)
    medians = median_filter(intervals_ms[indices], size=min(11, len(indices)), mode="nearest")
    near = np.abs(intervals_ms[indices] - medians) <= TOLERANCE * medians
    result = np.zeros_like(sound)
    result[indices[near]] = True
    return result


def _lf_hf(ends_s: Floats, intervals_ms: Floats) -> float | None:
    """LF/HF of the intervals, interpolated to 4 Hz as is usual (Task Force, Circulation 93 (1996)); None without HF."""
    clock_s = np.arange(ends_s[0], ends_s[-1], 0.25)
    tachogram = np.interp(clock_s, ends_s, intervals_ms)
    tachogram = (tachogram - tachogram.mean()) * np.hanning(len(tachogram))
    hz = np.fft.rfftfreq(len(tachogram), 0.25)
    power = np.abs(np.fft.rfft(tachogram)) ** 2
    low = float(power[(hz >= 0.04) & (hz < 0.15)].sum())
    high = float(power[(hz >= 0.15) & (hz < 0.4)].sum())
    return low / high if high > 0 else None


def _highest_near(signal: Floats, indices: npt.NDArray[np.int_], radius: int) -> npt.NDArray[np.int_]:
    """Index of the highest sample within `radius` of each index, as far as the signal reaches."""
    indices = np.clip(indices, 0, len(signal) - 1)
    around = np.clip(indices[:, None] + np.arange(-radius, radius + 1), 0, len(signal) - 1)
    return np.asarray(around[np.arange(len(indices)), np.argmax(signal[around], axis=1)])


def _similarity(beats: Floats, typical: Floats, taper: Floats) -> Floats:
    """Correlation of each beat with the typical one, weighted towards its middle."""
    centred = beats - np.average(beats, axis=1, weights=taper)[:, None]
    reference = typical - np.average(typical, weights=taper)
    scale = np.sqrt((centred**2 * taper).sum(axis=1) * (reference**2 * taper).sum())
    return np.asarray((centred * reference * taper).sum(axis=1) / np.where(scale > 0, scale, np.inf))


def _jitter_s(beats: Floats, template: Floats, clock_hz: float, bandwidth_hz: float) -> float:
    """RMS error of the matched filter's times for the noise left when the typical beat is taken out of each beat.

    Noise of density N that is flat over the band moves the maximum of ``∫ w(t) u(t - τ) dt`` by
    ``√(N ∫ u'²) / ∫ u' s'`` (RMS), u being the template and s the beat. It holds while noise is small beside the pulse;
    stronger noise makes other maxima the highest, which no formula of the residual tells.
    """
    typical = np.median(beats, axis=0)
    # Level, size and time are each beat's own: fitted away, and their three degrees of freedom given back to the noise.
    shape = np.stack([np.ones_like(typical), typical, np.gradient(typical)], axis=1)
    residual = beats.T - shape @ np.linalg.lstsq(shape, beats.T, rcond=None)[0]
    freedom = 2 * bandwidth_hz * len(typical) / clock_hz
    noise = float(np.mean(residual**2)) * freedom / max(freedom - 3, 1)
    slope = np.gradient(template)
    gain = float((slope * np.gradient(typical)).sum())
    density = noise * clock_hz / (2 * bandwidth_hz)
    return sqrt(density * float((slope**2).sum())) / max(gain, 1e-300) / clock_hz if gain > 0 else float("inf")

"""One simulated heart: when it beats, and how the blood in the skin of face and finger follows.

The rate is a course (steady, drifting, ...) that respiration, Mayer waves near 0.1 Hz and slower fluctuations modulate;
beats fall where its integral passes whole numbers (integral pulse frequency modulation). Each beat sends a pulse of two
waves, the heart's and its reflection, which overlap and add. Everything is random and comes from one generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats

MARGIN_S = 5.0  # before the first and after the last frame, so that a delayed pulse is known there too
LEAD_S = 4.0  # more beats on either side: the tails of earlier pulses lie under every one
CLOCK_HZ = 250.0  # of the tables; between their ticks a pulse is straight to 0.1 % of its height
PULSE_S = 2.5  # a pulse has died away after this time
PREMATURE = (0.25, 0.40)  # share of an interval by which an extrasystole comes early

# Variability at 65 bpm: median over people of each band's standard deviation in ms, and its spread in ln units. Between
# the Task Force's norm (Circulation 93 (1996): LF 1170 and HF 975 of 3466 ms², supine) and the mean of 44 studies (LF
# 519 ± 291, HF 657 ± 777 ms², SDNN 50 ± 16, RMSSD 42 ± 15 ms; Nunan et al., PACE 33 (2010), in Shaffer & Ginsberg,
# Front. Public Health 5 (2017)), nearer the former; the spreads are the latter's.
BANDS_MS = ((36.0, 0.40), (32.0, 0.26), (29.0, 0.47))  # VLF, LF, HF
# All of them fall exponentially with the heart rate (Monfredi et al., Hypertension 2014; van den Berg et al., Front.
# Physiol. 2018), vagal ones fastest; chosen so that a few ms of respiration's part are left at 135 bpm.
SLOW_DECAY_PER_BPM, HF_DECAY_PER_BPM = 0.023, 0.032
# In the minutes after exercise they stay below what the rate explains (Javorka et al., Braz. J. Med. Biol. Res. 2002;
# Goldberger et al., Am. J. Physiol. Heart 2006).
AFTER_EXERCISE = 0.5

# Adults breathe 12 to 20 times a minute at rest, faster after exercise; cycles vary by 20 %, depths by 30 % (Tobin et
# al., J. Appl. Physiol. 1988), and inspiration takes 40 % of a cycle.
RESPIRATION_HZ, RESPIRATION_AFTER_EXERCISE_HZ = (0.15, 0.35), (0.25, 0.45)
INSPIRATION = 0.4
# Respiration's peak-to-peak share of the pulse: in amplitude about the 12 ± 9 % of ventilated patients (Cannesson et
# al., Anesthesiology 2007); in baseline chosen. Both, and the rate's, as in Karlen et al. (IEEE Trans. Biomed.
# Eng. 2013) and Charlton et al. (Physiol. Meas. 2016).
BREATH_AMPLITUDE, BREATH_BASELINE = (0.03, 0.22), (0.03, 0.25)
# Vessels widen and narrow by themselves: amplitudes vary by 11 % from beat to beat at ear and thumb even in paced
# breathing (Allen & Murray, IEE Proc. Sci. Meas. Technol. 2000). Median standard deviation, and its spread in ln units.
VASOMOTION = (0.11, 0.35)
FINGER_VASOMOTION = (1.0, 2.5)  # times the face's: fingertips have many sympathetic nerves
# The pulse's foot comes to the ear 133 ms after the R wave and to the thumb at 199 ms; each beat's time varies by 2.2 %
# at the thumb and 2.8 % at the ear, 4 ms each (ibid.). Between people the arm's length and its stiffness differ.
FINGER_DELAY_S, JITTER_S = (0.03, 0.10), 0.004


@dataclass(frozen=True, eq=False)
class Heartbeat:
    """Everything about one heart, from 5 s before a recording to 5 s after it.

    Attributes:
        beats_s: (B,) float64, ascending times in seconds at which the foot of a systolic upstroke reaches the face.
        clock_s: (C,) float64, uniform times of the tables below.
        rate: (C,) beats a minute that the sinus node strives for; extrasystoles do not touch it.
        respiration: (C,) -1 to 1.
        face: (C,) blood volume in the skin of the face, the mean beat's peak-to-peak being 1.
        contact: (C,) the finger sensor's waveform, in the same unit.
    """

    beats_s: Floats
    clock_s: Floats
    rate: Floats
    respiration: Floats
    face: Floats
    contact: Floats

    def volume(self, times: npt.ArrayLike, delay_s: npt.ArrayLike = 0.0) -> Floats:
        """Blood volume in the face's skin, systole upwards, peak-to-peak of the mean beat 1, mean about 0.

        Args:
            times: seconds from the first frame, any shape.
            delay_s: how much later than at the place that `beats_s` describes; broadcasts with `times`.

        Raises:
            ValueError: a time lies more than 5 s outside the recording.
        """
        return self._at(np.asarray(times, np.float64) - np.asarray(delay_s, np.float64), self.face)

    def finger(self, times: npt.ArrayLike) -> Floats:
        """Waveform of a contact sensor at the finger: later, sharper, with its own wander; raises as `volume`."""
        return self._at(times, self.contact)

    def breath(self, times: npt.ArrayLike) -> Floats:
        """Respiration, -1 to 1, inspiration upwards; raises as `volume`."""
        return self._at(times, self.respiration)

    def rate_bpm(self, times: npt.ArrayLike) -> Floats:
        """Instantaneous heart rate in beats a minute, without extrasystoles; raises as `volume`."""
        return self._at(times, self.rate)

    def mean_bpm(self, start_s: float, end_s: float) -> float:
        """Beats between two times, fractions counted, a minute.

        Raises:
            ValueError: the span is empty or lies more than 5 s outside the recording.
        """
        if not self.clock_s[0] <= start_s < end_s <= self.clock_s[-1]:
            raise ValueError(f"span {start_s:g} to {end_s:g} s is not {self._span()}")
        first, last = np.interp([start_s, end_s], self.beats_s, np.arange(len(self.beats_s)))
        return float(60 * (last - first) / (end_s - start_s))

    def _at(self, times: npt.ArrayLike, table: Floats) -> Floats:
        asked = np.asarray(times, np.float64)
        if asked.size and not (asked.min() >= self.clock_s[0] and asked.max() <= self.clock_s[-1]):
            raise ValueError(f"times {asked.min():g} to {asked.max():g} s are not {self._span()}")
        return np.asarray(np.interp(asked, self.clock_s, table), np.float64)

    def _span(self) -> str:
        return f"within {self.clock_s[0]:g} to {self.clock_s[-1]:g} s, which this heart was drawn for"


Course = Literal["steady", "drift", "step", "recovery"]


def _steady(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    return np.zeros_like(clock_s)


def _drift(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    return np.asarray(rng.choice([-1, 1]) * rng.uniform(0.06, 0.20) * clock_s / seconds, np.float64)


def _step(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    """Up or down within seconds, as on standing up or at a stressful question."""
    height, at_s, width_s = rng.uniform(0.10, 0.25), rng.uniform(0.3, 0.7) * seconds, rng.uniform(0.7, 2.0)
    return np.asarray(rng.choice([-1, 1]) * height * 0.5 * (1 + np.tanh((clock_s - at_s) / (2 * width_s))), np.float64)


def _recovery(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    """Exponential fall after exercise; time constants as in Pierpont et al., Am. J. Cardiol. 2000."""
    return np.asarray(rng.uniform(0.5, 1.2) * np.exp(-clock_s / rng.uniform(60, 120)), np.float64)


COURSES: dict[Course, Callable[[np.random.Generator, Floats, float], Floats]] = {
    "steady": _steady,
    "drift": _drift,
    "step": _step,
    "recovery": _recovery,
}


def draw_heartbeat(
    rng: np.random.Generator,
    seconds: float,
    *,
    bpm: float,
    course: Course = "steady",
    ectopic_per_minute: float = 0.0,
) -> Heartbeat:
    """Draw one person's heart for one recording.

    Args:
        rng: of everything random; the same state gives the same heart.
        seconds: length of the recording.
        bpm: mean heart rate over the recording, whatever the course.
        course: how the rate changes: only varies; linearly; within seconds; exponentially after exercise.
        ectopic_per_minute: mean number of extrasystoles.

    Raises:
        ValueError: seconds or bpm is no rate of a living person, or the course is unknown.
    """
    if not (seconds > 0 and 30 <= bpm <= 220):
        raise ValueError(f"seconds must be positive and bpm 30 to 220, not {seconds:g} s at {bpm:g} bpm")
    if course not in COURSES:
        raise ValueError(f"course {course!r} is none of {', '.join(COURSES)}")
    reach_s = MARGIN_S + LEAD_S
    clock_s = np.arange(-round(reach_s * CLOCK_HZ), round((seconds + reach_s) * CLOCK_HZ) + 1) / CLOCK_HZ
    recorded = (clock_s >= 0) & (clock_s <= seconds)

    breath = _breathe(rng, clock_s, RESPIRATION_AFTER_EXERCISE_HZ if course == "recovery" else RESPIRATION_HZ)
    base = _course(rng, clock_s, seconds, bpm, course)
    vigour = AFTER_EXERCISE if course == "recovery" else 1.0
    rate = base * (1 + _variability(rng, clock_s, base, breath, vigour))
    rate *= bpm / rate[recorded].mean()
    sinus_s = _integrate(rng, clock_s, rate)
    beats_s, strength = _extrasystoles(rng, sinus_s + JITTER_S * rng.standard_normal(len(sinus_s)), ectopic_per_minute)

    stiffness = rng.beta(2, 2)  # from supple to stiff vessels, as between 20 and 80 years
    intervals_s = 60 / np.interp(beats_s, clock_s, rate)
    face = _unit_pulses(clock_s, beats_s, intervals_s, strength, _face_waves(rng, stiffness), recorded)
    arrivals_s = beats_s + rng.uniform(*FINGER_DELAY_S) + JITTER_S * rng.standard_normal(len(beats_s))
    contact = _unit_pulses(clock_s, arrivals_s, intervals_s, strength, _finger_waves(rng, stiffness), recorded)
    face = _modulate(rng, clock_s, face, breath, VASOMOTION[0])
    contact = _modulate(rng, clock_s, contact, breath, VASOMOTION[0] * rng.uniform(*FINGER_VASOMOTION))
    contact += rng.uniform(0.02, 0.10) * _fluctuation(rng, clock_s, np.exp(rng.uniform(np.log(0.02), np.log(0.15), 30)))
    contact += rng.uniform(0.001, 0.006) * rng.standard_normal(len(clock_s))

    kept = slice(round(LEAD_S * CLOCK_HZ), len(clock_s) - round(LEAD_S * CLOCK_HZ))
    return Heartbeat(beats_s, clock_s[kept], rate[kept], breath[kept], face[kept], contact[kept])


def _course(rng: np.random.Generator, clock_s: Floats, seconds: float, bpm: float, course: Course) -> Floats:
    """The course in beats a minute, its mean over the recording `bpm`, flattened where it would leave 35 to 205."""
    change = COURSES[course](rng, clock_s, seconds)
    recorded = (clock_s >= 0) & (clock_s <= seconds)
    while True:
        rate = bpm * (1 + change) / (1 + change[recorded].mean())
        if np.ptp(change) < 1e-3 or (rate.min() >= min(35, 0.95 * bpm) and rate.max() <= max(205, 1.05 * bpm)):
            return np.asarray(rate, np.float64)
        change = 0.8 * change


def _breathe(rng: np.random.Generator, clock_s: Floats, range_hz: tuple[float, float]) -> Floats:
    """Respiration, -1 to 1, in cycles of varying length and depth; each starts and ends at the end of expiration."""
    cycle_s = 1 / rng.uniform(*range_hz)
    count = int(2 * np.ptp(clock_s) / cycle_s) + 10
    lengths_s = cycle_s * np.clip(1 + 0.2 * rng.standard_normal(count), 0.6, 1.5)
    depths = np.clip(0.7 * (1 + 0.25 * rng.standard_normal(count)), 0.25, 1.0)
    starts_s = clock_s[0] - rng.uniform(0, cycle_s) + np.concatenate([[0.0], np.cumsum(lengths_s)[:-1]])
    cycle = np.searchsorted(starts_s, clock_s, side="right") - 1
    phase = (clock_s - starts_s[cycle]) / lengths_s[cycle]
    phase = np.interp(phase, [0, INSPIRATION, 1], [0, 0.5, 1])
    return np.asarray(2 * depths[cycle] * np.sin(np.pi * phase) ** 2 - 1, np.float64)


def _fluctuation(rng: np.random.Generator, clock_s: Floats, hz: Floats) -> Floats:
    """Noise of unit variance: waves of random phase at the given frequencies, which are drawn from its spectrum."""
    coarse_s = clock_s[::10]  # fine enough for waves below 0.5 Hz, and ten times as fast
    phases = 2 * np.pi * (hz[:, None] * coarse_s + rng.uniform(size=(len(hz), 1)))
    return np.asarray(np.interp(clock_s, coarse_s, np.cos(phases).sum(axis=0) * np.sqrt(2 / len(hz))), np.float64)


def _mayer_hz(rng: np.random.Generator) -> Floats:
    """Frequencies of the baroreflex's oscillation, near 0.1 Hz (Task Force, Circulation 93 (1996): 0.04-0.15 Hz)."""
    return rng.normal(rng.uniform(0.085, 0.115), 0.012, 30)


def _variability(rng: np.random.Generator, clock_s: Floats, base_bpm: Floats, breath: Floats, vigour: float) -> Floats:
    """Relative change of the rate: respiratory sinus arrhythmia (faster in inspiration), Mayer waves, 1/f below."""
    vlf_ms, lf_ms, hf_ms = (typical * np.exp(spread * rng.standard_normal()) for typical, spread in BANDS_MS)
    very_low_hz = np.exp(rng.uniform(np.log(0.0033), np.log(0.04), 30))  # evenly in ln f: a 1/f spectrum
    slow_ms = vlf_ms * _fluctuation(rng, clock_s, very_low_hz) + lf_ms * _fluctuation(rng, clock_s, _mayer_hz(rng))
    arrhythmia_ms = hf_ms * (breath - breath.mean()) / breath.std()
    change_ms = slow_ms * np.exp(-SLOW_DECAY_PER_BPM * (base_bpm - 65))
    change_ms += arrhythmia_ms * np.exp(-HF_DECAY_PER_BPM * (base_bpm - 65))
    return np.asarray(np.clip(vigour * change_ms * base_bpm / 60e3, -0.3, 0.3), np.float64)


def _integrate(rng: np.random.Generator, clock_s: Floats, rate_bpm: Floats) -> Floats:
    """Times at which the integral of the rate passes whole numbers."""
    beats = np.concatenate([[0.0], np.cumsum(0.5 * (rate_bpm[1:] + rate_bpm[:-1]))]) / (60 * CLOCK_HZ)
    return np.asarray(np.interp(np.arange(rng.uniform(), beats[-1]), beats, clock_s), np.float64)


def _extrasystoles(rng: np.random.Generator, beats_s: Floats, per_minute: float) -> tuple[Floats, Floats]:
    """Move some beats forward and weaken their pulse; the sinus beat after them comes when it would have, and strong.

    So the pause is fully compensatory, as of ventricular extrasystoles; the heart had less time to fill before the
    early beat, and more before the next (Sološenko et al., IEEE Trans. Biomed. Circuits Syst. 2015).
    """
    moved, strength = beats_s.copy(), np.ones(len(beats_s))
    chance = per_minute / 60 * float(np.diff(beats_s).mean())
    last = -3
    for index in np.flatnonzero(rng.uniform(size=len(beats_s)) < chance):
        if index - last >= 3 and 0 < index < len(beats_s) - 1:
            moved[index] -= rng.uniform(*PREMATURE) * (beats_s[index] - beats_s[index - 1])
            strength[index : index + 2] = rng.uniform(0.15, 0.6), rng.uniform(1.05, 1.25)
            last = int(index)
    return moved, strength


class _Waves(NamedTuple):
    """Pulse of a beat at 60 bpm: the heart's wave and its reflection, both shaped like a gamma distribution."""

    rise_s: float  # from the foot to the peak of the first wave
    sharpness: float  # exponent of both; the larger, the narrower for its rise
    delay_s: float  # from the first wave's foot to the second's
    reflection: float  # height of the second, the first's being 1
    breadth: float  # rise of the second in rises of the first

    def __call__(self, since_s: Floats) -> Floats:
        first = np.maximum(since_s / self.rise_s, 0.0)
        second = np.maximum((since_s - self.delay_s) / (self.breadth * self.rise_s), 0.0)
        heights = [(x * np.exp(1 - x)) ** self.sharpness for x in (first, second)]
        return np.asarray(heights[0] + self.reflection * heights[1], np.float64)


def _finger_waves(rng: np.random.Generator, stiffness: float) -> _Waves:
    """Waves at the fingertip.

    The reflection comes 330 ms after systole in supple vessels and 190 ms in stiff ones, 1.7 m over 5 to 9 m/s
    (Millasseau et al., Clin. Sci. 2002); with stiffness the rise lengthens and the notch fills (Allen & Murray,
    Physiol. Meas. 2003). The second peak is higher than the reflection alone, for it stands on the first wave's tail.
    """
    return _Waves(
        rise_s=0.168 + 0.04 * stiffness + rng.normal(0, 0.008),
        sharpness=rng.uniform(3.3, 5.2),
        delay_s=0.33 - 0.14 * stiffness + rng.normal(0, 0.015),
        reflection=rng.uniform(0.15, 0.36),
        breadth=rng.uniform(1.0, 1.3),
    )


def _face_waves(rng: np.random.Generator, stiffness: float) -> _Waves:
    """Waves in the face: rounder, with a later peak and a longer tail, as measured at the forehead and the ear.

    Sources: Hartmann et al., Front. Physiol. 10:198 (2019); 264 ms from foot to peak at the ear, 237 ms at the thumb in
    Allen & Murray (2000).
    """
    finger = _finger_waves(rng, stiffness)
    return finger._replace(rise_s=finger.rise_s * rng.uniform(1.05, 1.2), sharpness=rng.uniform(2.8, 3.8))


def _unit_pulses(
    clock_s: Floats,
    arrivals_s: Floats,
    intervals_s: Floats,
    strength: Floats,
    waves: _Waves,
    recorded: npt.NDArray[np.bool_],
) -> Floats:
    """Sum of all beats' pulses; peak-to-peak 1 in the mean sinus beat of the recording, mean 0 over it.

    Systole shortens with about the cube root of the interval (Fridericia, Acta Med. Scand. 1920, for QT), so that fast
    beats run into each other and lose their harmonics.
    """
    total = np.zeros_like(clock_s)
    for arrival_s, interval_s, height in zip(arrivals_s, intervals_s, strength, strict=True):
        first, last = np.searchsorted(clock_s, (arrival_s, arrival_s + PULSE_S))
        total[first:last] += height * waves((clock_s[first:last] - arrival_s) / np.cbrt(interval_s))
    feet = np.searchsorted(clock_s, arrivals_s[1:-1])
    heights = (np.maximum.reduceat(total, feet) - np.minimum.reduceat(total, feet))[:-1]
    usual = (strength[1:-2] == 1) & recorded[feet[:-1]]
    height = heights[usual].mean() if usual.any() else heights.mean()
    return np.asarray((total - total[recorded].mean()) / height, np.float64)


def _modulate(rng: np.random.Generator, clock_s: Floats, pulses: Floats, breath: Floats, vasomotion: float) -> Floats:
    """What respiration and the vessels' own rhythm do to the size of the pulses and to their baseline.

    Inspiration draws blood into the chest: a moment later there is less of it in the skin, and the pulses are smaller.
    """
    late = (np.interp(clock_s - rng.uniform(0.0, 0.8), clock_s, breath) - breath.mean()) / 2
    vasomotion *= np.exp(VASOMOTION[1] * rng.standard_normal())
    vessels = vasomotion * _fluctuation(rng, clock_s, np.abs(_mayer_hz(rng)))
    amplitude = np.clip(1 - rng.uniform(*BREATH_AMPLITUDE) * late + vessels, 0.3, 1.7)
    return np.asarray(amplitude * pulses - rng.uniform(*BREATH_BASELINE) * late + vessels, np.float64)

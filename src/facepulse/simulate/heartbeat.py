"""Simulated heart: beat times and the blood volume pulse in the skin of face and finger.

The heart rate is a course (steady, drifting, ...) modulated by respiration, Mayer waves near 0.1 Hz and slower
fluctuations; a beat occurs whenever its integral passes a whole number (integral pulse frequency modulation). The pulse
of a beat is the sum of a forward and a reflected wave. All randomness comes from one generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats

MARGIN_S = 5.0  # before the first and after the last frame, so that a delayed pulse is defined there too
LEAD_S = 4.0  # of further beats on either side, because the tails of earlier pulses overlap later ones
CLOCK_HZ = 250.0  # of the tables; linear interpolation between their times errs by 0.1 % of the pulse height
PULSE_S = 2.5  # duration after which a pulse is negligible
PREMATURE = (0.25, 0.40)  # fraction of an interval by which an extrasystole is early

# Variability at 65 bpm: median over people of the standard deviation of each band in ms, and its spread in ln units.
# Between the norm of the Task Force (Circulation 93 (1996): LF 1170 and HF 975 of 3466 ms², supine) and the mean of 44
# studies (LF 519 ± 291, HF 657 ± 777 ms², SDNN 50 ± 16, RMSSD 42 ± 15 ms; Nunan et al., PACE 33 (2010), in Shaffer &
# Ginsberg, Front. Public Health 5 (2017)), closer to the former; the spreads are those of the latter.
BANDS_MS = ((36.0, 0.40), (32.0, 0.26), (29.0, 0.47))  # VLF, LF, HF
# The variability of all bands falls exponentially with the heart rate (Monfredi et al., Hypertension 2014; van den Berg
# et al., Front. Physiol. 2018), fastest in HF (vagal); chosen to leave a few ms of HF at 135 bpm.
SLOW_DECAY_PER_BPM, HF_DECAY_PER_BPM = 0.023, 0.032
# In the minutes after exercise, variability is lower than the heart rate alone explains (Javorka et al., Braz. J. Med.
# Biol. Res. 2002; Goldberger et al., Am. J. Physiol. Heart 2006).
AFTER_EXERCISE = 0.5

# Adults take 12 to 20 breaths per minute at rest, more after exercise; cycle length varies by 20 %, depth by 30 %
# (Tobin et al., J. Appl. Physiol. 1988), and inspiration takes 40 % of a cycle.
RESPIRATION_HZ, RESPIRATION_AFTER_EXERCISE_HZ = (0.15, 0.35), (0.25, 0.45)
INSPIRATION = 0.4
# Peak-to-peak modulation by respiration, relative to the pulse height: of the amplitude, about the 12 ± 9 % of
# ventilated patients (Cannesson et al., Anesthesiology 2007); of the baseline, chosen. Together with the modulation of
# the rate, as in Karlen et al. (IEEE Trans. Biomed. Eng. 2013) and Charlton et al. (Physiol. Meas. 2016).
BREATH_AMPLITUDE, BREATH_BASELINE = (0.03, 0.22), (0.03, 0.25)
# Vasomotion: pulse amplitudes vary by 11 % from beat to beat at ear and thumb even in paced breathing (Allen & Murray,
# IEE Proc. Sci. Meas. Technol. 2000). Median standard deviation, and its spread in ln units.
VASOMOTION = (0.11, 0.35)
FINGER_VASOMOTION = (1.0, 2.5)  # factor from face to finger: fingertips have many sympathetic nerves
# The foot of the pulse arrives at the ear 133 ms and at the thumb 199 ms after the R wave; arrival times vary by 2.2 %
# at the thumb and 2.8 % at the ear, 4 ms each (ibid.). The length of the arm and its stiffness differ between people.
FINGER_DELAY_S, JITTER_S = (0.03, 0.10), 0.004


@dataclass(frozen=True, eq=False)
class Heartbeat:
    """Beats, rate, respiration and pulse of one heart, from 5 s before a recording to 5 s after it.

    Attributes:
        beats_s: (B,) float64, increasing times in seconds at which the foot of a systolic upstroke reaches the face.
        clock_s: (C,) float64, uniform times of the tables below.
        rate: (C,) heart rate of the sinus node in bpm; extrasystoles do not change it.
        respiration: (C,) -1 to 1.
        face: (C,) blood volume in the skin of the face, scaled to a mean peak-to-peak of 1 per beat.
        contact: (C,) waveform of the finger sensor, in the same unit.
    """

    beats_s: Floats
    clock_s: Floats
    rate: Floats
    respiration: Floats
    face: Floats
    contact: Floats

    def volume(self, times: npt.ArrayLike, delay_s: npt.ArrayLike = 0.0) -> Floats:
        """Return the blood volume in the skin of the face: systole up, mean peak-to-peak of 1 per beat, mean about 0.

        Args:
            times: seconds from the first frame, any shape.
            delay_s: delay relative to `beats_s`, for other places on the face; broadcasts with `times`.

        Raises:
            ValueError: a time lies more than 5 s outside the recording.
        """
        return self._at(np.asarray(times, np.float64) - np.asarray(delay_s, np.float64), self.face)

    def finger(self, times: npt.ArrayLike) -> Floats:
        """Return the waveform of a contact sensor at the finger: later and sharper than `volume`; raises as it does."""
        return self._at(times, self.contact)

    def breath(self, times: npt.ArrayLike) -> Floats:
        """Return the respiration, -1 to 1, inspiration up; raises as `volume`."""
        return self._at(times, self.respiration)

    def rate_bpm(self, times: npt.ArrayLike) -> Floats:
        """Return the instantaneous heart rate in bpm, without extrasystoles; raises as `volume`."""
        return self._at(times, self.rate)

    def mean_bpm(self, start_s: float, end_s: float) -> float:
        """Return the mean heart rate between two times in bpm; beats are counted with fractions.

        Raises:
            ValueError: the interval is empty or extends more than 5 s outside the recording.
        """
        if not self.clock_s[0] <= start_s < end_s <= self.clock_s[-1]:
            raise ValueError(f"interval {start_s:g} to {end_s:g} s is empty or not {self._range()}")
        first, last = np.interp([start_s, end_s], self.beats_s, np.arange(len(self.beats_s)))
        return float(60 * (last - first) / (end_s - start_s))

    def _at(self, times: npt.ArrayLike, table: Floats) -> Floats:
        times_s = np.asarray(times, np.float64)
        if times_s.size and not (times_s.min() >= self.clock_s[0] and times_s.max() <= self.clock_s[-1]):
            raise ValueError(f"times {times_s.min():g} to {times_s.max():g} s are not {self._range()}")
        return np.asarray(np.interp(times_s, self.clock_s, table), np.float64)

    def _range(self) -> str:
        return f"within {self.clock_s[0]:g} to {self.clock_s[-1]:g} s, the range of this heartbeat"


Course = Literal["steady", "drift", "step", "recovery"]


def _steady(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    return np.zeros_like(clock_s)


def _drift(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    return np.asarray(rng.choice([-1, 1]) * rng.uniform(0.06, 0.20) * clock_s / seconds, np.float64)


def _step(rng: np.random.Generator, clock_s: Floats, seconds: float) -> Floats:
    """Rise or fall within seconds, as on standing up or at a stressful question."""
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
    """Draw the heartbeat of one person for one recording.

    Args:
        rng: source of all randomness; the same state gives the same heartbeat.
        seconds: length of the recording.
        bpm: mean heart rate over the recording, for any course.
        course: trend of the rate: none, linear, within seconds, or exponential as after exercise.
        ectopic_per_minute: mean number of extrasystoles.

    Raises:
        ValueError: seconds or bpm is out of range, or the course is unknown.
    """
    if not (seconds > 0 and 30 <= bpm <= 220):
        raise ValueError(f"seconds must be positive and bpm 30 to 220, not {seconds:g} s at {bpm:g} bpm")
    if course not in COURSES:
        raise ValueError(f"course must be one of {', '.join(COURSES)}, not {course!r}")
    extra_s = MARGIN_S + LEAD_S
    clock_s = np.arange(-round(extra_s * CLOCK_HZ), round((seconds + extra_s) * CLOCK_HZ) + 1) / CLOCK_HZ
    recorded = (clock_s >= 0) & (clock_s <= seconds)

    breath = _respiration(rng, clock_s, RESPIRATION_AFTER_EXERCISE_HZ if course == "recovery" else RESPIRATION_HZ)
    base = _course(rng, clock_s, seconds, bpm, course)
    reduction = AFTER_EXERCISE if course == "recovery" else 1.0
    rate = base * (1 + _variability(rng, clock_s, base, breath, reduction))
    rate *= bpm / rate[recorded].mean()
    sinus_s = _integrate(rng, clock_s, rate)
    beats_s, strength = _extrasystoles(rng, sinus_s + JITTER_S * rng.standard_normal(len(sinus_s)), ectopic_per_minute)

    stiffness = rng.beta(2, 2)  # of the arteries, 0 to 1, as between 20 and 80 years of age
    intervals_s = 60 / np.interp(beats_s, clock_s, rate)
    face = _unit_pulses(clock_s, beats_s, intervals_s, strength, _face_pulse(rng, stiffness), recorded)
    arrivals_s = beats_s + rng.uniform(*FINGER_DELAY_S) + JITTER_S * rng.standard_normal(len(beats_s))
    contact = _unit_pulses(clock_s, arrivals_s, intervals_s, strength, _finger_pulse(rng, stiffness), recorded)
    face = _modulate(rng, clock_s, face, breath, VASOMOTION[0])
    contact = _modulate(rng, clock_s, contact, breath, VASOMOTION[0] * rng.uniform(*FINGER_VASOMOTION))
    contact += rng.uniform(0.02, 0.10) * _fluctuation(rng, clock_s, np.exp(rng.uniform(np.log(0.02), np.log(0.15), 30)))
    contact += rng.uniform(0.001, 0.006) * rng.standard_normal(len(clock_s))

    kept = slice(round(LEAD_S * CLOCK_HZ), len(clock_s) - round(LEAD_S * CLOCK_HZ))
    return Heartbeat(beats_s, clock_s[kept], rate[kept], breath[kept], face[kept], contact[kept])


def _course(rng: np.random.Generator, clock_s: Floats, seconds: float, bpm: float, course: Course) -> Floats:
    """Trend of the rate in bpm with mean `bpm` over the recording, flattened until it stays within 35 to 205 bpm."""
    change = COURSES[course](rng, clock_s, seconds)
    recorded = (clock_s >= 0) & (clock_s <= seconds)
    while True:
        rate = bpm * (1 + change) / (1 + change[recorded].mean())
        if np.ptp(change) < 1e-3 or (rate.min() >= min(35, 0.95 * bpm) and rate.max() <= max(205, 1.05 * bpm)):
            return np.asarray(rate, np.float64)
        change = 0.8 * change


def _respiration(rng: np.random.Generator, clock_s: Floats, range_hz: tuple[float, float]) -> Floats:
    """Respiration, -1 to 1, in cycles of varying length and depth that start and end at the end of expiration."""
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
    """Noise of unit variance: sum of sinusoids of random phase at frequencies drawn from its spectrum."""
    coarse_s = clock_s[::10]  # sufficient below 0.5 Hz, and ten times as fast
    phases = 2 * np.pi * (hz[:, None] * coarse_s + rng.uniform(size=(len(hz), 1)))
    return np.asarray(np.interp(clock_s, coarse_s, np.cos(phases).sum(axis=0) * np.sqrt(2 / len(hz))), np.float64)


def _mayer_hz(rng: np.random.Generator) -> Floats:
    """Frequencies of the Mayer waves (baroreflex), near 0.1 Hz (Task Force, Circulation 93 (1996): 0.04-0.15 Hz)."""
    return rng.normal(rng.uniform(0.085, 0.115), 0.012, 30)


def _variability(rng: np.random.Generator, clock_s: Floats, base_bpm: Floats, breath: Floats, scale: float) -> Floats:
    """Relative change of the rate: respiratory sinus arrhythmia (faster in inspiration), Mayer waves and 1/f noise."""
    vlf_ms, lf_ms, hf_ms = (typical * np.exp(spread * rng.standard_normal()) for typical, spread in BANDS_MS)
    very_low_hz = np.exp(rng.uniform(np.log(0.0033), np.log(0.04), 30))  # uniform in ln f: a 1/f spectrum
    slow_ms = vlf_ms * _fluctuation(rng, clock_s, very_low_hz) + lf_ms * _fluctuation(rng, clock_s, _mayer_hz(rng))
    arrhythmia_ms = hf_ms * (breath - breath.mean()) / breath.std()
    change_ms = slow_ms * np.exp(-SLOW_DECAY_PER_BPM * (base_bpm - 65))
    change_ms += arrhythmia_ms * np.exp(-HF_DECAY_PER_BPM * (base_bpm - 65))
    return np.asarray(np.clip(scale * change_ms * base_bpm / 60e3, -0.3, 0.3), np.float64)


def _integrate(rng: np.random.Generator, clock_s: Floats, rate_bpm: Floats) -> Floats:
    """Return the times at which the integral of the rate passes whole numbers."""
    beats = np.concatenate([[0.0], np.cumsum(0.5 * (rate_bpm[1:] + rate_bpm[:-1]))]) / (60 * CLOCK_HZ)
    return np.asarray(np.interp(np.arange(rng.uniform(), beats[-1]), beats, clock_s), np.float64)


def _extrasystoles(rng: np.random.Generator, beats_s: Floats, per_minute: float) -> tuple[Floats, Floats]:
    """Advance some beats and weaken their pulse; the next sinus beat keeps its time and has a stronger pulse.

    The pause is fully compensatory, as of ventricular extrasystoles; the heart fills less before the early beat and
    more before the next one (Sološenko et al., IEEE Trans. Biomed. Circuits Syst. 2015).

    Returns:
        The beat times and the relative height of the pulse of each beat.
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


class _PulseShape(NamedTuple):
    """Pulse of a beat at 60 bpm: forward and reflected wave, both with the shape of a gamma distribution."""

    rise_s: float  # from the foot to the peak of the forward wave
    sharpness: float  # exponent of both waves: larger is narrower for the same rise
    delay_s: float  # from the foot of the forward wave to that of the reflected one
    reflection: float  # height of the reflected wave relative to the forward one
    breadth: float  # rise time of the reflected wave relative to the forward one

    def __call__(self, since_s: Floats) -> Floats:
        forward = np.maximum(since_s / self.rise_s, 0.0)
        reflected = np.maximum((since_s - self.delay_s) / (self.breadth * self.rise_s), 0.0)
        heights = [(x * np.exp(1 - x)) ** self.sharpness for x in (forward, reflected)]
        return np.asarray(heights[0] + self.reflection * heights[1], np.float64)


def _finger_pulse(rng: np.random.Generator, stiffness: float) -> _PulseShape:
    """Draw the pulse shape at the fingertip.

    The reflection arrives 330 ms after systole in elastic arteries and 190 ms in stiff ones, 1.7 m at 5 to 9 m/s
    (Millasseau et al., Clin. Sci. 2002); with stiffness the rise lengthens and the notch fills (Allen & Murray,
    Physiol. Meas. 2003). The second peak exceeds the reflected wave, because the tail of the forward wave adds to it.
    """
    return _PulseShape(
        rise_s=0.168 + 0.04 * stiffness + rng.normal(0, 0.008),
        sharpness=rng.uniform(3.3, 5.2),
        delay_s=0.33 - 0.14 * stiffness + rng.normal(0, 0.015),
        reflection=rng.uniform(0.15, 0.36),
        breadth=rng.uniform(1.0, 1.3),
    )


def _face_pulse(rng: np.random.Generator, stiffness: float) -> _PulseShape:
    """Draw the pulse shape in the face: rounder, with a later peak and a longer tail, as at the forehead and the ear.

    Sources: Hartmann et al., Front. Physiol. 10:198 (2019); 264 ms from foot to peak at the ear, 237 ms at the thumb in
    Allen & Murray (2000).
    """
    finger = _finger_pulse(rng, stiffness)
    return finger._replace(rise_s=finger.rise_s * rng.uniform(1.05, 1.2), sharpness=rng.uniform(2.8, 3.8))


def _unit_pulses(
    clock_s: Floats,
    arrivals_s: Floats,
    intervals_s: Floats,
    strength: Floats,
    shape: _PulseShape,
    recorded: npt.NDArray[np.bool_],
) -> Floats:
    """Sum the pulses of all beats, scaled to a mean peak-to-peak of 1 per sinus beat and mean 0 over the recording.

    The duration of systole is about proportional to the cube root of the interval (Fridericia, Acta Med. Scand. 1920,
    for QT), so that pulses at high rates overlap and have weaker harmonics.
    """
    total = np.zeros_like(clock_s)
    for arrival_s, interval_s, height in zip(arrivals_s, intervals_s, strength, strict=True):
        first, last = np.searchsorted(clock_s, (arrival_s, arrival_s + PULSE_S))
        total[first:last] += height * shape((clock_s[first:last] - arrival_s) / np.cbrt(interval_s))
    feet = np.searchsorted(clock_s, arrivals_s[1:-1])
    heights = (np.maximum.reduceat(total, feet) - np.minimum.reduceat(total, feet))[:-1]
    sinus = (strength[1:-2] == 1) & recorded[feet[:-1]]
    height = heights[sinus].mean() if sinus.any() else heights.mean()
    return np.asarray((total - total[recorded].mean()) / height, np.float64)


def _modulate(rng: np.random.Generator, clock_s: Floats, pulses: Floats, breath: Floats, vasomotion: float) -> Floats:
    """Modulate the height of the pulses and their baseline by respiration and vasomotion.

    Inspiration draws blood into the chest: up to 0.8 s later, blood volume in the skin and pulse height are lower.
    """
    delayed = (np.interp(clock_s - rng.uniform(0.0, 0.8), clock_s, breath) - breath.mean()) / 2
    vasomotion *= np.exp(VASOMOTION[1] * rng.standard_normal())
    tone = vasomotion * _fluctuation(rng, clock_s, np.abs(_mayer_hz(rng)))
    amplitude = np.clip(1 - rng.uniform(*BREATH_AMPLITUDE) * delayed + tone, 0.3, 1.7)
    return np.asarray(amplitude * pulses - rng.uniform(*BREATH_BASELINE) * delayed + tone, np.float64)

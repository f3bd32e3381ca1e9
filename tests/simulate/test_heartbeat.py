"""Simulated heartbeats: exact functions of time, and statistics like those of real recordings if these are present."""

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate
from facepulse.simulate.heartbeat import COURSES, Course, Heartbeat, draw_heartbeat
from shared_data import SHARED_DATA

ROOT = Path(__file__).resolve().parents[2]
DATA = SHARED_DATA
FAST = settings(max_examples=10)

seeds = st.integers(0, 2**32 - 1)
rates = st.floats(40, 180)
lengths = st.floats(5, 30)
courses = st.sampled_from(get_args(Course))


def heart(
    seed: int, seconds: float = 60.0, bpm: float = 70.0, course: Course = "steady", ectopic: float = 0.0
) -> Heartbeat:
    return draw_heartbeat(np.random.default_rng(seed), seconds, bpm=bpm, course=course, ectopic_per_minute=ectopic)


def rmssd_ms(one: Heartbeat) -> float:
    return 1e3 * float(np.sqrt(np.mean(np.diff(one.beats_s, 2) ** 2)))


@FAST
@given(seeds, lengths, rates, courses, st.sampled_from([0.0, 6.0, 60.0]))
def test_beats_increase_and_extend_beyond_the_recording(
    seed: int, seconds: float, bpm: float, course: Course, ectopic: float
) -> None:
    one = heart(seed, seconds, bpm, course, ectopic)
    assert np.diff(one.beats_s).min() > 0.15
    assert one.beats_s[0] < -5
    assert one.beats_s[-1] > seconds + 5
    assert one.clock_s[0] == -5
    assert one.clock_s[-1] == pytest.approx(seconds + 5, abs=0.01)
    assert all(np.isfinite(table).all() for table in (one.rate, one.respiration, one.face, one.contact))


@FAST
@given(seeds, st.floats(10, 30), rates, courses)
def test_mean_rate_is_the_requested_one(seed: int, seconds: float, bpm: float, course: Course) -> None:
    one = heart(seed, seconds, bpm, course)
    times = np.linspace(0, seconds, 2000)
    assert one.rate_bpm(times).mean() == pytest.approx(bpm, rel=2e-3)
    # Both ends of the interval lie within a beat: the error is their fraction of a beat, and 4 ms of jitter.
    assert one.mean_bpm(0, seconds) == pytest.approx(bpm, abs=0.01 * bpm * 20 / seconds)


@FAST
@given(seeds, st.floats(50, 180))  # below, `heart_rate` itself takes the second harmonic at times
def test_spectrum_peaks_at_the_rate(seed: int, bpm: float) -> None:
    one = heart(seed, 30.0, bpm)
    times = np.arange(900) / 30
    for waveform in (one.volume(times), one.finger(times)):
        # A varying rate has several peaks, the highest of which is within the range of the rate.
        peak_bpm = heart_rate(waveform, 30, PROTOCOLS["facepulse"])
        assert one.rate_bpm(times).min() - 2 < peak_bpm < one.rate_bpm(times).max() + 2
        assert peak_bpm == pytest.approx(bpm, rel=0.15)


@FAST
@given(seeds, st.lists(st.floats(-4, 14), min_size=1, max_size=20), st.floats(0, 0.9))
def test_waveforms_are_functions_of_time(seed: int, seconds: list[float], delay_s: float) -> None:
    one = heart(seed, 10.0)
    times = np.array(seconds)
    for function in (one.volume, one.finger, one.breath, one.rate_bpm):
        together = function(times)
        assert np.array_equal(together, [float(function(time)) for time in times])
        assert np.array_equal(function(times[::-1].reshape(-1, 1))[:, 0], together[::-1])
    assert np.array_equal(one.volume(times, delay_s), one.volume(times - delay_s))
    delays_s = np.array([0.0, 0.01, delay_s])
    delayed = one.volume(times[:, None], delays_s)
    assert delayed.shape == (len(times), 3)
    assert np.array_equal(delayed[:, 2], one.volume(times, delay_s))


@FAST
@given(seeds, courses, st.sampled_from([0.0, 10.0]))
def test_seed_determines_the_heartbeat(seed: int, course: Course, ectopic: float) -> None:
    first, again, other = (heart(number, 8.0, 80.0, course, ectopic) for number in (seed, seed, seed + 1))
    for name in ("beats_s", "clock_s", "rate", "respiration", "face", "contact"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.face.tobytes() != other.face.tobytes()


@FAST
@given(seeds, rates, courses)
def test_mean_peak_to_peak_is_one_and_mean_is_zero(seed: int, bpm: float, course: Course) -> None:
    one = heart(seed, 30.0, bpm, course)
    beats_s = one.beats_s[(one.beats_s > 0) & (one.beats_s < 29)]
    heights = [np.ptp(one.volume(np.linspace(start, end, 60))) for start, end in pairwise(beats_s)]
    assert np.mean(heights) == pytest.approx(1.0, abs=0.2)
    assert abs(one.volume(np.arange(0, 30, 0.02)).mean()) < 0.15


@pytest.mark.parametrize("bpm", [45.0, 75.0, 110.0, 170.0])
def test_systole_is_up_and_begins_at_the_beat(bpm: float) -> None:
    for seed in range(8):
        one = heart(seed, 20.0, bpm)
        beats_s = one.beats_s[(one.beats_s > 0) & (one.beats_s < 19)]
        times = beats_s[:, None] + np.linspace(0, 0.9 * 60 / bpm, 60)
        beat = one.volume(times).mean(axis=0)
        assert beat[0] < beat.min() + 0.1
        assert 0.05 < np.argmax(beat) / 59 * 0.9 * 60 / bpm < 0.30
        derivative = np.diff(beat)
        assert derivative.max() > 1.3 * -derivative.min()


def test_finger_lags_behind_the_face_and_is_sharper() -> None:
    lags_s, harmonics = [], []
    times = np.arange(0, 30, 0.005)
    for seed in range(10):
        one = heart(seed, 30.0)
        face, finger = np.diff(one.volume(times)), np.diff(one.finger(times))
        match = [face[100:-100] @ np.roll(finger, -shift)[100:-100] for shift in range(-20, 40)]
        lags_s.append(0.005 * (int(np.argmax(match)) - 20))
        spectra = [np.abs(np.fft.rfft(one.volume(times)))[1:], np.abs(np.fft.rfft(one.finger(times)))[1:]]
        hz = np.arange(1, len(times) // 2 + 1) / 30
        band = [(hz > 0.8) & (hz < 1.6), (hz > 2.9) & (hz < 4.1)]
        harmonics.append([float((power[band[1]] ** 2).sum() / (power[band[0]] ** 2).sum()) for power in spectra])
    assert min(lags_s) > 0.005
    assert max(lags_s) < 0.11
    face_third, finger_third = np.median(harmonics, axis=0)
    assert finger_third > 1.5 * face_third


def test_respiration_is_irregular_and_speeds_the_heart_in_inspiration() -> None:
    clock = np.arange(0, 300, 0.1)
    rates_hz, variations, peaks_hz = [], [], []
    for seed in range(6):
        one = heart(seed, 300.0)
        breath = one.breath(clock)
        assert -1 <= breath.min() < -0.9 < 0.2 < breath.max() <= 1
        ends = np.flatnonzero((breath[1:-1] < breath[:-2]) & (breath[1:-1] <= breath[2:])) + 1
        lengths_s = np.diff(clock[ends])
        rates_hz.append(1 / lengths_s.mean())
        variations.append(lengths_s.std() / lengths_s.mean())
        spectrum = np.abs(np.fft.rfft(one.rate_bpm(clock) - 70)) ** 2
        hz = np.fft.rfftfreq(len(clock), 0.1)
        smooth = np.convolve(spectrum, np.ones(9) / 9, "same")
        assert smooth[(hz > 0.07) & (hz < 0.13)].max() > 3 * smooth[(hz > 0.6) & (hz < 1)].max()
        high = (hz > 0.14) & (hz < 0.5)
        cross = np.fft.rfft(one.rate_bpm(clock))[high] * np.conj(np.fft.rfft(breath)[high])
        assert cross.real.sum() > 0.5 * np.abs(cross).sum()
        peaks_hz.append(hz[high][np.argmax(np.convolve(np.abs(cross), np.ones(25), "same"))])
    assert min(rates_hz) > 0.14
    assert max(rates_hz) < 0.40
    assert min(variations) > 0.1
    assert max(variations) < 0.3
    assert np.ptp(peaks_hz) > 0.08


@pytest.mark.slow
def test_variability_falls_with_the_rate_and_after_exercise() -> None:
    medians = {bpm: np.median([rmssd_ms(heart(seed, 60.0, bpm)) for seed in range(9)]) for bpm in (50.0, 70.0, 100.0)}
    assert medians[50.0] > 1.4 * medians[70.0] > 1.4 * 1.4 * medians[100.0]
    assert 25 < medians[70.0] < 60
    rested, tired = (
        np.median([rmssd_ms(heart(seed, 60.0, 75.0, course)) for seed in range(9)]) for course in ("steady", "recovery")
    )
    assert tired < 0.75 * rested


def test_rate_follows_the_course() -> None:
    assert set(COURSES) == set(get_args(Course))
    for seed in range(4):
        clock = np.arange(0, 180, 0.5)
        recovery = heart(seed, 180.0, 100.0, "recovery").rate_bpm(clock)
        start, middle, end = (recovery[part].mean() for part in (slice(0, 30), slice(110, 140), slice(320, 360)))
        assert start > 1.15 * end
        # An exponential with a time constant of 60 to 120 s makes 0.37 to 0.62 of its fall within the first minute.
        assert 0.3 < (start - middle) / (start - end) < 0.95
        step = heart(seed, 60.0, 80.0, "step").rate_bpm(np.arange(0, 60, 0.5))
        assert abs(step[:30].mean() - step[-30:].mean()) > 3
        assert heart(seed, 60.0, 180.0, "recovery").rate.max() < 225
        assert heart(seed, 60.0, 40.0, "step").rate.min() > 25


def test_extrasystole_is_early_weak_and_followed_by_a_pause() -> None:
    found = 0
    for seed in range(10):
        one, without = heart(seed, 60.0, 75.0, ectopic=6.0), heart(seed, 60.0, 75.0)
        assert len(one.beats_s) == len(without.beats_s)
        early_s = without.beats_s - one.beats_s
        for index in np.flatnonzero((early_s > 0.05) & (one.beats_s > 0) & (one.beats_s < 60)):
            found += 1
            before, after = one.beats_s[index] - one.beats_s[index - 1], one.beats_s[index + 1] - one.beats_s[index]
            usual = without.beats_s[index] - without.beats_s[index - 1]
            assert 0.55 * usual < before < 0.80 * usual
            assert after == pytest.approx(without.beats_s[index + 1] - without.beats_s[index] + early_s[index])
            rise = [np.ptp(one.volume(one.beats_s[at] + np.linspace(0, 0.2, 30))) for at in (index, index + 1)]
            assert rise[0] < 0.8 * rise[1]
    assert 30 < found < 90
    assert len(heart(1, 60.0, 75.0, ectopic=0.0).beats_s) > 0


@pytest.mark.parametrize(
    ("seconds", "bpm", "course"),
    [(0.0, 70.0, "steady"), (10.0, 20.0, "steady"), (10.0, 300.0, "steady"), (10.0, 70.0, "x")],
)
def test_invalid_duration_rate_or_course_is_refused(seconds: float, bpm: float, course: Course) -> None:
    with pytest.raises(ValueError, match=r"seconds must be positive|course must be one of"):
        heart(0, seconds, bpm, course)


def test_times_outside_the_recording_are_refused() -> None:
    one = heart(0, 10.0)
    one.volume([-5.0, 15.0])
    for times in ([-5.1], [15.1], [float("nan")]):
        with pytest.raises(ValueError, match="within -5 to 15 s"):
            one.volume(times)
    with pytest.raises(ValueError, match="within -5 to 15 s"):
        one.mean_bpm(3, 3)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    if not (DATA / "physiokit_ppg").is_dir() or not (DATA / "ubfc_deepphys").is_dir():
        pytest.skip("needs the recordings ../shared/data/physiokit_ppg and ../shared/data/ubfc_deepphys")
    spec = importlib.util.spec_from_file_location("heartbeat_benchmark", ROOT / "benchmarks" / "heartbeat.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # required by dataclasses
    spec.loader.exec_module(module)
    return module


def alike(benchmark: ModuleType, real: list[object], simulated: list[object], names: tuple[str, ...]) -> None:
    """Assert that the simulated median is within the real 10 to 90 %, and most simulated values in the real range."""
    for name in names:
        truth, drawn = benchmark.figures(real, name), benchmark.figures(simulated, name)
        low, high = np.percentile(truth, (10, 90))
        assert low <= np.median(drawn) <= high, f"{name}: median {np.median(drawn):.3g}, real {low:.3g} to {high:.3g}"
        inside = np.mean((drawn >= truth.min()) & (drawn <= truth.max()))
        assert inside > 2 / 3, f"{name}: {inside:.0%} between the real extremes"


SHAPE = ("rise", "width", "skewness", "second_db", "third_db")
RESPIRATION = ("breath_amplitude", "breath_baseline", "amplitude_variation")


@pytest.mark.slow
def test_finger_waveforms_resemble_those_of_physiokit(benchmark: ModuleType) -> None:
    # Without the variation of amplitudes: hands moved in three of four sessions.
    real = benchmark.describe_all(benchmark.physiokit(DATA, "finger", minutes=1))
    assert len(real) > 10
    simulated = benchmark.simulated(real, 100.0, "finger")
    alike(benchmark, real, simulated, (*SHAPE, "rmssd_ms", "sdnn_ms", "breath_baseline"))


@pytest.mark.slow
def test_finger_waveforms_resemble_those_of_ubfc(benchmark: ModuleType) -> None:
    # Without variability: the intervals are nearly white (lag-one correlation 0.16, PhysioKit 0.60), which at 100 bpm
    # is jitter of the sensor clock and not heart rate variability.
    real = benchmark.describe_all(benchmark.ubfc(DATA))
    assert len(real) > 35
    alike(benchmark, real, benchmark.simulated(real[::2], 30.0, "finger"), (*SHAPE, *RESPIRATION))


@pytest.mark.slow
def test_face_waveforms_have_at_most_the_harmonics_of_the_ear(benchmark: ModuleType) -> None:
    ears = benchmark.describe_all(benchmark.physiokit(DATA, "ear", minutes=1))
    faces = benchmark.simulated(ears, 60.0, "face")
    for name in ("second_db", "third_db"):
        gap_db = np.median(benchmark.figures(ears, name)) - np.median(benchmark.figures(faces, name))
        assert 0 < gap_db < 5, name
    alike(benchmark, ears, faces, ("rise",))

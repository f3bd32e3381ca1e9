import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.datasets.alignment import MAX_DRIFT, MAX_OFFSET_S, align
from facepulse.datasets.recording import Signal
from facepulse.simulate.painted_face import pulse_wave

FRAME_S = 1 / 30


def heart(seconds: float, seed: int, spread: float = 0.06) -> np.ndarray:
    """Beats of a heart with respiratory and random variability."""
    rng = np.random.default_rng(seed)
    beats, rate = [-3.0], rng.uniform(0.85, 1.7)
    while beats[-1] < seconds + 3:
        swing = spread * np.sin(2 * np.pi * 0.25 * beats[-1]) + 0.5 * spread * rng.normal()
        beats.append(beats[-1] + (1 + swing) / rate)
    return np.array(beats)


def two_clocks(seconds: float, seed: int, offset_s: float, drift: float, noise: float = 0.7, spread: float = 0.06):
    """A video's noisy pulse, its reference by a clock that is late and slow, and the reference's true times."""
    rng = np.random.default_rng(seed)
    beats = heart(seconds, seed, spread)
    times = np.arange(0, seconds, FRAME_S)
    seen = pulse_wave(times, beats)
    seen = seen + noise * seen.std() * rng.normal(size=len(times))
    true_times = np.arange(-1, seconds + 1, 1 / 60)
    told = (true_times - offset_s) / (1 + drift)
    return times, seen, Signal(told, pulse_wave(true_times, beats)), true_times


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(-0.6, 0.6), st.floats(-0.012, 0.012), st.floats(0, 1.0))
def test_a_minute_shows_delay_and_drift_to_within_a_frame(seed, offset_s, drift, noise):
    times, seen, reference, true_times = two_clocks(60, seed, offset_s, drift, noise)
    found = align([(times, seen)], reference)
    if found.evident:
        inside = (true_times >= 0) & (true_times <= times[-1])
        assert np.abs(found.to_video(reference.times) - true_times)[inside].max() < FRAME_S


@pytest.mark.parametrize(("offset_s", "drift"), [(0.2, 0.01), (-0.2, -0.01), (0.2, 0.0), (0.0, 0.0), (0.5, 0.005)])
def test_irregular_hearts_make_it_evident(offset_s, drift):
    for seed in range(6):
        times, seen, reference, true_times = two_clocks(60, seed, offset_s, drift)
        found = align([(times, seen)], reference)
        assert found.evident
        assert np.abs(found.to_video(reference.times) - true_times).max() < FRAME_S
        assert found.correlation >= found.uncorrected


def test_a_heart_like_a_metronome_says_nothing_about_delay():
    times, seen, reference, _ = two_clocks(60, 0, 0.2, 0.0, spread=0.0)
    assert not align([(times, seen)], reference).evident


def test_noise_is_not_aligned_with_anything():
    for seed in range(10):
        times, _, reference, _ = two_clocks(60, seed, 0.2, 0.0)
        found = align([(times, np.random.default_rng(seed).normal(size=len(times)))], reference)
        assert not found.evident
        assert found.corrected(reference) is reference
        assert found.note() is None


def test_a_video_with_a_hole_is_aligned_as_a_whole():
    times, seen, reference, true_times = two_clocks(60, 3, 0.2, 0.01)
    parts = [(times[:700], seen[:700]), (times[900:], seen[900:])]
    found = align(parts, reference)
    assert found.evident
    assert np.abs(found.to_video(reference.times) - true_times).max() < FRAME_S


def test_a_few_seconds_are_not_enough():
    times, seen, reference, _ = two_clocks(10, 0, 0.2, 0.0)
    assert align([(times, seen)], reference) is None
    late = Signal(reference.times + 8, reference.values)
    times, seen, _, _ = two_clocks(20, 0, 0.2, 0.0)
    assert align([(times, seen)], late) is None


def test_the_note_says_what_was_wrong_with_the_clock():
    times, seen, reference, _ = two_clocks(60, 1, 0.4, 0.01)
    # In the middle, after 30 s, a clock that is 1 % slow is late by another 0.3 s.
    assert align([(times, seen)], reference).note() == (
        "clocks: the reference is 0.70 s early and its clock 1.0 % slow, corrected by the pulse in the video"
    )


def test_the_delay_of_the_body_is_no_reason_for_a_note():
    times, seen, reference, _ = two_clocks(60, 1, -0.1, 0.0)
    found = align([(times, seen)], reference)
    assert found.evident
    assert found.note() is None


def test_limits_are_beyond_what_is_promised():
    assert MAX_OFFSET_S >= 0.6
    assert MAX_DRIFT >= 0.012

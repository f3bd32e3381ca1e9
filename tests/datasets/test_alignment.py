"""Offset and drift of a reference's clock, found by the pulse in the video."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.datasets.alignment import (
    GRID_HZ,
    MAX_DRIFT,
    MAX_OFFSET_S,
    OffsetDriftSurface,
    align,
    best_and_rival,
    offset_drift_surface,
)
from facepulse.datasets.recording import Signal
from facepulse.simulate.painted_face import pulse_waveform

FRAME_S = 1 / 30


def beat_times(seconds: float, seed: int, spread: float = 0.06) -> np.ndarray:
    """Times of heartbeats with respiratory and random variability."""
    rng = np.random.default_rng(seed)
    beats, rate = [-3.0], rng.uniform(0.85, 1.7)
    while beats[-1] < seconds + 3:
        swing = spread * np.sin(2 * np.pi * 0.25 * beats[-1]) + 0.5 * spread * rng.normal()
        beats.append(beats[-1] + (1 + swing) / rate)
    return np.array(beats)


def two_clocks(seconds: float, seed: int, offset_s: float, drift: float, noise: float = 0.7, spread: float = 0.06):
    """A video's noisy pulse, its reference by a clock with an offset and a drift, and the reference's true times."""
    rng = np.random.default_rng(seed)
    beats = beat_times(seconds, seed, spread)
    times = np.arange(0, seconds, FRAME_S)
    waveform = pulse_waveform(times, beats)
    waveform = waveform + noise * waveform.std() * rng.normal(size=len(times))
    true_times = np.arange(-1, seconds + 1, 1 / 60)
    clock_times = (true_times - offset_s) / (1 + drift)
    return times, waveform, Signal(clock_times, pulse_waveform(true_times, beats)), true_times


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(-0.6, 0.6), st.floats(-0.012, 0.012), st.floats(0, 1.0))
def test_reliable_alignment_of_a_minute_is_within_a_frame(seed, offset_s, drift, noise):
    times, waveform, reference, true_times = two_clocks(60, seed, offset_s, drift, noise)
    found = align([(times, waveform)], reference)
    if found.reliable:
        inside = (true_times >= 0) & (true_times <= times[-1])
        assert np.abs(found.to_video(reference.times) - true_times)[inside].max() < FRAME_S


@pytest.mark.parametrize(("offset_s", "drift"), [(0.2, 0.01), (-0.2, -0.01), (0.2, 0.0), (0.0, 0.0), (0.5, 0.005)])
def test_irregular_heartbeats_make_the_alignment_reliable(offset_s, drift):
    for seed in range(6):
        times, waveform, reference, true_times = two_clocks(60, seed, offset_s, drift)
        found = align([(times, waveform)], reference)
        assert found.reliable
        assert np.abs(found.to_video(reference.times) - true_times).max() < FRAME_S
        assert found.correlation >= found.uncorrected


def test_perfectly_regular_heartbeats_give_no_reliable_alignment():
    times, waveform, reference, _ = two_clocks(60, 0, 0.2, 0.0, spread=0.0)
    assert not align([(times, waveform)], reference).reliable


def test_noise_gives_no_reliable_alignment_and_leaves_the_reference_as_it_is():
    for seed in range(10):
        times, _, reference, _ = two_clocks(60, seed, 0.2, 0.0)
        found = align([(times, np.random.default_rng(seed).normal(size=len(times)))], reference)
        assert not found.reliable
        assert found.corrected(reference) is reference
        assert found.note() is None


def test_segments_on_both_sides_of_a_gap_are_aligned_together():
    times, waveform, reference, true_times = two_clocks(60, 3, 0.2, 0.01)
    segments = [(times[:700], waveform[:700]), (times[900:], waveform[900:])]
    found = align(segments, reference)
    assert found.reliable
    assert np.abs(found.to_video(reference.times) - true_times).max() < FRAME_S


def test_less_than_fifteen_seconds_in_common_give_no_alignment():
    times, waveform, reference, _ = two_clocks(10, 0, 0.2, 0.0)
    assert align([(times, waveform)], reference) is None
    late = Signal(reference.times + 8, reference.values)
    times, waveform, _, _ = two_clocks(20, 0, 0.2, 0.0)
    assert align([(times, waveform)], late) is None


def test_note_states_offset_and_drift():
    times, waveform, reference, _ = two_clocks(60, 1, 0.4, 0.01)
    # In the middle, after 30 s, a clock that is 1 % slow is late by another 0.3 s.
    assert align([(times, waveform)], reference).note() == (
        "clocks: the reference is 0.70 s early and its clock 1.0 % slow, corrected by the pulse in the video"
    )


def test_offset_within_the_delay_of_a_finger_is_not_noted():
    times, waveform, reference, _ = two_clocks(60, 1, -0.1, 0.0)
    found = align([(times, waveform)], reference)
    assert found.reliable
    assert found.note() is None


def test_limits_of_offset_and_drift_exceed_those_tested():
    assert MAX_OFFSET_S >= 0.6
    assert MAX_DRIFT >= 0.012


def test_surface_of_two_equal_waveforms_has_its_maximum_of_one_in_the_middle():
    times, waveform, _, _ = two_clocks(40, 2, 0.0, 0.0)
    surface = offset_drift_surface([(times, waveform)], Signal(times, waveform))
    row, column = np.unravel_index(int(np.argmax(surface.correlation)), surface.correlation.shape)
    assert surface.drifts[row] == surface.offsets_s[column] == 0
    assert surface.correlation[row, column] == pytest.approx(1, abs=1e-3)
    assert np.abs(surface.correlation).max() <= 1 + 1e-9
    assert surface.correlation.shape == (len(surface.drifts), len(surface.offsets_s))
    assert surface.drifts[[0, -1]] == pytest.approx([-MAX_DRIFT, MAX_DRIFT], abs=1e-3)
    assert surface.offsets_s[[0, -1]] == pytest.approx([-MAX_OFFSET_S, MAX_OFFSET_S])
    assert surface.middle_s == pytest.approx(times[-1] / 2)


def surface_of_hills(*hills: tuple[float, float, float]) -> OffsetDriftSurface:
    """Surface with parabolic hills of (offset_s, drift, height); a heartbeat takes 0.8 s."""
    offsets_s = np.arange(-30, 31) / GRID_HZ
    drifts = 1e-3 * np.arange(-20, 21)
    heights = [
        height - ((offsets_s[None] - offset_s) / 0.2) ** 2 - ((drifts[:, None] - drift) / 0.02) ** 2
        for offset_s, drift, height in hills
    ]
    return OffsetDriftSurface(np.max(heights, axis=0), drifts, offsets_s, 30.0, 0.8, 1800)


def test_maxima_are_interpolated_between_the_steps_of_the_grid():
    best, _ = best_and_rival(surface_of_hills((0.112, 0.0043, 0.8)))
    assert (best.offset_s, best.drift) == pytest.approx((0.112, 0.0043))
    assert best.correlation == pytest.approx(0.8, abs=1e-3)


def test_rival_is_the_highest_maximum_more_than_half_a_heartbeat_away():
    best, rival = best_and_rival(surface_of_hills((0.0, 0.0, 0.8), (0.3, 0.001, 0.79), (-0.8, -0.005, 0.6)))
    assert best.correlation == pytest.approx(0.8)
    assert (rival.offset_s, rival.drift, rival.correlation) == pytest.approx((-0.8, -0.005, 0.6))

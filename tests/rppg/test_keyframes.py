import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.keyframes import coincides_with_key_frames, key_frame_period, remove_key_frame_rhythm

TIMES = np.arange(600) / 30


def sawtooth(key_times: np.ndarray) -> np.ndarray:
    """A colour that jumps at each key frame and drifts until the next."""
    since = TIMES - key_times[np.searchsorted(key_times, TIMES, side="right") - 1]
    return np.exp(-3 * since)


@pytest.mark.parametrize(
    ("key_times", "period"),
    [
        ([], None),
        ([0.0], None),
        ([0, 2], None),
        ([0, 2, 4], 2.0),
        ([0, 1, 2, 3, 4], 1.0),
        (np.arange(0, 90, 8.3), None),
    ],
)
def test_only_a_rhythm_near_that_of_a_heart_counts(key_times, period) -> None:
    assert key_frame_period(list(key_times)) == period


@settings(deadline=None, max_examples=20)
@given(st.floats(0.4, 2.0), st.floats(0, 0.3))
def test_what_repeats_between_key_frames_goes_and_the_pulse_stays(period: float, first: float) -> None:
    keys = np.concatenate([[0.0], np.arange(first + period / 2, 20, period)])
    # 0.37 of a key-frame rate away from every multiple: far enough to be told apart within 20 s.
    pulse = np.sin(2 * np.pi * 1.37 / period * TIMES)
    rgb = (100 + sawtooth(keys) + 0.05 * pulse)[:, None] * np.ones(3)
    clean = remove_key_frame_rhythm(rgb, TIMES, keys)
    assert clean.shape == rgb.shape
    left = clean[:, 0] - clean[:, 0].mean() - 0.05 * pulse
    inner = slice(60, -60)
    smooth = np.convolve(left, np.ones(5) / 5, mode="same")[inner]
    assert smooth.std() < 0.25 * sawtooth(keys)[inner].std()
    assert np.corrcoef(clean[inner, 0], pulse[inner])[0, 1] > np.corrcoef(rgb[inner, 0], pulse[inner])[0, 1]


def test_without_a_rhythm_nothing_is_touched() -> None:
    rgb = np.random.default_rng(0).random((600, 5, 3))
    assert remove_key_frame_rhythm(rgb, TIMES, [0.0, 8.3, 16.6]) is rgb


def test_a_drift_is_not_taken_for_the_rhythm() -> None:
    rgb = 100 + TIMES[:, None] * np.ones(3)
    assert remove_key_frame_rhythm(rgb, TIMES, np.arange(20.0)) == pytest.approx(rgb, abs=1e-6)


def test_the_longer_the_trace_the_closer_two_rates_can_be_told_apart() -> None:
    assert coincides_with_key_frames(63, np.arange(20.0), seconds=10)
    assert not coincides_with_key_frames(63, np.arange(60.0), seconds=60)


@pytest.mark.parametrize(
    ("bpm", "in_step"), [(60, True), (120, True), (180.5, True), (72, False), (90, False), (61, True), (66, False)]
)
def test_multiples_of_a_key_frame_a_second(bpm: float, in_step: bool) -> None:
    assert coincides_with_key_frames(bpm, np.arange(20.0), seconds=20) == in_step

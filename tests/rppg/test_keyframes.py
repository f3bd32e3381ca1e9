"""Key-frame rhythm: its period, its removal from traces, and rates that coincide with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.keyframes import coincides_with_key_frames, key_frame_period, remove_key_frame_rhythm

TIMES = np.arange(600) / 30


def sawtooth(key_times: np.ndarray) -> np.ndarray:
    """Trace that jumps at each key frame and drifts until the next."""
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
def test_only_periods_near_those_of_a_heart_count(key_times, period) -> None:
    assert key_frame_period(list(key_times)) == period


@settings(deadline=None, max_examples=20)
@given(st.floats(0.4, 2.0), st.floats(0, 0.3))
def test_rhythm_is_removed_and_the_pulse_kept(period: float, first: float) -> None:
    keys = np.concatenate([[0.0], np.arange(first + period / 2, 20, period)])
    # 0.37 of the key-frame rate away from every multiple, which 20 s resolve.
    pulse = np.sin(2 * np.pi * 1.37 / period * TIMES)
    rgb = (100 + sawtooth(keys) + 0.05 * pulse)[:, None] * np.ones(3)
    clean = remove_key_frame_rhythm(rgb, TIMES, keys)
    assert clean.shape == rgb.shape
    left = clean[:, 0] - clean[:, 0].mean() - 0.05 * pulse
    inner = slice(60, -60)
    smooth = np.convolve(left, np.ones(5) / 5, mode="same")[inner]
    assert smooth.std() < 0.25 * sawtooth(keys)[inner].std()
    assert np.corrcoef(clean[inner, 0], pulse[inner])[0, 1] > np.corrcoef(rgb[inner, 0], pulse[inner])[0, 1]


def test_traces_without_a_rhythm_are_returned_unchanged() -> None:
    rgb = np.random.default_rng(0).random((600, 5, 3))
    assert remove_key_frame_rhythm(rgb, TIMES, [0.0, 8.3, 16.6]) is rgb


def test_drift_is_not_removed() -> None:
    rgb = 100 + TIMES[:, None] * np.ones(3)
    assert remove_key_frame_rhythm(rgb, TIMES, np.arange(20.0)) == pytest.approx(rgb, abs=1e-6)


def test_longer_traces_resolve_closer_rates() -> None:
    assert coincides_with_key_frames(63, np.arange(20.0), seconds=10)
    assert not coincides_with_key_frames(63, np.arange(60.0), seconds=60)


@pytest.mark.parametrize(
    ("bpm", "coincides"), [(60, True), (120, True), (180.5, True), (72, False), (90, False), (61, True), (66, False)]
)
def test_rates_that_coincide_with_one_key_frame_per_second(bpm: float, coincides: bool) -> None:
    assert coincides_with_key_frames(bpm, np.arange(20.0), seconds=20) == coincides

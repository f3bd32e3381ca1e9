"""Rhythms of key frames and B frames: their periods, their removal, and rates that they may cause."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from facepulse.rppg.keyframes import (
    coincides_with_key_frames,
    key_frame_period,
    may_be_image,
    remove_key_frame_rhythm,
)
from facepulse.rppg.regions import RateEstimate
from facepulse.rppg.spectrum import spectrum

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
        (np.arange(0, 300, 4) / 24, None),
        (np.arange(0, 300, 5) / 25, None),
        (np.arange(0, 300, 4) / 15, pytest.approx(4 / 15)),
    ],
)
def test_only_periods_near_those_of_a_heart_count(key_times, period) -> None:
    assert key_frame_period(list(key_times)) == period


@settings(max_examples=20)
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


def coded_trace(fps: int, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Trace of B frames that are darker than the others by 1, and the times of the I and P frames."""
    anchors = np.cumsum([0, *groups])
    dark = np.ones(anchors[-1] + 1)
    dark[anchors] = 0
    return -np.interp(TIMES, np.arange(len(dark)) / fps, dark), anchors / fps


def power_in_band(trace: np.ndarray) -> float:
    """Power of a trace from 40 to 240 bpm."""
    hz, power = spectrum(trace, 30)
    return float(power[(hz > 40 / 60) & (hz < 4)].sum())


@settings(max_examples=40)
@given(
    st.sampled_from([(8, 3), (8, 4), (8, 7), (10, 4), (10, 5), (12, 4), (15, 4), (15, 8), (20, 6), (25, 8), (30, 8)]),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 8)), max_size=2),
    st.floats(0.7, 3.9),
    st.floats(0.8, 2.5),
)
def test_rhythm_of_b_frames_is_removed_beside_that_of_key_frames_and_the_pulse_kept(
    rate_and_group: tuple[int, int], odd: list[tuple[int, int]], pulse_hz: float, interval_s: float
) -> None:
    fps, group = rate_and_group
    groups = np.full(25 * fps // group, group)
    for position, length in odd:  # the groups before a key frame are shorter
        groups[position % len(groups)] = min(length, group)
    coded, anchors = coded_trace(fps, groups)
    keys = np.arange(0, 21, interval_s)
    pulse = np.sin(2 * np.pi * pulse_hz * TIMES + 0.3)
    assume(not any(coincides_with_key_frames(60 * pulse_hz, frames, 20) for frames in (keys, anchors)))
    traces = 100 + np.stack([coded, sawtooth(keys), pulse], axis=1)
    clean = remove_key_frame_rhythm(traces, TIMES, keys, anchors) - 100
    assert power_in_band(clean[:, 0]) < (0.01 if not odd else 0.2) * power_in_band(coded), "a tenth of the amplitude"
    assert power_in_band(clean[:, 1]) < 0.1 * power_in_band(sawtooth(keys))
    # Uneven groups follow other rates a little, too: up to the square of FOLLOWING is lost of a rate that passes.
    assert clean[:, 2] @ pulse == pytest.approx(pulse @ pulse, rel=0.1 if not odd else 0.2)


def test_multiples_of_a_regular_group_rate_coincide() -> None:
    _, anchors = coded_trace(10, np.full(60, 4))
    assert [bpm for bpm in range(100, 200, 2) if coincides_with_key_frames(bpm, anchors, 20)] == [148, 150, 152]


def test_rate_that_groups_of_irregular_length_follow_coincides() -> None:
    """Groups of three and four frames as near to 160 a minute as whole frames allow; most have 0.4 s, 150 a minute."""
    _, anchors = coded_trace(10, np.diff(np.rint(np.arange(60) * 3.75).astype(int)))
    assert coincides_with_key_frames(160, anchors, seconds=20)
    assert not any(coincides_with_key_frames(bpm, anchors, seconds=20) for bpm in (70, 90, 110, 130, 170))


@pytest.mark.parametrize(("pulse_bpm", "shown"), [(150.0, 0.2), (75.0, 0.2), (100.0, 0.5), (66.0, 0.5)])
def test_slow_rate_may_be_the_image_of_a_pulse_that_b_frames_hardly_show(pulse_bpm: float, shown: float) -> None:
    frames = np.arange(320) / 15
    anchors = frames[::4]
    pulse = np.sin(2 * np.pi * pulse_bpm / 60 * frames)
    coded = shown * pulse + (1 - shown) * np.interp(frames, anchors, pulse[::4])
    waveform = np.interp(TIMES, frames, np.where(np.arange(320) % 4, coded, pulse))
    found = RateEstimate(*spectrum(waveform, 30), bpm=min(pulse_bpm, 225 - pulse_bpm), coherence=1.0, seconds=20.0)
    assert may_be_image(found, anchors, 240) == (pulse_bpm == 150)
    assert not may_be_image(found, [], 240)

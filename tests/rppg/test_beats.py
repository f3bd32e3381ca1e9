"""Beats of synthetic pulses whose every beat is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.beats import find_beats
from facepulse.rppg.hrv import hrv
from ppg_waveforms import camera, constant_rate, measured_beats, variable_onsets


@pytest.mark.parametrize(
    ("bpm", "fps"),
    [(45, 15), (90, 15), (130, 15), (45, 29.97), (90, 29.97), (150, 29.97), (220, 29.97), (60, 60), (220, 60)],
)
def test_beats_are_found_to_a_fraction_of_a_sample(bpm, fps):
    beats = measured_beats(constant_rate(bpm, 30, snr=40, fps=fps), fps)
    error_s = (beats.times_s * bpm / 60 + 0.5) % 1 - 0.5
    error_s = (error_s - np.median(error_s)) * 60 / bpm
    assert len(beats.times_s) == pytest.approx(30 * bpm / 60, abs=2)
    assert np.abs(error_s).max() < 0.2 / fps
    assert beats.accepted.all()


def test_dicrotic_notch_does_not_shift_beats():
    onsets_s = variable_onsets(60, 60, seed=3)
    beats = measured_beats(camera(onsets_s, 0.85, 60, snr=30))
    delay_s = np.array([np.min(np.where(time > onsets_s, time - onsets_s, 9)) for time in beats.times_s])
    assert len(beats.times_s) == pytest.approx(((onsets_s > 0) & (onsets_s < 60)).sum(), abs=2)
    assert delay_s.std() < 0.012
    assert np.median(delay_s) == pytest.approx(0.85 * 0.16, abs=0.03)  # the steepest rise is one width before the crest


@pytest.mark.parametrize("snr", [20, 12])
@pytest.mark.parametrize("bpm", [55, 80, 120])
def test_jitter_estimates_the_true_error_of_beats(bpm, snr):
    true_ms, estimated_ms = [], []
    for seed in range(4):
        beats = find_beats(constant_rate(bpm, 40, snr=snr, seed=seed), 30, bpm)
        phase = beats.times_s[beats.accepted] * bpm / 60
        error = (phase - np.median(phase % 1) + 0.5) % 1 - 0.5
        true_ms.append(60e3 / bpm * error.std())
        estimated_ms.append(beats.jitter_ms)
    assert 0.8 < np.mean(estimated_ms) / np.mean(true_ms) < 1.7


def test_short_and_invalid_waveforms() -> None:
    assert find_beats(np.zeros(30), 30, 60) is None
    assert find_beats(np.zeros(900), 30, 60) is None
    with pytest.raises(ValueError, match="bpm must be a number above zero"):
        find_beats(np.ones(900), 30, 0)
    with pytest.raises(ValueError, match=r"shape \(30, 3\)"):
        find_beats(np.ones((30, 3)), 30, 60)


# --- Waveforms in which nothing changes, wholly or in parts

RNG = np.random.default_rng(0)
ONSETS_S = variable_onsets(60, 60, seed=1)
WAVEFORM = camera(ONSETS_S, 0.85, 60, snr=25)
UNCHANGING = {
    "a level": [7] * 1800,
    "saturation": np.full(1800, 255.0),
    "rounding errors": 512 + 1e-12 * RNG.normal(size=1800),
    "toggling by one step": 7 + (RNG.random(1800) < 0.5),
    "toggling by one step of a fraction": 0.1 * (3 + (RNG.random(1800) < 0.5)),
    "one step": np.repeat([7, 9], 900),
    "steps": np.repeat([1, 5, 2, 8, 3, 9.5], 300),
    "a straight line": 0.1 * np.arange(1800),
}


@pytest.mark.parametrize("waveform", UNCHANGING.values(), ids=UNCHANGING)
@pytest.mark.parametrize("bpm", [45, 70, 180])
def test_nothing_that_changes_has_no_beats(waveform, bpm):
    assert find_beats(waveform, 30, bpm) is None


def interrupted(start_s, end_s, values, waveform=WAVEFORM):
    """Waveform at 30 fps with other values in a part of it."""
    changed, part = waveform.copy(), slice(round(30 * start_s), round(30 * end_s))
    changed[part] = values if np.ndim(values) == 0 else values[part]
    return changed


@pytest.mark.parametrize(
    "waveform",
    [
        *(interrupted(20, 40, level) for level in (0, WAVEFORM[600], WAVEFORM.max(), 300)),
        interrupted(20, 40, 512 + 1e-12 * RNG.normal(size=1800), 512 + WAVEFORM),
        interrupted(20, 40, 1e-3 * RNG.normal(size=1800)),
        interrupted(20, 40, np.rint(RNG.random(1800)), np.rint(20 * WAVEFORM)),
        interrupted(20, 40, np.interp(np.arange(1800), [600, 1200], WAVEFORM[[600, 1200]])),
    ],
    ids=["zero", "held", "saturated", "far away", "rounding errors", "small noise", "toggling", "interpolated"],
)
def test_interruption_has_no_beats_and_no_interval_crosses_it(waveform):
    beats = find_beats(waveform, 30, 70)
    [(start_s, end_s)] = beats.interruptions
    assert (start_s, end_s) == pytest.approx((20, 40), abs=0.1)
    assert not ((beats.times_s > 20) & (beats.times_s < 40)).any()
    assert beats.uninterrupted_s == pytest.approx(40, abs=0.15)
    assert np.flatnonzero(~beats.contiguous).tolist() == [np.searchsorted(beats.times_s, 30) - 1]
    assert np.diff(beats.times_s)[beats.contiguous].max() < 1.1
    assert beats.accepted.all()


def test_interruptions_at_the_beginning_in_the_middle_and_at_the_end():
    waveform = interrupted(45, 60, 0, interrupted(20, 25, 1, interrupted(0, 5, -1)))
    beats = find_beats(waveform, 30, 70)
    np.testing.assert_allclose(beats.interruptions, [(0, 5), (20, 25), (45, 60)], atol=0.1)
    assert np.count_nonzero(~beats.contiguous) == 1, "no beats before the first and after the last"
    short = find_beats(interrupted(22, 30, 2, waveform), 30, 70)
    np.testing.assert_allclose(short.interruptions, [(0, 5), (20, 30), (45, 60)], atol=0.1)
    part = find_beats(interrupted(28, 35, 1, waveform), 30, 70)
    np.testing.assert_allclose(part.interruptions, [(0, 5), (20, 35), (45, 60)], atol=0.1)  # 3 s are too short


def test_clipped_crests_are_not_interruptions_but_seconds_of_saturation_are():
    clipped = np.minimum(WAVEFORM, np.quantile(WAVEFORM, 0.6))
    assert find_beats(clipped, 30, 70).interruptions == ()
    saturated = np.minimum(WAVEFORM + np.linspace(0, 3, 1800), 2.2)
    [(start_s, end_s)] = find_beats(saturated, 30, 70).interruptions
    assert start_s > 40
    assert end_s == 60


@pytest.mark.parametrize("fps", [15, 30, 250])
def test_uninterrupted_waveform_has_contiguous_intervals_even_if_coarsely_quantised(fps):
    for steps in (10, 1000):
        waveform = np.rint(steps * constant_rate(75, 30, snr=30, fps=fps))
        beats = find_beats(waveform, fps, 75)
        assert beats.interruptions == ()
        assert beats.contiguous.all()
        assert beats.uninterrupted_s == beats.duration_s == 30


@settings(max_examples=25)
@given(
    bpm=st.floats(50, 120),
    rmssd_ms=st.floats(0, 70),
    fps=st.sampled_from([25.0, 30.0, 64.0]),
    dropouts=st.lists(st.tuples(st.floats(0, 56), st.floats(2, 12)), max_size=4),
    level=st.sampled_from([None, -3.0, 0.0, 40.0]),
    seed=st.integers(0, 99),
)
def test_dropouts_neither_hold_beats_nor_add_variability(bpm, rmssd_ms, fps, dropouts, level, seed):
    mean_s = 60 / bpm
    onsets_s = variable_onsets(rmssd_ms, 60, mean_s=mean_s, seed=seed)
    waveform = camera(onsets_s, mean_s, 60, snr=30, fps=fps, seed=seed)
    clock_s = np.arange(len(waveform)) / fps
    lost = np.zeros(len(waveform), bool)
    for start_s, length_s in dropouts:
        lost |= (clock_s >= start_s) & (clock_s < start_s + length_s)
    held = waveform[np.maximum.accumulate(np.where(lost, 0, np.arange(len(waveform))))]
    waveform = np.where(lost, held if level is None else level, waveform)
    beats = find_beats(waveform, fps, bpm)
    if beats is None:
        return
    assert not lost[np.rint(beats.times_s * fps).astype(int)].any()
    true_ms, found_ms = 1e3 * np.diff(onsets_s), 1e3 * np.diff(beats.times_s)[beats.contiguous]
    distances_s = np.abs(beats.times_s[1:][beats.contiguous, None] - onsets_s[1:])
    near = np.where(distances_s < mean_s, np.abs(found_ms[:, None] / true_ms - 1), np.inf)
    assert near.min(axis=1).max(initial=0) < 0.15
    result = hrv(beats)
    if result is not None and result.sdnn_ms is not None:
        whole = np.array([not lost[(clock_s >= a) & (clock_s <= b)].any() for a, b in pairwise(onsets_s)])
        inside = whole & (onsets_s[:-1] >= 0) & (onsets_s[1:] < 60)
        assert result.sdnn_ms <= 1.2 * true_ms[inside].std(ddof=1) + 8
        if result.rmssd_ms is not None:
            changes_ms = np.diff(true_ms)[inside[1:] & inside[:-1]]
            assert result.rmssd_ms <= 1.2 * np.sqrt(np.mean(changes_ms**2)) + 8

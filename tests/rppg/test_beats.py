"""Beats of synthetic pulses whose every beat is known."""

import numpy as np
import pytest

from facepulse.rppg.beats import find_beats
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

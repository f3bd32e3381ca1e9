from pathlib import Path

import numpy as np
import pytest

from facepulse.faces.detectors import DETECTORS
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames, pulse_waveform, render
from facepulse.video.reader import open_video


def test_waveform_has_one_peak_per_beat_time() -> None:
    times = np.arange(0, 10, 0.001)
    waveform = pulse_waveform(times, metronome(75, 10))
    assert np.ptp(waveform) == pytest.approx(1.0, abs=0.05)
    before, middle, after = waveform[:-2], waveform[1:-1], waveform[2:]
    peaks = times[1:-1][(middle > before) & (middle >= after) & (middle > 0.3)]
    assert np.diff(peaks) == pytest.approx(0.8, abs=0.002)


def test_waveform_without_beats_is_zero() -> None:
    assert not pulse_waveform(np.arange(10.0), np.zeros(0)).any()


@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_face_detector_finds_the_face_at_its_place(tone: str) -> None:
    [frame] = paint_frames([PaintedFace(tone=tone, centre=(0.4, 0.55), sway=0)], np.zeros(1))
    [found] = DETECTORS["haar"]()(frame)
    x, y = found.box.centre
    assert (x, y) == (pytest.approx(0.4 * 640, abs=12), pytest.approx(0.55 * 480, abs=25))


@pytest.mark.slow
def test_pulse_of_the_skin_has_its_strength_and_direction_and_the_wall_has_none() -> None:
    times = np.arange(60) / 30
    face = PaintedFace(metronome(60, 2), strength=0.02, sway=0)
    frames = np.stack(list(paint_frames([face], times, noise=0))).astype(float)
    linear = (frames / 255) ** 2.2
    cheek = linear[:, 260:300, 250:280].mean(axis=(1, 2))
    relative = np.ptp(cheek, axis=0) / cheek.mean(axis=0)
    assert relative[1] == pytest.approx(0.02, rel=0.15)
    assert relative[0] / relative[1] == pytest.approx(0.33 / 0.77, rel=0.25)
    assert not np.ptp(frames[:, :50, :50], axis=0).any()


def test_skin_is_darker_with_more_blood() -> None:
    times = np.arange(60) / 30
    beats = metronome(60, 2)
    frames = np.stack(list(paint_frames([PaintedFace(beats, sway=0)], times, noise=0)))
    green = frames[:, 260:300, 250:280, 1].mean(axis=(1, 2))
    assert np.corrcoef(green, pulse_waveform(times, beats))[0, 1] < -0.95


def test_same_seed_gives_the_same_video(tmp_path: Path) -> None:
    times = np.arange(5) / 30
    one, two, other = (list(paint_frames([PaintedFace()], times, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_file_has_the_given_times(tmp_path: Path) -> None:
    times = np.array([0.0, 0.031, 0.1, 0.133])
    path = render(tmp_path / "v.mp4", [PaintedFace()], times=times, width=160, height=120)
    with open_video(path) as video:
        assert [frame.time for frame in video] == pytest.approx(times, abs=1e-3)

"""References of another unit or rate than their video, and those of every dataset, which are right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import ROOTS, find, read, times_of
from facepulse.datasets.alignment import align
from facepulse.datasets.preparation import prepare
from facepulse.datasets.recording import DatasetError, Labels, Signal
from facepulse.datasets.reference_checks import check_extent, check_rate, check_samples
from facepulse.simulate.painted_face import PaintedFace, pulse_waveform, render

VIDEO_S = 20.0
BEATS = np.cumsum(60 / 72 * (1 + 0.05 * np.random.default_rng(3).normal(size=100))) - 12


def ppg(times, scale: float = 1.0, offset: float = 0.0) -> Signal:
    """PPG at times in seconds, with the times in another unit or on another clock."""
    return Signal(scale * np.asarray(times) + offset, pulse_waveform(np.asarray(times), BEATS))


def bpm(every_s: float, scale: float = 1.0, offset: float = 0.0) -> Signal:
    times = np.arange(0, VIDEO_S + 0.1, every_s)
    return Signal(scale * times + offset, np.full(len(times), 72.0))


def clock(hz: float, start_s: float = 0.0, end_s: float = VIDEO_S) -> np.ndarray:
    return np.arange(start_s, end_s, 1 / hz)


def check(labels: Labels) -> None:
    check_samples(labels)
    check_extent(labels, VIDEO_S)


@pytest.mark.parametrize("dataset", ROOTS)
def test_references_of_every_dataset_are_accepted(dataset: str, tmp_path: Path) -> None:
    ROOTS[dataset](tmp_path / "root")
    for recording in find(dataset, tmp_path / "root"):
        frames, labels, _ = read(recording)
        check_samples(labels)
        check_extent(labels, float(times_of(frames)[-1]))


@pytest.mark.parametrize(
    "labels",
    [
        *(Labels(ppg(clock(hz))) for hz in (8, 25, 30, 60, 64, 256, 1000)),
        Labels(ppg(clock(100, -60, 80))),
        Labels(ppg(clock(100, -5, 10))),
        Labels(ppg(clock(100, 15, 90))),
        Labels(replace(ppg(clock(100)), values=-ppg(clock(100)).values)),
        Labels(replace(ppg(clock(60)), values=np.rint(5 * ppg(clock(60)).values))),
        Labels(replace(ppg(clock(60)), values=np.where(clock(60) > 12, 0.0, ppg(clock(60)).values))),
        Labels(None, bpm(1.0)),
        Labels(None, bpm(5.0)),
        Labels(None, bpm(1.0, offset=-15.0)),
        Labels(),
    ],
)
def test_ordinary_references_are_accepted(labels: Labels) -> None:
    check(labels)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (Labels(ppg(clock(100), 1e3)), "sample every 10 s, .* 8 a second; expected seconds .*are they milliseconds?"),
        (Labels(ppg(clock(30), 1e6)), "are they microseconds?"),
        (Labels(ppg(clock(60), 1e9)), "are they nanoseconds?"),
        (Labels(ppg(clock(256), 256)), "a sample every 1 s.* are they sample numbers?"),
        (Labels(ppg(clock(5))), "a sample every 0.2 s, and a pulse needs 8 a second"),
        (Labels(ppg(clock(100), offset=1.7e9)), "covers 1700000000.0 to .*hardly overlap.*are they times since 1970"),
        (Labels(ppg(clock(100), offset=51000)), "they hardly overlap; .* are they times of day?"),
        (Labels(ppg(clock(100), 1e-3)), r"covers 0\.0 to 0\.0 s.*hardly overlap.*are they thousands of seconds?"),
        (Labels(ppg(clock(100), 1 / 60)), "hardly overlap.*are they minutes?"),
        (Labels(ppg(clock(100), offset=100)), "covers 100.0 to 120.0 s, but the video 0.0 to 20.0 s: they hardly"),
        (Labels(ppg(clock(2000), 100)), r"covers 0\.0 to 2000\.0 s, but the video 0\.0 to 20\.0 s; expected seconds"),
        (Labels(Signal(clock(30), np.full(600, 7.0))), "the reference ppg is 7 throughout, without a pulse"),
        (Labels(None, bpm(1.0, 1e3)), "reference bpm covers 0.0 to 20000.0 s.*are they milliseconds?"),
        (Labels(None, bpm(1 / 30, 30)), "reference bpm covers 0.0 to 602.0 s.*are they sample numbers?"),
        (Labels(None, bpm(5.0, offset=1.7e9)), "reference bpm covers 1700000000.0 .*times since 1970"),
        (Labels(ppg(clock(100)), bpm(5.0, 1e3)), "reference bpm covers 0.0 to 20000.0 s"),
    ],
)
def test_times_of_another_unit_or_clock_are_an_error_that_names_it(labels: Labels, words: str) -> None:
    with pytest.raises(DatasetError, match=words) as error:
        check(labels)
    assert "\n" not in str(error.value)
    assert "seconds from the first frame" in str(error.value) or "without a pulse" in str(error.value)


@pytest.mark.parametrize("measured_hz", [1, 2, 5])
def test_interpolated_or_held_samples_are_not_those_of_a_sensor(measured_hz: int) -> None:
    coarse, fine = ppg(clock(measured_hz, 0, 25)), clock(30)
    held = coarse.values[np.searchsorted(coarse.times, fine, side="right") - 1]
    for values in (coarse.at(fine), np.round(coarse.at(fine), 4), *([held] if measured_hz < 3 else [])):
        with pytest.raises(DatasetError, match=r"measured \d\.\d times a second and interpolated"):
            check_samples(Labels(Signal(fine, values)))


@pytest.mark.parametrize("scale", [2.0, 0.5, 60 / 64, 128 / 100])
def test_other_sampling_rate_is_recognised_by_the_pulse_in_the_video(scale: float) -> None:
    video_s = 60.0
    beats = np.cumsum(60 / 72 * (1 + 0.05 * np.random.default_rng(3).normal(size=100))) - 2
    frames = np.arange(0, video_s, 1 / 30)
    noise = 0.3 * np.random.default_rng(0).normal(size=len(frames))
    pulse = [(frames, pulse_waveform(frames, beats) + noise)]
    times = np.arange(0, video_s, 0.01)
    right, wrong = (Signal(factor * times, pulse_waveform(times, beats)) for factor in (1.0, scale))
    check_rate(pulse, right, video_s, align(pulse, right))
    with pytest.raises(DatasetError, match="fits the pulse in the video only if it is scaled") as error:
        check_rate(pulse, wrong, video_s, align(pulse, wrong))
    assert float(str(error.value).split()[-4]) == pytest.approx(scale, rel=0.01)  # "... 2 times as high?"


@pytest.mark.parametrize("extent_s", [(0, 120), (0, 30), (-40, 100), (0, 58)])
def test_longer_and_shorter_references_at_the_right_rate_are_accepted(extent_s: tuple[float, float]) -> None:
    beats = np.cumsum(60 / 72 * (1 + 0.05 * np.random.default_rng(3).normal(size=250))) - 60
    frames, times = np.arange(0, 60, 1 / 30), np.arange(*extent_s, 0.01)
    reference = Signal(times, pulse_waveform(times, beats))
    for waveform in (pulse_waveform(frames, beats), np.random.default_rng(1).normal(size=len(frames))):
        check_rate([(frames, waveform)], reference, 60.0, align([(frames, waveform)], reference))


@pytest.mark.slow
def test_recording_with_times_in_milliseconds_fails_alone(tmp_path: Path) -> None:
    times, first = np.arange(0, 6, 0.01), tmp_path / "videos" / "right.mp4"
    first.parent.mkdir()
    render(first, [PaintedFace(BEATS, height=0.8, strength=0.03, sway=0.001)], seconds=6.0, width=160, height=120)
    for name, stamps in {"right": times, "wrong": 1e3 * times, "late": 1.7e9 + times}.items():
        path = first.with_stem(name)
        path.write_bytes(first.read_bytes())
        rows = np.stack([stamps, pulse_waveform(times, BEATS)], axis=1)
        np.savetxt(path.with_suffix(".csv"), rows, "%.3f", delimiter=",", header="time_s,ppg", comments="")
    summary = prepare("folder", tmp_path / "videos", tmp_path / "cache", settings={"size": 36}, jobs=1)
    notes = {each.recording: each.notes for each in summary.failed}
    assert summary.newly_prepared == 1
    assert notes.keys() == {"wrong", "late"}
    assert "are they milliseconds?" in notes["wrong"]
    assert "are they times since 1970" in notes["late"]

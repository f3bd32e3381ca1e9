"""Live measurement: the same heart rates as from a file, in spite of the disturbances of real streams."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import facepulse
from facepulse.errors import UsageError
from facepulse.faces.detectors import DETECTORS
from facepulse.faces.tracking import FaceTracker
from facepulse.inference.engine import torch_engine
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.advice import FEW_FRAMES, NO_FACE
from facepulse.pipeline.methods import Method, find_method
from facepulse.rppg.classical import CLASSICAL
from facepulse.stream import LiveReading, LiveTraces
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video

BPM = 75.0
stream = partial(facepulse.stream, method="POS")


@pytest.fixture(scope="module")
def frames(face_video) -> list[Frame]:
    with open_video(face_video(BPM, 24.0)) as video:
        return list(video)


def measured(readings: list[LiveReading]) -> list[LiveReading]:
    return [reading for reading in readings if reading.state == "measured"]


@pytest.mark.slow
def test_one_reading_per_second_and_the_first_heart_rate_within_six(frames) -> None:
    readings = list(stream(frames))
    steps = [after.time_s - before.time_s for before, after in pairwise(readings)]
    assert max(steps) <= 1.6
    assert np.mean(steps) == pytest.approx(1.0, abs=0.15)
    found = measured(readings)
    assert found[0].time_s < 6.0
    assert [reading.bpm for reading in found] == [pytest.approx(BPM, abs=2.5)] * len(found)
    assert len(found) == sum(reading.time_s > 5.4 for reading in readings), "every later reading has a heart rate, too"
    assert [reading.state for reading in readings[:3]] == ["collecting"] * 3
    last = readings[-1]
    assert last.window_s == pytest.approx(10.0)
    assert len(last.waveform) == len(last.times_s) == 300
    assert last.times_s[-1] == pytest.approx(last.time_s, abs=0.1)
    assert last.waveform.std() == pytest.approx(1.0, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["POS", "CHROM"])
def test_stream_and_file_have_the_same_heart_rate_in_the_same_window(face_video, method: str) -> None:
    video = face_video(BPM, 24.0)
    offline = facepulse.measure(video, method=method).windows
    online = measured(list(stream(video, method=method)))
    shared = 0
    for window in offline:
        nearest = min(online, key=lambda reading: abs(reading.time_s - window.end_s))
        if abs(nearest.time_s - window.end_s) <= 0.6 and window.bpm is not None:
            assert nearest.bpm == pytest.approx(window.bpm, abs=1.0)
            shared += 1
    assert shared >= 3


@pytest.mark.slow
def test_real_face_has_the_same_heart_rate_in_a_stream_as_in_a_file(shared_data) -> None:
    face = shared_data / "evm_face" / "face.mp4"
    found = measured(list(stream(face)))
    assert len(found) >= 4
    assert found[-1].bpm == pytest.approx(facepulse.measure(face).bpm, abs=1.0)


@pytest.mark.slow
def test_late_missing_repeated_and_untimed_frames_do_not_change_the_heart_rate(frames) -> None:
    rng = np.random.default_rng(0)

    def disturbed() -> Iterator[Frame]:
        for index, frame in enumerate(frames):
            if rng.random() < 0.15:
                continue
            yield replace(frame, time=frame.time + rng.uniform(0, 0.02))
            if index % 40 == 7:
                yield frame  # repeated
            if index % 50 == 9:
                yield replace(frame, time=frame.time - 0.3)  # far too late
            if index % 60 == 11:
                yield replace(frame, time=float("nan"))

    found = measured(list(stream(disturbed())))
    assert len(found) >= 12
    assert [reading.bpm for reading in found] == [pytest.approx(BPM, abs=3)] * len(found)


@pytest.mark.slow
def test_lost_face_is_reported_and_measured_anew_when_it_returns(frames) -> None:
    wall = np.full_like(frames[0].image, 110)
    hidden = [replace(frame, image=wall) if 9 <= frame.time < 14 else frame for frame in frames]
    readings = list(stream(hidden))
    away = [reading for reading in readings if 12 < reading.time_s < 14]
    assert away
    assert all((reading.state, reading.bpm, reading.box) == ("no face", None, None) for reading in away)
    assert {reading.reason for reading in away} == {"no_face"}
    assert away[0].advice == (NO_FACE,)
    back = [reading for reading in readings if 15 < reading.time_s < 18]
    assert {reading.state for reading in back} == {"collecting"}
    assert readings[-1].state == "measured"
    assert readings[-1].bpm == pytest.approx(BPM, abs=2)
    assert readings[-1].window_s < 10.1


@pytest.mark.slow
def test_pause_of_the_source_starts_a_new_window(frames) -> None:
    paused = [frame if frame.time < 10 else replace(frame, time=frame.time + 30) for frame in frames]
    readings = list(stream(paused))
    after = [reading for reading in readings if reading.time_s > 40]
    assert after[0].window_s < 2.0
    assert readings[-1].bpm == pytest.approx(BPM, abs=2)


@pytest.mark.slow
def test_heart_rate_is_withheld_without_a_pulse(face_video) -> None:
    readings = list(stream(face_video(None, 20.0)))
    assert {reading.bpm for reading in readings} == {None}
    unsure = [reading for reading in readings if reading.state == "unsure"]
    assert unsure
    assert all(reading.advice for reading in unsure)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream(frames, trained) -> None:
    def endless(turns: int) -> Iterator[Frame]:
        for turn in range(turns):
            for frame in frames[::3]:
                yield replace(frame, time=frame.time + 24.0 * turn)

    def kept(turns: int) -> list[int]:
        """Number of values of each kind that are kept at the end."""
        tracker, method = FaceTracker(DETECTORS["auto"]()), find_method(str(trained.onnx))
        live = LiveTraces(tracker, method, 10.0, QUALITY_THRESHOLD)
        for tracked in tracker.track(endless(turns)):
            live.push(tracked)
        [track], [face] = tracker.tracks.values(), live.faces.values()
        assert face.network is not None
        rows = sum(len(segment.rgb) for segment in face.skin.segments)
        samples = sum(len(segment.waveform) for segment in face.network.segments)
        windows, boxes = face.network._stream._windows, live.boxes[track.identity]
        return [track.detection_count, len(track.segments), rows, samples, len(windows), len(boxes), len(live.coded)]

    after_four = kept(4)
    assert after_four == pytest.approx(kept(2), abs=35)
    assert after_four[:2] == [2, 1]


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [3.0, 20.0])
def test_network_measures_after_a_pause(frames, trained, pause_s: float) -> None:
    paused = [frame if frame.time < 9 else replace(frame, time=frame.time + pause_s) for frame in frames]
    readings = list(stream(paused, method=str(trained.onnx)))
    assert readings[-1].window_s == pytest.approx(10.0)


@pytest.mark.slow
def test_low_frame_rate_gives_no_heart_rate_and_advice(frames) -> None:
    for every in (8, 25):  # 3.75 and 1.2 frames per second
        readings = list(stream(frames[::every]))
        assert {reading.bpm for reading in readings} == {None}
        assert readings[-1].reason == "low_fps"
        assert readings[-1].advice == (FEW_FRAMES,)


@pytest.mark.slow
def test_photograph_in_a_video_with_key_frames_gives_no_heart_rate(face_video) -> None:
    options = {"options": {"x264-params": "keyint=30:scenecut=0:asm=avx2"}, "name": "photograph.mp4"}
    readings = list(stream(face_video(None, 20.0, **options)))
    assert {reading.bpm for reading in readings} == {None}


@pytest.mark.slow
def test_rhythm_of_b_frames_gives_no_heart_rate_in_a_stream(face_video) -> None:
    readings = list(stream(face_video(None, 20.0, fps=8.0, options={"bf": "3"}), method="physfsunet"))
    assert {reading.bpm for reading in readings} == {None}
    assert "b_frames" in {reading.reason for reading in readings}


@pytest.mark.slow
def test_network_measures_a_stream(face_video, trained) -> None:
    video = face_video(72.0, 20.0, face={"strength": 0.08})
    found = measured(list(stream(video, method=str(trained.onnx))))
    assert [reading.bpm for reading in found] == [pytest.approx(72.0, abs=3.0)] * len(found)
    assert len(found) >= 10
    assert {reading.method for reading in found} == {"tiny"}


@pytest.mark.slow
def test_classical_method_replaces_a_network_of_low_quality_unless_there_is_no_fallback(face_video, trained) -> None:
    torch = pytest.importorskip("torch")

    def predict_112_bpm(clips):
        phase = 2 * np.pi * 112.5 / 60 * np.arange(clips.shape[2]) / 30
        return torch.from_numpy(np.sin(phase).astype(np.float32)).expand(len(clips), -1)

    method = Method(CLASSICAL["POS"], torch_engine(predict_112_bpm, trained.card))
    video = face_video(72.0, 12.0, face={"strength": 0.08})
    *_, reading = stream(video, method=method)
    assert (reading.state, reading.method, reading.requested_method) == ("measured", "POS", "tiny")
    assert reading.bpm == pytest.approx(72.0, abs=2.0)
    *_, reading = stream(video, method=method, fallback=None)
    assert (reading.state, reading.method, reading.bpm) == ("unsure", "tiny", None)


@pytest.mark.slow
def test_values_of_a_reading_agree_with_one_another(face_video) -> None:
    readings = [*stream(face_video(BPM, 12.0)), *stream(face_video(None, 12.0)), *stream([])]
    for reading in readings:
        assert (reading.bpm is None) == (reading.reason is not None)
        assert reading.bpm in (None, reading.estimate_bpm)
        assert (reading.state == "measured") == (reading.reason is None)
        assert json.loads(json.dumps(reading.to_dict())) == reading.to_dict()
    assert {(reading.state, reading.reason) for reading in readings} == {
        ("collecting", "too_short"),
        ("measured", None),
        ("unsure", "low_quality"),
    }
    unsure = [reading for reading in readings if reading.state == "unsure"]
    assert all(reading.estimate_bpm is not None for reading in unsure)
    assert re.fullmatch(
        r"<LiveReading at \d+\.\d s: withheld \(low_quality\), best guess \d+\.\d bpm, quality 0\.\d\d, POS>",
        repr(unsure[-1]),
    )


def test_reading_has_plain_json_values(face_video) -> None:
    reading = next(iter(stream(face_video())))
    assert reading.to_dict() == {
        "time_s": 0.0,
        "state": "collecting",
        "method": "POS",
        "requested_method": "POS",
        "bpm": None,
        "estimate_bpm": None,
        "reason": "too_short",
        "quality": 0.0,
        "window_s": 0.0,
        "box": reading.to_dict()["box"],
        "advice": [],
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "nonsense"}, "no method is called"),
        ({"method": None}, "a method cannot be None"),
        ({"detector": "nonsense"}, "no detector is called"),
        ({"detector": 3}, "no detector is called 3"),
        ({"window_s": 3.0}, "5 s long or longer, not 3 s"),
        ({"min_quality": 2.0}, "from 0 to 1, not 2"),
    ],
)
def test_invalid_arguments_are_refused_at_once(arguments: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        stream([], **arguments)


def test_empty_stream_has_no_readings() -> None:
    assert list(stream([])) == []

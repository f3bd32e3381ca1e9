"""Measurements built from estimates: the values agree with one another, whatever the video shows."""

import json
from itertools import product

import numpy as np
import pytest

from face_traces import CONTENTS, FPS, KEY_TIMES, SECONDS, SKIN, face_segment, with_network
from facepulse.faces.tracking import Box, Track
from facepulse.measurement import Measurement
from facepulse.pipeline.decision import WITHOUT_GUESS
from facepulse.pipeline.estimate import Estimate, choose, estimate
from facepulse.pipeline.extract import FaceTraces, MeasurableFace, Segment, VideoTraces
from facepulse.pipeline.methods import Method
from facepulse.pipeline.result import to_measurement
from facepulse.rppg.classical import CLASSICAL
from facepulse.video.timing import Timing


def measured(segment: Segment, found: Estimate) -> Measurement:
    video = VideoTraces("face.mp4", {}, {}, segment.times, Timing(FPS), SECONDS, [])
    traces = FaceTraces(Method(CLASSICAL["POS"]), np.zeros((4, 4, 3), np.uint8), Box(0, 0, 4, 4))
    face = MeasurableFace(1, Track(0, traces.box), traces, [segment], (), faces=3)
    return to_measurement(video, face, found, 10.0)


def measurements(content: str, network_bpm: float | None) -> list[Measurement]:
    """Measure the same traces with several thresholds."""
    segment, method = face_segment(content), Method(CLASSICAL["POS"])
    if network_bpm is not None:
        segment, method = with_network(segment, network_bpm)
    key_times = KEY_TIMES if content == "key frames" else ()
    found = estimate([segment], method, timing=Timing(FPS, key_times))
    thresholds = (0.0, 0.3, 0.7, 0.95, 1.0)
    return [measured(segment, Estimate(found.candidates, choose(found.candidates, q), q)) for q in thresholds]


@pytest.mark.parametrize(("content", "network_bpm"), [*product(CONTENTS, (None, 72.0, 110.0))])
def test_values_agree_with_one_another(content: str, network_bpm: float | None) -> None:
    for result in measurements(content, network_bpm):
        for each in (result, *result.windows):
            assert (each.bpm is None) == (each.reason is not None)
            assert each.bpm in (None, each.estimate_bpm)
            assert (each.estimate_bpm is None) == (each.reason in WITHOUT_GUESS)
        if result.reason is not None:
            assert ("not even a best guess" in result.warnings[0]) == (result.estimate_bpm is None)
            assert result.hrv is None
            assert len(result.beats_s) == 0
        assert result.requested_method == ("POS" if network_bpm is None else "net")
        assert result.faces == 3
        plain = json.loads(result.to_json(waveform=True))
        assert plain == result.to_dict(waveform=True)
        for each in (plain, *plain["windows"]):
            assert (each["bpm"] is None) == (each["reason"] is not None)
            assert each["bpm"] in (None, each["estimate_bpm"])


def test_requested_method_is_the_network_that_a_classical_method_replaced() -> None:
    [result] = [each for each in measurements("pulse", 110.0) if each.method == "POS" and each.bpm is not None][:1]
    assert result.bpm == pytest.approx(72.0, abs=0.5)
    assert result.requested_method == "net"
    assert "measured with POS instead" in result.warnings[0]


def test_best_guess_of_a_window_is_its_own() -> None:
    segment = face_segment("noise")
    found = estimate([segment], Method(CLASSICAL["POS"]), timing=Timing(FPS))
    windows = measured(segment, found).windows
    assert {window.reason for window in windows} == {"low_quality"}
    guesses = [found.chosen.window(0, begin, begin + 300).rate.bpm for begin in (0, 150, 300)]
    assert [window.estimate_bpm for window in windows] == guesses
    assert len(set(guesses)) == 3


def test_reason_of_a_window_is_its_own() -> None:
    segment = face_segment("pulse")
    segment.rgb[300:] = SKIN
    found = estimate([segment], Method(CLASSICAL["POS"]), timing=Timing(FPS))
    first, _, last = measured(segment, found).windows
    assert first.reason is None
    assert first.bpm == pytest.approx(72.0, abs=0.5)
    assert (last.bpm, last.estimate_bpm, last.reason) == (None, None, "constant")

"""Decisions whether a heart rate is shown, for traces whose content is known."""

from typing import get_args

import pytest

from face_traces import KEY_TIMES, face_segment, with_network
from facepulse.measurement import Reason
from facepulse.pipeline.decision import NOTES, WITHOUT_GUESS, decide, withheld_note
from facepulse.pipeline.estimate import estimate
from facepulse.pipeline.methods import Method, find_method
from facepulse.rppg.classical import CLASSICAL
from facepulse.video.timing import Timing


@pytest.mark.parametrize(
    ("content", "method", "reason", "note"),
    [
        ("pulse", "POS", None, ""),
        ("grey", "GREEN", None, ""),
        ("noise", "POS", "low_quality", "hold still"),
        ("key frames", "POS", "key_frames", "a multiple of the codec's key-frame rate (1.00 s apart)"),
        ("key frames", "POS", "b_frames", "which the codec's B frames may have caused (one I or P frame in 1.00 s)"),
        ("pulse", "POS", "timestamps", "the times of too many frames do not increase; state the frame rate (fps)"),
        ("grey", "POS", "no_color", "use the method GREEN"),
        ("constant", "POS", "constant", "is this a photograph?"),
        ("lamp", "POS", "no_peak", "the spectrum has no peak from 40 to 240 bpm; hold still"),
    ],
)
def test_reason_and_note_are_those_of_the_content(content: str, method: str, reason: Reason | None, note: str) -> None:
    timings = {
        "key_frames": Timing(30.0, key_times=KEY_TIMES),
        "b_frames": Timing(30.0, anchor_times=KEY_TIMES),
        "timestamps": Timing(30.0, clock_quality=0.5),
    }
    timing = timings.get(reason or "", Timing(30.0))
    found = estimate([face_segment(content)], Method(CLASSICAL[method]), timing=timing)
    decision = decide(found.chosen, found.chosen.overall, found.chosen.traces, found.min_quality)
    assert decision.reason == reason
    if reason is None:
        assert decision.bpm == decision.estimate_bpm == pytest.approx(72.0, abs=0.5)
        return
    assert decision.bpm is None
    assert decision.estimate_bpm == (None if reason in WITHOUT_GUESS else found.chosen.overall.rate.bpm)
    assert note in withheld_note(found, reason)


def test_every_reason_has_a_note_that_gives_the_best_guess_or_denies_it() -> None:
    assert tuple(NOTES) == get_args(Reason)
    assert set(NOTES) > WITHOUT_GUESS
    for reason, note in NOTES.items():
        assert ("not even a best guess" in note) == (reason in WITHOUT_GUESS)
        assert ("the best guess is {bpm:.1f} bpm" in note) == (reason not in WITHOUT_GUESS)


def test_photograph_has_no_guess_although_a_network_sees_a_rhythm() -> None:
    segment, method = with_network(face_segment("constant"), bpm=90.0)
    found = estimate([segment], method, timing=Timing(30.0))
    assert found.chosen.overall.rate.bpm == pytest.approx(90.0, abs=0.5)
    decision = decide(found.chosen, found.chosen.overall, found.chosen.traces, found.min_quality)
    assert (decision.estimate_bpm, decision.reason) == (None, "constant")


def test_function_of_a_user_may_have_a_best_guess_without_colour() -> None:
    method = find_method(lambda rgb, fps: -rgb[:, 1])
    found = estimate([face_segment("grey")], method, timing=Timing(30.0), min_quality=1.0)
    decision = decide(found.chosen, found.chosen.overall, found.chosen.traces, found.min_quality)
    assert decision.reason == "low_quality"
    assert decision.estimate_bpm == pytest.approx(72.0, abs=0.5)

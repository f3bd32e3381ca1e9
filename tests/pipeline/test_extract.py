"""Segments and notes of the extraction."""

import numpy as np

from facepulse.pipeline.extract import Segment, absence_notes, gap_notes, short_notes

TIMES = np.arange(0, 20, 1 / 30)


def test_gaps_between_frames_are_listed_up_to_three() -> None:
    assert gap_notes(TIMES) == []
    assert gap_notes(TIMES[(TIMES < 5) | (TIMES >= 6)]) == ["no frames from 4.97 to 6.00 s"]
    kept = TIMES[TIMES % 2 < 1.5]
    assert gap_notes(kept)[0].startswith("no frames from 1.4")
    assert gap_notes(kept)[-1] == "6 more gaps between frames"


def test_absence_of_a_face_is_noted_only_where_there_are_frames() -> None:
    assert absence_notes(TIMES, [(0.0, 20.0)]) == []
    assert absence_notes(TIMES, [(2.0, 8.0), (12.0, 19.5)]) == [
        "no face from 0.0 to 2.0 s",
        "no face from 8.0 to 12.0 s",
    ]
    assert absence_notes(TIMES[(TIMES < 8) | (TIMES > 12)], [(0.0, 8.0), (12.0, 20.0)]) == []


def test_segment_between_times_and_with_a_shorter_waveform() -> None:
    segment = Segment(TIMES, np.zeros((len(TIMES), 5, 3)), 30.0)
    assert len(segment.between(5.0, 6.0).times) == 31
    assert len(segment.between(30.0, 40.0).times) == 0
    joined = segment.with_waveform(np.arange(500.0))
    assert joined.waveform is not None
    assert len(joined.times) == len(joined.rgb) == len(joined.waveform) == 500
    assert joined.times[-1] == TIMES[-1]


def test_only_noticeable_segments_below_five_seconds_are_noted() -> None:
    whole = Segment(TIMES, np.zeros((len(TIMES), 5, 3)), 30.0)
    segments = [whole.between(0.0, 0.5), whole.between(2.0, 4.0), whole.between(5.0, 19.0)]
    assert short_notes(segments) == ["too short to measure: the face from 2.0 to 4.0 s"]

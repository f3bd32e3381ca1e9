"""Timing of a video: frame rate, coding, and the quality of a clock by the frames that were dropped."""

import numpy as np
import pytest

from facepulse.video.timing import MAX_TIME_GAP_S, CodedTime, Timing, frame_rate, length_s


def coded(kinds: str) -> list[CodedTime]:
    return [CodedTime(index / 30, kind == "I", kind != "B") for index, kind in enumerate(kinds)]


def test_frame_rate_leaves_gaps_out() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.2 + 2 * MAX_TIME_GAP_S, 0.3 + 2 * MAX_TIME_GAP_S])
    assert frame_rate(times) == pytest.approx(10)
    assert length_s(times) == pytest.approx(times[-1] + 0.1)
    assert frame_rate(np.array([0.0, 5.0])) == frame_rate(np.zeros(0)) == 0.0


def test_times_of_key_frames_and_of_i_and_p_frames() -> None:
    timing = Timing.of(coded("IBPBIBP"))
    assert timing.key_times == [0.0, 4 / 30]
    assert timing.anchor_times == [0.0, 2 / 30, 4 / 30, 6 / 30]
    assert timing.fps == pytest.approx(30)
    assert Timing.of(coded("IIII")).key_times == Timing.of(coded("IPPP")).anchor_times == []


@pytest.mark.parametrize(("dropped", "quality"), [(0, 1.0), (2, 1.0), (3, 0.94), (25, 0.5), (60, 0.0)])
def test_more_than_two_percent_of_dropped_frames_lower_the_quality_of_the_clock(dropped, quality) -> None:
    assert Timing.of(coded("P" * (100 - dropped)), dropped).clock_quality == pytest.approx(quality)

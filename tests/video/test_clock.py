"""Frame rates and times of callers: units, order and number."""

from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepulse.errors import UsageError
from facepulse.video.clock import CHECKED_FRAMES, UNITS, Clock, check_unit, in_order, increasing, stated_clock
from facepulse.video.frames import Frame

IMAGE = np.zeros((2, 2, 3), np.uint8)
STEPS = st.lists(st.floats(1 / 240, 0.9), min_size=1, max_size=40)


def frames(times: list[float]) -> list[Frame]:
    return [Frame(IMAGE, time) for time in times]


@pytest.mark.parametrize("fps", [30, 29.97, Fraction(30000, 1001), np.float32(25), np.int64(60)])
def test_rate_gives_times_from_zero(fps) -> None:
    clock = stated_clock(fps, None)
    assert clock is not None
    assert [clock.time(index) for index in (0, 1, 300)] == pytest.approx([0.0, 1 / float(fps), 300 / float(fps)])
    assert clock.duration_s(301) == pytest.approx(300 / float(fps))


@pytest.mark.parametrize("fps", [0, -30, float("nan"), float("inf"), "30", True, [30], 30 + 0j])
def test_other_rates_are_refused(fps) -> None:
    with pytest.raises(UsageError, match=r"a frame rate \(fps\) is a number of frames per second, such as 30, not "):
        stated_clock(fps, None)


def test_a_clock_is_a_rate_or_times() -> None:
    assert stated_clock(None, None) is None
    with pytest.raises(UsageError, match=r"a frame rate \(fps\) and times were given; give one of them"):
        stated_clock(30, [0.0, 0.1])
    with pytest.raises(ValueError, match="either a frame rate or times"):
        Clock()


@given(STEPS, st.floats(0, 2e9))
def test_increasing_seconds_are_kept_whatever_their_start(steps: list[float], start_s: float) -> None:
    times = start_s + np.cumsum(steps)
    clock = stated_clock(None, times)
    assert clock is not None
    assert [clock.time(index) for index in range(len(times))] == times.tolist()
    assert [frame.time for frame in increasing(frames(times.tolist()), "frames")] == times.tolist()
    assert [frame.time for frame in in_order(frames(times.tolist()))] == times.tolist()


@given(st.lists(st.floats(1 / 240, 0.2), min_size=1, max_size=40), st.sampled_from(sorted(UNITS)), st.booleans())
def test_other_units_are_named(steps: list[float], unit: str, epoch: bool) -> None:
    times = (1_764_412_800 * epoch + np.cumsum([0.0, *steps])) * UNITS[unit]
    message = rf"frames are \S+ apart, which fits {unit}; give seconds, by dividing by {UNITS[unit]:,.0f}"
    with pytest.raises(UsageError, match=message):
        stated_clock(None, times)
    for read in (lambda given: increasing(given, "frames"), in_order):
        if len(times) >= CHECKED_FRAMES or read is not in_order:
            with pytest.raises(UsageError, match=message):
                list(read(frames(times.tolist())))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([[0.0, 0.1]], r"as many numbers as there are frames, not an array of shape \(1, 2\)"),
        (0.5, r"not an array of shape \(\)"),
        (["0.1", "0.2"], "not an array of type <U3"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], "not an array of type object"),
        (np.array(["2026-01-01"], "datetime64[ms]"), r"not an array of type datetime64\[ms\]"),
        ([[0.0], [0.1, 0.2]], "times are seconds, as many numbers as there are frames"),
        ((time for time in [0.0]), "not an array of type object"),
        ([True, False], "not an array of type bool"),
        ([0.0, float("nan")], "time 1 is nan; give a finite time in seconds for each frame"),
        ([0.0, float("inf")], "time 1 is inf; give a finite time"),
        ([0.0, 0.2, 0.1], r"time 2 \(0\.100000 s\) is earlier than the one before \(0\.200000 s\); sort the frames"),
        ([0, 1, 2, 3], "are 1 apart, as frame numbers are; divide them by the frame rate"),
        ([5.0] * 4, "the times of most frames are equal; give increasing seconds, as float64"),
    ],
)
def test_other_times_are_refused(times, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stated_clock(None, times)


def test_a_pause_is_no_other_unit() -> None:
    check_unit([0.0, 0.03, 0.06, 60.0, 60.03])
    check_unit([7.0])
    check_unit([])


def test_equal_times_are_left_to_the_video_which_drops_and_counts_them() -> None:
    times = [0.0, 0.0, 0.03, 0.06]  # of OpenCV, if the position is read before each frame
    assert [frame.time for frame in increasing(frames(times), "frames")] == times
    assert [frame.time for frame in in_order(frames(times))] == times[1:]


def test_clock_needs_a_time_per_frame() -> None:
    clock = Clock(times=np.array([0.0, 0.1]))
    clock.check_count(2)
    with pytest.raises(UsageError, match="there are 2 times for 3 frames; give one time per frame"):
        clock.check_count(3)
    with pytest.raises(UsageError, match=r"there are more frames than times \(2\); give one time per frame"):
        clock.time(2)

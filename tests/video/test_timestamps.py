"""Timestamps of containers: order of presentation, missing ones, restarts and overflow of the clock."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepulse.errors import VideoError
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video
from facepulse.video.timestamps import HELD_FRAMES, WRAPS_S, ContinuousClock, PresentationOrder
from facepulse.video.timing import MAX_TIME_GAP_S
from odd_videos import X264, encode
from small_videos import gradient

IMAGE = np.zeros((2, 2, 3), np.uint8)
MISSING = float("nan")


def continuous(times) -> tuple[np.ndarray, ContinuousClock]:
    clock = ContinuousClock("video", 1 / 30)
    return np.array([frame.time for frame in clock(Frame(IMAGE, float(time)) for time in times)]), clock


@given(st.lists(st.integers(1, 5), min_size=1, max_size=60), st.randoms())
def test_frames_in_order_take_the_times_of_their_packets(steps, random):
    # Presentation order k is decoded at a place of a few frames more or less, as with B frames.
    presentation = np.cumsum(steps).tolist()
    decoded = sorted(range(len(steps)), key=lambda k: k + random.randint(0, 3))
    for stated in ([presentation[k] for k in decoded], presentation):  # true timestamps, and those of decoding
        order = PresentationOrder(reordered=True)
        for timestamp in stated:
            order.add(timestamp, None)
        frames = sorted(stated) if stated is not presentation else [presentation[k] for k in decoded]
        assert [order.take(timestamp) for timestamp in frames] == presentation


def test_decoding_times_alone_are_put_in_order():
    order = PresentationOrder(reordered=True)
    for timestamp in (10, 20, 30):
        order.add(None, timestamp)
    assert [order.take(None) for _ in range(3)] == [10, 20, 30]


def test_without_reordering_the_decoder_is_believed_so_that_damaged_frames_keep_their_places():
    order = PresentationOrder(reordered=False)
    for timestamp in (1, 2, 3):
        order.add(timestamp, timestamp)
    assert [order.take(1), order.take(3)] == [1, 3]


@given(st.lists(st.floats(1 / 240, 1.0), max_size=50), st.floats(-10, 1e6))
def test_increasing_times_pass_unchanged(steps, start):
    times = start + np.cumsum([0.0, *steps])
    found, clock = continuous(times)
    np.testing.assert_array_equal(found, times)
    assert clock.notes() == []


@given(st.sets(st.integers(0, 89), max_size=60), st.sampled_from([15, 25, 30, 60]))
def test_missing_times_are_interpolated(missing, fps):
    true = 5.0 + np.arange(90) / fps
    found, clock = continuous(np.where(np.isin(np.arange(90), list(missing)), MISSING, true))
    np.testing.assert_allclose(found, true, atol=1e-9)
    assert clock.interpolated == len(missing)
    assert len(clock.notes()) == bool(missing)


def test_of_a_long_row_of_missing_times_the_last_are_kept():
    true = np.arange(400) / 30
    given_times = true.copy()
    given_times[100:300] = MISSING
    found, clock = continuous(given_times)
    np.testing.assert_allclose(found, np.delete(true, np.arange(100, 300 - HELD_FRAMES)), atol=1e-9)
    assert (clock.interpolated, clock.untimed) == (HELD_FRAMES, 200 - HELD_FRAMES)
    assert f"were left out: {200 - HELD_FRAMES}" in clock.notes()[1]


def test_frames_that_all_lack_times_are_refused():
    with pytest.raises(VideoError, match=r"video: has no timestamps; state its frame rate \(fps\)"):
        continuous([MISSING] * 5)


@given(st.lists(st.integers(2, 100), min_size=2, max_size=6))
def test_each_restart_begins_a_segment_and_every_frame_is_used(lengths):
    lengths = sorted(lengths, reverse=True)  # a later clock that is behind the one before from its first frame on
    parts = [np.arange(1 + length + 40 * (len(lengths) - k)) / 30 for k, length in enumerate(lengths)]
    found, clock = continuous(np.concatenate(parts))
    edges = np.cumsum([len(part) for part in parts])[:-1]
    assert len(found) == sum(map(len, parts))
    np.testing.assert_allclose(np.diff(found)[edges - 1], MAX_TIME_GAP_S + 1 / 30)
    np.testing.assert_allclose(np.delete(np.diff(found), edges - 1), 1 / 30)
    assert len(clock.restarts) == len(edges)
    np.testing.assert_allclose([start for _, start in clock.restarts], found[edges])
    assert len(clock.notes()) == min(len(edges), 4)


@given(st.sampled_from(WRAPS_S), st.integers(1, 80))
def test_an_overflow_of_the_counter_is_continued(wrap_s, after):
    true = wrap_s - after / 30 + np.arange(100) / 30
    found, clock = continuous(np.where(true >= wrap_s, true - wrap_s, true))
    np.testing.assert_allclose(np.diff(found), 1 / 30, atol=1e-6)
    assert clock.notes() == []


@given(st.integers(1, 98), st.sampled_from([-1e6, -5.0, 0.0, 1e3, 1e7]))
def test_a_single_wrong_time_is_left_out(index, wrong):
    true = 20.0 + np.arange(100) / 30
    times = true.copy()
    times[index] = wrong
    found, clock = continuous(times)
    np.testing.assert_array_equal(found, np.delete(true, index))
    assert (clock.outliers, clock.restarts) == (1, [])


def test_a_pause_of_any_length_is_kept():
    times = [0.0, 0.1, 0.2, 3600.0, 3600.1, 3600.2]
    assert continuous(times)[0].tolist() == times


@pytest.mark.parametrize("step_s", [100.0, 15.0, -2.0])
def test_a_counter_of_another_unit_is_refused_with_its_spacing(step_s):
    with pytest.raises(VideoError, match=rf"its timestamps are {step_s:g} s apart; state its frame rate \(fps\)"):
        continuous(np.arange(30) * step_s)


# --- files ---------------------------------------------------------------------------------------------------------


def read(path: Path, **options) -> tuple[np.ndarray, list[str], int]:
    with open_video(path, **options) as video:
        times = np.array([frame.time for frame in video])
    return times, video.warnings, video.dropped


@pytest.fixture(scope="module")
def images():
    """Images with motion, for which x264 chooses B frames."""
    return [np.roll(gradient(), shift, axis=1) for shift in range(120)]


@pytest.mark.parametrize("container", ["avi", "asf", "flv", "matroska", "mp4", "mpegts", "nut"])
def test_b_frames_are_presented_in_order_in_every_container(tmp_path, images, container):
    times, warnings, dropped = read(encode(tmp_path / "video", images, container=container))
    np.testing.assert_allclose(times, np.arange(120) / 30, atol=2e-3)
    assert (warnings, dropped) == ([], 0)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_dropped_frames_keep_their_places_beside_b_frames_in_avi(tmp_path, images, codec):
    kept = np.delete(np.arange(120), [40, 41, 42, 77])
    options = X264 if codec == "libx264" else {"bf": "2"}
    path = encode(tmp_path / "v.avi", [images[k] for k in kept], kept, codec=codec, options=options)
    times, warnings, dropped = read(path)
    assert (len(times), warnings, dropped) == (116, [], 0)
    assert times[-1] == pytest.approx(119 / 30)
    # The places of packets and of frames differ by the few frames by which the decoder is ahead.
    assert np.flatnonzero(np.diff(times) > 1.5 / 30) == pytest.approx([39, 73], abs=4)


def test_joined_transport_streams_are_two_segments(tmp_path, images):
    part = encode(tmp_path / "part.ts", images).read_bytes()
    (tmp_path / "both.ts").write_bytes(part + part)
    times, warnings, dropped = read(tmp_path / "both.ts")
    assert (len(times), dropped) == (240, 0)
    assert np.flatnonzero(np.diff(times) > MAX_TIME_GAP_S) == [119]
    assert warnings == [
        "timestamps: they start again after 4.0 s, where recordings may have been joined; "
        "the frames that follow are another segment, from 5.0 s on"
    ]


def test_transport_stream_whose_counter_overflows_is_complete(tmp_path, images):
    start = 2**33 - 60 * 3000
    path = encode(
        tmp_path / "v.ts",
        images,
        start + 3000 * np.arange(120),
        time_base=Fraction(1, 90000),
        container_options={"mpegts_copyts": "1"},
    )
    times, warnings, dropped = read(path)
    np.testing.assert_allclose(times, np.arange(120) / 30, atol=1e-6)
    assert (warnings, dropped) == ([], 0)


def test_transport_stream_that_lacks_timestamps_in_between(tmp_path, images):
    def without_times(number: int, packet) -> None:
        if 40 <= number < 80:
            packet.pts = None

    times, warnings, _ = read(encode(tmp_path / "v.ts", images, edit=without_times))
    np.testing.assert_allclose(times, np.arange(120) / 30, atol=2e-3)
    assert warnings == ["timestamps: missing for 40 frames, interpolated between those before and after"]


@pytest.mark.parametrize("container", ["flv", "matroska", "asf", "nut"])
@pytest.mark.parametrize("start_s", [0, 5])
def test_truncation_is_told_by_the_length_from_the_first_frame(tmp_path, images, container, start_s):
    frames = 30 * start_s + np.arange(120)
    path = encode(tmp_path / "v", images, frames, container=container, options=X264 | {"bf": "0"})
    assert read(path)[1] == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if container in ("flv", "matroska"):  # the others declare their duration at the end
        assert [w for w in read(path)[1] if w.startswith("truncated")]

"""Tracks of scripted faces and of a real face: steady boxes, gaps, identities, and no lost frame."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse._types import Image
from facepulse.faces.detectors import HaarDetector
from facepulse.faces.tracking import (
    CENTRE_BAND,
    MAX_FACE_GAP_S,
    MAX_HELD_FRAMES,
    SIDE_BAND,
    STILL_INTERVAL_S,
    Box,
    Detection,
    FaceTracker,
    Track,
    TrackedFrames,
    drag,
    largest,
    left_to_right,
)
from facepulse.video.frames import Frame
from shared_data import SHARED_DATA

REAL_FACE = SHARED_DATA / "evm_face" / "face.mp4"
FACE = Box.around(300, 200, 100)

Script = Callable[[float], list[Box]]


def frames_at(times: list[float]) -> list[Frame]:
    """Frames with their own time in their pixels, from which the scripted detector reads it."""
    return [Frame(np.frombuffer(np.float64(time).tobytes(), np.uint8), time, True) for time in times]


def clock(seconds: float, fps: float = 30.0) -> list[float]:
    return [index / fps for index in range(round(seconds * fps) + 1)]


def follow(script: Script, times: list[float]) -> tuple[list[TrackedFrames], dict[int, Track]]:
    """Track faces whose boxes are scripted as a function of time."""

    def detect(image: Image) -> list[Detection]:
        return [Detection(box, 0.8) for box in script(float(image.view(np.float64)[0]))]

    tracker = FaceTracker(detect)
    return list(tracker.track(frames_at(times))), tracker.tracks


def boxes_by_time(tracked: list[TrackedFrames], identity: int = 0) -> dict[float, Box]:
    return {
        frame.time: box
        for group in tracked
        if identity in group.boxes
        for frame, box in zip(group.frames, group.boxes[identity], strict=True)
    }


# --- frames and groups


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.floats(0, 3), st.just(0.0), st.floats(-1, 0)), min_size=0, max_size=150),
    st.floats(0.001, 0.3),
)
def test_every_frame_comes_once_in_order_for_any_timestamps(steps: list[float], scale: float) -> None:
    times = np.cumsum([0.0, *(step * scale for step in steps)]).tolist()
    tracked, _ = follow(lambda _: [FACE], times)
    assert [frame.time for group in tracked for frame in group.frames] == times
    for group in tracked:
        assert 1 <= len(group.frames) <= MAX_HELD_FRAMES
        for boxes in group.boxes.values():
            assert boxes == [FACE] * len(group.frames)


def test_no_frames_give_no_tracks() -> None:
    assert follow(lambda _: [FACE], []) == ([], {})


@pytest.mark.parametrize("fps", [8, 30, 240])
def test_at_most_thirty_frames_are_held(fps: float) -> None:
    read, yielded, most = 0, 0, 0

    def source() -> Iterator[Frame]:
        nonlocal read, most
        for frame in frames_at(clock(4.0, fps)):
            read += 1
            most = max(most, read - yielded)
            yield frame

    for group in FaceTracker(lambda _: [Detection(FACE, 0.8)]).track(source()):
        yielded += len(group.frames)
    assert yielded == read
    assert most <= MAX_HELD_FRAMES == 30


def test_detector_runs_on_the_first_and_last_frame_and_once_or_twice_per_second() -> None:
    detected_at: list[float] = []

    def walking_from_5_s(time: float) -> list[Box]:
        detected_at.append(time)
        return [Box.around(300 + 60 * max(0, time - 5), 200, 100)]

    follow(walking_from_5_s, clock(10.2, 25))
    assert detected_at[0] == 0.0
    assert detected_at[-1] == pytest.approx(10.2)
    assert 5 <= sum(time <= 5 for time in detected_at) <= 7
    assert 9 <= sum(5 < time <= 10 for time in detected_at) <= 11


# --- boxes


def test_box_does_not_move_when_detections_jitter_within_the_dead_band() -> None:
    rng = np.random.default_rng(0)

    def jitter(_: float) -> list[Box]:
        x, y = rng.uniform(-0.3, 0.3, 2) * CENTRE_BAND * 100
        return [Box.around(300 + x, 200 + y, 100 * math.exp(rng.uniform(-0.3, 0.3) * SIDE_BAND))]

    tracked, _ = follow(jitter, clock(10))
    assert len(set(boxes_by_time(tracked).values())) == 1


def test_moving_face_is_followed_within_the_dead_band_and_without_steps() -> None:
    def walk(time: float) -> list[Box]:
        return [Box.around(100 + 60 * time, 200, 100 + 5 * time)]

    tracked, tracks = follow(walk, clock(6))
    boxes = boxes_by_time(tracked)
    for time, box in boxes.items():
        # Up to the band, plus the distance that the face moved before the second detection.
        assert box.centre[0] == pytest.approx(100 + 60 * time, abs=1.5 * CENTRE_BAND * 130)
        assert box.side == pytest.approx(100 + 5 * time, rel=1.5 * SIDE_BAND)
    steps = np.diff([box.centre[0] for box in boxes.values()])
    assert steps.min() >= 0
    assert steps.max() < 1.5 * 60 / 30
    assert list(tracks) == [0]


@settings(max_examples=100)
@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(20, 400))
def test_drag_leaves_the_detection_on_the_edge_of_the_band(dx: float, dy: float, side: float) -> None:
    start, detected = Box.around(0, 0, 100), Box.around(dx, dy, side)
    moved = drag(start, detected)
    reach = CENTRE_BAND * math.sqrt(100 * side)
    assert math.dist(moved.centre, detected.centre) <= reach * (1 + 1e-9)
    assert abs(math.log(moved.side / side)) <= SIDE_BAND * (1 + 1e-9)
    # The box never moves further than the detection did.
    assert math.dist(moved.centre, start.centre) <= math.hypot(dx, dy) + 1e-9
    assert min(100, side) - 1e-9 <= moved.side <= max(100, side) + 1e-9


# --- presence


@settings(max_examples=20)
@given(st.floats(3, 6))
def test_gap_of_a_second_and_a_half_is_bridged_with_a_constant_box(leaves_s: float) -> None:
    tracked, tracks = follow(lambda time: [] if leaves_s < time < leaves_s + 1.5 else [FACE], clock(10))
    assert list(tracks) == [0]
    assert tracks[0].segments == [(0.0, 10.0)]
    assert tracks[0].coverage_s == 10.0
    assert boxes_by_time(tracked) == dict.fromkeys(clock(10), FACE)


@settings(max_examples=20)
@given(st.floats(3, 6))
def test_gap_of_four_seconds_ends_the_segment_at_the_last_detection(leaves_s: float) -> None:
    returns_s = leaves_s + 4
    tracked, tracks = follow(lambda time: [] if leaves_s < time < returns_s else [FACE], clock(12))
    assert list(tracks) == [0]
    (start, last_detected), (detected_again, end) = tracks[0].segments
    assert (start, end) == (0.0, 12.0)
    assert leaves_s - STILL_INTERVAL_S - 0.04 <= last_detected <= leaves_s
    assert returns_s <= detected_again <= returns_s + STILL_INTERVAL_S + 0.04
    assert tracks[0].coverage_s == pytest.approx(last_detected + 12 - detected_again)
    boxed = set(boxes_by_time(tracked))
    for start, end in tracks[0].segments:
        assert boxed >= {time for time in clock(12) if start <= time <= end}
    boxless = [time for time in clock(12) if time not in boxed]
    assert leaves_s + MAX_FACE_GAP_S - STILL_INTERVAL_S <= boxless[0]
    assert boxless[-1] < detected_again


def test_gap_in_the_timestamps_starts_a_new_segment_too() -> None:
    times = [time if time < 5 else time + 3.5 for time in clock(10)]
    _, tracks = follow(lambda _: [FACE], times)
    assert list(tracks) == [0]
    assert len(tracks[0].segments) == 2
    assert tracks[0].segments[1][0] == pytest.approx(8.5, abs=0.05)


def test_only_face_keeps_its_identity_when_it_returns_at_any_place_and_size() -> None:
    def wander(time: float) -> list[Box]:
        return [FACE] if time < 4 else [Box.around(50, 60, 30)] if time > 8 else []

    tracked, tracks = follow(wander, clock(12))
    assert [len(track.segments) for track in tracks.values()] == [2]
    assert boxes_by_time(tracked)[12.0] == Box.around(50, 60, 30)


def test_frames_before_a_face_is_confirmed_have_boxes() -> None:
    tracked, tracks = follow(lambda time: [FACE] if time >= 3.2 else [], clock(9))
    start_s, end_s = tracks[0].segments[0]
    assert 3.2 <= start_s <= 3.2 + STILL_INTERVAL_S
    assert end_s == 9.0
    assert set(boxes_by_time(tracked)) >= {time for time in clock(9) if time >= start_s}


def test_single_detection_is_not_a_face() -> None:
    false_detections = [Box.around(50, 50, 40)]

    def detections(time: float) -> list[Box]:
        return [FACE, false_detections.pop()] if time > 4 and false_detections else [FACE]

    _, tracks = follow(detections, clock(10))
    assert not false_detections
    assert [track.median_box for track in tracks.values()] == [FACE]


def test_one_frame_is_enough_for_a_track() -> None:
    tracked, tracks = follow(lambda _: [FACE], [0.0])
    assert tracked[0].boxes == {0: [FACE]}
    assert tracks[0].segments == [(0.0, 0.0)]


# --- several faces


def test_two_faces_keep_their_identities_for_any_order_of_detections() -> None:
    rng = np.random.default_rng(1)

    def two(time: float) -> list[Box]:
        faces = [
            Box.around(200 + 5 * math.sin(time), 200, 100),
            Box.around(300 - 5 * math.sin(time), 210, 120),
        ]
        present = [face for number, face in enumerate(faces) if number == 1 or not 5 < time < 6.2]
        return [present[index] for index in rng.permutation(len(present))]

    tracked, tracks = follow(two, clock(20))
    assert len(tracks) == 2
    left, right = left_to_right(tracks.values())
    assert all(190 < box.centre[0] < 210 for box in boxes_by_time(tracked, left.identity).values())
    assert all(290 < box.centre[0] < 310 for box in boxes_by_time(tracked, right.identity).values())
    assert left.segments == right.segments == [(0.0, 20.0)]


def test_new_face_at_another_place_gets_its_own_track() -> None:
    newcomer = Box.around(600, 200, 100)
    _, tracks = follow(lambda time: [FACE, newcomer] if time >= 5 else [FACE], clock(10))
    first, second = left_to_right(tracks.values())
    assert (first.identity, first.segments) == (0, [(0.0, 10.0)])
    assert 5 <= second.segments[0][0] <= 6
    assert second.score == pytest.approx(0.8)


def test_one_of_two_faces_is_recognised_by_its_place_when_it_returns() -> None:
    other = Box.around(600, 200, 100)
    _, tracks = follow(lambda time: [FACE, other] if not 4 < time < 9 else [FACE], clock(14))
    first, second = left_to_right(tracks.values())
    assert first.segments == [(0.0, 14.0)]
    assert len(second.segments) == 2


def track_of(identity: int, side: float, x: float, seconds: float) -> Track:
    track = Track(identity, Box.around(x, 100, side))
    for time in np.arange(0, seconds + 0.5, 0.5):
        track.add(Detection(Box.around(x, 100, side), 0.9), float(time))
    return track


def test_largest_ignores_faces_with_short_coverage() -> None:
    small, middle = track_of(0, 80, 300, 20), track_of(1, 100, 100, 11)
    passer_by = track_of(2, 300, 200, 4)
    assert largest([small, middle, passer_by]) is middle
    assert [track.identity for track in left_to_right([small, middle, passer_by])] == [1, 2, 0]
    with pytest.raises(ValueError, match="at least one track"):
        largest([])


def test_median_box_ignores_an_outlying_detection() -> None:
    track = track_of(0, 100, 300, 5)
    track.add(Detection(Box.around(900, 900, 500), 0.5), 5.5)
    assert track.median_box == Box.around(300, 100, 100)


# --- a real face


@pytest.mark.slow
def test_real_face_has_a_box_that_hardly_moves_in_every_frame() -> None:
    if not REAL_FACE.is_file():
        pytest.skip("the sample video ../shared/data/evm_face/face.mp4 is not here")
    with av.open(str(REAL_FACE)) as container:
        frames = [
            Frame(frame.to_ndarray(format="rgb24"), float(frame.time), frame.key_frame)
            for frame in container.decode(video=0)
        ]
    tracker = FaceTracker(HaarDetector())
    tracked = list(tracker.track(frames))
    assert list(tracker.tracks) == [0]
    assert tracker.tracks[0].segments == [(frames[0].time, frames[-1].time)]
    boxes = [box for group in tracked for box in group.boxes[0]]
    assert len(boxes) == len(frames)
    for box in boxes:
        for x, y in ((168, 222), (318, 238), (232, 318), (222, 400)):  # eyes, nose, mouth, measured by eye
            assert box.x < x < box.x + box.width
            assert box.y < y < box.y + box.height
        assert 330 < box.side < 440
    centres = np.array([box.centre for box in boxes])
    assert (centres.std(axis=0) < 5).all()
    assert max(math.dist(one, other) for one, other in pairwise(centres)) < 1.0

"""Videos that a caller gives in memory: their frames, times and sizes when they are opened."""

import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from facepulse.errors import UsageError
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video
from facepulse.video.source import check_path, open_source, open_stream
from small_videos import gradient, write

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    options = {"preset": "veryfast", "bf": "3"}
    return write(tmp_path / "v.mp4", [gradient()] * 40, np.arange(40) / 30, key_interval=15, options=options)


def test_array_has_the_frames_times_and_length_of_its_clock() -> None:
    with open_source(IMAGES, fps=4) as video:
        assert (video.name, video.width, video.height) == ("array", 10, 8)
        assert (video.expected_frames, video.duration_s) == (12, 11 / 4)
        frames = list(video)
    np.testing.assert_array_equal([frame.image for frame in frames], IMAGES)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 4)
    assert (video.timing.key_times, video.warnings) == ([], [])


def test_length_of_an_iterator_is_not_known() -> None:
    with open_source(iter(IMAGES), times=np.arange(12) / 4) as video:
        assert (video.name, video.expected_frames, video.duration_s) == ("frames", None, None)
        assert len(list(video)) == 12


@pytest.mark.parametrize("form", [list, tuple, deque, iter])
def test_frames_keep_their_coding(file: Path, form: type) -> None:
    with open_video(file) as expected:
        frames = list(expected)
    with open_source(form(frames)) as video:
        assert [frame.time for frame in video] == [frame.time for frame in frames]
    assert video.timing.key_times == expected.timing.key_times
    assert len(video.timing.key_times) == 3
    assert video.timing.anchor_times == expected.timing.anchor_times
    assert 3 < len(video.timing.anchor_times) < 20


def test_opened_video_is_taken_as_it_is_and_has_its_own_clock(file: Path) -> None:
    with open_video(file) as video:
        assert open_source(video) is video
        for read in (open_source, open_stream):
            with pytest.raises(UsageError, match="frame 0 is a Frame, which has a time of its own"):
                next(iter(read(video, fps=30)))


def test_equal_times_are_dropped_and_counted() -> None:
    with open_source([Frame(image, time) for image, time in zip(IMAGES, [0.0, 0.0, 0.1, 0.2], strict=False)]) as video:
        assert [frame.time for frame in video] == [0.0, 0.1, 0.2]
    assert video.warnings == ["timestamps: frames not later than the one before, dropped: 1"]


def test_large_frames_are_scaled_down_for_measure_and_kept_in_a_stream() -> None:
    large = np.stack([gradient(1920, 1080)] * 2)
    with open_source(large, fps=30) as video:
        assert {frame.image.shape for frame in video} == {(720, 1280, 3)}
    assert {frame.image.shape for frame in open_stream(large, fps=30)} == {(1080, 1920, 3)}


@pytest.mark.parametrize("time", [datetime(2026, 1, 1, tzinfo=UTC), "0.1", True, np.timedelta64(1, "s"), [0.1]])
def test_times_of_other_types_are_refused(time: object) -> None:
    for read in (open_source, open_stream):
        with pytest.raises(UsageError, match=r"the time of frame 0 is of the type .*; give seconds as a number"):
            list(read([Frame(IMAGES[0], time)]))  # type: ignore[arg-type]


def test_existing_files_may_be_called_like_patterns_and_addresses(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("what?.mp4", "*.mp4"):
        write(tmp_path / name, [gradient()] * 3, np.arange(3) / 30)
        check_path(name)
        with open_source(name) as video:
            assert len(list(video)) == 3
    os.makedirs("http:/camera")
    check_path("http://camera")

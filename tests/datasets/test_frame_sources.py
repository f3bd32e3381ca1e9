"""Frames with given times, and conversion of stored arrays to frames."""

from pathlib import Path

import numpy as np
import pytest

from dataset_writers import images, times_of, write_avi
from facepulse.datasets import DatasetError
from facepulse.datasets.frame_sources import RetimedVideo, as_pixels, frame_period_s, frames_of
from facepulse.errors import VideoError
from facepulse.video.frames import TimedFrames

TIMES = np.array([3.0, 3.1, 3.15, 3.4, 3.41, 3.5, 3.9, 4.0, 4.1, 4.2])


@pytest.mark.parametrize("fps", [20.0, 28.67, 29.97])
def test_frames_get_times_by_their_position(tmp_path: Path, fps: float) -> None:
    path = write_avi(tmp_path / "v.avi", 10, fps, "rawvideo")
    with RetimedVideo(path, TIMES) as video:
        frames = list(video)
    assert frame_period_s(path) == pytest.approx(1 / fps, rel=1e-9)
    np.testing.assert_allclose(times_of(frames), TIMES - 3)
    np.testing.assert_array_equal([frame.image for frame in frames], images(10))
    assert video.warnings == []


def test_damaged_frame_does_not_shift_the_others(tmp_path: Path) -> None:
    path = write_avi(tmp_path / "v.avi", 10, 30.0, "mjpeg")
    content = bytearray(path.read_bytes())
    start = content.index(b"movi")
    for _ in range(5):
        start = content.index(b"00dc", start + 4)
    size = int.from_bytes(content[start + 4 : start + 8], "little")
    content[start + 8 : start + 8 + size] = bytes(size)
    path.write_bytes(content)
    with RetimedVideo(path, TIMES) as video:
        frames = list(video)
    np.testing.assert_allclose(times_of(frames), np.delete(TIMES, 4) - 3)
    assert video.warnings == ["damaged: frames that could not be decoded, skipped: 1"]


def test_frames_beyond_the_times_are_left_out_with_a_warning(tmp_path: Path) -> None:
    with RetimedVideo(write_avi(tmp_path / "v.avi", 10, 30.0), TIMES[:7]) as video:
        assert len(list(video)) == 7
    assert video.warnings == ["timestamps: frames beyond the last known time, left out: 3"]


def test_unreadable_images_do_not_shift_the_times_of_the_others(tmp_path: Path) -> None:
    some_unreadable = [None, *images(3), None]
    with TimedFrames.of_images("v", "images", some_unreadable, np.arange(5) / 10) as video:
        frames = list(video)
    np.testing.assert_allclose(times_of(frames), [0.0, 0.1, 0.2])
    assert video.warnings == ["damaged: images that could not be read, skipped: 2"]
    with pytest.raises(VideoError, match="no frame could be decoded"):
        TimedFrames.of_images("v", "images", [None], np.zeros(1))


def test_array_in_matlab_order_is_transposed_to_frames() -> None:
    frames = images(70, width=20, height=10)  # two blocks and a remainder
    np.testing.assert_array_equal(list(frames_of(np.ascontiguousarray(frames.transpose(3, 2, 1, 0)))), frames)
    np.testing.assert_array_equal(list(frames_of(np.ascontiguousarray(frames[:1].transpose(3, 2, 1, 0)))), frames[:1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fractions_and_integers_give_all_256_grey_levels(dtype: type) -> None:
    greys = np.arange(256)
    np.testing.assert_array_equal(as_pixels((greys / 255).astype(dtype), Path("f")), greys)
    np.testing.assert_array_equal(as_pixels(greys.astype(np.int16), Path("f")), greys)
    with pytest.raises(DatasetError, match="f: pixels are 0 to 256, expected 0 to 255"):
        as_pixels(np.array([0, 256]), Path("f"))

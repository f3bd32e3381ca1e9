"""The writer leaves complete files or none."""

import stat

import pytest

from facepulse.errors import UsageError
from facepulse.video.reader import open_video
from facepulse.video.writer import VideoWriter
from small_videos import gradient


def test_exception_leaves_no_file(tmp_path):
    def write_and_fail():
        with VideoWriter(tmp_path / "v.mp4", 64, 48, codec="mjpeg") as writer:
            writer.write(gradient(), 0)
            assert len(list(tmp_path.iterdir())) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_text("old")
    with VideoWriter(path, 64, 48) as writer:
        writer.write(gradient(), 0)
        assert path.read_text() == "old"
    with open_video(path) as video:
        assert len(list(video)) == 1
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("missing/v.mp4", {}),
        ("folder", {}),
        ("v.unknown", {}),
        ("v.mp4", {"width": 63}),  # H.264 in 4:2:0 needs even sizes
        ("v.mp4", {"codec": "rawvideo"}),
        ("v.mp4", {"codec": "no such codec"}),
    ],
)
def test_file_that_cannot_be_written_is_a_usage_error(tmp_path, name, arguments):
    (tmp_path / "folder").mkdir()
    size = {"width": 64, "height": 48} | arguments
    with pytest.raises(UsageError, match="cannot be written"), VideoWriter(tmp_path / name, **size) as writer:
        writer.write(gradient(size["width"]), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_image_of_another_shape_raises_value_error(tmp_path):
    with pytest.raises(ValueError, match="expected uint8"), VideoWriter(tmp_path / "v.mp4", 64, 48) as writer:
        writer.write(gradient(32, 32), 0)

"""The recording is chosen among the video streams of a file, not its poster, thumbnails or second camera."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from facepulse.video.reader import open_video
from facepulse.video.stream_choice import choose_stream
from small_videos import Track, gradient, write_tracks

RECORDING, POSTER = Track([gradient()] * 30), Track([gradient(160, 120)], "mjpeg")


def size_and_count(path: Path) -> tuple[int, int, int]:
    with open_video(path) as video:
        return video.width, video.height, len(list(video))


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.avi"])
@pytest.mark.parametrize("poster_first", [False, True])
def test_larger_poster_is_not_the_video(tmp_path, name, poster_first):
    tracks = [Track([gradient()] * 30, "mjpeg"), POSTER]
    path = write_tracks(tmp_path / name, *(reversed(tracks) if poster_first else tracks))
    assert size_and_count(path) == (64, 48, 30)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("live.mkv", {"live": "1"}),
        ("v.ts", {}),
        ("fragmented.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_packets_are_counted_if_the_file_states_no_numbers_of_frames(tmp_path, name, options):
    path = write_tracks(tmp_path / name, RECORDING, Track([gradient(160, 120)]), container_options=options)
    with av.open(str(path)) as container:
        assert not all(stream.frames for stream in container.streams.video)
    assert size_and_count(path) == (64, 48, 30)


def test_default_poster_is_not_the_video(tmp_path):
    poster = Track([gradient(160, 120)], disposition=Disposition.default)
    assert size_and_count(write_tracks(tmp_path / "v.mkv", RECORDING, poster)) == (64, 48, 30)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_cover_art_is_not_the_video(tmp_path, name):
    cover = Track([gradient(160, 120)], "mjpeg", Disposition.attached_pic)
    assert size_and_count(write_tracks(tmp_path / name, RECORDING, cover)) == (64, 48, 30)


def test_sequence_of_an_avif_is_the_video_and_not_its_still(tmp_path):
    path = write_tracks(tmp_path / "v.avif", Track([gradient()] * 30, "libsvtav1"))
    with av.open(str(path)) as container:
        assert [stream.frames for stream in container.streams.video] == [1, 30]
    assert size_and_count(path) == (64, 48, 30)


SMALL, LARGE = (64, 48, 30), (96, 80, 29)


@pytest.mark.parametrize(("default", "size"), [((1, 0), SMALL), ((0, 1), LARGE), ((1, 1), LARGE), ((0, 0), LARGE)])
def test_default_camera_and_then_the_largest_is_chosen(tmp_path, default, size):
    cameras = [gradient()] * 30, [gradient(96, 80)] * 29
    # The muxer of Matroska keeps the dispositions; that of MP4 makes the first track the default.
    tracks = [Track(images, disposition=flag or Disposition.dub) for images, flag in zip(cameras, default, strict=True)]
    assert size_and_count(write_tracks(tmp_path / "v.mkv", *tracks)) == size


def test_small_track_of_thumbnails_is_not_the_video(tmp_path):
    path = write_tracks(tmp_path / "v.mkv", Track([gradient(32, 32)] * 30), RECORDING)
    assert size_and_count(path) == (64, 48, 30)


def test_stream_without_decoder_is_not_chosen_among_equal_ones(tmp_path):
    path = write_tracks(tmp_path / "v.mp4", Track([gradient(96, 80)] * 30, disposition=Disposition.default), RECORDING)
    path.write_bytes(path.read_bytes().replace(b"avc1\0", b"xxxx\0", 1))
    assert size_and_count(path) == (64, 48, 30)


def test_source_that_opens_once_is_not_counted(tmp_path):
    path = write_tracks(tmp_path / "v.mkv", RECORDING, POSTER)
    with av.open(str(path)) as container:
        assert choose_stream(container) is container.streams.video[1], "the largest"


def test_counting_leaves_the_video_complete(tmp_path):
    images = [np.full((48, 64, 3), 4 * number, np.uint8) for number in range(30)]
    path = write_tracks(tmp_path / "v.mkv", Track(images), POSTER)
    with open_video(path) as video:
        levels = [frame.image.mean() for frame in video]
    np.testing.assert_allclose(levels, 4 * np.arange(30), atol=3)

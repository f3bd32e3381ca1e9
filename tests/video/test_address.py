"""Network cameras and videos at an address, served by this computer."""

import re
import socket
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import facepulse
from facepulse.errors import VideoError
from facepulse.video import address
from facepulse.video.address import is_address, open_address
from facepulse.video.reader import open_video
from video_servers import http_server, motion_jpeg, rtsp_server, whole_file


@pytest.fixture(scope="module")
def video(face_video) -> Path:
    return face_video(75.0, 10.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://camera/1", True),
        ("HTTP://user:secret@camera:8080/video", True),
        ("https://camera", True),
        ("face.mp4", False),
        ("http:/camera", False),
        ("ftp://camera", False),
        ("", False),
    ],
)
def test_addresses_have_a_scheme_of_a_camera(text: str, expected: bool) -> None:
    assert is_address(text) == expected


def test_file_at_an_address_has_the_frames_and_times_of_the_file(video: Path) -> None:
    with open_video(video) as opened:
        expected = list(opened)
    with http_server(whole_file(video)) as served:
        frames = list(open_address(served))
    assert [frame.time for frame in frames] == [frame.time for frame in expected]
    np.testing.assert_array_equal(frames[100].image, expected[100].image)


@pytest.mark.slow
def test_file_at_an_address_has_the_readings_of_the_file(video: Path) -> None:
    expected = [reading.to_dict() for reading in facepulse.stream(video, method="POS")]
    with http_server(whole_file(video)) as served:
        assert [reading.to_dict() for reading in facepulse.stream(served, method="POS")] == expected
    assert expected[-1]["bpm"] == pytest.approx(75.0, abs=2.0)


@pytest.mark.slow
def test_camera_without_a_clock_has_the_times_at_which_its_frames_arrive(video: Path) -> None:
    times = []
    with (
        http_server(motion_jpeg(video, fps=12.5, seconds=0.8)) as served,
        pytest.raises(VideoError, match=rf"{served}: the stream has ended; check the camera and the network"),
    ):
        times.extend(frame.time for frame in open_address(served))
    # 0.04 s apart according to FFmpeg. The first frames arrive while the stream is opened.
    assert np.median(np.diff(times)) == pytest.approx(0.08, abs=0.02)
    assert len(times) == 24


def test_rtsp_camera_has_the_times_of_its_clock(video: Path) -> None:
    frames = []
    with rtsp_server(video) as served, pytest.raises(VideoError, match="the stream has ended"):
        frames.extend(open_address(served))
    times = np.array([frame.time for frame in frames])
    assert len(times) > 200
    np.testing.assert_allclose(times * 30, np.round(times * 30), atol=0.01)
    assert frames[0].image.shape == (240, 320, 3)


def test_closing_the_iterator_disconnects(video: Path) -> None:
    with http_server(motion_jpeg(video, fps=30, seconds=5)) as served:
        frames = open_address(served)
        assert len(list(islice(frames, 3))) == 3
        frames.close()  # type: ignore[attr-defined]
        assert not any(thread.name == "facepulse-camera" for thread in threading.enumerate())


@pytest.mark.parametrize("scheme", ["rtsp", "http", "https"])
def test_address_without_a_server_is_one_line_without_the_password(scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and not listening
        port = unused.getsockname()[1]
        with pytest.raises(VideoError) as caught:
            facepulse.stream(f"{scheme}://user:secret@127.0.0.1:{port}/video")
    assert str(caught.value) == (
        f"{scheme}://127.0.0.1:{port}/video: cannot be opened (Connection refused); check the address and the network"
    )


def test_page_that_is_no_video_is_one_line(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html>no video</html>" * 100)
    with http_server(whole_file(page)) as served, pytest.raises(VideoError, match=re.escape(f"{served}: cannot be op")):
        open_address(served)


def test_silent_server_is_left_after_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "TIMEOUT_S", 0.3)
    start_s = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(VideoError, match=r"no answer for 0.3 s; check the address and the network"):
            open_address(f"http://127.0.0.1:{silent.getsockname()[1]}/video")
    assert time.monotonic() - start_s < 5

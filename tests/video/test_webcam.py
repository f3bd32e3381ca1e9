"""Cameras as OpenCV opens them; a file stands in for the camera, because OpenCV opens files in the same way."""

import threading
import time
from itertools import islice

import cv2
import numpy as np
import pytest

from facepulse.errors import UsageError, VideoError
from facepulse.video.webcam import open_camera


@pytest.fixture
def camera(face_video, monkeypatch: pytest.MonkeyPatch) -> int:
    """A file that delivers its 360 frames at the pace of a fast camera."""

    path, opened = str(face_video(72.0, 12.0)), cv2.VideoCapture

    class Paced:
        """Wraps the class of OpenCV, which cannot be subclassed."""

        def __init__(self, camera: int) -> None:
            self._capture = opened(path)

        def __getattr__(self, name: str) -> object:
            return getattr(self._capture, name)

        def read(self):
            time.sleep(0.002)
            return self._capture.read()

    monkeypatch.setattr(cv2, "VideoCapture", Paced)
    return 0


def test_frames_are_rgb_with_their_capture_times(camera: int) -> None:
    frames = list(islice(open_camera(camera), 20))
    times = [frame.time for frame in frames]
    assert times[0] == 0.0
    assert (np.diff(times) > 0).all()
    assert frames[0].image.shape == (240, 320, 3)
    red, _, blue = frames[0].image[100:140, 140:180].mean(axis=(0, 1))
    assert red > blue + 10, "skin has more red than blue"


def test_capture_times_do_not_depend_on_a_slow_consumer(camera: int) -> None:
    frames = open_camera(camera)
    first = next(frames)
    time.sleep(0.1)
    times = [first.time, *(frame.time for frame in islice(frames, 10))]
    assert np.diff(times).max() < 0.08, "not a tenth of a second and then a burst"


@pytest.mark.slow
def test_lost_camera_is_named(camera: int) -> None:
    frames = []
    with pytest.raises(VideoError, match="delivers no more frames: plug it in again"):
        frames.extend(open_camera(camera))
    assert len(frames) > 300


def test_closing_the_iterator_releases_the_camera(camera: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = open_camera(camera)
    next(frames)
    assert any(thread.name == "facepulse-camera" for thread in threading.enumerate())
    frames.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "facepulse-camera" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("number", "message"),
    [(99, "cannot open camera 99: check that it is plugged in"), (-1, "a camera has a number from 0, not -1")],
)
def test_missing_camera_is_named(number: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_camera(number)

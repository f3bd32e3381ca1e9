"""A camera as OpenCV opens it; here it is a file, which it opens too, and reads as fast as it can."""

import threading
import time
from itertools import islice

import cv2
import numpy as np
import pytest

from facepulse.errors import UsageError, VideoError
from facepulse.video.webcam import open_camera


@pytest.fixture
def camera(face_video, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file that gives its 360 frames at a camera's pace, a fast one's."""

    opened = cv2.VideoCapture

    class Paced:
        """Not derived from OpenCV's class, whose objects do not survive that."""

        def __init__(self, camera: str) -> None:
            self._capture = opened(camera)

        def __getattr__(self, name: str) -> object:
            return getattr(self._capture, name)

        def read(self):
            time.sleep(0.002)
            return self._capture.read()

    monkeypatch.setattr(cv2, "VideoCapture", Paced)
    return str(face_video(72.0, 12.0))


def test_frames_are_rgb_with_the_times_at_which_they_came(camera: str) -> None:
    frames = list(islice(open_camera(camera), 20))
    times = [frame.time for frame in frames]
    assert times[0] == 0.0
    assert (np.diff(times) > 0).all()
    assert frames[0].image.shape == (240, 320, 3)
    red, _, blue = frames[0].image[100:140, 140:180].mean(axis=(0, 1))
    assert red > blue + 10, "skin is redder than it is blue"


def test_who_looks_away_for_a_moment_gets_the_times_of_the_camera(camera: str) -> None:
    frames = open_camera(camera)
    first = next(frames)
    time.sleep(0.1)
    times = [first.time, *(frame.time for frame in islice(frames, 10))]
    assert np.diff(times).max() < 0.08, "not a tenth of a second and then a burst"


def test_a_camera_that_gives_no_more_frames_is_named(camera: str) -> None:
    seen = []
    with pytest.raises(VideoError, match="gives no more frames: plug it in again"):
        seen.extend(open_camera(camera))
    assert len(seen) > 300


def test_a_camera_that_is_no_longer_wanted_is_let_go(camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = open_camera(camera)
    next(frames)
    assert any(thread.name == "facepulse-camera" for thread in threading.enumerate())
    frames.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "facepulse-camera" for thread in threading.enumerate())


def test_a_camera_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"cannot open camera .*nothing\.mp4: is it plugged in"):
        open_camera(str(tmp_path / "nothing.mp4"))

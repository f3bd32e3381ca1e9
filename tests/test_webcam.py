"""A camera as OpenCV opens it; here it is a file, which it opens too."""

from itertools import islice

import numpy as np
import pytest

from facepulse.errors import UsageError, VideoError
from facepulse.webcam import open_camera


def test_frames_are_rgb_with_the_times_at_which_they_came(face_video) -> None:
    frames = list(islice(open_camera(str(face_video(72.0, 12.0))), 20))
    times = [frame.time for frame in frames]
    assert times[0] == 0.0
    assert (np.diff(times) > 0).all()
    assert frames[0].image.shape == (240, 320, 3)
    red, _, blue = frames[0].image[100:140, 140:180].mean(axis=(0, 1))
    assert red > blue + 10, "skin is redder than it is blue"


def test_a_camera_that_gives_no_more_frames_is_named(face_video) -> None:
    frames = open_camera(str(face_video(72.0, 12.0)))
    assert len(list(islice(frames, 360))) == 360
    with pytest.raises(VideoError, match="gives no more frames: plug it in again"):
        next(frames)


def test_a_camera_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"cannot open camera .*nothing\.mp4: is it plugged in"):
        open_camera(str(tmp_path / "nothing.mp4"))

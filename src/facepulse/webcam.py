"""Frames of a camera as they are captured, by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from facepulse.errors import UsageError, VideoError
from facepulse.video import Frame

LOST_AFTER = 30  # frames in a row that a camera did not give


def open_camera(camera: int | str, *, width: int = 640, height: int = 480) -> Iterator[Frame]:
    """Open a camera, and give its frames with the times at which they came, in seconds from the first.

    Args:
        camera: its number, from 0; or whatever else `cv2.VideoCapture` opens, such as the address of a network camera.
        width: of the frames, in pixels, if the camera has it.
        height: of the frames, in pixels, if the camera has it.

    Raises:
        UsageError: there is no such camera, or another program has it.
        VideoError: while it is read: it gives no more frames.
    """
    capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        raise UsageError(f"cannot open camera {camera}: is it plugged in, and does no other program use it?")
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    return _captured(capture, camera)


def _captured(capture: cv2.VideoCapture, camera: int | str) -> Iterator[Frame]:
    began_s: float | None = None
    missing = 0
    try:
        while missing < LOST_AFTER:
            there, image = capture.read()
            now_s = time.monotonic()
            if not there:
                missing += 1
                continue
            missing = 0
            began_s = now_s if began_s is None else began_s
            yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), now_s - began_s)
    finally:
        capture.release()
    raise VideoError(f"camera {camera} gives no more frames: plug it in again")

"""Frames of a camera as they are captured, by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Event, Thread

import cv2
import numpy as np

from facepulse.errors import UsageError, VideoError
from facepulse.video.reader import Frame

LOST_AFTER = 30  # frames in a row that a camera did not give
WAITING = 60  # frames: who falls behind further loses the newest


def open_camera(camera: int | str, *, width: int = 640, height: int = 480) -> Iterator[Frame]:
    """Open a camera, and give its frames with the times at which they came, in seconds from the first.

    They are taken in a thread of their own: read only when somebody has time for them, they would have the times at
    which somebody had.

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
    taken: SimpleQueue[Frame] = SimpleQueue()
    stop = Event()
    thread = Thread(target=_take, args=(capture, taken, stop), daemon=True, name="facepulse-camera")
    thread.start()
    try:
        while thread.is_alive() or not taken.empty():
            try:
                yield taken.get(timeout=0.1)
            except Empty:
                continue
    finally:
        stop.set()
        thread.join()
        capture.release()
    raise VideoError(f"camera {camera} gives no more frames: plug it in again")


def _take(capture: cv2.VideoCapture, taken: SimpleQueue[Frame], stop: Event) -> None:
    began_s: float | None = None
    missing = 0
    while missing < LOST_AFTER and not stop.is_set():
        there, image = capture.read()
        now_s = time.monotonic()
        missing = 0 if there else missing + 1
        if there and taken.qsize() < WAITING:
            began_s = now_s if began_s is None else began_s
            taken.put(Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), now_s - began_s))

"""Frames of a camera with their capture times, by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Event, Thread

import cv2
import numpy as np

from facepulse.errors import UsageError, VideoError
from facepulse.video.reader import Frame

MAX_FAILED_READS = 30  # in a row, after which the camera counts as lost
MAX_QUEUED_FRAMES = 60  # a consumer that falls behind further loses the newest frames


def open_camera(camera: int | str, *, width: int = 640, height: int = 480) -> Iterator[Frame]:
    """Open a camera and return an iterator over its frames, with their capture times in seconds from the first frame.

    A thread of its own captures the frames, so that their times stay accurate when the consumer is slow.

    Args:
        camera: number of the camera, from 0, or another source that `cv2.VideoCapture` opens, such as the address of a
            network camera.
        width: width of the frames in pixels, if the camera supports it.
        height: height of the frames in pixels, if the camera supports it.

    Raises:
        UsageError: there is no such camera, or another program uses it.
        VideoError: during iteration, if the camera delivers no more frames.
    """
    capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        raise UsageError(f"cannot open camera {camera}: check that it is plugged in and that no other program uses it")
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    return _captured(capture, camera)


def _captured(capture: cv2.VideoCapture, camera: int | str) -> Iterator[Frame]:
    queue: SimpleQueue[Frame] = SimpleQueue()
    stop = Event()
    thread = Thread(target=_capture, args=(capture, queue, stop), daemon=True, name="facepulse-camera")
    thread.start()
    try:
        while thread.is_alive() or not queue.empty():
            try:
                yield queue.get(timeout=0.1)
            except Empty:
                continue
    finally:
        stop.set()
        thread.join()
        capture.release()
    raise VideoError(f"camera {camera} delivers no more frames: plug it in again")


def _capture(capture: cv2.VideoCapture, queue: SimpleQueue[Frame], stop: Event) -> None:
    start_s: float | None = None
    failed = 0
    while failed < MAX_FAILED_READS and not stop.is_set():
        has_frame, image = capture.read()
        now_s = time.monotonic()
        failed = 0 if has_frame else failed + 1
        if has_frame and queue.qsize() < MAX_QUEUED_FRAMES:
            start_s = now_s if start_s is None else start_s
            queue.put(Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), now_s - start_s))

"""Frames of a camera with their capture times, by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Thread

import cv2
import numpy as np

from facepulse.errors import UsageError, VideoError
from facepulse.video.frames import Frame

MAX_FAILED_READS = 30  # in a row, after which the camera counts as lost
MAX_QUEUED_FRAMES = 60  # a consumer that falls behind further loses the newest frames


def open_camera(camera: int, *, width: int = 640, height: int = 480) -> Iterator[Frame]:
    """Open a camera and return an iterator over its frames, with their capture times in seconds from the first frame.

    A thread of its own captures the frames, so that their times stay accurate when the consumer is slow.

    Args:
        camera: number of the camera, from 0.
        width: width of the frames in pixels, if the camera supports it.
        height: height of the frames in pixels, if the camera supports it.

    Raises:
        UsageError: there is no such camera, or another program uses it.
        VideoError: during iteration, if the camera delivers no more frames.
    """
    if camera < 0:
        raise UsageError(f"a camera has a number from 0, not {camera}")
    with _quiet_opencv():
        capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        raise UsageError(f"cannot open camera {camera}: check that it is plugged in and that no other program uses it")
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    return captured(_frames_of(capture), f"camera {camera} delivers no more frames: plug it in again")


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from warning of every interface by which it cannot open a camera."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def captured(frames: Iterator[Frame], ended: str) -> Iterator[Frame]:
    """Receive the frames of a live source in a thread of its own, from the first call of `next` on.

    Args:
        frames: the live source, which is closed at the end.
        ended: message for the end of the source.

    Raises:
        VideoError: during iteration, if the source ends.
    """
    queue: SimpleQueue[Frame] = SimpleQueue()
    stop = Event()
    thread = Thread(target=_receive, args=(frames, queue, stop), daemon=True, name="facepulse-camera")
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
    raise VideoError(ended)


def _receive(frames: Iterator[Frame], queue: SimpleQueue[Frame], stop: Event) -> None:
    for frame in frames:
        if stop.is_set():
            break
        if queue.qsize() < MAX_QUEUED_FRAMES:
            queue.put(frame)
    frames.close()  # type: ignore[attr-defined]


def _frames_of(capture: cv2.VideoCapture) -> Iterator[Frame]:
    start_s: float | None = None
    failed = 0
    try:
        while failed < MAX_FAILED_READS:
            has_frame, image = capture.read()
            now_s = time.monotonic()
            failed = 0 if has_frame else failed + 1
            if has_frame:
                start_s = now_s if start_s is None else start_s
                yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), now_s - start_s)
    finally:
        capture.release()

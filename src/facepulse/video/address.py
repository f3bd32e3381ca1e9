"""Frames of network cameras, and of videos at an address."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import av
import av.error

from facepulse.errors import VideoError
from facepulse.video.container import ContainerVideo, has_timestamps
from facepulse.video.frames import Frame
from facepulse.video.webcam import captured

SCHEMES = "rtsp", "rtsps", "http", "https"
TIMEOUT_S = 10.0  # without an answer or a packet
NOMINAL_FPS = 30.0  # of streams without timestamps, whose frames are timed when they arrive


def is_address(text: str) -> bool:
    """True if a text begins with a scheme of a network camera or video: rtsp://, http:// or https://."""
    return text.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def without_password(address: str) -> str:
    """Remove user and password from an address, for messages."""
    return re.sub(r"//[^/@]*@", "//", address)


def open_address(address: str) -> Iterator[Frame]:
    """Open a network camera or a video at an address, and return an iterator over its frames.

    The times are those of the stream or, if it has none (Motion JPEG), those at which the frames arrive. A thread of
    its own receives the frames of a camera; a video, whose length is known, is read at the pace of the consumer.

    Args:
        address: begins with rtsp://, http:// or https://.

    Raises:
        VideoError: it cannot be opened or is not a video; or, during iteration, the stream of a camera ends.
    """
    name = without_password(address)
    try:
        # RTSP over UDP loses packets.
        container = av.open(address, timeout=TIMEOUT_S, options={"rtsp_flags": "prefer_tcp"})
        timed = has_timestamps(container)
        video = ContainerVideo(name, container, fps=None if timed else NOMINAL_FPS)
    except av.error.ExitError as error:  # PyAV interrupts FFmpeg
        raise VideoError(f"{name}: no answer for {TIMEOUT_S:g} s; check the address and the network") from error
    except (av.error.FFmpegError, OSError, ValueError, VideoError) as error:
        reason = getattr(error, "strerror", None) or "no video that can be decoded"
        raise VideoError(f"{name}: cannot be opened ({reason}); check the address and the network") from error
    if container.duration:
        return _recorded(video)
    return captured(_live(video, timed), f"{name}: the stream has ended; check the camera and the network")


def _recorded(video: ContainerVideo) -> Iterator[Frame]:
    with video:
        yield from video


def _live(video: ContainerVideo, timed: bool) -> Iterator[Frame]:
    start_s = None
    with video, suppress(av.error.FFmpegError, OSError):
        for frame in video:
            now_s = time.monotonic()
            start_s = now_s if start_s is None else start_s
            yield frame if timed else replace(frame, time=now_s - start_s)

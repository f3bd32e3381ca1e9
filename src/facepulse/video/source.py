"""Videos and streams in any form that a caller has: a path, an array, images or frames, a camera, an address."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepulse.errors import UsageError
from facepulse.video.address import is_address, open_address, without_password
from facepulse.video.clock import Clock, in_order, increasing, stated_clock
from facepulse.video.frames import Frame, TimedFrames, Video
from facepulse.video.pixels import ImageConverter, as_array, check_type, video_fault
from facepulse.video.reader import open_video
from facepulse.video.webcam import open_camera

VideoSource: TypeAlias = str | PathLike[str] | NDArray[Any] | Iterable[NDArray[Any]] | Iterable[Frame]
"""A video: path of a file or a directory of images; array (T, H, W, 3), RGB, uint8 or floating point; or an iterable of
such images (H, W, 3), or of `Frame`s, which have times of their own."""

LiveSource: TypeAlias = VideoSource | int
"""A video, the number of a camera, or an address that begins with rtsp://, http:// or https://."""

_FORMS = "give a path, an array (T, H, W, 3) of RGB, or an iterable of frames"


def open_source(source: VideoSource, *, fps: float | None = None, times: ArrayLike | None = None) -> Video:
    """Open a video in any form for one pass over its frames.

    Frames larger than 1280 pixels are scaled down. Floating-point images are converted one by one, on the scale that
    `facepulse.video.pixels.ImageConverter` describes.

    Args:
        source: path of a file or a directory of images; array (T, H, W, 3), RGB, uint8 from 0 to 255 or floating point
            from 0 to 1 or from 0 to 255; iterable of such images (H, W, 3); or iterable of `Frame`s.
        fps: frame rate in Hz of an array or of images. For a path, it replaces the timestamps, if there are none or
            they are wrong, and the warnings say so.
        times: seconds, (T,), one per image, in place of `fps`.

    Raises:
        UsageError: the source is of another kind, an image is not RGB, or a time is missing, not finite, earlier than
            the one before or, by their spacing, not in seconds. Faults of frames that an iterator gives later are
            raised while the video is iterated.
        VideoError: a path is missing or unreadable, or contains no frame.
    """
    clock = stated_clock(fps, times)
    _refuse_other_kinds(source)
    if isinstance(source, Integral):
        raise UsageError(f"{source} is not a video; a camera is measured live, by facepulse.stream({source})")
    if isinstance(source, str | PathLike):
        return _open_path(os.fspath(source), clock)
    if isinstance(source, Video) and clock is None:
        return source
    given = _given_frames(source, clock)
    return TimedFrames(given.name, given.name, increasing(given, given.name), given.count, given.duration_s)


def open_stream(source: LiveSource, *, fps: float | None = None, times: ArrayLike | None = None) -> Iterator[Frame]:
    """Open a live source or a video in any form, and return an iterator over its frames in order of time.

    Frames that are not later than the one before or have no finite time are skipped. The frames of an array or
    iterable keep their size.

    Args:
        source: a camera by its number; an address; or a video as in `open_source`.
        fps: as in `open_source`; not for a camera or an address, which have clocks of their own.
        times: as in `open_source`.

    Raises:
        UsageError: as in `open_source`, or the camera does not exist.
        VideoError: a path or address cannot be read; or, during iteration, a camera is lost.
    """
    clock = stated_clock(fps, times)
    _refuse_other_kinds(source)
    if isinstance(source, Integral) or (isinstance(source, str) and is_address(source)):
        if clock is not None:
            raise UsageError("cameras and addresses have clocks of their own; leave out fps and times")
        return open_address(source) if isinstance(source, str) else open_camera(int(source))
    if isinstance(source, str | PathLike):
        return _frames_of(_open_path(os.fspath(source), clock))
    if isinstance(source, Video) and clock is None:
        return _frames_of(source)
    return in_order(_given_frames(source, clock))


def _frames_of(video: Video) -> Iterator[Frame]:
    with video:
        yield from video


def _refuse_other_kinds(source: object) -> None:
    """Raise a `UsageError` that names what a caller has given by mistake."""
    match source:
        case None:
            raise UsageError(f"the video is None; {_FORMS}")
        case bool() | Mapping():
            kind = source if isinstance(source, bool) else "a dict"
            raise UsageError(f"{kind} is not a video; {_FORMS}")
        case bytes() | bytearray() | memoryview():
            raise UsageError("the video is the content of a file (bytes); write it to a file and give the path")
    if hasattr(source, "read") and (hasattr(source, "seek") or not isinstance(source, Iterable)):
        raise UsageError(f"the video is an open {type(source).__name__}; give the path of the file, or its frames")


def check_path(path: str) -> None:
    """Refuse texts that are not the path of a video.

    Raises:
        UsageError: it is empty, an address, or a pattern such as `*.mp4`, and there is no file of this name.
    """
    if not path.strip():
        raise UsageError("the path of the video is empty; give the path of a file or a directory of images")
    if os.path.exists(path):
        return
    if is_address(path):
        raise UsageError(
            f"{without_password(path)}: an address is measured live, by facepulse.stream; or download the video first"
        )
    if path.lower().startswith("file:"):
        raise UsageError(f"{path}: not a path; give the path of the file, without file://")
    if re.search(r"[*?]", path):
        raise UsageError(f"{path}: no file has this name, and patterns are not expanded; give each file by its name")


def _open_path(path: str, clock: Clock | None) -> Video:
    check_path(path)
    if clock is not None and clock.times is not None:
        raise UsageError(f"{path}: times are for arrays and images; give the frame rate (fps) of a file instead")
    return open_video(path, fps=None if clock is None else clock.fps)


@dataclass(frozen=True, eq=False)
class _GivenFrames:
    """Frames of a caller, validated and converted when they are iterated.

    Attributes:
        items: images, or `Frame`s without a clock.
        clock: times of images.
        name: of the source in messages and results.
        count: number of frames, if it is known.
    """

    items: Iterable[object]
    clock: Clock | None
    name: str
    count: int | None

    @property
    def duration_s(self) -> float | None:
        """Seconds from the first frame to the last, if they are known."""
        return self.clock.duration_s(self.count) if self.clock and self.count else None

    def __iter__(self) -> Iterator[Frame]:
        # An iterator may write each image into the same memory; arrays and lists do not change.
        convert = ImageConverter(copy=isinstance(self.items, Iterator))
        count = 0
        for count, item in enumerate(self.items, start=1):
            where = f"frame {count - 1}"
            check_kind(item, where, self.clock)
            if isinstance(item, Frame):
                yield replace(item, image=convert(item.image, where), time=time_of(item, where))
            elif self.clock is not None:
                yield Frame(convert(item, where), self.clock.time(count - 1))
        if self.clock is not None:
            self.clock.check_count(count)


def _given_frames(source: object, clock: Clock | None) -> _GivenFrames:
    """Check what is known of an array or iterable before it is iterated."""
    if hasattr(source, "__array__"):
        array = as_array(source, "the array")
        check_type(array, "the array")
        if fault := video_fault(array.shape):
            raise UsageError(f"the array has the shape {array.shape}, expected RGB (T, H, W, 3): {fault}")
        if clock is None:
            raise UsageError("an array has no times; state its frame rate (fps) or a time per frame (times)")
        clock.check_count(len(array))
        return _GivenFrames(array, clock, "array", len(array))
    if not isinstance(source, Iterable):
        raise UsageError(f"a video cannot be of the type {type(source).__name__}; {_FORMS}")
    if not isinstance(source, Sequence):
        return _GivenFrames(source, clock, "frames", None)
    if source:
        check_kind(source[0], "frame 0", clock)
        if clock is not None:
            clock.check_count(len(source))
    return _GivenFrames(source, clock, "frames", len(source))


def check_kind(item: object, where: str, clock: Clock | None) -> None:
    """Refuse items of an iterable that are not images with a stated clock, or not `Frame`s without one.

    Raises:
        UsageError: the item is of another kind.
    """
    if isinstance(item, str | PathLike):
        raise UsageError(f"{where} is a path ({os.fspath(item)}); measure one video at a time, each by its path")
    if isinstance(item, Frame) and clock is not None:
        raise UsageError(f"{where} is a Frame, which has a time of its own; leave out fps and times")
    if isinstance(item, tuple | list):
        raise UsageError(
            f"{where} is a {type(item).__name__}; give an array (H, W, 3), or a facepulse.Frame(image, time)"
        )
    if not isinstance(item, Frame) and clock is None:
        raise UsageError(
            f"{where} is of the type {type(item).__name__} and has no time; state the frame rate (fps) or the times, "
            "or give facepulse.Frame(image, time)"
        )


def time_of(frame: Frame, where: str) -> float:
    """Return the time of a frame in seconds, NaN for None.

    Raises:
        UsageError: the time is not a number.
    """
    time: object = frame.time
    if time is None:
        return math.nan
    if isinstance(time, bool | str | np.datetime64 | np.timedelta64) or not hasattr(time, "__float__"):
        raise UsageError(f"the time of {where} is of the type {type(time).__name__}; give seconds as a number")
    return float(time)

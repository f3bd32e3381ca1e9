"""Frames stored as arrays, or as video files whose timestamps are not those of the camera."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Image
from facepulse.datasets.recording import DatasetError
from facepulse.errors import VideoError
from facepulse.video.frames import Frame, Video
from facepulse.video.reader import open_video

_BLOCK = 32  # frames transposed at once: half a cache line


class RetimedVideo(Video):
    """Video file whose frames get other times than its own timestamps.

    Frames are identified by their position in the file, so that a lost frame does not shift the others.

    Args:
        path: an AVI file, whose timestamps count frame periods of constant length.
        times: (T,) seconds, one per position; frames beyond the last are left out.

    Raises:
        VideoError: the file is missing or unreadable, or contains no frame.
    """

    def __init__(self, path: Path, times: Floats) -> None:
        self._video = open_video(path)
        self._period_s = frame_period_s(path)
        self._times = times
        super().__init__(str(path), self._video.codec, self._video.expected_frames, float(times[-1] - times[0]))

    def _decode(self) -> Generator[Frame, None, None]:
        untimed = 0
        with self._video:
            for frame in self._video:
                position = round(frame.time / self._period_s)
                if position < len(self._times):
                    yield replace(frame, time=float(self._times[position]))
                else:
                    untimed += 1
        self.warnings += self._video.warnings
        if untimed:
            self.warnings.append(f"timestamps: frames beyond the last known time, left out: {untimed}")


def frame_period_s(path: Path) -> float:
    """Read the frame period of an AVI file in seconds, which is its time base.

    Raises:
        VideoError: the file is missing or not a video.
    """
    try:
        with av.open(path.absolute()) as container:
            return float(container.streams.video[0].time_base or 0) or 1 / 30
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise VideoError(f"{path}: cannot be read as video; check that it plays elsewhere") from error


def as_pixels(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Convert stored pixels to 0..255: floating-point values from 0..1, integers unchanged.

    Args:
        values: of any shape.
        path: source file, for messages.

    Raises:
        DatasetError: a value is outside of this range, or NaN.
    """
    floating = values.dtype.kind == "f"
    top = 1 if floating else 255
    low, high = float(values.min()), float(values.max())
    if not (low >= -1e-3 and high <= top + 1e-3):
        raise DatasetError(f"{path}: pixels are {low:g} to {high:g}, expected 0 to {top}; copy the file again")
    scaled = np.rint(255 * values) if floating else values
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


def frames_of(stack: NDArray[np.uint8]) -> Iterator[Image]:
    """Iterate over the frames (H, W, 3) of an array in MATLAB's order: (3, W, H, T), consecutive frames adjacent.

    Frames are transposed in blocks: a single frame has one byte per cache line.
    """
    channels, width, height, count = stack.shape
    pixels = stack.reshape(-1, count)
    for start in range(0, count, _BLOCK):
        block = np.asarray(cv2.transpose(pixels[:, start : start + _BLOCK]), np.uint8)
        for frame in block.reshape(-1, channels, width, height):
            yield np.ascontiguousarray(frame.transpose(2, 1, 0))

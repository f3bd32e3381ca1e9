"""Frames with times, and the iterator over those of one video."""

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np

from facepulse._types import Floats, Image
from facepulse.errors import VideoError
from facepulse.video.timing import CodedTime, Timing

MAX_SIDE = 1280  # pixels; larger frames are scaled down


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: uint8 (H, W, 3), RGB, upright.
        time: seconds; the first frame of a video is at 0, frames of a caller have any clock.
        key: True for a key frame, which is coded without reference to other frames.
        anchor: True for an I or P frame; False for a B frame, which is coded as a difference from those around it.
    """

    image: Image
    time: float
    key: bool = True
    anchor: bool = True


class Video:
    """Iterator over the frames of one source, which are decoded on demand; `open_video` creates it.

    Attributes:
        name: of the source, in messages and results.
        width, height: size of every frame in pixels, after rotation and downscaling.
        codec: "h264", "mjpeg", ..., or "images" for a directory.
        expected_frames: number of frames according to the source, None if it has no such entry.
        duration_s: duration in seconds according to the source, None if it has no such entry.
        warnings: faults that did not stop decoding, one line each; complete when the iteration has ended.
        dropped: number of frames so far that were left out because their times did not increase.
    """

    def __init__(self, name: str, codec: str, expected_frames: int | None, duration_s: float | None) -> None:
        self.name = name
        self.codec = codec
        self.expected_frames = expected_frames
        self.duration_s = duration_s
        self.warnings: list[str] = []
        self.dropped = 0
        self._coded: list[CodedTime] = []
        self._decoder = self._decode()
        # The size is known, and the source known to be readable, only once a frame is decoded.
        first = next(self._decoder, None)
        if first is None:
            raise VideoError(f"{name}: {self._reason_without_frames()}")
        self.height, self.width = first.image.shape[:2]
        self._frames = self._in_order(first)

    @property
    def timing(self) -> Timing:
        """Frame rate, coding and clock of the frames so far."""
        return Timing.of(self._coded, self.dropped)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source, which ends the iteration."""
        self._frames.close()
        self._decoder.close()

    def _decode(self) -> Generator[Frame, None, None]:
        raise NotImplementedError

    def _reason_without_frames(self) -> str:
        return "no frame could be decoded, the file is damaged; export or copy it again"

    def _in_order(self, first: Frame) -> Generator[Frame, None, None]:
        """Yield frames with increasing times from 0, and drop the others."""
        start, latest = first.time, -np.inf
        for frame in itertools.chain([first], self._decoder):
            time = frame.time - start
            if time <= latest:
                self.dropped += 1
                continue
            latest = time
            self._coded.append(CodedTime(time, frame.key, frame.anchor))
            yield replace(frame, time=time)
        if self.dropped:
            self.warnings.append(f"timestamps: frames not later than the one before, dropped: {self.dropped}")


class TimedFrames(Video):
    """Frames that exist as images with times: those of a directory, an array or a program.

    Large images are scaled down. Images that cannot be read or have another size than the first are skipped.

    Args:
        name: of the source, in messages and results.
        codec: name of the storage format.
        frames: one per image; None for an image that cannot be read.
        expected_frames: number of images, if it is known.
        duration_s: seconds from the first to the last frame, if they are known.
        max_side: largest side of a frame in pixels; larger frames are scaled down to it.
    """

    def __init__(
        self,
        name: str,
        codec: str,
        frames: Iterable[Frame | None],
        expected_frames: int | None = None,
        duration_s: float | None = None,
        max_side: int = MAX_SIDE,
    ) -> None:
        self._given, self._max_side = frames, max_side
        super().__init__(name, codec, expected_frames, duration_s)

    @classmethod
    def of_images(
        cls,
        name: str,
        codec: str,
        images: Iterable[Image | None],
        times: Sequence[float] | Floats,
        max_side: int = MAX_SIDE,
    ) -> Self:
        """Combine images, uint8 (H, W, 3) RGB each or None if it cannot be read, with as many times in seconds."""
        seconds = [float(time) for time in times]
        frames = (None if image is None else Frame(image, time) for image, time in zip(images, seconds, strict=True))
        return cls(name, codec, frames, len(seconds), seconds[-1] - seconds[0] if seconds else None, max_side)

    def _decode(self) -> Generator[Frame, None, None]:
        shape = None
        unreadable = other_sizes = 0
        for frame in self._given:
            if frame is None:
                unreadable += 1
            elif frame.image.shape != (shape := shape or frame.image.shape):
                other_sizes += 1
            else:
                yield replace(frame, image=_scaled_down(frame.image, self._max_side))
        if unreadable:
            self.warnings.append(f"damaged: images that could not be read, skipped: {unreadable}")
        if other_sizes:
            self.warnings.append(f"images of another size than the first, skipped: {other_sizes}")


def _scaled_down(image: Image, max_side: int) -> Image:
    """Scale an image down to a largest side in pixels, if it is larger."""
    shrink = max_side / max(image.shape)
    if shrink >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)

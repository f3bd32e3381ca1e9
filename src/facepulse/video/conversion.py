"""Conversion of decoded frames to RGB images of one size."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from facepulse._types import Image
from facepulse.video.depth import Depth, has_16_bits
from facepulse.video.orientation import Orientation, orientation_of


class FrameConverter:
    """Conversion of the decoded frames of one video to upright images, uint8 (H, W, 3), RGB.

    The size and the orientation of the first frame are kept; frames of another size are scaled to it.

    Args:
        max_side: largest side of an image in pixels; larger frames are scaled down to it.
        warnings: list to which faults of the frames are appended, one line each.
    """

    def __init__(self, max_side: int, warnings: list[str]) -> None:
        self._max_side, self._warnings = max_side, warnings
        self._reformatter = VideoReformatter()  # shared: a new one for every frame would be twelve times slower
        self._stored: tuple[int, int] | None = None  # width and height of the first frame
        self._size = 0, 0
        self._orientation = Orientation()
        self._depth = Depth()

    def __call__(self, frame: av.VideoFrame) -> Image:
        """Convert a frame.

        Raises:
            FFmpegError: it cannot be converted.
        """
        if self._stored is None:
            self._start(frame)
        elif self._stored != (frame.width, frame.height):
            self._warn("size: it changes in the video, frames are scaled to that of the first")
        is_deep = has_16_bits(frame.format.name)
        # One thread: at the size of video frames, starting more would cost more than it saves.
        rgb = self._reformatter.reformat(
            frame, *self._size, "rgb48le" if is_deep else "rgb24", interpolation=Interpolation.AREA, threads=1
        ).to_ndarray()
        image = self._to_8_bits(np.asarray(rgb, np.uint16)) if is_deep else np.asarray(rgb, np.uint8)
        return self._orientation.upright(image)

    def _start(self, frame: av.VideoFrame) -> None:
        self._stored = frame.width, frame.height
        shrink = min(1.0, self._max_side / max(self._stored))
        self._size = max(1, round(frame.width * shrink)), max(1, round(frame.height * shrink))
        if orientation := orientation_of(frame):
            self._orientation = orientation
        else:
            self._warn("orientation: the display matrix of the file is invalid, frames are left as stored")

    def _to_8_bits(self, image: NDArray[np.uint16]) -> Image:
        if self._depth.add(image):
            self._warn("depth: later frames have values of more bits than the first, which are too bright beside them")
        return self._depth.to_8_bits(image)

    def _warn(self, line: str) -> None:
        if line not in self._warnings:
            self._warnings.append(line)

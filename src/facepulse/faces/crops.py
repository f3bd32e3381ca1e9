"""Clips of a face: crops of one size on a uniform clock, from frames with a box each."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facepulse._types import Floats, Floats32, Frames, Image
from facepulse.video.timing import MAX_TIME_GAP_S

if TYPE_CHECKING:
    from facepulse.faces.tracking import Box
    from facepulse.video.frames import Frame

# An image is averaged over whole pixels, before it is interpolated, only as far as it keeps at least this many pixels
# per pixel of the crop in each direction; with two, the crop stays sharp.
MIN_OVERSAMPLING = 2.0

# Frames within this many ticks of a tick count as its neighbours. It is a little over one, so that rounding of the
# timestamps cannot decide whether the frame of the next tick is one of them.
REACH_TICKS = 1.05


@dataclass(frozen=True)
class FaceClip:
    """A segment of one face on a uniform clock.

    Attributes:
        frames: uint8 (T, size, size, 3), RGB crops.
        start_s: time of the first crop in seconds from the start of the video.
        fps: clock rate in Hz.
        segment: number of the segment that this clip belongs to, from 0. Clips of one segment follow each other
            without a gap and may be concatenated.
    """

    frames: Frames
    start_s: float
    fps: float
    segment: int

    def __post_init__(self) -> None:
        shape = self.frames.shape
        if self.frames.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or 0 in shape:
            raise ValueError(f"frames must be uint8 (T, size, size, 3) and not empty, got {self.frames.dtype} {shape}")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be a positive number of Hz, got {self.fps}")
        if not math.isfinite(self.start_s):
            raise ValueError(f"start_s must be a finite number of seconds, got {self.start_s}")
        if self.segment < 0:
            raise ValueError(f"segment must count from 0, got {self.segment}")

    @property
    def times(self) -> Floats:
        """Time of every crop in seconds from the start of the video, (T,)."""
        return self.start_s + np.arange(len(self.frames)) / self.fps


class ClipBuilder:
    """Crops of one face from a stream of frames, resampled to a uniform clock.

    The clock of a segment starts with its first frame and ticks every ``1 / fps`` seconds. Crops are interpolated
    linearly between frames. If frames come at twice the rate of the clock or faster, the interpolant is averaged around
    each tick with a triangular kernel that reaches one tick to either side, which prevents aliasing into the band of
    the pulse and reduces noise. Otherwise a frame that falls on a tick is used unchanged. Clips do not depend on how
    the frames are split over calls of `push`, and only the frames around the next tick are held.

    Args:
        size: side of the crops in pixels.
        margin: widening of the box to each side, as a fraction of its width and height; 0 crops the box itself.
        fps: clock rate in Hz.
    """

    def __init__(self, size: int, margin: float, fps: float) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        if not margin > -0.5:
            raise ValueError(f"margin must be above -0.5, at which the box is empty, got {margin}")
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps must be a positive number of Hz, got {fps}")
        self.size = size
        self.margin = margin
        self.fps = fps
        self._segment = 0
        self._begin_segment()

    def push(self, frames: Sequence[Frame], boxes: Sequence[Box]) -> list[FaceClip]:
        """Add the next frames, with the box of the face in each.

        Args:
            frames: in order of time.
            boxes: one per frame, in pixels of that frame. A box may extend beyond the frame, whose edge pixels are
                then repeated.

        Returns:
            The crops that no later frame can change, one clip per segment.

        Raises:
            ValueError: boxes and frames differ in number, or a frame is not later than the one before it.
        """
        if len(frames) != len(boxes):
            raise ValueError(f"every frame needs one box, got {len(frames)} frames and {len(boxes)} boxes")
        clips: list[FaceClip] = []
        for frame, box in zip(frames, boxes, strict=True):
            if self._times and not frame.time > self._times[-1]:
                raise ValueError(f"times must increase, got {frame.time} s after {self._times[-1]} s")
            if self._times and frame.time - self._times[-1] > MAX_TIME_GAP_S:
                clips += self.finish()
            self._times.append(frame.time)
            self._crops.append(crop(frame.image, box, self.size, self.margin))
        if self._times:
            clips += self._clips_until(self._times[-1] - REACH_TICKS / self.fps)
        return clips

    def finish(self) -> list[FaceClip]:
        """End the segment and return its remaining crops; the next frame starts a new segment."""
        if not self._times:
            return []
        clips = self._clips_until(
            self._times[-1] + 1e-6 / self.fps
        )  # or rounding could lose the tick of the last frame
        self._segment += 1
        self._begin_segment()
        return clips

    def _begin_segment(self) -> None:
        self._times: list[float] = []
        self._crops: list[Floats32] = []
        self._origin_s: float | None = None
        self._next_tick = 0

    def _clips_until(self, until_s: float) -> list[FaceClip]:
        """Return the crops at the ticks up to a time, as at most one clip, and drop frames that no later tick needs."""
        if self._origin_s is None:
            self._origin_s = self._times[0]
        first_tick = self._next_tick
        crops = []
        while (tick_s := self._origin_s + self._next_tick / self.fps) <= until_s:
            crops.append(np.rint(self._resampled(tick_s)).astype(np.uint8))
            self._next_tick += 1
        stale = max(0, bisect_right(self._times, tick_s - REACH_TICKS / self.fps) - 1)
        del self._times[:stale], self._crops[:stale]
        if not crops:
            return []
        return [FaceClip(np.stack(crops), self._origin_s + first_tick / self.fps, self.fps, self._segment)]

    def _resampled(self, tick_s: float) -> Floats32:
        """Crop at one tick: interpolated at that time, or averaged around it if there are many frames per tick."""
        reach_s = REACH_TICKS / self.fps
        near = bisect_right(self._times, tick_s + reach_s) - bisect_left(self._times, tick_s - reach_s)
        density = max(1, near // 2)  # whole frames per tick
        steps = np.arange(1 - density, density)
        triangle = (density - np.abs(steps)) / density**2
        positions = np.interp(
            tick_s + steps / (density * self.fps), self._times, np.arange(len(self._times), dtype=np.float64)
        )
        first, last = math.floor(positions[0]), math.ceil(positions[-1])
        distances = np.abs(positions[:, None] - np.arange(first, last + 1))
        weights = (triangle @ np.maximum(0.0, 1.0 - distances)).astype(np.float32)
        # Summed frame by frame: a matrix product over all ticks would round differently for each length of the chunks.
        mixture: Floats32 = weights[0] * self._crops[first]
        for weight, image in zip(weights[1:], self._crops[first + 1 : last + 1], strict=True):
            mixture += weight * image
        return mixture


def crop(image: Image, box: Box, size: int, margin: float) -> Floats32:
    """Crop a box from an image with sub-pixel accuracy and resize it to a square.

    A box rounded to whole pixels would jump by one pixel as it drifts, and that step is larger than a pulse of half a
    percent. The image is therefore interpolated on a grid about as fine as its own pixels, an integer multiple of the
    grid of the crop, and averaged down from there. If the face is much larger than the crop, the image is first
    averaged over blocks of whole pixels that do not move with the box.

    Args:
        image: uint8 (H, W, 3).
        box: in float pixels; outside the image its edge pixels are repeated.
        size: side of the crop in pixels.
        margin: widening of the box to each side, as a fraction of its width and height.

    Returns:
        float32 (size, size, 3), on the scale of `image`.
    """
    width, height = box.width * (1 + 2 * margin), box.height * (1 + 2 * margin)
    left, top = box.x - box.width * margin, box.y - box.height * margin
    coarseness = max(1, int(min(width, height) / (MIN_OVERSAMPLING * size)))
    rows = _covered(top, height, image.shape[0], coarseness)
    columns = _covered(left, width, image.shape[1], coarseness)
    source = image[rows, columns]
    if coarseness > 1:
        beyond_y, beyond_x = -source.shape[0] % coarseness, -source.shape[1] % coarseness
        if beyond_y or beyond_x:  # only if the box reaches the edge of the image
            source = np.asarray(cv2.copyMakeBorder(source, 0, beyond_y, 0, beyond_x, cv2.BORDER_REPLICATE), np.uint8)
        shrunk = source.shape[1] // coarseness, source.shape[0] // coarseness
        source = np.asarray(cv2.resize(source, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    fineness = max(1, round(max(width, height) / (coarseness * size) + 0.25))
    step_x, step_y = (extent / (coarseness * size * fineness) for extent in (width, height))
    # The origin of OpenCV is the centre of the first pixel; that of boxes is its corner.
    to_image = np.array(
        [
            [step_x, 0, (left - columns.start) / coarseness + step_x / 2 - 0.5],
            [0, step_y, (top - rows.start) / coarseness + step_y / 2 - 0.5],
        ]
    )
    # In float32: in 8 bits ties are rounded up, so a box half a pixel off would brighten the whole crop.
    grid = cv2.warpAffine(
        source.astype(np.float32),
        to_image,
        (size * fineness, size * fineness),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cv2.resize(grid, (size, size), interpolation=cv2.INTER_AREA), np.float32)


def _covered(start: float, length: float, available: int, unit: int) -> slice:
    """Pixels along one axis that a box needs, neighbours included; at least one if it lies outside the image.

    The range starts, and ends unless it reaches the edge, at a multiple of `unit`, so that pixels are averaged in the
    same blocks wherever the box is.
    """
    first = min(max(math.floor(start) - unit, 0), available - 1) // unit * unit
    last = max(math.ceil(start + length) + unit, first + 1)
    return slice(first, min(first + -(-(last - first) // unit) * unit, available))

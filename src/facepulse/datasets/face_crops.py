"""Crops of one face of a video, written to disk as they are cut, beside the RGB traces that `measure` extracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32, Image, Ints
from facepulse.datasets.cache import CacheSettings, FramesWriter
from facepulse.faces.crops import ClipBuilder, FaceClip
from facepulse.faces.tracking import Box
from facepulse.pipeline.extract import FaceTraces, Segment
from facepulse.pipeline.methods import Method
from facepulse.rppg.classical import CLASSICAL
from facepulse.video.frames import Frame

_ROWS = 256  # crops copied at once


class FaceCrops(FaceTraces):
    """Traces and crops of one face on the uniform clock of a cache.

    Memory holds the traces, times and boxes; the crops themselves are in a file.

    Args:
        path: file to write the crops to.
        settings: of the crops.
        image: first frame that shows the face, uint8 RGB (H, W, 3).
        box: the face in that frame.
    """

    def __init__(self, path: Path, settings: CacheSettings, image: Image, box: Box) -> None:
        self._file = _CropsFile(path, settings.size)
        builder = ClipBuilder(settings.size, settings.margin, settings.fps)
        super().__init__(pulse_method(settings), image, box, [(builder, self._file)])
        self._box_times: list[float] = []
        self._boxes: list[tuple[float, float, float, float]] = []

    def push(self, frames: list[Frame], boxes: list[Box]) -> None:
        """Add the next frames with the box of the face in each."""
        self._box_times += [frame.time for frame in frames]
        self._boxes += [(box.x, box.y, box.width, box.height) for box in boxes]
        super().push(frames, boxes)

    def finish(self) -> None:
        """Write the crops that were waiting for further frames, and close the file."""
        super().finish()
        self._file.writer.close()

    def boxes_at(self, times: Floats) -> Floats32:
        """Interpolate x, y, width and height of the face at (T,) times: (T, 4)."""
        boxes = np.array(self._boxes)
        return np.stack([np.interp(times, self._box_times, column) for column in boxes.T], axis=1).astype(np.float32)

    def keep(self, segments: Sequence[Segment], path: Path) -> None:
        """Write the crops of segments of the traces to a file, and remove the file of all crops."""
        times, size = np.concatenate(self._file.times), self._file.size
        # Crops and traces have the same clock; half a period of tolerance allows for rounding.
        begins = [int(np.searchsorted(times, segment.times[0] - 0.5 / segment.fps)) for segment in segments]
        rows = np.concatenate(
            [begin + np.arange(len(segment.times)) for begin, segment in zip(begins, segments, strict=True)]
        )
        if len(rows) == len(times):
            self._file.path.rename(path)
            return
        crops = np.load(self._file.path, mmap_mode="r")
        writer = FramesWriter(path, size)
        for chosen in np.array_split(rows, -(-len(rows) // _ROWS)):
            writer.append(crops[chosen])
        writer.close()
        self.discard_crops()

    def discard_crops(self) -> None:
        """Remove the file of all crops."""
        self._file.path.unlink()


def pulse_method(settings: CacheSettings) -> Method:
    """Return POS at the frame rate of the crops, by which the pulse in a video is measured while it is prepared."""
    return Method(replace(CLASSICAL["POS"], fps=settings.fps))


def segment_numbers(segments: Sequence[Segment]) -> Ints:
    """Return the number of the segment of each sample, (T,), from 0."""
    return np.repeat(np.arange(len(segments), dtype=np.int32), [len(segment.times) for segment in segments])


class _CropsFile:
    """File of the crops of one face, with their times."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self.writer = FramesWriter(path, size)
        self.times: list[NDArray[np.float64]] = []

    def push(self, clip: FaceClip) -> None:
        self.writer.append(clip.frames)
        self.times.append(clip.times)

"""Crops of one face of a video: written to disk as they are cut, and selected by the length of their segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32, Ints
from facepulse.datasets.cache import CacheSettings, FramesWriter, within_margin
from facepulse.errors import TooShortError
from facepulse.faces.crops import ClipBuilder, FaceClip
from facepulse.faces.skin import SkinTrace
from facepulse.faces.tracking import Box, Track
from facepulse.pipeline.extract import MINIMUM_S
from facepulse.video.reader import Frame

NOTED_SEGMENT_S = 1.0
_ROWS = 256  # crops copied at once


class FaceCrops:
    """Crops of one face on a uniform clock, with their times, boxes and traces.

    Memory holds the traces and times; the crops themselves are in a file.

    Args:
        path: file to write the crops to.
        settings: of the crops.
    """

    def __init__(self, path: Path, settings: CacheSettings) -> None:
        self.fps = settings.fps
        self._path, self._settings = path, settings
        self._builder = ClipBuilder(settings.size, settings.margin, settings.fps)
        self._writer = FramesWriter(path, settings.size)
        self._box_times: list[float] = []
        self._boxes: list[tuple[float, float, float, float]] = []
        self._clips: list[tuple[Floats, int]] = []
        self._skin = SkinTrace()

    @property
    def times(self) -> Floats:
        """Times of all crops in seconds, (T,)."""
        return np.concatenate([times for times, _ in self._clips] or [np.zeros(0)])

    @property
    def clock_segment(self) -> NDArray[np.int64]:
        """Unbroken segment of the clock that each crop belongs to, (T,)."""
        numbers = [np.full(len(times), segment) for times, segment in self._clips]
        return np.concatenate(numbers or [np.zeros(0, np.int64)])

    @property
    def rgb(self) -> Floats:
        """Mean RGB of each region in each crop, (T, regions, 3)."""
        return np.concatenate([trace.rgb for trace in self._skin.segments])

    def push(self, frames: Sequence[Frame], boxes: Sequence[Box]) -> None:
        """Crop frames at the boxes of the face, one per frame."""
        self._box_times += [frame.time for frame in frames]
        self._boxes += [(box.x, box.y, box.width, box.height) for box in boxes]
        for clip in self._builder.push(frames, boxes):
            self._write(clip)

    def finish(self) -> None:
        """Write the crops that were waiting for further frames, and close the file."""
        for clip in self._builder.finish():
            self._write(clip)
        self._writer.close()

    def boxes_at(self, times: Floats) -> Floats32:
        """Interpolate x, y, width and height of the face at (T,) times: (T, 4)."""
        boxes = np.array(self._boxes)
        return np.stack([np.interp(times, self._box_times, column) for column in boxes.T], axis=1).astype(np.float32)

    def keep(self, kept: NDArray[np.bool_], path: Path) -> None:
        """Write the crops to keep, marked True in (T,), to a file, and remove the file of all crops."""
        if kept.all():
            self._path.rename(path)
            return
        crops = np.load(self._path, mmap_mode="r")
        writer = FramesWriter(path, self._settings.size)
        for rows in np.array_split(np.flatnonzero(kept), -(-len(kept) // _ROWS)):
            writer.append(crops[rows])
        writer.close()
        self._path.unlink()

    def discard(self) -> None:
        """Remove the file of all crops."""
        self._writer.close()
        self._path.unlink()

    def _write(self, clip: FaceClip) -> None:
        self._writer.append(clip.frames)
        self._clips.append((clip.times, clip.segment))
        face = within_margin(clip.frames, self._settings.margin)
        self._skin.push(FaceClip(face, clip.start_s, clip.fps, clip.segment))


@dataclass(frozen=True, eq=False)
class SegmentSelection:
    """Crops in segments that are long enough to measure.

    Attributes:
        kept: (T,) True for each crop to keep.
        segment: (K,) number of the segment of each kept crop, from 0.
        notes: a line per segment that is too short.
    """

    kept: NDArray[np.bool_]
    segment: Ints
    notes: list[str]


def select_segments(crops: FaceCrops, track: Track) -> SegmentSelection:
    """Select the segments in which the clock and the face are unbroken for at least `MINIMUM_S`.

    Raises:
        TooShortError: there is no such segment.
    """
    times, clock_segment = crops.times, crops.clock_segment
    half_period_s = 0.5 / crops.fps
    segment = np.full(len(times), -1)
    notes, count, longest_s = [], 0, 0.0
    for number in np.unique(clock_segment):
        for start_s, end_s in track.segments:
            inside = (clock_segment == number) & (times >= start_s - half_period_s) & (times <= end_s + half_period_s)
            seconds = np.count_nonzero(inside) / crops.fps
            longest_s = max(longest_s, seconds)
            if seconds >= MINIMUM_S:
                segment[inside], count = count, count + 1
            elif seconds >= NOTED_SEGMENT_S:
                first, last = times[inside][[0, -1]]
                notes.append(f"left out: the face from {first:.1f} to {last:.1f} s, too short")
    if not count:
        raise TooShortError(
            f"the face is visible for {longest_s:.1f} s without a break, but at least {MINIMUM_S:g} s are needed; "
            "leave the recording out"
        )
    return SegmentSelection(segment >= 0, segment[segment >= 0].astype(np.int32), notes)

"""Training clips from prepared recordings, the simulator, or several of both, in an order fixed by a seed.

A clip is identified by its epoch and its index in it, which seed its random numbers: it is the same in every process,
and after a run is resumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np

from facepulse._types import Floats32, Frames
from facepulse.datasets.cache import PreparedRecording, within_margin
from facepulse.datasets.recording import DatasetError
from facepulse.inference.overlap_add import standardised
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate
from facepulse.training.augmentation import Augmentation, change_speed
from facepulse.training.settings import Data, Settings, Simulated


@dataclass(frozen=True)
class Clip:
    """Training example: frames and the target waveform.

    Attributes:
        frames: uint8 (T, size, size, 3), RGB.
        ppg: float32 (T,), systole up, zero mean and unit variance.
        name: origin of the clip, for messages.
    """

    frames: Frames
    ppg: Floats32
    name: str


class Clips(Protocol):
    """Source of training clips."""

    def __len__(self) -> int:
        """Return the number of clips per epoch."""
        ...

    def clip(self, epoch: int, index: int) -> Clip:
        """Return a clip by its epoch, from 0, and its index."""
        ...


@dataclass(frozen=True)
class ClipSegment:
    """Consecutive frames with a reference, and the position of a clip among them.

    Attributes:
        recording: recording of the frames.
        low: first frame of the segment.
        high: frame after the last of the segment.
        begin: first frame of the clip.
    """

    recording: PreparedRecording
    low: int
    high: int
    begin: int


class CacheClips:
    """Clips that are cut side by side from prepared recordings.

    Args:
        recordings: recordings of any dataset, with a reference PPG.
        weight: number of times that each clip is used per epoch.
        data: length, size, margin and frame rate.
        augmentation: random changes of the clips.
        seed: seed of the order and of the augmentation.

    Raises:
        DatasetError: no recording has a segment of sufficient length.
    """

    def __init__(
        self,
        recordings: Sequence[PreparedRecording],
        weight: float,
        data: Data,
        augmentation: Augmentation,
        seed: Sequence[int],
    ) -> None:
        self.recordings = list(recordings)
        self._data, self._augmentation, self._seed = data, augmentation, list(seed)
        self._segments = [segment for recording in recordings for segment in _segments(recording, data.frames)]
        if not self._segments:
            raise DatasetError(
                f"{self.recordings[0].path.parent}: none of {len(self.recordings)} recordings has {data.frames} frames "
                "in a row with a reference PPG; choose others, or a smaller data.frames"
            )
        self._count = max(1, round(weight * len(self._segments)))

    def __len__(self) -> int:
        return self._count

    def clip(self, epoch: int, index: int) -> Clip:
        """See `Clips.clip`. No clip is repeated before all have been used."""
        cycle, place = divmod(epoch * self._count + index, len(self._segments))
        segment = self._segments[np.random.default_rng([*self._seed, cycle]).permutation(len(self._segments))[place]]
        rng = np.random.default_rng([*self._seed, epoch, index])
        recording, length, augmentation = segment.recording, self._data.frames, self._augmentation
        ppg = recording.ppg
        assert ppg is not None  # otherwise it would have no segment
        factor = 1.0
        if augmentation.speed:
            bpm = _bpm(ppg[segment.begin : segment.begin + length], recording.fps)
            factor = augmentation.speed_factor(bpm, (segment.high - segment.low) / length, rng)
        needed = math.ceil((length - 1) * factor) + 1
        begin = segment.begin + (length - needed) // 2 + augmentation.time_shift(length, rng)
        begin = min(max(begin, segment.low), segment.high - needed)
        frames = self._crops(recording, begin, begin + needed)
        frames, target = change_speed(frames, ppg[begin : begin + needed], factor, length)
        name = f"{recording.dataset}/{recording.name} from frame {begin}"
        return Clip(augmentation.apply(frames, rng), standardised(target[None])[0], name)

    def _crops(self, recording: PreparedRecording, begin: int, end: int) -> Frames:
        crops = within_margin(recording.frames[begin:end], recording.settings.margin, self._data.margin)
        side = (self._data.size, self._data.size)
        if crops.shape[1:3] == side:
            return np.array(crops)
        return np.stack([cv2.resize(crop, side, interpolation=cv2.INTER_AREA) for crop in crops])


class SimulatedClips:
    """Clips from the simulator, new ones in every epoch.

    Args:
        simulated: preset, number of clips and seed.
        data: length, size, margin and frame rate.
        augmentation: random changes of the clips, which can be slowed down but not sped up.
        seed: seed of the augmentation.
    """

    def __init__(self, simulated: Simulated, data: Data, augmentation: Augmentation, seed: Sequence[int]) -> None:
        self._simulated, self._data, self._augmentation, self._seed = simulated, data, augmentation, list(seed)

    def __len__(self) -> int:
        return self._simulated.clips

    def clip(self, epoch: int, index: int) -> Clip:
        """See `Clips.clip`."""
        from facepulse.simulate.clips import training_clip  # imported here because it compiles its loops

        simulated, data, number = self._simulated, self._data, epoch * len(self) + index
        made = training_clip(
            simulated.preset,
            simulated.seed,
            number,
            frames=data.frames,
            size=data.size,
            fps=data.fps,
            margin=data.margin,
        )
        rng = np.random.default_rng([*self._seed, epoch, index])
        factor = self._augmentation.speed_factor(made.bpm, 1.0, rng) if self._augmentation.speed else 1.0
        frames, target = change_speed(made.frames, made.ppg, factor, data.frames)
        name = f"simulated {simulated.preset}, seed {simulated.seed}, number {number}"
        return Clip(self._augmentation.apply(frames, rng), standardised(target[None])[0], name)


class Mixture:
    """Clips of several sources, shuffled together.

    Args:
        sources: at least one source.
        seed: seed of the order.
    """

    def __init__(self, sources: Sequence[Clips], seed: int) -> None:
        self.sources = list(sources)
        self._seed = seed

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def clip(self, epoch: int, index: int) -> Clip:
        """See `Clips.clip`."""
        for source in self.sources:
            if index < len(source):
                return source.clip(epoch, index)
            index -= len(source)
        raise IndexError(index)

    def batches(self, epoch: int, batch: int) -> list[list[tuple[int, int]]]:
        """Return the complete batches of an epoch as (epoch, index) of each clip, in the order of the epoch."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self)).tolist()
        return [
            [(epoch, index) for index in order[begin : begin + batch]]
            for begin in range(0, len(order) - batch + 1, batch)
        ]


def mixture(settings: Settings, caches: Sequence[Sequence[PreparedRecording]]) -> Mixture:
    """Create the training clips of a run.

    Args:
        settings: settings of the run.
        caches: recordings of each of `settings.data.caches`.
    """
    data, augmentation = settings.data, settings.augmentation
    sources: list[Clips] = [
        CacheClips(recordings, cache.weight, data, augmentation, [settings.seed, number])
        for number, (cache, recordings) in enumerate(zip(data.caches, caches, strict=True))
    ]
    sources += [
        SimulatedClips(simulated, data, augmentation, [settings.seed, len(sources) + number])
        for number, simulated in enumerate(data.simulated)
    ]
    return Mixture(sources, settings.seed)


def _segments(recording: PreparedRecording, frames: int) -> Iterator[ClipSegment]:
    if recording.ppg is None:
        return
    known = np.isfinite(recording.ppg)
    # Frames of equal kind: of the same segment and with a reference, or without a reference.
    kind = np.where(known, recording.segment, -1)
    borders = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), len(kind)]
    for low, high in pairwise(borders):
        if kind[low] >= 0:
            for begin in range(low, high - frames + 1, frames):
                yield ClipSegment(recording, low, high, begin)


def _bpm(ppg: Floats32, fps: float) -> float:
    return heart_rate(ppg.astype(np.float64), fps, PROTOCOLS["facepulse"])

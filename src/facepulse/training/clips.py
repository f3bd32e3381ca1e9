"""Training clips: from prepared recordings, from the simulator, or from several of both, in an order that a seed fixes.

A clip is known by its epoch and its number in it, and is drawn with random numbers of its own: whichever process draws
it, before or after a kill, it is the same.
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
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate
from facepulse.training.augmentation import Augmentation, played
from facepulse.training.settings import Data, Settings, Simulated


@dataclass(frozen=True)
class Clip:
    """What a network learns from.

    Attributes:
        frames: uint8 (T, size, size, 3), RGB.
        ppg: float32 (T,), systole upwards, zero mean and unit variance.
        name: where it is from, to be told when something is wrong with it.
    """

    frames: Frames
    ppg: Floats32
    name: str


class Clips(Protocol):
    """Clips of an epoch."""

    def __len__(self) -> int:
        """How many there are in an epoch."""
        ...

    def clip(self, epoch: int, index: int) -> Clip:
        """One of them; epoch from 0."""
        ...


@dataclass(frozen=True)
class Segment:
    """Frames side by side that have a reference, and a clip's worth of them in the middle.

    Attributes:
        recording: whose frames.
        low: the first frame of the segment.
        high: the frame after its last.
        begin: the clip's first frame.
    """

    recording: PreparedRecording
    low: int
    high: int
    begin: int


class CacheClips:
    """Prepared recordings cut into clips that lie side by side.

    Args:
        recordings: of any dataset, with a reference PPG.
        weight: how often each clip is seen in an epoch.
        data: length, size, margin and rate.
        augmentation: how clips are varied.
        seed: of the order, and of what is drawn.

    Raises:
        DatasetError: no recording has a segment that is long enough.
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
                "with a reference PPG side by side; choose others, or a smaller data.frames"
            )
        self._count = max(1, round(weight * len(self._segments)))

    def __len__(self) -> int:
        return self._count

    def clip(self, epoch: int, index: int) -> Clip:
        """See `Clips.clip`. Every clip comes once before any comes again."""
        round_, place = divmod(epoch * self._count + index, len(self._segments))
        segment = self._segments[np.random.default_rng([*self._seed, round_]).permutation(len(self._segments))[place]]
        rng = np.random.default_rng([*self._seed, epoch, index])
        recording, wanted, augmentation = segment.recording, self._data.frames, self._augmentation
        ppg = recording.ppg
        assert ppg is not None  # or it would have no segment
        factor = 1.0
        if augmentation.speed:
            bpm = _bpm(ppg[segment.begin : segment.begin + wanted], recording.fps)
            factor = augmentation.factor(bpm, (segment.high - segment.low) / wanted, rng)
        needed = math.ceil((wanted - 1) * factor) + 1
        begin = segment.begin + (wanted - needed) // 2 + augmentation.delay(wanted, rng)
        begin = min(max(begin, segment.low), segment.high - needed)
        frames = self._crops(recording, begin, begin + needed)
        frames, wave = played(frames, ppg[begin : begin + needed], factor, wanted)
        name = f"{recording.dataset}/{recording.name} from frame {begin}"
        return Clip(augmentation.changed(frames, rng), standardised(wave), name)

    def _crops(self, recording: PreparedRecording, begin: int, end: int) -> Frames:
        crops = within_margin(recording.frames[begin:end], recording.settings.margin, self._data.margin)
        side = (self._data.size, self._data.size)
        if crops.shape[1:3] == side:
            return np.array(crops)
        return np.stack([cv2.resize(crop, side, interpolation=cv2.INTER_AREA) for crop in crops])


class SimulatedClips:
    """Clips of the simulator, other ones in every epoch.

    Args:
        simulated: which, and how many.
        data: length, size, margin and rate.
        augmentation: how clips are varied; they can be slowed down, and not played faster.
        seed: of what is drawn for the augmentation.
    """

    def __init__(self, simulated: Simulated, data: Data, augmentation: Augmentation, seed: Sequence[int]) -> None:
        self._simulated, self._data, self._augmentation, self._seed = simulated, data, augmentation, list(seed)

    def __len__(self) -> int:
        return self._simulated.clips

    def clip(self, epoch: int, index: int) -> Clip:
        """See `Clips.clip`."""
        from facepulse.simulate.clips import training_clip  # compiles its loops: only for those who ask for it

        wanted, data, number = self._simulated, self._data, epoch * len(self) + index
        made = training_clip(
            wanted.preset, wanted.seed, number, frames=data.frames, size=data.size, fps=data.fps, margin=data.margin
        )
        rng = np.random.default_rng([*self._seed, epoch, index])
        factor = self._augmentation.factor(made.bpm, 1.0, rng) if self._augmentation.speed else 1.0
        frames, wave = played(made.frames, made.ppg, factor, data.frames)
        name = f"simulated {wanted.preset}, seed {wanted.seed}, number {number}"
        return Clip(self._augmentation.changed(frames, rng), standardised(wave), name)


class Mixture:
    """Clips of several sources as one epoch.

    Args:
        sources: at least one.
        seed: of the order.
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
        """All whole batches of an epoch as (epoch, index) of each clip, in the epoch's order."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self)).tolist()
        return [
            [(epoch, index) for index in order[begin : begin + batch]]
            for begin in range(0, len(order) - batch + 1, batch)
        ]


def mixture(settings: Settings, caches: Sequence[Sequence[PreparedRecording]]) -> Mixture:
    """All that a run learns from.

    Args:
        settings: of the run.
        caches: the recordings that each of `settings.data.caches` stands for.
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


def standardised(wave: Floats32) -> Floats32:
    """Zero mean and unit variance; zeros where it is flat."""
    centred = wave.astype(np.float64) - wave.mean(dtype=np.float64)
    spread = centred.std()
    scaled: Floats32 = (centred / spread if spread > 0 else centred).astype(np.float32)
    return scaled


def _segments(recording: PreparedRecording, frames: int) -> Iterator[Segment]:
    if recording.ppg is None:
        return
    known = np.isfinite(recording.ppg)
    # Neighbours of one kind: of one part, with a reference or without.
    kind = np.where(known, recording.segment, -1)
    borders = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), len(kind)]
    for low, high in pairwise(borders):
        if kind[low] >= 0:
            for begin in range(low, high - frames + 1, frames):
                yield Segment(recording, low, high, begin)


def _bpm(ppg: Floats32, fps: float) -> float:
    return heart_rate(ppg.astype(np.float64), fps, PROTOCOLS["facepulse"])

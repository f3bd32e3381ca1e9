"""Waveform that a network predicts from the clips of one face, segment by segment as they come in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facepulse._types import Floats
from facepulse.faces.crops import FaceClip
from facepulse.inference.engine import Engine
from facepulse.inference.overlap_add import OverlapAdd


@dataclass(frozen=True)
class WaveformSegment:
    """Predicted waveform of one segment.

    Attributes:
        segment: number of the segment, as in its clips.
        start_s: time of the first sample in seconds from the start of the video.
        fps: sampling rate in Hz.
        waveform: BVP (T,), unit variance within each of the network's windows.
    """

    segment: int
    start_s: float
    fps: float
    waveform: Floats


class NetworkTrace:
    """Predicts the waveform of one face from its clips; keeps the frames of one and a half windows.

    Args:
        engine: runs the network; its card gives the size, margin and rate of the clips.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._finished: list[WaveformSegment] = []
        self._segment: int | None = None
        self._start_s = 0.0
        self._samples = 0
        self._discarded = 0
        self._stream: OverlapAdd

    @property
    def segments(self) -> list[WaveformSegment]:
        """All segments so far, in order of time."""
        return [*self._finished, self._current()] if self._segment is not None else []

    def push(self, clip: FaceClip) -> None:
        """Add the next clip of the face; a new `segment` starts a new waveform."""
        if clip.segment != self._segment:
            if self._segment is not None:
                self._finished.append(self._current())
            self._segment, self._start_s, self._samples, self._discarded = clip.segment, clip.start_s, 0, 0
            self._stream = self._engine.stream()
        self._stream.push(clip.frames[np.newaxis])
        self._samples += len(clip.frames)

    def discard(self, before_s: float) -> None:
        """Discard the samples before a time, and the segments that ended before it."""
        self._finished = [each for each in self._finished if each.start_s + len(each.waveform) / each.fps > before_s]
        count = int((before_s - self._start_s) * self._engine.card.fps)
        if self._segment is not None and count >= self._samples:
            self._segment = None
        elif self._segment is not None and count > self._discarded:
            self._discarded = count
            self._stream.discard(count)

    def _current(self) -> WaveformSegment:
        assert self._segment is not None
        card = self._engine.card
        # Segments of a fraction of a second are too short for a network: their waveform is constant.
        if self._samples >= 2 * card.multiple:
            waveform = self._engine.to_waveform(self._stream.waveforms())[0].astype(np.float64)
        else:
            waveform = np.zeros(self._samples - self._discarded)
        return WaveformSegment(self._segment, self._start_s + self._discarded / card.fps, card.fps, waveform)

"""From clips to the waveform that a network reads in them, part by part, as they come in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepulse.faces.crops import FaceClip
from facepulse.inference.engine import Engine
from facepulse.inference.overlap_add import OverlapAdd


@dataclass(frozen=True)
class WaveformSegment:
    """What a network reads in one segment.

    Attributes:
        segment: its number, as its clips have it.
        start_s: time of the first sample in seconds from the start of the video.
        fps: rate of the samples in Hz.
        waveform: float64 (T,), unit spread within each of the network's windows.
    """

    segment: int
    start_s: float
    fps: float
    waveform: npt.NDArray[np.float64]


class NetworkTrace:
    """Reads the clips of one face, cut as the network's card says; holds a window and a half of frames.

    Args:
        engine: runs the network.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._done: list[WaveformSegment] = []
        self._segment: int | None = None
        self._start_s = 0.0
        self._ticks = 0
        self._gone = 0
        self._stream: OverlapAdd

    @property
    def segments(self) -> list[WaveformSegment]:
        """Every segment so far, in order of time."""
        return [*self._done, self._current()] if self._segment is not None else []

    def push(self, clip: FaceClip) -> None:
        """Take the next clip of the face; a new `segment` starts a new waveform."""
        if clip.segment != self._segment:
            if self._segment is not None:
                self._done.append(self._current())
            self._segment, self._start_s, self._ticks, self._gone = clip.segment, clip.start_s, 0, 0
            self._stream = self._engine.stream()
        self._stream.push(clip.frames[np.newaxis])
        self._ticks += len(clip.frames)

    def forget(self, before_s: float) -> None:
        """Let go of what was before a time; segments that ended before it are gone."""
        self._done = [part for part in self._done if part.start_s + len(part.waveform) / part.fps > before_s]
        gone = int((before_s - self._start_s) * self._engine.card.fps)
        if self._segment is not None and gone >= self._ticks:
            self._segment = None
        elif self._segment is not None and gone > self._gone:
            self._gone = gone
            self._stream.discard(gone)

    def _current(self) -> WaveformSegment:
        assert self._segment is not None
        card = self._engine.card
        # A face that came and went within a fraction of a second is no clip that a network could read.
        readable = self._ticks >= 2 * card.multiple
        silence = np.zeros(self._ticks - self._gone)
        waveform = self._engine.to_waveform(self._stream.finish())[0] if readable else silence
        return WaveformSegment(
            self._segment, self._start_s + self._gone / card.fps, card.fps, waveform.astype(np.float64)
        )

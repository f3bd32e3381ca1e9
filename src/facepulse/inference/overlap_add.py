"""Read a clip of any length in windows of one length that overlap by half, as its frames come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Frames

Waveform: TypeAlias = NDArray[np.float32]

FLAT = 1e-6  # a spread this small beside the level is float32 rounding, which is not to be blown up


class OverlapAdd:
    """Joins the waveforms of windows by overlap-add under Hann weights; holds no more frames than a window and a half.

    Windows overlap by half; the last is moved back to end with the clip. The sum is divided by the sum of weights, so
    that the ends, which one window alone reaches, are as large as the rest. How the frames are split over calls of
    `push` makes no difference.

    Args:
        read: frames (B, T, H, W, 3) to waveforms (B, T), T at most `length`.
        length: of a window in frames, even.
    """

    def __init__(self, read: Callable[[Frames], Waveform], length: int) -> None:
        self._read = read
        self._length = length
        # Samples lie between the zeros of the window, hence no weight is zero.
        self._weights = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
        self._held: Frames | None = None  # the newest frames: those that a window to come may need
        self._begin = 0  # of them in the clip
        self._next = 0  # begin of the next window
        self._windows: list[tuple[int, Waveform]] = []
        self._first = 0  # sample that is still wanted

    def push(self, frames: Frames) -> None:
        """Take the next frames, (B, any number, H, W, 3)."""
        step = max(self._length // 2, 1)
        for start in range(0, frames.shape[1], step):  # `frames` may be a memory map far larger than memory
            piece = frames[:, start : start + step]
            self._held = piece if self._held is None else np.concatenate([self._held, piece], axis=1)
            # Only with a frame beyond it is a window known not to be the last, which ends with the clip.
            while self._begin + self._held.shape[1] > self._next + self._length:
                self._windows.append(self._window(self._next))
                self._next += step
                beyond = self._begin + self._held.shape[1] - self._length  # where the last one begins, if this is all
                self._held = self._held[:, max(min(self._next, beyond) - self._begin, 0) :]
                self._begin = max(min(self._next, beyond), self._begin)

    def forget(self, before: int) -> None:
        """Let go of the samples before one; from now on `finish` begins with it."""
        self._first = max(self._first, before)
        self._windows = [(start, waveform) for start, waveform in self._windows if start + self._length > self._first]

    def finish(self) -> Waveform:
        """The waveforms (B, T) of all frames so far, but for those forgotten; at most one window is as `read` gives it.

        Raises:
            ValueError: there were no frames.
        """
        if self._held is None:
            raise ValueError("there must be at least one frame to read, got none")
        total = self._begin + self._held.shape[1]
        if total <= self._length:
            return self._read(self._held)[:, self._first :]
        wanted = total - self._first
        summed, weight = np.zeros((len(self._held), wanted)), np.zeros(wanted)
        for start, waveform in (*self._windows, self._window(total - self._length)):
            gone = max(self._first - start, 0)
            window = slice(start + gone - self._first, start + self._length - self._first)
            summed[:, window] += self._weights[gone:] * waveform[:, gone:]
            weight[window] += self._weights[gone:]
        return (summed / weight).astype(np.float32)

    def _window(self, start: int) -> tuple[int, Waveform]:
        assert self._held is not None
        first = start - self._begin
        return start, self._read(self._held[:, first : first + self._length])


def joined(read: Callable[[Frames], Waveform], batch: Frames, length: int) -> Waveform:
    """Read whole clips (B, T, H, W, 3) by `OverlapAdd`, to (B, T)."""
    overlap = OverlapAdd(read, length)
    overlap.push(batch)
    return overlap.finish()


def standardised(waveforms: Waveform) -> Waveform:
    """Zero mean and unit spread, each by itself; zeros where one is flat to float32 rounding.

    Args:
        waveforms: (B, T).
    """
    values = waveforms.astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    flat = spread <= FLAT * np.abs(values).max(axis=1, keepdims=True)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)).astype(np.float32)

"""Apply a network to half-overlapping windows of a clip of any length while its frames arrive, and join the results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facepulse._types import Floats, Floats32, Frames

FLAT = 1e-6  # a standard deviation below this fraction of the level is rounding of float32, which must not be amplified


class OverlapAdd:
    """Join the waveforms of windows by overlap-add with Hann weights, holding at most one and a half windows of frames.

    Windows overlap by half; the last is shifted back to end with the clip. The sum is divided by the sum of the
    weights, so that the ends, which only one window covers, have the same amplitude as the rest. How the frames are
    divided among calls of `push` makes no difference.

    Args:
        predict: maps frames (B, T, H, W, 3) to waveforms (B, T), T at most `length`.
        length: frames per window, even.
    """

    def __init__(self, predict: Callable[[Frames], Floats32], length: int) -> None:
        self._predict = predict
        self._length = length
        # Sampled between the zeros of the Hann window, hence no weight is zero.
        self._weights: Floats = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
        self._held: Frames | None = None  # the newest frames: those that a later window may need
        self._begin = 0  # index in the clip of the first of them
        self._next = 0  # index in the clip at which the next window begins
        self._windows: list[tuple[int, Floats32]] = []
        self._first = 0  # index of the first sample that has not been discarded

    def push(self, frames: Frames) -> None:
        """Append frames, (B, any number, H, W, 3)."""
        step = max(self._length // 2, 1)
        for start in range(0, frames.shape[1], step):  # `frames` may be a memory map far larger than memory
            block = frames[:, start : start + step]
            self._held = block if self._held is None else np.concatenate([self._held, block], axis=1)
            # A window is complete only with a frame beyond it: otherwise it is the last, which ends with the clip.
            while self._begin + self._held.shape[1] > self._next + self._length:
                self._windows.append(self._window(self._next))
                self._next += step
                last = self._begin + self._held.shape[1] - self._length  # begin of the last window of the frames so far
                self._held = self._held[:, max(min(self._next, last) - self._begin, 0) :]
                self._begin = max(min(self._next, last), self._begin)

    def discard(self, before: int) -> None:
        """Discard the samples before an index; `waveforms` then begins with it."""
        self._first = max(self._first, before)
        self._windows = [(start, waveform) for start, waveform in self._windows if start + self._length > self._first]

    def waveforms(self) -> Floats32:
        """Compute the waveforms (B, T) of all frames so far, without discarded samples; more frames may follow.

        A clip of at most one window is returned as `predict` gives it.

        Raises:
            ValueError: there were no frames.
        """
        if self._held is None:
            raise ValueError("there must be at least one frame, got none")
        total = self._begin + self._held.shape[1]
        if total <= self._length:
            return self._predict(self._held)[:, self._first :]
        kept = total - self._first
        summed, weight = np.zeros((len(self._held), kept)), np.zeros(kept)
        for start, waveform in (*self._windows, self._window(total - self._length)):
            gone = max(self._first - start, 0)
            window = slice(start + gone - self._first, start + self._length - self._first)
            summed[:, window] += self._weights[gone:] * waveform[:, gone:]
            weight[window] += self._weights[gone:]
        return (summed / weight).astype(np.float32)

    def _window(self, start: int) -> tuple[int, Floats32]:
        assert self._held is not None
        first = start - self._begin
        return start, self._predict(self._held[:, first : first + self._length])


def overlap_add(predict: Callable[[Frames], Floats32], clips: Frames, length: int) -> Floats32:
    """Compute the waveforms of whole clips by `OverlapAdd`.

    Args:
        predict: maps frames (B, T, H, W, 3) to waveforms (B, T), T at most `length`.
        clips: frames (B, T, H, W, 3) of clips of equal length.
        length: frames per window, even.

    Returns:
        Waveforms (B, T).

    Raises:
        ValueError: the clips have no frames.
    """
    joined = OverlapAdd(predict, length)
    joined.push(clips)
    return joined.waveforms()


def standardised(waveforms: Floats | Floats32) -> Floats32:
    """Scale waveforms to zero mean and unit variance; zeros if one is constant up to rounding of float32.

    Args:
        waveforms: (..., T), each scaled independently.
    """
    values = waveforms.astype(np.float64)
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    flat = deviation <= FLAT * np.abs(values).max(axis=-1, keepdims=True)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation)).astype(np.float32)

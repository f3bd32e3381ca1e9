"""Normal noise for many pictures from one field of it, as a sensor's pixels have it or as averaging leaves it."""

from typing import Any

import cv2
import numpy as np

from facepulse._types import Floats32

MARGIN = 128  # pixels at least, and half the picture's side, by which the field is larger than a picture
MOST_BINNING = 16.0  # with more, neighbours have little in common that could be seen


class NoiseField:
    """A field of noise of which every frame gets a piece of its own: far cheaper than new noise for each.

    Pieces lie anywhere and their sign is random, so that no pixel keeps a mean and no two frames correlate. The same
    index gives the same piece, in whatever order frames are asked for.

    Args:
        rng: source of the field and of the places.
        frames: number of frames.
        binning: None for white noise of variance 1 in one channel. Else three channels of what is left of such noise
            on the raw pixels when each pixel of the picture is the mean of `binning` demosaicked ones.
    """

    def __init__(self, rng: np.random.Generator, frames: int, binning: float | None) -> None:
        self._binning = binning
        self._places = rng.random((frames, 3))
        self._rng = rng.spawn(1)[0]
        self._field: Floats32 = np.empty((0, 0, 3), np.float32)

    def piece(self, index: int, height: int, width: int) -> tuple[Floats32, float]:
        """Noise for one frame.

        Returns:
            float32 (height, width, 3), or (height, width) without binning, to be read only; and its sign, 1 or -1.
        """
        wanted = height + max(height // 2, MARGIN), width + max(width // 2, MARGIN)
        if self._field.shape[0] < wanted[0] or self._field.shape[1] < wanted[1]:
            if self._binning is None:
                self._field = self._rng.standard_normal(wanted, np.float32)
            else:
                self._field = _binned(self._rng, *wanted, self._binning)
        down, across, sign = self._places[index]
        top = int(down * (self._field.shape[0] - height + 1))
        left = int(across * (self._field.shape[1] - width + 1))
        return self._field[top : top + height, left : left + width], 1.0 if sign < 0.5 else -1.0


def _binned(rng: np.random.Generator, height: int, width: int, binning: float) -> Floats32:
    """What demosaicking and averaging leave of a mosaic's noise of variance 1: weaker, and alike in neighbours.

    It is made as a camera makes it, on a mosaic of its own; the variance tends to 4 / binning for red and blue and to
    2 / binning for green, the samples behind each pixel. Beyond `MOST_BINNING` the noise is only scaled on.
    """
    side = float(np.sqrt(min(binning, MOST_BINNING)))
    wide = round(width * side)
    field: Any = np.empty((height, width, 3), np.float32)
    for top in range(0, height, 32):  # in strips, for a mosaic may be sixteen times as large as the field
        rows = min(32, height - top)
        mosaic = rng.standard_normal((max(2, round(rows * side)), wide), np.float32)
        digits: Any = cv2.addWeighted(mosaic, 6000, mosaic, 0, 32768, dtype=cv2.CV_16U)
        colours = cv2.demosaicing(digits, cv2.COLOR_BayerRGGB2RGB).astype(np.float32)
        how = cv2.INTER_AREA if side > 1 else cv2.INTER_LINEAR
        field[top : top + rows] = cv2.resize(colours, (width, rows), interpolation=how)
    field -= 32768
    field *= side / np.sqrt(binning) / 6000
    return np.asarray(field)

"""Normal noise for many frames from one field: white as on a sensor, or correlated as averaging of pixels leaves it."""

from typing import Any

import cv2
import numpy as np

from facepulse._types import Floats32

MARGIN = 128  # pixels by which the field exceeds a frame at least; it also exceeds it by half the frame's side
MOST_BINNING = 16.0  # above it, the correlation of neighbours is invisible


class NoiseField:
    """Field of noise from which every frame gets a crop of its own, far cheaper than new noise for each frame.

    Crops have random places and signs, so that no pixel has a fixed mean and no two frames correlate. The same index
    gives the same crop, in whatever order the frames are requested.

    Args:
        rng: source of the field and of the places.
        frames: number of frames.
        binning: None for white noise of variance 1 in one channel. Otherwise three channels: the residue of such noise
            on the raw pixels if each pixel of the frame is the mean of `binning` demosaicked ones.
    """

    def __init__(self, rng: np.random.Generator, frames: int, binning: float | None) -> None:
        self._binning = binning
        self._places = rng.random((frames, 3))
        self._rng = rng.spawn(1)[0]
        self._field: Floats32 = np.empty((0, 0, 3), np.float32)

    def crop(self, index: int, height: int, width: int) -> tuple[Floats32, float]:
        """Noise for one frame.

        Returns:
            float32 (height, width, 3), or (height, width) without binning, a view that must not be changed; and its
            sign, 1 or -1.
        """
        size = height + max(height // 2, MARGIN), width + max(width // 2, MARGIN)
        if self._field.shape[0] < size[0] or self._field.shape[1] < size[1]:
            if self._binning is None:
                self._field = self._rng.standard_normal(size, np.float32)
            else:
                self._field = _binned(self._rng, *size, self._binning)
        down, across, sign = self._places[index]
        top = int(down * (self._field.shape[0] - height + 1))
        left = int(across * (self._field.shape[1] - width + 1))
        return self._field[top : top + height, left : left + width], 1.0 if sign < 0.5 else -1.0


def _binned(rng: np.random.Generator, height: int, width: int, binning: float) -> Floats32:
    """Noise of variance 1 on a mosaic after demosaicking and averaging: weaker, and correlated between neighbours.

    It is made as in a camera, on a mosaic of its own. The variance tends to 4 / binning for red and blue and to
    2 / binning for green, by the number of samples behind each pixel. Above `MOST_BINNING` the noise is only scaled.
    """
    side = float(np.sqrt(min(binning, MOST_BINNING)))
    columns = round(width * side)
    field: Any = np.empty((height, width, 3), np.float32)
    for top in range(0, height, 32):  # in strips, because a mosaic may be sixteen times as large as the field
        rows = min(32, height - top)
        mosaic = rng.standard_normal((max(2, round(rows * side)), columns), np.float32)
        digits: Any = cv2.addWeighted(mosaic, 6000, mosaic, 0, 32768, dtype=cv2.CV_16U)
        colors = cv2.demosaicing(digits, cv2.COLOR_BayerRGGB2RGB).astype(np.float32)
        method = cv2.INTER_AREA if side > 1 else cv2.INTER_LINEAR
        field[top : top + rows] = cv2.resize(colors, (width, rows), interpolation=method)
    field -= 32768
    field *= side / np.sqrt(binning) / 6000
    return np.asarray(field)

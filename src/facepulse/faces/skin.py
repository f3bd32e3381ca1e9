"""Mean RGB traces of facial regions from clips, with a soft skin segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32, Image
from facepulse.faces.crops import FaceClip

REGIONS = ("face", "forehead", "right cheek", "left cheek", "mouth and chin")  # right and left as seen by the person

# Skin is segmented on cells instead of pixels: cell means have a quarter of the noise at a quarter of the cost.
CELLS = 36  # per side of a crop

# Time constant of the average image from which skin is segmented: several heartbeats, so that the weights of the cells
# do not follow the pulse, and short enough to follow a turning head.
AVERAGING_S = 2.0

# Limits of the spread of skin around its centre, in log red/green, log blue/green and log brightness: the lower one
# keeps the spread of a flat image above zero, the upper one stops a badly placed seed from including everything.
SPREAD_LIMITS = np.array([[0.04, 0.04, 0.12], [0.10, 0.10, 0.30]], dtype=np.float32)
SPREADS = 2.5  # distance from the centre, in spreads, at which a cell has a weight of one half

BLACK_LEVEL = 4.0  # added to RGB before the logarithm, which would otherwise amplify the noise of dark pixels
CLIPPED_LEVEL = (
    246.0  # value of the brightest channel at which a cell has half its weight: above it the sensor saturates
)
CLIPPED_SOFTNESS = 3.0

SCARCE = 0.05  # fraction of the face below which the segmentation is unreliable and the whole ellipse replaces it


@dataclass(frozen=True)
class TraceSegment:
    """Mean RGB traces of one segment.

    Attributes:
        segment: number of the segment, as in its clips.
        start_s: time of the first row in seconds from the start of the video.
        fps: rate of the rows in Hz.
        rgb: float64 (T, regions, 3), mean RGB of each of `REGIONS`; the first is the whole face.
    """

    segment: int
    start_s: float
    fps: float
    rgb: Floats


class SkinTrace:
    """Mean RGB traces of the skin of one face, from its clips cropped at margin 0.

    The colour of skin depends on the person and the light. Its centre and spread, in chromaticity and brightness, are
    therefore estimated from cells on cheeks and nose, which are skin in any face; every cell of the face then has a
    weight in 0..1 that falls with its distance from that centre. Colour and brightness exclude eyes, brows, lips, hair,
    beard and background; saturation excludes highlights. Weights are computed at every tick from a running average of
    the image: they change slowly and without steps, do not follow the pulse, and do not depend on how ticks are split
    into clips. If hardly any cell is skin, all cells within an ellipse in the face box are used.
    """

    def __init__(self) -> None:
        self._segments: dict[int, tuple[float, float, list[Floats]]] = {}
        self._face, self._regions, self._seed = _geometry()
        self._reset_average()

    @property
    def segments(self) -> list[TraceSegment]:
        """Every segment so far, in order of time."""
        return [
            TraceSegment(segment, start_s, fps, np.concatenate(rows))
            for segment, (start_s, fps, rows) in self._segments.items()
        ]

    def push(self, clip: FaceClip) -> None:
        """Add the next clip of the face; a new `segment` starts a new trace and a new average image."""
        if clip.segment not in self._segments:
            self._segments[clip.segment] = (clip.start_s, clip.fps, [])
            self._reset_average()
        cells = np.stack([_to_cells(frame) for frame in clip.frames])
        weights = self._weights(self._running_average(cells, clip.fps))
        # In float64: the rounding of float32 differs between channels and would give a grey face a colour.
        exact = weights.astype(np.float64)
        sums = exact @ cells.reshape(len(cells), -1, 3).astype(np.float64)
        self._segments[clip.segment][2].append(sums / exact.sum(axis=2, keepdims=True))

    def discard(self, before_s: float) -> None:
        """Drop the traces of clips that ended before a time, and with them segments that ended before it."""
        kept = {}
        for segment, (start_s, fps, rows) in self._segments.items():
            while rows and start_s + len(rows[0]) / fps <= before_s:
                start_s += len(rows.pop(0)) / fps
            if rows:
                kept[segment] = (start_s, fps, rows)
        self._segments = kept

    def _reset_average(self) -> None:
        self._average = np.zeros((CELLS, CELLS, 3), np.float32)
        self._averaged = 0

    def _running_average(self, cells: Floats32, fps: float) -> Floats32:
        """Average image at every tick: of all ticks so far, later weighted exponentially."""
        averages = np.empty_like(cells)
        for index, image in enumerate(cells):
            self._averaged += 1
            self._average += (image - self._average) * np.float32(max(1 / self._averaged, 1 / (AVERAGING_S * fps)))
            averages[index] = self._average
        return averages

    def _weights(self, averages: Floats32) -> Floats32:
        """Weight of every cell in every region, (T, regions, cells), from average images (T, CELLS, CELLS, 3)."""
        skin = self._skin(averages)
        fraction = skin @ self._face / self._face.sum()
        # A smooth function of the fraction, and so small if there is skin that excluded cells stay excluded.
        skin += np.exp(-((fraction / SCARCE) ** 2))[:, None] + np.float32(1e-6)
        return np.asarray(skin[:, None] * self._regions, np.float32)

    def _skin(self, averages: Floats32) -> Floats32:
        """Soft skin segmentation of average images: 0..1 for every cell, (T, cells)."""
        images = averages.reshape(len(averages), -1, 3)
        logs = np.log(images + BLACK_LEVEL)
        features = np.stack([logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1], logs.mean(axis=-1)], axis=1)
        seed = features[:, :, self._seed]
        centre = np.median(seed, axis=2, keepdims=True)
        # For Gaussian samples, 1.4826 times the median absolute deviation is the standard deviation.
        spread = 1.4826 * np.median(np.abs(seed - centre), axis=2, keepdims=True)
        spread = np.clip(spread, SPREAD_LIMITS[0, :, None], SPREAD_LIMITS[1, :, None])
        distance = (((features - centre) / (SPREADS * spread)) ** 2).sum(axis=1)
        similarity = 1 / (1 + distance**3)
        unclipped = 1 / (1 + np.exp((images.max(axis=2) - CLIPPED_LEVEL) / CLIPPED_SOFTNESS))
        return np.asarray(similarity * unclipped)


def _to_cells(frame: Image) -> Floats32:
    cells = cv2.resize(frame.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.float32)


def _geometry() -> tuple[Floats32, Floats32, NDArray[np.bool_]]:
    """Return the geometry of a frontal face within its box.

    Returns:
        Soft mask of the face (cells,), soft mask of each region (regions, cells), and the cells on cheeks and nose that
        are skin in any face, bool (cells,).
    """
    middle = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS
    x, y = np.broadcast_to(middle, (CELLS, CELLS)), np.broadcast_to(middle[:, None], (CELLS, CELLS))

    def ellipse(centre_x: float, centre_y: float, radius_x: float, radius_y: float) -> Floats32:
        radius = np.hypot((x - centre_x) / radius_x, (y - centre_y) / radius_y)
        return np.asarray(1 / (1 + np.exp((radius - 1) * min(radius_x, radius_y) / 0.02)), np.float32)

    face = ellipse(0.5, 0.5, 0.43, 0.52)
    # Eyelids are skin, but they appear and disappear with every blink.
    face *= (1 - 0.9 * ellipse(0.30, 0.37, 0.13, 0.07)) * (1 - 0.9 * ellipse(0.70, 0.37, 0.13, 0.07))
    above = 1 / (1 + np.exp((y - 0.34) / 0.02))
    below = 1 / (1 + np.exp((0.68 - y) / 0.02))
    leftmost = 1 / (1 + np.exp((x - 0.5) / 0.02))
    between = (1 - above) * (1 - below)
    shares = (np.ones_like(x), above, between * leftmost, between * (1 - leftmost), below)
    regions = np.stack([face * share for share in shares]).astype(np.float32)

    seed = ellipse(0.28, 0.58, 0.12, 0.09) + ellipse(0.72, 0.58, 0.12, 0.09) + ellipse(0.5, 0.52, 0.06, 0.12) > 0.5
    return face.ravel(), regions.reshape(len(regions), -1), seed.ravel()

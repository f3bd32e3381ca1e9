"""From clips to colour traces: which pixels of a face are skin, and their mean colour at every tick."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facepulse._types import Floats32
from facepulse.faces.crops import FaceClip

REGIONS = ("face", "forehead", "right cheek", "left cheek", "mouth and chin")  # right and left of the person

# Skin is told apart on cells, not on pixels: means over a cell have a quarter of the noise at a quarter of the cost.
CELLS = 36

# How long the picture is averaged from which skin is told: several heartbeats, so that which cells count does not
# follow the pulse, and short enough to follow a turning head.
MEMORY_S = 2.0

# Skin's own spread around its centre, in log red/green, log blue/green and log brightness: the least, so that a flat
# picture has any, and the most, so that a badly placed seed does not take everything in.
SPREAD_LIMITS = np.array([[0.04, 0.04, 0.12], [0.10, 0.10, 0.30]], dtype=np.float32)
SPREADS = 2.5  # at which a cell counts half

BLACK_LEVEL = 4.0  # added to colours before the logarithm, which would otherwise magnify the noise of dark pixels
CLIPPED_LEVEL = 246.0  # brightest channel of a cell at which it counts half: beyond it the sensor saturates
CLIPPED_SOFTNESS = 3.0

SCARCE = 0.05  # share of the face below which what passes for skin is not trusted, and the whole ellipse steps in


@dataclass(frozen=True)
class TraceSegment:
    """Colour means of one segment.

    Attributes:
        segment: its number, as its clips have it.
        start_s: time of the first row in seconds from the start of the video.
        fps: rate of the rows in Hz.
        rgb: float64 (T, regions, 3), mean red, green and blue in each of `REGIONS`; the first is the whole face.
    """

    segment: int
    start_s: float
    fps: float
    rgb: npt.NDArray[np.float64]


class SkinTrace:
    """Reduces the clips of one face, cut at margin 0, to the mean colour of its skin.

    Skin has no fixed colour: tone and light move it. So it is measured where there is surely some, on cheeks and nose,
    as a centre and a spread of chromaticity and brightness; every cell of the face then counts by how near it is,
    between 0 and 1. Eyes, brows, lips, hair, beard and background fall away by colour or shade, highlights by
    saturation. Weights are computed from a running average of the picture, tick by tick: they change slowly, never in
    steps, do not follow the pulse and do not depend on how ticks are split into clips. Where hardly any cell
    qualifies, an ellipse that fits the face box counts as a whole.
    """

    def __init__(self) -> None:
        self._segments: dict[int, tuple[float, float, list[npt.NDArray[np.float64]]]] = {}
        self._face, self._regions, self._seed = _geometry()
        self._forget_colours()
        self._fraction_sum = 0.0
        self._ticks = 0

    @property
    def segments(self) -> list[TraceSegment]:
        """Every segment so far, in order of time."""
        return [
            TraceSegment(segment, start_s, fps, np.concatenate(rows))
            for segment, (start_s, fps, rows) in self._segments.items()
        ]

    @property
    def skin_fraction(self) -> float:
        """Share of the face that counted as skin, 0 to 1, averaged over all ticks; 0 before the first."""
        return self._fraction_sum / self._ticks if self._ticks else 0.0

    def push(self, clip: FaceClip) -> None:
        """Take the next clip of the face; a new `segment` starts a new trace and forgets the old colours."""
        if clip.segment not in self._segments:
            self._segments[clip.segment] = (clip.start_s, clip.fps, [])
            self._forget_colours()
        cells = np.stack([_to_cells(frame) for frame in clip.frames])
        weights, fraction = self._weights(self._running_average(cells, clip.fps))
        # In double precision: the rounding of float32 differs between channels, and a grey face would have a colour.
        exact = weights.astype(np.float64)
        sums = exact @ cells.reshape(len(cells), -1, 3).astype(np.float64)
        self._segments[clip.segment][2].append(sums / exact.sum(axis=2, keepdims=True))
        self._fraction_sum += float(fraction.sum(dtype=np.float64))
        self._ticks += len(cells)

    def forget(self, before_s: float) -> None:
        """Let go of whole clips that ended before a time; segments that ended before it are gone."""
        kept = {}
        for segment, (start_s, fps, rows) in self._segments.items():
            while rows and start_s + len(rows[0]) / fps <= before_s:
                start_s += len(rows.pop(0)) / fps
            if rows:
                kept[segment] = (start_s, fps, rows)
        self._segments = kept

    def _forget_colours(self) -> None:
        self._average = np.zeros((CELLS, CELLS, 3), np.float32)
        self._averaged = 0

    def _running_average(self, cells: Floats32, fps: float) -> Floats32:
        """The average picture at every tick: of all ticks so far, later with the older ones fading."""
        averages = np.empty_like(cells)
        for index, picture in enumerate(cells):
            self._averaged += 1
            self._average += (picture - self._average) * np.float32(max(1 / self._averaged, 1 / (MEMORY_S * fps)))
            averages[index] = self._average
        return averages

    def _weights(self, averages: Floats32) -> tuple[Floats32, Floats32]:
        """Weight of every cell in every region, (T, regions, cells), and the share of the face that is skin, (T,)."""
        pictures = averages.reshape(len(averages), -1, 3)
        logs = np.log(pictures + BLACK_LEVEL)
        features = np.stack([logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1], logs.mean(axis=-1)], axis=1)
        seed = features[:, :, self._seed]
        centre = np.median(seed, axis=2, keepdims=True)
        # 1.4826 makes the median deviation of Gaussian samples their standard deviation.
        spread = 1.4826 * np.median(np.abs(seed - centre), axis=2, keepdims=True)
        spread = np.clip(spread, SPREAD_LIMITS[0, :, None], SPREAD_LIMITS[1, :, None])
        distance = (((features - centre) / (SPREADS * spread)) ** 2).sum(axis=1)
        likeness = 1 / (1 + distance**3)
        unclipped = 1 / (1 + np.exp((pictures.max(axis=2) - CLIPPED_LEVEL) / CLIPPED_SOFTNESS))
        skin = likeness * unclipped
        fraction = skin @ self._face / self._face.sum()
        # Smooth, and so small where there is skin that what is excluded stays so.
        skin += np.exp(-((fraction / SCARCE) ** 2))[:, None] + np.float32(1e-6)
        return np.asarray(skin[:, None] * self._regions, np.float32), np.asarray(fraction, np.float32)


def _to_cells(frame: npt.NDArray[np.uint8]) -> Floats32:
    cells = cv2.resize(frame.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.float32)


def _geometry() -> tuple[Floats32, Floats32, npt.NDArray[np.bool_]]:
    """Where things are in a frontal face box.

    Returns:
        Soft ellipse of the face (cells,), its share in each region (regions, cells), and the cells of cheeks and nose
        that are skin in any face (cells,).
    """
    middle = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS
    x, y = np.broadcast_to(middle, (CELLS, CELLS)), np.broadcast_to(middle[:, None], (CELLS, CELLS))

    def ellipse(centre_x: float, centre_y: float, radius_x: float, radius_y: float) -> Floats32:
        radius = np.hypot((x - centre_x) / radius_x, (y - centre_y) / radius_y)
        return np.asarray(1 / (1 + np.exp((radius - 1) * min(radius_x, radius_y) / 0.02)), np.float32)

    face = ellipse(0.5, 0.5, 0.43, 0.52)
    # Lids are skin, but they come and go with every blink.
    face *= (1 - 0.9 * ellipse(0.30, 0.37, 0.13, 0.07)) * (1 - 0.9 * ellipse(0.70, 0.37, 0.13, 0.07))
    above = 1 / (1 + np.exp((y - 0.34) / 0.02))
    below = 1 / (1 + np.exp((0.68 - y) / 0.02))
    leftmost = 1 / (1 + np.exp((x - 0.5) / 0.02))
    between = (1 - above) * (1 - below)
    shares = (np.ones_like(x), above, between * leftmost, between * (1 - leftmost), below)
    regions = np.stack([face * share for share in shares]).astype(np.float32)

    seed = ellipse(0.28, 0.58, 0.12, 0.09) + ellipse(0.72, 0.58, 0.12, 0.09) + ellipse(0.5, 0.52, 0.06, 0.12) > 0.5
    return face.ravel(), regions.reshape(len(regions), -1), seed.ravel()

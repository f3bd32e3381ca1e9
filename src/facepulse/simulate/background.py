"""Rooms behind the face, out of focus, still or with a moving object."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facepulse._types import Floats32

MARGIN = 0.1  # of the larger side, painted beyond each edge for a shaking camera; farther out the edge repeats


class Background:
    """Room behind the face: painted once, then shifted, with moving objects drawn over it.

    Args:
        rng: source of the room.
        width: of the frame in pixels.
        height: of the frame in pixels.
        moving: True for one or two moving objects: a person, a screen, a curtain.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, *, moving: bool) -> None:
        self._size = width, height
        self._margin = round(MARGIN * max(width, height))
        room = _Painter(rng, width + 2 * self._margin, height + 2 * self._margin)
        room.wall()
        for _ in range(rng.integers(1, 4)):
            _FURNITURE[rng.integers(len(_FURNITURE))](room)
        if rng.random() < 0.7:
            room.plant()
        self._still = room.finish(rng.uniform(0.008, 0.025) * max(width, height))
        chosen = rng.permutation(len(_MOVERS))[: rng.integers(1, 3)] if moving else ()
        self._movers: list[Any] = [_MOVERS[index](rng, width, height) for index in chosen]

    def __call__(self, time_s: float, shift_px: tuple[float, float] = (0.0, 0.0)) -> Floats32:
        """Return the room at one time.

        Args:
            time_s: time in seconds.
            shift_px: (right, down) shift of the room in the frame by a turn of the camera, in fractional pixels.

        Returns:
            float32 (height, width, 3), reflectance 0 to 1, linear sRGB.
        """
        width, height = self._size
        right, down = shift_px
        centre = self._margin + (width - 1) / 2 - right, self._margin + (height - 1) / 2 - down
        image: Any = cv2.getRectSubPix(self._still, (width, height), centre)
        for mover in self._movers:
            mover.draw(image, time_s, right, down)
        return np.asarray(image)


class _Painter:
    """Painter of random furniture on one wall; lengths are fractions of the canvas's height."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self._rng, self._width, self._height = rng, width, height
        self._canvas = np.empty((height, width, 3), np.float32)
        self._right = width / height

    def finish(self, blur_px: float) -> Floats32:
        """Return the canvas blurred by a lens that is focused on a nearer object."""
        # Dirt and unevenness of surfaces, coarse enough to remain after the blur.
        blotches = self._rng.normal(1, 0.05, (9, 12, 1)).astype(np.float32)
        self._canvas *= cv2.resize(blotches, (self._width, self._height), interpolation=cv2.INTER_CUBIC)[..., None]
        blurred = cv2.GaussianBlur(self._canvas, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(np.clip(blurred, 0.005, 1), np.float32)

    def wall(self) -> None:
        """Paint a wall, lit unevenly, sometimes with a floor or a panel of another colour below."""
        # Wall paints reflect 0.3 to 0.85, most of them near grey (CIBSE's Lighting Guide 11, 2001).
        self._canvas[:] = _colour(self._rng, (0.15, 0.8), colourful=0.35)
        if self._rng.random() < 0.4:
            self._box(0, self._rng.uniform(0.6, 0.9), self._right, 1, _colour(self._rng, (0.1, 0.5), colourful=0.5))
        y, x = np.mgrid[0 : 1 : self._height * 1j, 0 : 1 : self._width * 1j]
        angle = self._rng.uniform(0, 2 * np.pi)
        fall = self._rng.uniform(0, 0.5) * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5))
        self._canvas *= np.exp(fall - 0.1)[..., np.newaxis].astype(np.float32)

    def window(self) -> None:
        """Paint a bright window with bars."""
        left, top, width, height = self._place((0.3, 0.9), (0.4, 0.9))
        sky = _colour(self._rng, (0.75, 1), colourful=0.2)
        self._box(left - 0.03, top - 0.03, left + width + 0.03, top + height + 0.03, np.full(3, 0.6))
        self._box(left, top, left + width, top + height, sky)
        self._box(left, top + height * 0.65, left + width, top + height, sky * [0.5, 0.6, 0.45])
        for bar in np.linspace(0, 1, self._rng.integers(2, 4))[1:-1]:
            self._box(left + bar * width - 0.012, top, left + bar * width + 0.012, top + height, np.full(3, 0.5))

    def shelf(self) -> None:
        """Paint a shelf of books and boxes."""
        left, top, width, height = self._place((0.5, 1.2), (0.5, 1))
        wood = np.array([0.35, 0.2, 0.1]) * self._rng.uniform(0.4, 1.8)
        self._box(left, top, left + width, top + height, wood * 0.6)
        boards = np.linspace(top, top + height, self._rng.integers(3, 6))
        for above, below in pairwise(boards):
            edge = left + 0.02
            while edge < left + width - 0.04:
                thickness = min(self._rng.uniform(0.02, 0.12), left + width - 0.02 - edge)
                tall = (below - above) * self._rng.uniform(0.5, 0.95)
                if self._rng.random() < 0.85:
                    cover = _colour(self._rng, (0.05, 0.6), colourful=1.2)
                    self._box(edge, below - tall, edge + thickness, below, cover)
                edge += thickness + 0.005
            self._box(left, below - 0.012, left + width, below + 0.012, wood)

    def picture(self) -> None:
        """Paint a framed picture or poster."""
        left, top, width, height = self._place((0.2, 0.5), (0.2, 0.5))
        frame = _colour(self._rng, (0.03, 0.5), colourful=0.4)
        self._box(left - 0.02, top - 0.02, left + width + 0.02, top + height + 0.02, frame)
        self._box(left, top, left + width, top + height, _colour(self._rng, (0.1, 0.8), colourful=1))
        for _ in range(4):
            x, y = self._rng.uniform(0, 1, 2)
            patch = left + 0.6 * x * width, top + 0.6 * y * height
            self._box(*patch, patch[0] + 0.4 * width, patch[1] + 0.4 * height, _colour(self._rng, (0.05, 0.8), 1))

    def door(self) -> None:
        """Paint a door or a wardrobe, from some height to the floor."""
        left, top, width, _ = self._place((0.35, 0.7), (0.7, 0.9))
        colour = np.array([0.4, 0.24, 0.13]) * self._rng.uniform(0.5, 1.6) if self._rng.random() < 0.6 else np.ones(3)
        self._box(left, top, left + width, 1, colour * 0.7)
        for panel in (0.08, 0.55):
            self._box(left + 0.12 * width, top + panel, left + 0.88 * width, top + panel + 0.35, colour * 0.6)

    def curtain(self) -> None:
        """Paint a curtain with folds."""
        left, _, width, _ = self._place((0.3, 0.8), (0.9, 1))
        x0, x1 = (min(self._px(x), self._width) for x in (left, left + width))
        folds = _folds(np.linspace(0, width, max(x1 - x0, 0)), self._rng)
        self._canvas[:, x0:x1] = _colour(self._rng, (0.15, 0.8), colourful=0.7) * folds[:, np.newaxis]

    def lamp(self) -> None:
        """Paint a lamp that is switched on."""
        x, y, radius = self._rng.uniform(0, self._right), self._rng.uniform(0.05, 0.4), self._rng.uniform(0.04, 0.12)
        light = (1.0, 0.85, 0.6) if self._rng.random() < 0.6 else (1.0, 1.0, 1.0)
        self._ellipse(x, y, radius, radius, np.array(light), 0)

    def plant(self) -> None:
        """Paint a plant: leaves in shades of green."""
        x, y = self._rng.uniform(0, self._right), self._rng.uniform(0.5, 0.95)
        size = self._rng.uniform(0.1, 0.3)
        for _ in range(60):
            green = np.array([0.08, 0.2, 0.04]) * self._rng.uniform(0.3, 2)
            dx, dy = self._rng.normal(0, size / 2, 2)
            angle = self._rng.uniform(0, 180)
            self._ellipse(x + dx, y + dy, self._rng.uniform(0.03, 0.09), 0.02, green, angle)

    def _place(self, widths: tuple[float, float], heights: tuple[float, float]) -> tuple[float, float, float, float]:
        """Draw left, top, width and height of an object in these ranges of size, partly outside at times."""
        width, height = self._rng.uniform(*widths), self._rng.uniform(*heights)
        left = self._rng.uniform(-0.3 * width, self._right - 0.7 * width)
        return left, self._rng.uniform(-0.1, max(0.0, 0.9 - height)), width, height

    def _px(self, length: float) -> int:
        return int(np.clip(round(length * self._height), 0, max(self._width, self._height)))

    def _box(self, left: float, top: float, right: float, bottom: float, colour: npt.NDArray[Any]) -> None:
        self._canvas[self._px(top) : self._px(bottom), self._px(left) : self._px(right)] = colour

    def _ellipse(self, x: float, y: float, wide: float, high: float, colour: npt.NDArray[Any], angle: float) -> None:
        centre, axes = (self._px(x), self._px(y)), (max(1, self._px(wide)), max(1, self._px(high)))
        cv2.ellipse(self._canvas, centre, axes, angle, 0, 360, colour.tolist(), cv2.FILLED)


_FURNITURE: list[Callable[[_Painter], None]] = [
    _Painter.window,
    _Painter.shelf,
    _Painter.picture,
    _Painter.door,
    _Painter.curtain,
    _Painter.lamp,
]


class _Passer:
    """Person who walks past behind, repeatedly and at irregular intervals."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        tall = round(height * rng.uniform(0.6, 1.1))
        wide = max(4, round(tall * rng.uniform(0.35, 0.5)))
        soft = 0.03 * tall
        pad = round(3 * soft)
        shape = tall + 2 * pad, wide + 2 * pad
        skin = np.array([0.45, 0.25, 0.16]) * rng.uniform(0.15, 1.3)
        self._colour = np.empty((*shape, 3), np.float32)
        self._colour[:] = _colour(rng, (0.03, 0.6), colourful=0.8)
        self._colour[: pad + tall // 4] = skin
        self._alpha = np.zeros(shape, np.float32)
        middle = shape[1] // 2
        cv2.ellipse(self._alpha, (middle, pad + tall // 8), (wide // 5, tall // 8), 0, 0, 360, 1.0, cv2.FILLED)
        cv2.ellipse(self._alpha, (middle, pad + tall), (wide // 2, 3 * tall // 4), 0, 0, 360, 1.0, cv2.FILLED)
        self._alpha = np.asarray(cv2.GaussianBlur(self._alpha, (0, 0), soft))
        self._colour = np.asarray(cv2.GaussianBlur(self._colour, (0, 0), soft))
        self._top, self._width = height - tall, width
        # Across the frame, a short wait outside it, and back.
        durations_s = np.where(np.arange(300) % 2, rng.uniform(0.2, 2, 300), rng.uniform(2, 6, 300))
        self._knots_s = np.cumsum(np.concatenate([[-rng.uniform(0, 4)], durations_s]))
        self._places = np.where((np.arange(301) + 1) // 2 % 2, 1.3, -0.3) * width
        self._step = 0.01 * tall, rng.uniform(1.6, 2.1)  # amplitude in pixels, and steps per second of walking

    def draw(self, image: Floats32, time_s: float, right: float, down: float) -> None:
        """Draw over an image."""
        x = float(np.interp(time_s, self._knots_s, self._places)) + right
        y = self._top + down + self._step[0] * np.sin(2 * np.pi * self._step[1] * time_s)
        _blend(image, self._colour, self._alpha, x - self._alpha.shape[1] / 2, y)


class _Screen:
    """Screen with a sequence of scenes, each of which fluctuates in brightness."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        wide = round(width * rng.uniform(0.2, 0.45))
        tall = round(wide * rng.uniform(0.5, 0.7))
        self._at = rng.uniform(0, width - wide), rng.uniform(0, max(1.0, 0.6 * height - tall))
        self._size = wide, tall
        soft = max(1, round(0.04 * wide))
        alpha = np.zeros((tall, wide), np.float32)
        alpha[soft:-soft, soft:-soft] = 1
        self._alpha: Any = cv2.GaussianBlur(alpha, (0, 0), soft / 3)
        self._cuts_s = np.concatenate([[-5.0], np.cumsum(rng.exponential(2.0, 400) + 0.3)])
        grey, colour = rng.uniform(0, 1, (401, 3, 4, 1)), rng.uniform(0, 1, (401, 3, 4, 3))
        self._scenes = rng.uniform(0.2, 1, (401, 1, 1, 1)) * grey * (0.4 + 0.6 * colour)
        self._sway_hz = rng.uniform(0.2, 2, 401)

    def draw(self, image: Floats32, time_s: float, right: float, down: float) -> None:
        """Draw over an image."""
        scene = int(np.clip(np.searchsorted(self._cuts_s, time_s, side="right") - 1, 0, 400))
        pixels = self._scenes[scene] * (1 + 0.3 * np.sin(2 * np.pi * self._sway_hz[scene] * time_s))
        shown = cv2.resize(np.clip(pixels, 0, 1).astype(np.float32), self._size, interpolation=cv2.INTER_LINEAR)
        _blend(image, shown, self._alpha, self._at[0] + right, self._at[1] + down)


class _Curtain:
    """Curtain whose folds move in a draught."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        wide = round(width * rng.uniform(0.2, 0.4))
        self._at = rng.choice([0, width - wide])
        self._x = np.arange(wide) / height
        self._table_x = np.linspace(-0.5, 2.5, 1500)
        self._table = _folds(self._table_x, rng)
        self._colour = _colour(rng, (0.15, 0.8), colourful=0.7)
        self._shade = np.linspace(1, rng.uniform(0.6, 1), height, dtype=np.float32)
        ramp = max(1.0, 0.05 * wide)
        ends = np.minimum(np.arange(wide), np.arange(wide)[::-1])  # 0 at the edges, for shifts by fractions of a pixel
        self._alpha = np.tile(np.minimum(1, ends / ramp).astype(np.float32), (height, 1))
        self._hz, self._phase = rng.uniform(0.1, 0.9, 3), rng.uniform(0, 2 * np.pi, 3)
        self._reach = rng.uniform(0.01, 0.05)

    def draw(self, image: Floats32, time_s: float, right: float, down: float) -> None:
        """Draw over an image."""
        ripples = np.sin(2 * np.pi * (self._hz * time_s - self._x[:, np.newaxis]) + self._phase)
        folds = np.interp(self._x + self._reach * ripples.sum(axis=1), self._table_x, self._table)
        row = np.asarray(self._colour * folds[:, np.newaxis], np.float32)
        _blend(image, row * self._shade[:, np.newaxis, np.newaxis], self._alpha, self._at + right, 0.0)


_MOVERS: list[Callable[[np.random.Generator, int, int], _Passer | _Screen | _Curtain]] = [_Passer, _Screen, _Curtain]


def _colour(rng: np.random.Generator, levels: tuple[float, float], colourful: float) -> npt.NDArray[np.float64]:
    """Draw a reflectance (3,) of a level in a range, from grey (colourful 0) to saturated (1)."""
    grey = rng.uniform(*levels)
    # Colours of paint, cloth and wood vary between warm and cold rather than between green and purple.
    warm, green = rng.normal(0, 0.6), rng.normal(0, 0.25)
    hue = np.array([warm - green / 2, green, -warm - green / 2])
    return np.asarray(np.clip(grey * np.exp(colourful * hue), 0.01, 1))


def _folds(x: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Brightness of a curtain's folds along x: (n,), 0.5 to 1."""
    per_height = rng.uniform(4, 14)
    bend = 0.6 * np.sin(2 * np.pi * 1.3 * x + rng.uniform(0, 6))
    return np.asarray(0.75 + 0.25 * np.sin(2 * np.pi * per_height * x + bend))


def _blend(image: Floats32, patch: Any, alpha: Floats32, left: float, top: float) -> None:
    """Blend a patch into an image at a fractional position; parts outside are clipped."""
    height, width = image.shape[:2]
    column, row = int(np.floor(left)), int(np.floor(top))
    x0, y0 = max(column, 0), max(row, 0)
    x1, y1 = min(column + patch.shape[1], width), min(row + patch.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    size = x1 - x0, y1 - y0
    # Centre of the clipped area in the patch's pixels.
    centre = x0 - left + (size[0] - 1) / 2, y0 - top + (size[1] - 1) / 2
    weight: Any = cv2.getRectSubPix(alpha, size, centre)
    if column < x0 or row < y0 or left % 1 or top % 1 or size != patch.shape[1::-1]:
        patch = cv2.getRectSubPix(patch, size, centre)
    under = image[y0:y1, x0:x1]
    under[:] = cv2.blendLinear(np.ascontiguousarray(patch), np.ascontiguousarray(under), weight, 1 - weight)

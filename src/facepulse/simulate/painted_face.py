"""Paint a face video whose pulse is known: what `facepulse demo` measures and the tests are made of.

The face is a picture, not a person: a shaded ellipsoid with eyes, brows, nose, mouth and hair, good enough for a face
detector. Its skin is multiplied, in linear light, by a blood-volume pulse. It tests the plumbing and the honesty of the
numbers; it says nothing about accuracy on people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse.video.writer import VideoWriter

# How strongly blood absorbs in the red, green and blue of a camera under white light, relative to each other
# (de Haan & van Leest, Physiological Measurement 2014, "blood-volume pulse vector").
PULSE_DIRECTION = np.array([0.33, 0.77, 0.53])

# Skin reflectance in linear light (red, green, blue), from light to dark.
SKIN_TONES = {"light": (0.60, 0.36, 0.26), "medium": (0.38, 0.20, 0.13), "dark": (0.13, 0.065, 0.042)}


@dataclass(frozen=True)
class PaintedFace:
    """One face in the scene.

    Attributes:
        beats_s: times of the heartbeats in seconds, ascending; `metronome` makes them. Empty: no pulse at all.
        centre: middle of the face as a fraction of the picture's width and height.
        height: of the head, as a fraction of the picture's height.
        tone: a key of `SKIN_TONES`.
        strength: peak-to-peak change of the green channel in linear light; real faces show 0.005 to 0.02.
        sway: how far the head wanders, as a fraction of its height.
        visible_s: (start, end) in seconds between which the face is there; None for always.
    """

    beats_s: Sequence[float] | NDArray[np.float64] = ()
    centre: tuple[float, float] = (0.5, 0.52)
    height: float = 0.62
    tone: str = "light"
    strength: float = 0.015
    sway: float = 0.004
    visible_s: tuple[float, float] | None = None


def metronome(bpm: float, seconds: float) -> NDArray[np.float64]:
    """Beat times in seconds of a heart that never varies, from before the first frame to after the last."""
    period = 60.0 / bpm
    return np.arange(-2 * period, seconds + 2 * period, period)


def pulse_wave(times: NDArray[np.float64], beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blood-volume pulse at the given times: a steep systolic rise, a slow fall with a dicrotic notch.

    Args:
        times: seconds, (T,).
        beats_s: beat times in seconds, ascending; zeros come back where there are fewer than two.

    Returns:
        (T,), peak-to-peak about 1.
    """
    if len(beats_s) < 2:
        return np.zeros_like(times)
    last = np.clip(np.searchsorted(beats_s, times, side="right") - 1, 0, len(beats_s) - 2)
    phase = (times - beats_s[last]) / (beats_s[last + 1] - beats_s[last])
    wave = np.zeros_like(times)
    # Two bumps a beat: the systolic wave and its reflection. Wrapped, so that one beat flows into the next.
    for turn in (-1, 0, 1):
        wave += np.exp(-0.5 * ((phase - 0.22 + turn) / 0.10) ** 2)
        wave += 0.35 * np.exp(-0.5 * ((phase - 0.55 + turn) / 0.12) ** 2)
    return wave - 0.5


Grid = tuple[NDArray[np.float32], NDArray[np.float32]]


def _blob(grid: Grid, x: float, y: float, width: float, height: float) -> NDArray[np.float32]:
    """An ellipse with an edge 0.03 wide: 1 inside and 0 outside."""
    radius = np.sqrt(((grid[0] - x) / width) ** 2 + ((grid[1] - y) / height) ** 2)
    inside: NDArray[np.float32] = np.clip((1.0 - radius) * min(width, height) / 0.03 + 0.5, 0.0, 1.0)
    return inside


def _bump(grid: Grid, x: float, y: float, width: float, height: float) -> NDArray[np.float32]:
    """A Gaussian bump, 1 at its centre."""
    bump: NDArray[np.float32] = np.exp(-0.5 * (((grid[0] - x) / width) ** 2 + ((grid[1] - y) / height) ** 2))
    return bump


def paint_head(size: int, tone: str) -> NDArray[np.float32]:
    """Paint a head that fills a square picture.

    Args:
        size: side of the picture in pixels.
        tone: a key of `SKIN_TONES`.

    Returns:
        float32 (size, size, 5): red, green and blue in linear light, multiplied by the fourth channel, which says how
        much of a pixel is head; the fifth says how much of it is skin with a pulse.
    """
    axis = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    grid = (np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size)))
    x, y = grid
    skin = np.array(SKIN_TONES[tone], np.float32)

    # An ellipsoid lit from the upper left; the nose and the eye sockets bend the shading.
    depth = np.sqrt(np.clip(1.0 - (x / 0.80) ** 2 - (y / 0.98) ** 2, 0.0, 1.0))
    shade = 0.40 + 0.60 * np.clip(0.85 * depth - 0.15 * x - 0.12 * y, 0.0, 1.0)
    sockets = _bump(grid, -0.31, -0.17, 0.19, 0.11) + _bump(grid, 0.31, -0.17, 0.19, 0.11)
    shade *= 1.0 - 0.62 * sockets
    shade *= 1.0 + 0.30 * _bump(grid, 0.0, 0.00, 0.08, 0.30)
    shade *= 1.0 - 0.35 * _bump(grid, 0.0, 0.27, 0.17, 0.05)
    shade *= 1.0 - 0.25 * _bump(grid, 0.0, 0.74, 0.30, 0.06)
    shade *= 1.0 + 0.18 * (_bump(grid, -0.38, 0.15, 0.18, 0.16) + _bump(grid, 0.38, 0.15, 0.18, 0.16))
    colour = shade[..., None] * skin
    pulsing = np.ones((size, size), np.float32)

    def cover(mask: NDArray[np.float32], paint: Sequence[float]) -> None:
        nonlocal colour, pulsing
        colour = colour * (1.0 - mask[..., None]) + mask[..., None] * np.array(paint, np.float32)
        pulsing = pulsing * (1.0 - mask)

    hair_colour = (0.022, 0.015, 0.011)
    for side in (-0.31, 0.31):
        cover(0.95 * _blob(grid, side, -0.34, 0.21, 0.055), hair_colour)
        cover(0.9 * _blob(grid, side, -0.17, 0.15, 0.060), (0.20, 0.18, 0.17))
        cover(_blob(grid, side, -0.17, 0.075, 0.070), (0.02, 0.013, 0.010))
    for side in (-0.08, 0.08):
        cover(0.8 * _blob(grid, side, 0.27, 0.034, 0.022), tuple(0.2 * skin))
    cover(0.9 * _blob(grid, 0.0, 0.52, 0.27, 0.075), tuple(skin * np.array([0.50, 0.26, 0.28])))
    cover(0.9 * _blob(grid, 0.0, 0.515, 0.25, 0.014), tuple(0.10 * skin))
    fringe = np.clip((-0.66 - y + 0.25 * x**2) * 12.0, 0.0, 1.0).astype(np.float32)
    cover(fringe, hair_colour)

    head = _blob(grid, 0.0, 0.0, 0.80, 0.96)
    return np.dstack([colour * head[..., None], head, pulsing * head]).astype(np.float32)


def _background(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A wall, lighter on the left, with a faint texture that gives a codec something to do; linear light."""
    wall = np.linspace(0.24, 0.14, width, dtype=np.float32)[None, :, None] * np.array([0.92, 1.0, 1.1], np.float32)
    texture = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 3.0)
    return np.asarray(wall * (1.0 + 0.25 * texture[..., None]), np.float32)


def paint_frames(
    faces: Sequence[PaintedFace],
    times: NDArray[np.float64],
    *,
    width: int = 640,
    height: int = 480,
    noise: float = 1.5,
    seed: int = 0,
) -> Iterator[NDArray[np.uint8]]:
    """Paint one picture for each time.

    Args:
        faces: who is in the scene.
        times: seconds, (T,).
        width: of the picture in pixels.
        height: of the picture in pixels.
        noise: standard deviation of the camera's noise, in 8-bit steps.
        seed: of the noise, the texture and the sway.

    Yields:
        uint8 RGB (height, width, 3).
    """
    rng = np.random.default_rng(seed)
    wall = _background(width, height, rng)
    # Drawing fresh noise for each frame would cost more than everything else: shifted views of one field do.
    grain = rng.standard_normal((2 * height, 2 * width, 3)).astype(np.float32) * np.float32(noise)
    coarse_wall, coarse_grain = _develop(wall), np.rint(grain).astype(np.int16)
    heads = [paint_head(round(face.height * height), face.tone) for face in faces]
    absorbed = [_absorption(face, times) for face in faces]
    corners = [_wander(face, times, head.shape[0], width, height, rng) for face, head in zip(faces, heads, strict=True)]
    for index, time in enumerate(times):
        top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
        shifted = coarse_grain[top : top + height, left : left + width]
        picture = np.asarray(cv2.add(coarse_wall, shifted, dtype=cv2.CV_8U), np.uint8)
        present = [
            number
            for number, face in enumerate(faces)
            if face.visible_s is None or face.visible_s[0] <= time < face.visible_s[1]
        ]
        if present:
            # Only the rectangle that holds the heads is painted with fractions of an 8-bit step: a pulse is smaller
            # than one, and survives because the noise is added before rounding.
            here = np.array([corners[number][index] for number in present])
            sizes = np.array([heads[number].shape[0] for number in present])
            x0, y0 = np.maximum(np.floor(here.min(axis=0)).astype(int), 0)
            x1, y1 = np.minimum(np.ceil((here + sizes[:, None]).max(axis=0)).astype(int) + 1, (width, height))
            light = wall[y0:y1, x0:x1].copy()
            for number, (x, y) in zip(present, here, strict=True):
                shift = np.array([[1.0, 0.0, x - x0], [0.0, 1.0, y - y0]])
                layer = cv2.warpAffine(heads[number], shift, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
                light *= 1.0 - layer[..., 3:4]
                light += layer[..., :3] * (1.0 - layer[..., 4:5] * absorbed[number][index])
            fine_grain = grain[top + y0 : top + y1, left + x0 : left + x1]
            picture[y0:y1, x0:x1] = _develop(light, fine_grain)
        yield picture


def _absorption(face: PaintedFace, times: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the blood takes from red, green and blue at each time: (T, 3), a fraction of the light."""
    wave = pulse_wave(times, np.asarray(face.beats_s, np.float64)) * face.strength
    return np.asarray(wave[:, None] * PULSE_DIRECTION / PULSE_DIRECTION[1], np.float32)


def _wander(
    face: PaintedFace,
    times: NDArray[np.float64],
    size: int,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Upper left corner of a swaying head at each time, in pixels: (T, 2)."""
    hz, phase = rng.uniform(0.05, 0.35, (2, 2, 1)), rng.uniform(0.0, 2 * np.pi, (2, 2, 1))
    sway = np.sin(2 * np.pi * hz * times + phase).mean(axis=0).T * face.sway * size
    corner: NDArray[np.float64] = np.array(face.centre) * (width, height) - size / 2 + sway
    return corner


def _develop(light: NDArray[np.float32], grain: NDArray[np.float32] | float = 0.0) -> NDArray[np.uint8]:
    """Linear light to 8-bit picture: gamma, then the camera's noise, then rounding."""
    picture = cv2.pow(np.clip(light, 0.0, 1.0), 1 / 2.2) * 255.0 + grain
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def render(
    path: str | Path,
    faces: Sequence[PaintedFace],
    *,
    seconds: float = 20.0,
    fps: float = 30.0,
    times: NDArray[np.float64] | None = None,
    width: int = 640,
    height: int = 480,
    noise: float = 1.5,
    seed: int = 0,
    progress: Callable[[float, float], None] | None = None,
    **encoding: Any,
) -> Path:
    """Paint a video and write it.

    Args:
        path: of the video; its ending chooses the container.
        faces: who is in the scene.
        seconds: length of the video.
        fps: frames a second.
        times: capture time of each frame in seconds, for a variable frame rate; instead of `seconds` and `fps`.
        width: of the picture in pixels.
        height: of the picture in pixels.
        noise: standard deviation of the camera's noise, in 8-bit steps.
        seed: of everything random.
        progress: called with the seconds painted and the length of the video.
        **encoding: passed on to `facepulse.video.reader.VideoWriter` (codec, options, key_interval, ...).

    Returns:
        The path.
    """
    if times is None:
        times = np.arange(round(seconds * fps)) / fps
    pictures = paint_frames(faces, times, width=width, height=height, noise=noise, seed=seed)
    with VideoWriter(path, width, height, fps=fps, **encoding) as writer:
        for picture, time in zip(pictures, times, strict=True):
            writer.write(picture, float(time))
            if progress is not None:
                progress(float(time), float(times[-1]))
    return Path(path)

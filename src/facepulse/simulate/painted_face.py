"""Painted face with a known pulse, the input of `facepulse demo` and of many tests.

The face is a drawing: a shaded ellipsoid with eyes, brows, nose, mouth and hair, sufficient for a face detector. Its
skin is multiplied, in linear light, by a blood volume pulse. It tests the pipeline and the quality index; accuracy on
people cannot be estimated with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facepulse._types import Floats, Floats32, Image
from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.video.writer import VideoWriter

# Skin reflectance in linear light (red, green, blue), from light to dark.
SKIN_TONES = {"light": (0.60, 0.36, 0.26), "medium": (0.38, 0.20, 0.13), "dark": (0.13, 0.065, 0.042)}


@dataclass(frozen=True)
class PaintedFace:
    """One face in the scene.

    Attributes:
        beats_s: times of the heartbeats in seconds, ascending, as from `metronome`; empty for no pulse.
        centre: middle of the face as fractions of the frame's width and height.
        height: of the head, as a fraction of the frame's height.
        tone: key of `SKIN_TONES`.
        strength: peak-to-peak change of the green channel in linear light; 0.005 to 0.02 in real faces.
        sway: amplitude of the head's motion, as a fraction of its height.
        visible_s: (start, end) in seconds between which the face is visible; None for always.
    """

    beats_s: Sequence[float] | Floats = ()
    centre: tuple[float, float] = (0.5, 0.52)
    height: float = 0.62
    tone: str = "light"
    strength: float = 0.015
    sway: float = 0.004
    visible_s: tuple[float, float] | None = None


def metronome(bpm: float, seconds: float) -> Floats:
    """Beat times in seconds of a constant heart rate, from before the first frame to after the last."""
    period = 60.0 / bpm
    return np.arange(-2 * period, seconds + 2 * period, period)


def pulse_waveform(times: Floats, beats_s: Floats) -> Floats:
    """Blood volume pulse at the given times: a steep systolic rise, a slow fall with a dicrotic notch.

    Args:
        times: seconds, (T,).
        beats_s: beat times in seconds, ascending; with fewer than two, the result is zero.

    Returns:
        (T,), about 1 peak to peak.
    """
    if len(beats_s) < 2:
        return np.zeros_like(times)
    last = np.clip(np.searchsorted(beats_s, times, side="right") - 1, 0, len(beats_s) - 2)
    phase = (times - beats_s[last]) / (beats_s[last + 1] - beats_s[last])
    waveform = np.zeros_like(times)
    # Two Gaussians per beat: the systolic wave and its reflection. Wrapped, so that beats join smoothly.
    for turn in (-1, 0, 1):
        waveform += np.exp(-0.5 * ((phase - 0.22 + turn) / 0.10) ** 2)
        waveform += 0.35 * np.exp(-0.5 * ((phase - 0.55 + turn) / 0.12) ** 2)
    return waveform - 0.5


Grid = tuple[Floats32, Floats32]


def _blob(grid: Grid, x: float, y: float, width: float, height: float) -> Floats32:
    """An ellipse with an edge 0.03 wide: 1 inside and 0 outside."""
    radius = np.sqrt(((grid[0] - x) / width) ** 2 + ((grid[1] - y) / height) ** 2)
    inside: Floats32 = np.clip((1.0 - radius) * min(width, height) / 0.03 + 0.5, 0.0, 1.0)
    return inside


def _bump(grid: Grid, x: float, y: float, width: float, height: float) -> Floats32:
    """A Gaussian bump, 1 at its centre."""
    bump: Floats32 = np.exp(-0.5 * (((grid[0] - x) / width) ** 2 + ((grid[1] - y) / height) ** 2))
    return bump


def paint_head(size: int, tone: str) -> Floats32:
    """Paint a head that fills a square image.

    Args:
        size: side of the image in pixels.
        tone: key of `SKIN_TONES`.

    Returns:
        float32 (size, size, 5): red, green and blue in linear light, multiplied by the fourth channel, which is the
        coverage of the pixel by the head; the fifth is its coverage by skin with a pulse.
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

    def cover(mask: Floats32, paint: Sequence[float]) -> None:
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


def _background(width: int, height: int, rng: np.random.Generator) -> Floats32:
    """A wall, lighter on the left, with a faint texture for the codec; linear light."""
    wall = np.linspace(0.24, 0.14, width, dtype=np.float32)[None, :, None] * np.array([0.92, 1.0, 1.1], np.float32)
    texture = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 3.0)
    return np.asarray(wall * (1.0 + 0.25 * texture[..., None]), np.float32)


def paint_frames(
    faces: Sequence[PaintedFace],
    times: Floats,
    *,
    width: int = 640,
    height: int = 480,
    noise: float = 1.5,
    seed: int = 0,
) -> Iterator[Image]:
    """Paint one frame per time.

    Args:
        faces: faces in the scene.
        times: seconds, (T,).
        width: of the frame in pixels.
        height: of the frame in pixels.
        noise: standard deviation of the camera noise in 8-bit steps.
        seed: of the noise, the texture and the sway.

    Yields:
        uint8 RGB (height, width, 3).
    """
    rng = np.random.default_rng(seed)
    wall = _background(width, height, rng)
    # Shifted views of one noise field: new noise for each frame would cost more than everything else.
    grain = rng.standard_normal((2 * height, 2 * width, 3)).astype(np.float32) * np.float32(noise)
    coarse_wall, coarse_grain = _develop(wall), np.rint(grain).astype(np.int16)
    heads = [paint_head(round(face.height * height), face.tone) for face in faces]
    absorbed = [_absorption(face, times) for face in faces]
    corners = [
        _positions(face, times, head.shape[0], width, height, rng) for face, head in zip(faces, heads, strict=True)
    ]
    for index, time in enumerate(times):
        top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
        shifted = coarse_grain[top : top + height, left : left + width]
        frame = np.asarray(cv2.add(coarse_wall, shifted, dtype=cv2.CV_8U), np.uint8)
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
            frame[y0:y1, x0:x1] = _develop(light, fine_grain)
        yield frame


def _absorption(face: PaintedFace, times: Floats) -> Floats32:
    """Absorption by blood in red, green and blue at each time: (T, 3), a fraction of the light."""
    waveform = pulse_waveform(times, np.asarray(face.beats_s, np.float64)) * face.strength
    return np.asarray(waveform[:, None] * PULSE_SIGNATURE / PULSE_SIGNATURE[1], np.float32)


def _positions(
    face: PaintedFace,
    times: Floats,
    size: int,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> Floats:
    """Upper left corner of a swaying head at each time, in pixels: (T, 2)."""
    hz, phase = rng.uniform(0.05, 0.35, (2, 2, 1)), rng.uniform(0.0, 2 * np.pi, (2, 2, 1))
    sway = np.sin(2 * np.pi * hz * times + phase).mean(axis=0).T * face.sway * size
    corner: Floats = np.array(face.centre) * (width, height) - size / 2 + sway
    return corner


def _develop(light: Floats32, grain: Floats32 | float = 0.0) -> Image:
    """Convert linear light to an 8-bit image: gamma, then the camera's noise, then rounding."""
    image = cv2.pow(np.clip(light, 0.0, 1.0), 1 / 2.2) * 255.0 + grain
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


def render(
    path: str | Path,
    faces: Sequence[PaintedFace],
    *,
    seconds: float = 20.0,
    fps: float = 30.0,
    times: Floats | None = None,
    width: int = 640,
    height: int = 480,
    noise: float = 1.5,
    seed: int = 0,
    progress: Callable[[float, float], None] | None = None,
    **encoding: Any,
) -> Path:
    """Paint a video and write it.

    Args:
        path: of the video; its suffix selects the container.
        faces: faces in the scene.
        seconds: length of the video.
        fps: frames per second.
        times: capture time of each frame in seconds, for a variable frame rate; instead of `seconds` and `fps`.
        width: of the frame in pixels.
        height: of the frame in pixels.
        noise: standard deviation of the camera noise in 8-bit steps.
        seed: of all random draws.
        progress: called with the seconds painted and the length of the video.
        **encoding: arguments of `facepulse.video.writer.VideoWriter` (codec, options, key_interval, ...).

    Returns:
        The path.
    """
    if times is None:
        times = np.arange(round(seconds * fps)) / fps
    frames = paint_frames(faces, times, width=width, height=height, noise=noise, seed=seed)
    with VideoWriter(path, width, height, fps=fps, **encoding) as writer:
        for frame, time in zip(frames, times, strict=True):
            writer.write(frame, float(time))
            if progress is not None:
                progress(float(time), float(times[-1]))
    return Path(path)

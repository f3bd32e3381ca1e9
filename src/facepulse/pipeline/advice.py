"""Advice to the person in front of a live camera on how to improve the quality."""

from __future__ import annotations

from facepulse._types import Floats
from facepulse.faces.tracking import Box, distance

NO_FACE = "no face in view: look at the camera from the front, in even light"
DARK, BRIGHT = "more light on your face", "less light: your face is overexposed"
FAR = "come closer"
MOVING = "hold still"
FEW_FRAMES = "the camera gives few frames: more light, or close other programs that use it"
STEADY = "hold still, in even light"

# Mean level of the skin, of 255. At the lower limit a pulse of 0.5 % is less than a third of a quantisation level.
DARK_LEVEL, BRIGHT_LEVEL = 60.0, 235.0
NEAR_SIDE = 80.0  # pixels of the side of the box: with fewer, averaging removes too little camera noise
MOVED_SIDES = 0.15  # movement of the box within a window, in units of its side; the tracker ignores a slight sway
ENOUGH_FPS = 12.0


def advice(rgb: Floats, boxes: list[Box], fps: float) -> list[str]:
    """List what lowers the quality, the most severe first; general advice if nothing is found.

    Args:
        rgb: trace (T, 3) of the whole face over the window, 0..255.
        boxes: of the face over the window, in pixels; at least one.
        fps: frame rate in Hz.
    """
    level = float(rgb.mean())
    obstacles = [
        (MOVING, distance_moved(boxes) > MOVED_SIDES),
        (DARK, level < DARK_LEVEL),
        (BRIGHT, level > BRIGHT_LEVEL),
        (FAR, boxes[-1].side < NEAR_SIDE),
        (FEW_FRAMES, fps < ENOUGH_FPS),
    ]
    return [message for message, applies in obstacles if applies] or [STEADY]


def distance_moved(boxes: list[Box]) -> float:
    """Largest distance of a box from the last one, in units of its side."""
    return max(distance(box, boxes[-1]) for box in boxes)

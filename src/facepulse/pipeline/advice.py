"""What a person before a camera can do for a better reading, in words."""

from __future__ import annotations

from facepulse._types import Floats
from facepulse.faces.tracking import Box, distance

NO_FACE = "no face in sight: look at the camera from the front, in even light"
DARK, BRIGHT = "more light on your face", "less light: your face is overexposed"
FAR = "come closer"
MOVING = "hold still"
FEW_FRAMES = "the camera gives few frames: more light, or close other programs that use it"
STEADY = "hold still, in even light"

# Mean level of the skin, of 255. Below, a pulse of half a percent is less than a third of a level of the camera's.
DARK_LEVEL, BRIGHT_LEVEL = 60.0, 235.0
NEAR_SIDE = 80.0  # pixels of the face's box: fewer average away too little of the camera's noise
MOVED_SIDES = 0.15  # how far the box goes in a window, in its own sides: a sway keeps within the band that holds it
ENOUGH_FPS = 12.0


def advice(rgb: Floats, boxes: list[Box], fps: float) -> list[str]:
    """What stands in the way of a reading, the worst first; what always helps, where nothing does.

    Args:
        rgb: (T, 3), mean colour of the skin over the window, in levels of 255.
        boxes: of the face over the window, in pixels; one at least.
        fps: frames a second.
    """
    level = float(rgb.mean())
    found = [
        (MOVING, distance_moved(boxes) > MOVED_SIDES),
        (DARK, level < DARK_LEVEL),
        (BRIGHT, level > BRIGHT_LEVEL),
        (FAR, boxes[-1].side < NEAR_SIDE),
        (FEW_FRAMES, fps < ENOUGH_FPS),
    ]
    return [words for words, true in found if true] or [STEADY]


def distance_moved(boxes: list[Box]) -> float:
    """The farthest that the box was from where it is now, in units of its side."""
    return max(distance(box, boxes[-1]) for box in boxes)

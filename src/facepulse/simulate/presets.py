"""Distributions from which recordings are drawn, and the values that a place in a layout fixes.

`calm` resembles PURE and UBFC-rPPG, `complex` resembles MMPD, and `unseen` has a light and a motion of its own, for
tests. Shares and ranges come from the papers of those datasets, not from any video.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

PresetName = Literal["calm", "complex", "unseen"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Preset:
    """One population of recordings.

    Attributes:
        quality: class of cameras and encodings; see `camera.draw_camera` and `codec.draw_encoding`.
        lights: keys of `light.LIGHTINGS`; a key that is listed twice is drawn twice as often.
        motions: keys of `motion.MOTIONS`; likewise.
        vigour: range of the size of voluntary movements; 1 is the size of their sources.
        types: Fitzpatrick types; a type that is listed twice is drawn twice as often.
        bpm: mean and standard deviation of the heart rate at rest.
        exercise: share of the stationary recordings that are taken after exercise.
        ectopic: share of people with some extrasystoles.
        caps: True if some people wear a cap.
        sizes: (width, height) of frames in pixels.
        face: range of the height of the face, hairline to chin, as a fraction of the frame's height.
        distance: range of the distance from camera to face in metres.
        moving_background: share of rooms in which something moves.
    """

    quality: Literal["calm", "complex"]
    lights: tuple[str, ...]
    motions: tuple[str, ...]
    vigour: Range
    types: tuple[int, ...]
    bpm: Range
    exercise: float
    ectopic: float
    caps: bool
    sizes: tuple[tuple[int, int], ...]
    face: Range
    distance: Range
    moving_background: float


@dataclass(frozen=True)
class Slot:
    """Place of one recording in a layout, and the values that it fixes; a value of None is drawn from the preset.

    Attributes:
        path: file or folder of the recording, relative to the root.
        subject: number of the person, from 1.
        light: in MMPD's terms.
        motion: key of `motion.MOTIONS`.
        exercise: True if the heart recovers from exercise.
        width: of the frame in pixels.
        height: of the frame in pixels.
        fps: nominal frames per second.
        face: largest side of the face box in pixels; if given, the frame ends a little beyond the face.
    """

    path: PurePosixPath
    subject: int
    light: str | None = None
    motion: str | None = None
    exercise: bool | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    face: int | None = None


PRESETS: dict[PresetName, Preset] = {
    # PURE (Stricker et al., RO-MAN 2014): ten people 1.1 m from an industrial camera, 640x480, their faces 100 pixels
    # high on average, daylight through a window; UBFC-rPPG (Bobbia et al., Pattern Recognit. Lett. 2019): a webcam at
    # 1 m, 640x480, indoors, mostly light skin, no caps. Of the 43 degrees of a Logitech C920's vertical field of
    # view, a face at 0.8 to 1.1 m takes up 0.21 to 0.29. The 42 hearts of UBFC-rPPG beat at 101 bpm with a deviation
    # of 17, those of PURE slower.
    "calm": Preset(
        quality="calm",
        lights=("calm",),
        motions=("Stationary",),
        vigour=(0.4, 0.9),
        types=(1, 2, 2, 2, 3, 3, 3, 4),
        bpm=(90.0, 19.0),
        exercise=0.0,
        ectopic=0.03,
        caps=False,
        sizes=((640, 480),),
        face=(0.19, 0.29),
        distance=(0.8, 1.1),
        moving_background=0.1,
    ),
    # MMPD (Tang et al., EMBC 2023): 33 people of Fitzpatrick types 3 to 6 (of 660 videos 339, 81, 120 and 120), a phone
    # at arm's length, 320x240, four lights; in each, four motions once, and once stationary after exercise.
    # Movements have the size that the sources in `motion` give, 30 % more or less. One person at a time was recorded,
    # under lights that were set up for it: little else moves there.
    "complex": Preset(
        quality="complex",
        lights=("LED-low", "LED-high", "Incandescent", "Nature"),
        motions=("Stationary", "Stationary", "Rotation", "Talking", "Walking"),
        vigour=(0.7, 1.3),
        types=(3, 3, 3, 3, 4, 5, 6),
        bpm=(80.0, 13.0),
        exercise=0.5,
        ectopic=0.05,
        caps=True,
        sizes=((320, 240), (640, 480), (480, 360)),
        face=(0.32, 0.62),
        distance=(0.4, 0.8),
        moving_background=0.2,
    ),
    # A fifth light and a fifth motion, which are in no training set.
    "unseen": Preset(
        quality="complex",
        lights=("Fluorescent",),
        motions=("Nodding", "Nodding", "Nodding", "Nodding", "Stationary"),
        vigour=(0.4, 1.0),
        types=(1, 2, 3, 4, 5, 6),
        bpm=(80.0, 15.0),
        exercise=0.5,
        ectopic=0.05,
        caps=True,
        sizes=((640, 480),),
        face=(0.30, 0.60),
        distance=(0.4, 1.0),
        moving_background=0.5,
    ),
}
EXERCISED_BPM = (112.0, 16.0)  # mean and SD of the first minute after exercise (MMPD: one minute of high knees)
# Heart rate relative to rest: (METs + 5) / 6 (Wicks et al., Med. Sci. Sports Exerc. 2011), with 2.0 to 2.8 METs for
# walking about a house or slowly and 1.5 for talking while seated (Ainsworth et al., Med. Sci. Sports Exerc. 2011).
EFFORT = {"Walking": 1.23, "Talking": 1.08}
BPM_LIMITS = (45.0, 160.0)

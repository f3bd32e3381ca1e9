"""One simulated recording: everything about it drawn from a preset and a seed, and its frames made one by one.

What happens does not depend on how it is looked at: each part of a recording has random numbers of its own, and is a
function of time. So the same recording can be had without its pulse, to show that nothing else gives the pulse away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Frames
from facepulse.simulate.appearance import paint
from facepulse.simulate.background import Background
from facepulse.simulate.camera import Camera, Development, draw_camera
from facepulse.simulate.codec import Encoding, capture_times, draw_encoding, through_codec
from facepulse.simulate.figure import build_figure
from facepulse.simulate.head import SPLITS, Gender, Identity, draw_identity, head_mesh
from facepulse.simulate.heartbeat import Course, Heartbeat, draw_heartbeat
from facepulse.simulate.light import Lighting, draw_lighting
from facepulse.simulate.look import Look, draw_look
from facepulse.simulate.motion import FACE_HEIGHT_M, Motion, draw_motion
from facepulse.simulate.presets import BPM_LIMITS, EFFORT, EXERCISED_BPM, PRESETS
from facepulse.simulate.render import Pose, Renderer, View, rotation_matrix

if TYPE_CHECKING:
    from facepulse.simulate.layouts import Slot


REFERENCE_HZ = 60.0  # what contact sensors of the real sets send
PEOPLE_A_SEED = 100_000  # so that each seed has people of its own
EXPRESSION_STEPS = 50.0  # a face that changes by less than a fiftieth of an action is not built anew
LENS_BLUR = 0.6  # pixels: standard deviation of a usual lens and its low-pass filter
RESTING_COURSES: tuple[Course, ...] = ("steady", "drift", "step")
RESTING_SHARES = (0.7, 0.2, 0.1)
CLOSE_UP_MARGIN = 0.5  # of the face's box: crops have a margin of 0.25, and heads turn
SMALL_FACE = 130  # pixels from hairline to chin up to which an atlas of half the size is sharp enough


@dataclass(frozen=True)
class Attributes:
    """What MMPD says of a recording, in its own terms; see `head` and `appearance` for what they mean here."""

    light: str
    motion: str
    exercise: bool
    skin_color: int
    gender: Gender
    glasser: bool
    hair_cover: bool
    makeup: bool


@dataclass(frozen=True)
class Recording:
    """One recording, not yet rendered.

    Attributes:
        name: that no other recording of the same seed and split has.
        subject: number of the person within the seed, from 1.
        seed: of the set that it belongs to.
        seconds: asked for.
        times: float64 (T,) when each frame is taken, seconds from the first.
        width: of the picture in pixels.
        height: of the picture in pixels.
        attributes: what a data set says about it.
        encoding: how it is to be stored.
        coded: whether the frames have to go through the encoding themselves, because a layout stores pictures of what
            was a compressed video.
        heartbeat: the truth.
        identity: who.
        look: what they wear.
        motion: at `times`.
        lighting: at `times`.
        camera: what takes the pictures.
        view: of the camera.
        moving_background: whether something moves behind.
        entropy: seeds of what is drawn while rendering.
    """

    name: str
    subject: int
    seed: int
    seconds: float
    times: Floats
    width: int
    height: int
    attributes: Attributes
    encoding: Encoding
    coded: bool
    heartbeat: Heartbeat
    identity: Identity
    look: Look
    motion: Motion
    lighting: Lighting
    camera: Camera
    view: View
    moving_background: bool
    entropy: tuple[int, ...]

    @property
    def bpm(self) -> float:
        """Mean heart rate from the first frame to the last."""
        return self.heartbeat.mean_bpm(float(self.times[0]), float(self.times[-1]))

    @cached_property
    def reference_times(self) -> Floats:
        """Times of the contact sensor's samples, (R,) seconds."""
        return np.asarray(np.arange(0.0, self.times[-1] + 1.0 / REFERENCE_HZ, 1.0 / REFERENCE_HZ))

    @cached_property
    def reference_ppg(self) -> Floats:
        """What a contact sensor at the finger shows, (R,)."""
        return self.heartbeat.finger(self.reference_times)

    @cached_property
    def reference_bpm(self) -> Floats:
        """Instantaneous heart rate at the reference's times, (R,)."""
        return self.heartbeat.rate_bpm(self.reference_times)

    def face_box(self, index: int = 0) -> tuple[float, float, float, float]:
        """Where a frontal face detector's box would be in a frame: x, y, width, height in pixels of the picture."""
        middle = np.array([*self.view.offset, -self.view.distance]) + self.motion.position[index]
        # Such boxes are square, from the brows' upper edge to the lower lip and as wide: about the face's height.
        middle = rotation_matrix(self.motion.shake[index]) @ (middle + np.array([0.0, -0.020, 0.09]))
        centre = self.view.project(middle[None])[0]
        side = 0.98 * FACE_HEIGHT_M * self.view.focal / self.view.distance * self.view.shape[0] / self.view.window[3]
        return float(centre[0] - side / 2), float(centre[1] - side / 2), float(side), float(side)

    def close_up(self, face: int) -> Recording:
        """The same person, heart, light and camera in a picture that ends a little beyond the face, wherever it goes.

        Only the room is another one, for a room is painted to fill its picture.

        Args:
            face: side of the face's box in pixels, at most: nothing is made larger.
        """
        boxes = np.array([self.face_box(index) for index in range(len(self.times))])
        side = float(boxes[0, 2])
        margin = CLOSE_UP_MARGIN * side
        low = np.maximum(np.floor(boxes[:, :2].min(axis=0) - margin), 0)
        high = np.minimum(np.ceil(boxes[:, :2].max(axis=0) + side + margin), (self.width, self.height))
        window = high - low
        scale = min(1.0, face / side)
        columns, rows = (2 * max(round(float(length) * scale / 2), 1) for length in window)  # codecs halve colours
        share, coarser = columns * rows / (self.width * self.height), float(window.prod()) / (columns * rows)
        return replace(
            self,
            width=columns,
            height=rows,
            encoding=self.encoding.of_part(share, coarser),
            view=replace(self.view, window=(*low.tolist(), *window.tolist()), shape=(rows, columns)),
        )

    def frames(self, *, pulse: bool = True) -> Iterator[Frames]:
        """The pictures in order of time, uint8 (height, width, 3).

        Args:
            pulse: without it the blood stands still; all else stays as it is.
        """
        pictures = self.render(self.view, pulse=pulse)
        if not self.coded:
            yield from pictures
            return
        # An encoder starts anew at each key frame, so that a recording can be coded in pieces of bounded size.
        length = self.encoding.key_interval or 30
        length *= max(1, 60 // length)
        waiting: list[Frames] = []
        for index, picture in enumerate(pictures):
            waiting.append(picture)
            if len(waiting) == length or index == len(self.times) - 1:
                first = index + 1 - len(waiting)
                yield from through_codec(np.stack(waiting), self.times[first : index + 1], self.encoding)
                waiting = []

    def render(self, view: View, *, pulse: bool = True) -> Iterator[Frames]:
        """What leaves the camera, of the part of the picture that a view shows: uint8 (rows, columns, 3)."""
        rows, columns = view.shape
        rng = {part: np.random.default_rng([*self.entropy, number]) for number, part in enumerate(("camera", "room"))}
        mesh = head_mesh(self.identity)
        figure = build_figure(self.identity, mesh, self.look)
        face_pixels = FACE_HEIGHT_M * view.focal / view.distance * rows / view.window[3]
        atlas = paint(self.identity, self.look, 0.5 if face_pixels < SMALL_FACE else 1.0)
        sensor, lighting, motion = self.camera.sensor, self.lighting, self.motion
        renderer = Renderer(figure, atlas, lighting, sensor, view)
        develop = Development(
            self.camera,
            self.times,
            lighting.lux,
            renderer.whites[0].astype(np.float64),
            rng["camera"],
            binning=view.binning * self.encoding.shrunk,
        )
        room = Background(rng["room"], columns, rows, moving=self.moving_background)
        to_raw = np.linalg.inv(sensor.to_srgb).astype(np.float32)
        in_picture = (view.window[1] + (np.arange(rows) + 0.5) * view.window[3] / rows) / view.height
        actions = np.zeros((len(self.times), len(figure.action_names)), np.float32)
        for name, weights in motion.expression.items():
            actions[:, figure.action_names.index(name)] = np.round(weights * EXPRESSION_STEPS) / EXPRESSION_STEPS
        whites = renderer.whites
        # A camera that turns moves the room and the face in one: what lies ahead of it goes against its yaw.
        shake_pixels = np.tan(motion.shake[:, :2]) * (-1, 1) * view.focal * rows / view.window[3]
        delays = renderer.delays_s
        still = np.zeros(len(delays))
        for index, time in enumerate(self.times):
            levels = [float(source.level[index]) for source in lighting.sources]
            raw, covered = renderer.render(
                Pose(motion.rotation[index], motion.position[index], actions[index], motion.shake[index]),
                levels,
                [source.direction[index] for source in lighting.sources],
                self.heartbeat.volume(time, delays) if pulse else still,
            )
            ambient = np.tensordot(levels, whites, 1).astype(np.float32)
            behind = cv2.transform(room(float(time), tuple(shake_pixels[index])), to_raw * ambient[:, None])
            cv2.copyTo(behind, 1 - covered, raw)
            cv2.GaussianBlur(raw, (3, 3), LENS_BLUR, dst=raw)
            raw *= self._ripple(develop, index, in_picture, levels)[:, None, None]
            yield develop(raw, index)

    def _ripple(self, develop: Development, index: int, rows: Floats, levels: list[float]) -> NDArray[np.float32]:
        """Gain of each row under lamps on the mains, each with its share of the light."""
        depths: dict[float, float] = {}  # of all lamps together, at each frequency
        for source, level in zip(self.lighting.sources, levels, strict=True):
            if source.flicker_hz > 0 and source.flicker_depth > 0:
                share = level / max(sum(levels), 1e-9)
                depths[source.flicker_hz] = depths.get(source.flicker_hz, 0.0) + share * source.flicker_depth
        gains = np.ones(len(rows), np.float32)
        for hz, depth in depths.items():
            gains += develop.flicker(index, rows, hz, depth) - 1
        return gains


def make_recording(
    preset: str,
    seed: int,
    index: int,
    *,
    split: str = "train",
    slot: Slot | None = None,
    seconds: float = 30.0,
    times: Floats | None = None,
) -> Recording:
    """Draw a recording.

    Args:
        preset: a key of `presets.PRESETS`.
        seed: of the set.
        index: of the recording in the set, from 0.
        split: whose people: see `head.SPLITS`. No person is in two of them.
        slot: what a layout fixes; the preset draws everything else.
        seconds: length.
        times: of the frames, (T,) seconds from 0 to below `seconds`; drawn where None.

    Raises:
        ValueError: there is no such preset or split.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    chosen = PRESETS[preset]
    entropy = (seed, SPLITS.index(split), index)
    scene, heart, moving, lamps, optics, storage = (np.random.default_rng([*entropy, 10 + part]) for part in range(6))
    subject = slot.subject if slot is not None else index + 1
    identity = draw_identity(split, seed * PEOPLE_A_SEED + subject, chosen.types)
    look = draw_look(identity, caps=chosen.caps)

    # Everything is drawn, also what the slot then overrides, so that the rest does not depend on the layout.
    light, motion = str(scene.choice(chosen.lights)), str(scene.choice(chosen.motions))
    exercise = bool(scene.random() < chosen.exercise) and motion == "Stationary"
    width, height = chosen.sizes[scene.integers(len(chosen.sizes))]
    if slot is not None:
        light = slot.light or light
        motion = slot.motion or motion
        exercise = exercise if slot.exercise is None else slot.exercise
        width, height = slot.width or width, slot.height or height
    encoding = draw_encoding(storage, chosen.quality, width=width, height=height)
    fps = (slot.fps if slot is not None else None) or encoding.fps
    if slot is not None and slot.light is not None:  # MMPD's files hold no times: every frame is there
        encoding = replace(encoding, drop=0.0, rate_swing=0.0)
    if times is None:
        times = capture_times(storage, seconds, fps, encoding)

    mean, spread = EXERCISED_BPM if exercise else chosen.bpm
    heartbeat = draw_heartbeat(
        heart,
        seconds,
        bpm=float(np.clip(EFFORT.get(motion, 1.0) * heart.normal(mean, spread), *BPM_LIMITS)),
        course="recovery" if exercise else RESTING_COURSES[heart.choice(len(RESTING_COURSES), p=RESTING_SHARES)],
        ectopic_per_minute=float(heart.uniform(1, 6)) if heart.random() < chosen.ectopic else 0.0,
    )
    lighting = draw_lighting(light, lamps, times)
    distance = float(scene.uniform(*chosen.distance))
    focal = float(scene.uniform(*chosen.face)) * height * distance / FACE_HEIGHT_M
    reach_x, reach_y = 0.12 * width / focal * distance, 0.08 * height / focal * distance
    view = View(
        width=width,
        height=height,
        focal=focal,
        distance=distance,
        offset=(float(scene.uniform(-reach_x, reach_x)), float(scene.uniform(-reach_y, reach_y))),
        window=(0.0, 0.0, float(width), float(height)),
        shape=(height, width),
    )
    recording = Recording(
        name=f"{split}-{seed}-{index}",
        subject=subject,
        seed=seed,
        seconds=seconds,
        times=times,
        width=width,
        height=height,
        attributes=Attributes(
            light=_light_in_mmpds_terms(light, lighting),
            motion=motion,
            exercise=exercise,
            skin_color=identity.fitzpatrick,
            gender=identity.gender,
            glasser=look.glasses,
            hair_cover=look.covers_forehead,
            makeup=look.makeup,
        ),
        encoding=encoding,
        coded=slot is not None and slot.light is not None,
        heartbeat=heartbeat,
        identity=identity,
        look=look,
        motion=draw_motion(motion, moving, times, heartbeat, vigour=float(scene.uniform(*chosen.vigour))),
        lighting=lighting,
        camera=draw_camera(optics, chosen.quality),
        view=view,
        moving_background=bool(scene.random() < chosen.moving_background),
        entropy=entropy,
    )
    return recording if slot is None or slot.face is None else recording.close_up(slot.face)


def _light_in_mmpds_terms(kind: str, lighting: Lighting) -> str:
    """MMPD has no word for steady good light; what comes nearest is named by its spectrum."""
    if kind != "calm":
        return kind
    return "Nature" if lighting.sources[0].spectrum == "daylight" else "LED-high"

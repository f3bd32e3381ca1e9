"""One simulated recording: its contents are drawn from a preset and a seed, its frames are rendered one by one.

Each part of a recording has a random generator of its own and is a function of time, so that nothing depends on the
view that is rendered. The same recording can therefore be rendered without its pulse, as a control: a method that still
finds the heart rate uses something other than blood.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

import cv2
import numpy as np

from facepulse._types import Floats, Floats32, Image
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
from facepulse.simulate.presets import BPM_LIMITS, EFFORT, EXERCISED_BPM, PRESETS, Preset, Slot
from facepulse.simulate.render import Pose, Renderer, View, rotation_matrix

REFERENCE_HZ = 60.0  # rate of the contact sensors in the real datasets
PEOPLE_PER_SEED = 100_000  # so that no two seeds share a person
EXPRESSION_STEPS = 50.0  # a face that changes by less than a fiftieth of an action is not rebuilt
LENS_BLUR = 0.6  # pixels: standard deviation of a typical lens and its low-pass filter
RESTING_COURSES: tuple[Course, ...] = ("steady", "drift", "step")
RESTING_SHARES = (0.7, 0.2, 0.1)
CLOSE_UP_MARGIN = 0.5  # of the face box: crops have a margin of 0.25, and heads turn
SMALL_FACE = 130  # pixels from hairline to chin up to which an atlas of half the size is sharp enough


@dataclass(frozen=True)
class Attributes:
    """Labels of a recording in the terms of MMPD; `head` and `appearance` define what they mean here."""

    light: str
    motion: str
    exercise: bool
    skin_color: int
    gender: Gender
    glasser: bool
    hair_cover: bool
    makeup: bool


@dataclass(frozen=True)
class SimulatedRecording:
    """One recording, not yet rendered.

    Attributes:
        name: unique within a seed and split.
        subject: number of the person within the seed, from 1.
        seed: of the set that it belongs to.
        seconds: requested length.
        times: float64 (T,), capture time of each frame in seconds from the first.
        width: of the frame in pixels.
        height: of the frame in pixels.
        attributes: labels that a dataset gives.
        encoding: format in which the video is stored.
        coded: True if `frames` encodes and decodes, because the layout stores images of what was a compressed video.
        heartbeat: the ground truth.
        identity: of the person.
        look: hair, glasses, makeup.
        motion: at `times`.
        lighting: at `times`.
        camera: sensor, optics and firmware.
        view: of the camera.
        moving_background: True if something moves behind the person.
        entropy: seeds of what is drawn during rendering.
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
        """PPG of a contact sensor at the finger, (R,)."""
        return self.heartbeat.finger(self.reference_times)

    @cached_property
    def reference_bpm(self) -> Floats:
        """Instantaneous heart rate at the reference's times, (R,)."""
        return self.heartbeat.rate_bpm(self.reference_times)

    def face_box(self, index: int = 0) -> tuple[float, float, float, float]:
        """Box that a detector of frontal faces would give in a frame: x, y, width, height in pixels."""
        middle = np.array([*self.view.offset, -self.view.distance]) + self.motion.position[index]
        # Such boxes are square, from the upper edge of the brows to the lower lip: about as wide as the face is high.
        middle = rotation_matrix(self.motion.shake[index]) @ (middle + np.array([0.0, -0.020, 0.09]))
        centre = self.view.project(middle[None])[0]
        side = 0.98 * FACE_HEIGHT_M * self.view.focal / self.view.distance * self.view.shape[0] / self.view.window[3]
        return float(centre[0] - side / 2), float(centre[1] - side / 2), float(side), float(side)

    def close_up(self, face: int) -> SimulatedRecording:
        """Return the same recording with frames that end a little beyond the face, over its whole range of motion.

        Only the background differs, because a room is painted to fill the frame.

        Args:
            face: largest side of the face box in pixels; nothing is magnified.
        """
        boxes = np.array([self.face_box(index) for index in range(len(self.times))])
        side = float(boxes[0, 2])
        margin = CLOSE_UP_MARGIN * side
        low = np.maximum(np.floor(boxes[:, :2].min(axis=0) - margin), 0)
        high = np.minimum(np.ceil(boxes[:, :2].max(axis=0) + side + margin), (self.width, self.height))
        window = high - low
        scale = min(1.0, face / side)
        # Even numbers, because codecs store chroma at half the resolution.
        columns, rows = (2 * max(round(float(length) * scale / 2), 1) for length in window)
        share, binning = columns * rows / (self.width * self.height), float(window.prod()) / (columns * rows)
        return replace(
            self,
            width=columns,
            height=rows,
            encoding=self.encoding.for_crop(share, binning),
            view=replace(self.view, window=(*low.tolist(), *window.tolist()), shape=(rows, columns)),
        )

    def frames(self, *, pulse: bool = True) -> Iterator[Image]:
        """Yield the frames in order of time, uint8 (height, width, 3).

        Args:
            pulse: False to hold the blood volume constant; everything else stays as it is.
        """
        rendered = self.render(self.view, pulse=pulse)
        if not self.coded:
            yield from rendered
            return
        # An encoder starts anew at each key frame, so that a recording can be encoded in batches of bounded size.
        length = self.encoding.key_interval or 30
        length *= max(1, 60 // length)
        batch: list[Image] = []
        for index, frame in enumerate(rendered):
            batch.append(frame)
            if len(batch) == length or index == len(self.times) - 1:
                first = index + 1 - len(batch)
                yield from through_codec(np.stack(batch), self.times[first : index + 1], self.encoding)
                batch = []

    def render(self, view: View, *, pulse: bool = True) -> Iterator[Image]:
        """Yield the camera's images of the window of a view, before any encoding: uint8 (rows, columns, 3)."""
        rows, columns = view.shape
        camera_rng, room_rng = (np.random.default_rng([*self.entropy, number]) for number in range(2))
        figure = build_figure(self.identity, head_mesh(self.identity), self.look)
        face_pixels = FACE_HEIGHT_M * view.focal / view.distance * rows / view.window[3]
        atlas = paint(self.identity, self.look, 0.5 if face_pixels < SMALL_FACE else 1.0)
        sensor, motion, sources = self.camera.sensor, self.motion, self.lighting.sources
        renderer = Renderer(figure, atlas, self.lighting, sensor, view)
        whites, delays = renderer.whites, renderer.delays_s
        binning = view.binning * self.encoding.shrunk
        white = whites[0].astype(np.float64)
        develop = Development(self.camera, self.times, self.lighting.lux, white, camera_rng, binning=binning)
        room = Background(room_rng, columns, rows, moving=self.moving_background)
        to_raw = np.linalg.inv(sensor.to_srgb).astype(np.float32)
        row_places = (view.window[1] + (np.arange(rows) + 0.5) * view.window[3] / rows) / view.height
        actions = self._actions(figure.action_names)
        # A camera that turns moves the room and the face alike: what lies ahead of it moves against its yaw.
        shake_pixels = np.tan(motion.shake[:, :2]) * (-1, 1) * view.focal * rows / view.window[3]
        for index, time in enumerate(self.times):
            levels = [float(source.level[index]) for source in sources]
            raw, covered = renderer.render(
                Pose(motion.rotation[index], motion.position[index], actions[index], motion.shake[index]),
                levels,
                [source.direction[index] for source in sources],
                self.heartbeat.volume(time, delays) if pulse else np.zeros(len(delays)),
            )
            ambient = np.tensordot(levels, whites, 1).astype(np.float32)
            behind = cv2.transform(room(float(time), tuple(shake_pixels[index])), to_raw * ambient[:, None])
            cv2.copyTo(behind, 1 - covered, raw)
            cv2.GaussianBlur(raw, (3, 3), LENS_BLUR, dst=raw)
            raw *= self._ripple(develop, index, row_places, levels)[:, None, None]
            yield develop(raw, index)

    def _actions(self, names: tuple[str, ...]) -> Floats32:
        """Weights of the named facial actions at each time in steps of 1 / `EXPRESSION_STEPS`, (T, A)."""
        actions = np.zeros((len(self.times), len(names)), np.float32)
        for name, weights in self.motion.expression.items():
            actions[:, names.index(name)] = np.round(weights * EXPRESSION_STEPS) / EXPRESSION_STEPS
        return actions

    def _ripple(self, develop: Development, index: int, rows: Floats, levels: list[float]) -> Floats32:
        """Gain of each row under lamps on the mains, each weighted by its share of the light."""
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
) -> SimulatedRecording:
    """Draw a recording.

    Args:
        preset: key of `presets.PRESETS`.
        seed: of the set.
        index: of the recording in the set, from 0.
        split: subset from which the person is drawn, one of `head.SPLITS`. No person is in two of them.
        slot: values that a layout fixes; the preset draws everything else.
        seconds: length.
        times: of the frames, (T,) seconds from 0 to below `seconds`; drawn if None.

    Raises:
        ValueError: there is no such preset or split.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    name = f"{split}-{seed}-{index}"
    chosen, slot = PRESETS[preset], slot or Slot(PurePosixPath(name), subject=index + 1)
    entropy = (seed, SPLITS.index(split), index)
    scene_rng, heart_rng, motion_rng, light_rng, camera_rng, storage_rng = (
        np.random.default_rng([*entropy, 10 + number]) for number in range(6)
    )
    scene = _draw_scene(scene_rng, chosen, slot)
    identity = draw_identity(split, seed * PEOPLE_PER_SEED + slot.subject, chosen.types)
    look = draw_look(identity, caps=chosen.caps)
    heartbeat = _draw_heart(heart_rng, chosen, scene, seconds)
    encoding, drawn_times = _draw_storage(storage_rng, chosen, slot, scene.view, seconds)
    times = drawn_times if times is None else times
    lighting = draw_lighting(scene.light, light_rng, times)
    recording = SimulatedRecording(
        name=name,
        subject=slot.subject,
        seed=seed,
        seconds=seconds,
        times=times,
        width=scene.view.width,
        height=scene.view.height,
        attributes=_attributes(scene, lighting, identity, look),
        encoding=encoding,
        coded=slot.light is not None,
        heartbeat=heartbeat,
        identity=identity,
        look=look,
        motion=draw_motion(scene.motion, motion_rng, times, heartbeat, vigour=scene.vigour),
        lighting=lighting,
        camera=draw_camera(camera_rng, chosen.quality),
        view=scene.view,
        moving_background=scene.moving_background,
        entropy=entropy,
    )
    return recording if slot.face is None else recording.close_up(slot.face)


@dataclass(frozen=True)
class _Scene:
    """Conditions of a recording: keys of lighting and motion, exercise, camera position, size of movements."""

    light: str
    motion: str
    exercise: bool
    view: View
    vigour: float
    moving_background: bool


def _draw_scene(rng: np.random.Generator, preset: Preset, slot: Slot) -> _Scene:
    # Values that the slot overrides are drawn too, so that the others do not depend on the layout.
    light, motion = str(rng.choice(preset.lights)), str(rng.choice(preset.motions))
    exercise = bool(rng.random() < preset.exercise) and motion == "Stationary"
    width, height = preset.sizes[rng.integers(len(preset.sizes))]
    width, height = slot.width or width, slot.height or height
    distance = float(rng.uniform(*preset.distance))
    focal = float(rng.uniform(*preset.face)) * height * distance / FACE_HEIGHT_M
    reach_x, reach_y = 0.12 * width / focal * distance, 0.08 * height / focal * distance
    view = View(
        width=width,
        height=height,
        focal=focal,
        distance=distance,
        offset=(float(rng.uniform(-reach_x, reach_x)), float(rng.uniform(-reach_y, reach_y))),
        window=(0.0, 0.0, float(width), float(height)),
        shape=(height, width),
    )
    return _Scene(
        light=slot.light or light,
        motion=slot.motion or motion,
        exercise=exercise if slot.exercise is None else slot.exercise,
        view=view,
        vigour=float(rng.uniform(*preset.vigour)),
        moving_background=bool(rng.random() < preset.moving_background),
    )


def _draw_heart(rng: np.random.Generator, preset: Preset, scene: _Scene, seconds: float) -> Heartbeat:
    mean, spread = EXERCISED_BPM if scene.exercise else preset.bpm
    bpm = float(np.clip(EFFORT.get(scene.motion, 1.0) * rng.normal(mean, spread), *BPM_LIMITS))
    course: Course = "recovery"
    if not scene.exercise:
        course = RESTING_COURSES[rng.choice(len(RESTING_COURSES), p=RESTING_SHARES)]
    ectopic = float(rng.uniform(1, 6)) if rng.random() < preset.ectopic else 0.0
    return draw_heartbeat(rng, seconds, bpm=bpm, course=course, ectopic_per_minute=ectopic)


def _draw_storage(
    rng: np.random.Generator, preset: Preset, slot: Slot, view: View, seconds: float
) -> tuple[Encoding, Floats]:
    """Draw the encoding and the capture times, (T,) seconds."""
    encoding = draw_encoding(rng, preset.quality, width=view.width, height=view.height)
    if slot.light is not None:  # MMPD's files hold no times: no frame is lost
        encoding = replace(encoding, drop=0.0, rate_swing=0.0)
    return encoding, capture_times(rng, seconds, slot.fps or encoding.fps, encoding)


def _attributes(scene: _Scene, lighting: Lighting, identity: Identity, look: Look) -> Attributes:
    light = scene.light
    if light == "calm":  # MMPD has no term for steady good light: the nearest one by spectrum
        light = "Nature" if lighting.sources[0].spectrum == "daylight" else "LED-high"
    return Attributes(
        light=light,
        motion=scene.motion,
        exercise=scene.exercise,
        skin_color=identity.fitzpatrick,
        gender=identity.gender,
        glasser=look.glasses,
        hair_cover=look.covers_forehead,
        makeup=look.makeup,
    )

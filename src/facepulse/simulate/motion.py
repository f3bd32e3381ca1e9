"""Head motion and facial expression: involuntary motion, and the tasks of the public datasets.

Every motion is a function of time (see `curves`): the same seed gives the same motion at another frame rate or in a
longer recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facepulse._types import Floats
from facepulse.simulate.curves import LEAD_S, draw_events, minimum_jerk, smooth_noise, transients, transitions

if TYPE_CHECKING:
    from facepulse.simulate.heartbeat import Heartbeat


FACE_HEIGHT_M = 0.187  # hairline to chin (Farkas, Anthropometry of the Head and Face, 1994)
FULL_GAZE_DEG = 30.0  # eye rotation at a gaze action of 1

# Mouth shapes of speech sounds. In speech the jaw opens by about 1 cm of its 4 to 5 (Ostry & Munhall, JASA 1985).
VISEMES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.29, "mouthLowerDownLeft": 0.15, "mouthLowerDownRight": 0.15},  # a
    {"jawOpen": 0.18, "mouthStretchLeft": 0.2, "mouthStretchRight": 0.2, "mouthUpperUpLeft": 0.1},  # e
    {"jawOpen": 0.09, "mouthSmileLeft": 0.22, "mouthSmileRight": 0.22, "mouthStretchLeft": 0.15},  # i
    {"jawOpen": 0.22, "mouthFunnel": 0.35, "mouthPucker": 0.15},  # o
    {"jawOpen": 0.08, "mouthPucker": 0.5, "mouthFunnel": 0.15},  # u
    {"mouthPressLeft": 0.35, "mouthPressRight": 0.35, "mouthRollLower": 0.15, "mouthRollUpper": 0.15},  # m, b, p
    {"jawOpen": 0.05, "mouthRollLower": 0.3, "mouthUpperUpLeft": 0.12, "mouthUpperUpRight": 0.12},  # f, v
    {"jawOpen": 0.11, "mouthShrugUpper": 0.12, "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1},  # s, t, l
)


@dataclass(frozen=True)
class Motion:
    """Pose of a head and expression of its face at T times.

    Attributes:
        rotation: (T, 3) radians: yaw, pitch, roll about the joint of skull and neck; positive turns the face to the
            right of the image, the chin up, the crown to the left of the image.
        position: (T, 3) metres from the rest position, of the whole body.
        expression: facial action (names of ARKit) to (T,), 0 to 1; actions that never occur are left out.
        shake: (T, 3) radians: yaw, pitch, roll of the camera, signs as in `rotation`.
    """

    rotation: Floats
    position: Floats
    expression: dict[str, Floats]
    shake: Floats


def draw_motion(
    kind: str, rng: np.random.Generator, times: Floats, heartbeat: Heartbeat, *, vigour: float = 1.0
) -> Motion:
    """Draw one motion and evaluate it at the given times.

    Args:
        kind: a key of `MOTIONS`.
        rng: source of all randomness.
        times: (T,) seconds from the first frame.
        heartbeat: source of the ballistocardiac motion and of respiration.
        vigour: factor of the voluntary motion and of sway; heartbeat, respiration and eyes do not depend on it.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in MOTIONS:
        raise ValueError(f"motion must be one of {', '.join(MOTIONS)}, not {kind!r}")
    sway, breath, ballistic, face, gaze, task = rng.spawn(6)
    components = (
        _sway(sway, times, vigour),
        _respiration(breath, times, heartbeat),
        _ballistocardiac(ballistic, times, heartbeat),
        _blinks_and_smiles(face, times, blinks_per_minute=face.uniform(10, 20) * (1.5 if kind == "Talking" else 1.0)),
        MOTIONS[kind](task, times, vigour),
    )
    rotation = np.sum([component.rotation for component in components], axis=0)
    expression = _gaze(gaze, times, rotation)
    for component in components:
        for action, curve in component.expression.items():
            expression[action] = expression.get(action, 0.0) + curve
    return Motion(
        rotation=rotation,
        position=np.sum([component.position for component in components], axis=0),
        expression={action: np.clip(curve, 0.0, 1.0) for action, curve in expression.items()},
        shake=np.sum([component.shake for component in components], axis=0),
    )


def _motion(
    times: Floats,
    *,
    turn_deg: Sequence[Floats | float] = (0, 0, 0),
    move_mm: Sequence[Floats | float] = (0, 0, 0),
    shake_deg: Sequence[Floats | float] = (0, 0, 0),
    expression: Mapping[str, Floats] | None = None,
) -> Motion:
    """Motion from its columns in degrees and millimetres."""
    turn, move, shake = (
        np.stack([np.broadcast_to(column, times.shape) for column in columns], axis=1).astype(np.float64)
        for columns in (turn_deg, move_mm, shake_deg)
    )
    return Motion(np.radians(turn), move / 1e3, dict(expression or {}), np.radians(shake))


# --- Involuntary motion. ---


def _sway(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Postural sway of millimetres and half degrees, with occasional changes of posture.

    Sway in quiet standing is 2 to 6 mm (RMS), mostly below 0.5 Hz, with a spectrum that falls steeply above (Prieto et
    al., IEEE Trans. Biomed. Eng. 1996; Winter 1995, Gait & Posture); people who sit sway less.
    """
    size_mm, size_deg = vigour * rng.uniform(0.8, 3.0), vigour * rng.uniform(0.2, 0.7)
    x, y, z, yaw, pitch, roll = (smooth_noise(rng, times, 0.02, 3.0, exponent=2.7) for _ in range(6))
    starts, draws = draw_events(rng, times, 10.0, 35.0, 7)
    shift = transitions(times, starts, 0.7 + draws[:, 0], vigour * (2 * draws[:, 1:] - 1))  # 2 to 8 mm, 1 to 3 degrees
    return _motion(
        times,
        turn_deg=[size_deg * noise + 2.5 * shift[:, i] for i, noise in enumerate((yaw, pitch, 0.6 * roll))],
        move_mm=[size_mm * noise + 6 * shift[:, 3 + i] for i, noise in enumerate((0.7 * x, 0.3 * y, z))],
    )


def _respiration(rng: np.random.Generator, times: Floats, heartbeat: Heartbeat) -> Motion:
    """Motion with respiration: inspiration lifts the head by about 1 mm and tips it back (Balakrishnan et al. 2013)."""
    breath = heartbeat.breath(times)
    return _motion(
        times,
        turn_deg=(0, rng.uniform(0.05, 0.3) * breath, 0),
        move_mm=(0, rng.uniform(0.3, 1.5) * breath, rng.uniform(-0.8, 0.8) * breath),
    )


def _ballistocardiac(rng: np.random.Generator, times: Floats, heartbeat: Heartbeat) -> Motion:
    """Ballistocardiac motion: every beat pushes the head up, with damped ringing (Starr et al., Am. J. Physiol. 1939).

    The acceleration of a head at rest is about 10 mg (He et al., Body Sensor Networks 2010; Balakrishnan et al., CVPR
    2013): 0.2 to 0.6 mm peak to peak at its resonance of 2 to 3.5 Hz, mostly vertical. Respiration changes the stroke
    volume, and with it the amplitude, by up to a fifth.
    """
    size_mm = np.exp(rng.uniform(np.log(0.1), np.log(0.6)))
    ring_hz, decay_s = rng.uniform(2.0, 3.5), rng.uniform(0.12, 0.25)
    lead_s = rng.uniform(0.0, 0.12)  # the push comes with ejection, before the pulse wave reaches the face

    def response(since_s: Floats) -> Floats:
        since_s = np.maximum(since_s, 0.0)
        return np.asarray(
            minimum_jerk(since_s / 0.1) * np.exp(-since_s / decay_s) * np.sin(2 * np.pi * ring_hz * since_s)
        )

    near = (heartbeat.beats_s > times.min() - 4) & (heartbeat.beats_s < times.max() + 1)
    beats_s = heartbeat.beats_s[near]
    strokes = 1 + rng.uniform(-0.2, 0.2) * heartbeat.breath(beats_s)
    curve = response(times[:, None] - beats_s + lead_s) @ strokes / np.ptp(response(np.linspace(0, 2, 2000)))
    pitch_mrad_per_mm = rng.uniform(-3.0, 3.0)  # pure rotation of a neck of 10 cm would be 10 mrad per mm
    return _motion(
        times,
        turn_deg=(0, np.degrees(1e-3 * pitch_mrad_per_mm * size_mm) * curve, 0),
        move_mm=[share * size_mm * curve for share in (rng.uniform(-0.25, 0.25), 1.0, rng.uniform(-0.5, 0.5))],
    )


def _blinks_and_smiles(rng: np.random.Generator, times: Floats, blinks_per_minute: float) -> Motion:
    """Blinks (17 per minute at rest, 26 in conversation: Bentivoglio et al., Mov. Disord. 1997) and rare smiles."""
    starts, draws = draw_events(rng, times, 0.6, 60 / blinks_per_minute, 2)
    seconds = 0.15 + 0.15 * draws[:, 0]  # the lid closes about twice as fast as it opens (VanderWerf et al. 2003)
    closed = transients(times, starts, 0.35 * seconds, 0.0, 0.65 * seconds) @ (0.85 + 0.15 * draws[:, 1])
    starts, draws = draw_events(rng, times, 8.0, 60.0, 3)
    # Spontaneous smiles take about 0.5 to 0.7 s to rise (Schmidt, Cohn & Tian, Biol. Psychol. 2003).
    smile = transients(times, starts, 0.5 + 0.3 * draws[:, 0], 1 + 2 * draws[:, 1], 1.0) @ (0.15 + 0.45 * draws[:, 2])
    expression = {"eyeBlinkLeft": closed, "eyeBlinkRight": closed}
    for side, share in zip(("Left", "Right"), rng.uniform(0.85, 1.0, 2), strict=True):  # smiles are asymmetric
        expression |= {f"mouthSmile{side}": share * smile, f"cheekSquint{side}": 0.5 * share * smile}
    return _motion(times, expression=expression)


def _gaze(rng: np.random.Generator, times: Floats, rotation: Floats) -> dict[str, Floats]:
    """Gaze actions: half of the time at the camera, with partial compensation of head rotation."""
    hold = rng.uniform(0.0, 0.8)
    starts, draws = draw_events(rng, times, 0.6, 3.0, 3)
    targets = (2 * draws[:, :2] - 1) * (12.0, 7.0) * (draws[:, 2:] > 0.5)
    # Duration of saccades: 21 ms plus 2.2 ms per degree (Bahill, Clark & Stark, Math. Biosci. 1975).
    size_deg = np.linalg.norm(np.diff(targets, axis=0, prepend=0), axis=1)
    to_right, up = (
        transitions(times, starts, 0.021 + 0.0022 * size_deg, targets) - hold * np.degrees(rotation[:, :2])
    ).T / FULL_GAZE_DEG
    actions = (  # the left eye is on the right of the image
        (to_right, ("OutLeft", "InRight")),
        (-to_right, ("InLeft", "OutRight")),
        (up, ("UpLeft", "UpRight")),
        (-up, ("DownLeft", "DownRight")),
    )
    return {f"eyeLook{name}": np.maximum(curve, 0.0) for curve, names in actions for name in names}


# --- Tasks of the datasets. ---


def _stationary(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    return _motion(times)


def _rotation(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Turns left and right (Tang et al., MMPD, EMBC 2023): 20 to 40 degrees, irregular, some seconds per cycle."""
    reach_deg, tilt = vigour * rng.uniform(22, 36), rng.uniform(-0.15, 0.15)
    starts, draws = draw_events(rng, times, 1.0, 1.7, 3)
    sides = np.where(np.arange(len(starts)) % 2, 1, -1) * reach_deg * (0.9 + 0.2 * draws[:, 0])
    targets = np.stack([sides, vigour * 6 * (2 * draws[:, 1] - 1)], axis=1)
    yaw, pitch = transitions(times, starts, 0.8 + 0.6 * draws[:, 2], targets).T
    return _motion(times, turn_deg=(yaw, pitch, tilt * yaw))


def _talking(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Speech with pauses, and the head motion that accompanies it (Hadar et al., Hum. Mov. Sci. 1983)."""
    rate_hz = rng.uniform(3.2, 5.6)  # syllables per second (Jacewicz et al., J. Acoust. Soc. Am. 2010)
    starts, draws = draw_events(rng, times, 1.6, 3.5, 1)
    speech = 1 - transients(times, starts, 0.12, 0.15 + 1.0 * draws[:, 0], 0.12).sum(axis=1)

    starts, draws = draw_events(rng, times, 0.7 / rate_hz, 1 / rate_hz, 2)
    actions = sorted({action for viseme in VISEMES for action in viseme})
    shapes = np.array([[viseme.get(action, 0.0) for action in actions] for viseme in VISEMES])
    sizes = shapes[(draws[:, 0] * len(VISEMES)).astype(int)] * (0.6 + 0.4 * draws[:, 1:]) * rng.uniform(0.8, 1.1)
    # Coarticulation: a mouth shape begins before the previous one has ended.
    mouth = speech[:, None] * (transients(times, starts, 0.6 / rate_hz, 0.0, 0.6 / rate_hz) @ sizes)

    starts, draws = draw_events(rng, times, 0.5, 1.3, 2)  # on stressed syllables
    nods = transients(times, starts, 0.15 + 0.1 * draws[:, 0], 0.0, 0.3) @ (1 + 3 * draws[:, 1])
    starts, draws = draw_events(rng, times, 2.5, 8.0, 2)  # Cavé et al., ICSLP 1996
    brows = speech * (transients(times, starts, 0.2, 0.2 + 0.5 * draws[:, 0], 0.3) @ (0.1 + 0.35 * draws[:, 1]))
    yaw, pitch, roll = (vigour * smooth_noise(rng, times, 0.08, 1.5) for _ in range(3))
    return _motion(
        times,
        turn_deg=(2.5 * yaw, 1.5 * pitch - vigour * speech * nods, 1.5 * roll),
        expression={action: mouth[:, i] for i, action in enumerate(actions)}
        | dict.fromkeys(("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), brows),
    )


def _walking(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Walk up and down a room with the phone held in front of the face (MMPD).

    The step frequency is 2.0 ± 0.13 Hz (MacDougall & Moore, J. Appl. Physiol. 2005), a tenth lower with a phone in view
    (Plummer et al., Gait Posture 2015). Indoors, people turn after some seconds: half of all walking is in bouts of at
    most 12 steps (Orendurff et al., J. Rehabil. Res. Dev. 2008). At 0.7 to 1.2 m/s, the body bounces by 2.7 to 3.8 cm
    per step and sways by 7 to 5 cm per stride (Orendurff et al., J. Rehabil. Res. Dev. 2004), and the head pitches
    against the bounce by 2 to 8 degrees (Pozzo et al., Exp. Brain Res. 1990). The same body carries head and phone, and
    the gaze is held on the phone: the remaining relative motion is assumed to be about a fifth.
    """
    step_hz = float(np.clip(rng.normal(1.8, 0.15), 1.4, 2.2))
    turns, draws = draw_events(rng, times, 2.5, 6.0, 2)
    phase = transitions(times, turns, 0.8, draws[:, 0])  # each turn resets the phase of the steps
    slack = 1 - 0.8 * transients(times, turns, 0.4, 0.3 + 0.6 * draws[:, 1], 0.4).sum(axis=1)  # a turn takes a second
    # The duration of steps varies by about 2 % (Hausdorff, J. NeuroEng. Rehabil. 2005).
    cycles = step_hz * times + phase + 0.08 * smooth_noise(rng, times, 0.05, 0.6)
    strength = vigour * slack * (1 + 0.15 * smooth_noise(rng, times, 0.05, 0.5))

    def harmonic(order: float) -> Floats:
        return np.asarray(strength * np.sin(2 * np.pi * (order * cycles + rng.random())))

    bounce = strength * np.sin(2 * np.pi * cycles)
    bounce_mm, limp, second, third = rng.uniform((1.5, 0.03, 0.1, 0.02), (5, 0.15, 0.3, 0.1))
    sway_mm, surge_mm, pitch_deg, roll_deg, yaw_deg = rng.uniform((2, 0.5, 0.2, 0.2, 0.2), (6, 2, 1.0, 0.6, 0.8))
    shake_yaw, shake_pitch, shake_roll = rng.uniform(0.1, 0.4, 3)
    arm = [smooth_noise(rng, times, 0.05, 0.5) for _ in range(3)]
    hand = [vigour * smooth_noise(rng, times, 0.3, 6.0) for _ in range(3)]  # tremor and corrections, up to 6 Hz
    return _motion(
        times,
        turn_deg=(
            yaw_deg * harmonic(0.5) + 1.5 * vigour * smooth_noise(rng, times, 0.05, 0.7),
            -pitch_deg * bounce + 0.3 * pitch_deg * harmonic(2) + 1.5 * vigour * smooth_noise(rng, times, 0.05, 0.7),
            roll_deg * harmonic(0.5),
        ),
        move_mm=(
            sway_mm * (harmonic(0.5) + 0.15 * harmonic(1.5)) + 10 * vigour * arm[0],
            bounce_mm * (bounce + limp * harmonic(0.5) + second * harmonic(2) + third * harmonic(3))
            + 8 * vigour * arm[1],
            surge_mm * harmonic(1) + 15 * vigour * arm[2],
        ),
        shake_deg=(
            shake_yaw * harmonic(0.5) + 0.3 * hand[0],
            shake_pitch * harmonic(1) + 0.3 * shake_pitch * harmonic(2) + 0.3 * hand[1],
            shake_roll * harmonic(0.5) + 0.2 * hand[2],
        ),
    )


def _translation(rng: np.random.Generator, times: Floats, speed: float) -> Motion:
    """Translation in the image plane between random targets, at a mean of `speed` face heights per second."""
    speed_mm_s = 1e3 * FACE_HEIGHT_M * speed
    count = int((float(times.max()) + LEAD_S) * speed_mm_s / 50) + 2  # no leg is shorter than 50 mm
    draws = rng.random((count, 2))
    x = np.where(np.arange(count) % 2, 1, -1) * (25 + 40 * draws[:, 0])
    targets = np.stack([x, 30 * (2 * draws[:, 1] - 1)], axis=1)
    seconds = np.linalg.norm(np.diff(targets, axis=0, prepend=0), axis=1) / speed_mm_s
    right, up = transitions(times, np.cumsum(seconds) - seconds - LEAD_S, seconds, targets).T
    return _motion(times, move_mm=(right, up, 0))


def _targets(rng: np.random.Generator, times: Floats, reach_deg: float) -> Motion:
    """Head turns to one target after another on a circle around the camera."""
    starts, draws = draw_events(rng, times, 1.2, 2.4, 3)
    angle, reach = 2 * np.pi * draws[:, 0], reach_deg * (0.85 + 0.3 * draws[:, 1])
    # Vertical gaze shifts are made more by the eyes than by the head (Freedman & Sparks, J. Neurophysiol. 1997).
    targets = np.stack([reach * np.cos(angle), 0.6 * reach * np.sin(angle)], axis=1)
    yaw, pitch = transitions(times, starts, 0.7 + 0.4 * draws[:, 2], targets).T
    return _motion(times, turn_deg=(yaw, pitch, 0))


def _nodding(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Nodding, as when saying yes: 10 to 20 degrees down, less up."""
    reach_deg = vigour * rng.uniform(10, 20)
    starts, draws = draw_events(rng, times, 0.4, 0.8, 2)
    ends = np.where(np.arange(len(starts)) % 2, -1.0, 0.6) * reach_deg * (0.8 + 0.4 * draws[:, 0])
    return _motion(times, turn_deg=(0, transitions(times, starts, 0.35 + 0.3 * draws[:, 1], ends), 0))


# Speeds and angles of PURE: 7 and 14 % of the height of the face per second, about 20 and 35 degrees (Stricker, Müller
# & Gross, RO-MAN 2014).
MOTIONS: dict[str, Callable[[np.random.Generator, Floats, float], Motion]] = {
    "Stationary": _stationary,
    "Rotation": _rotation,
    "Talking": _talking,
    "Walking": _walking,
    "slow translation": lambda rng, times, vigour: _translation(rng, times, 0.07 * vigour),
    "fast translation": lambda rng, times, vigour: _translation(rng, times, 0.14 * vigour),
    "small rotation": lambda rng, times, vigour: _targets(rng, times, 20 * vigour),
    "medium rotation": lambda rng, times, vigour: _targets(rng, times, 35 * vigour),
    "Nodding": _nodding,
}

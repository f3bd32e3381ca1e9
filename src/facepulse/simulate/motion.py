"""How heads move: what a living head always does, and the movements that the public datasets asked people for.

Every movement is a function of time (see `curves`): another frame rate, or a longer recording, shows the same movement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facepulse._types import Floats
from facepulse.simulate.curves import LEAD_S, draw_events, ease, moves, swells, wander

if TYPE_CHECKING:
    from facepulse.simulate.heartbeat import Heartbeat


FACE_HEIGHT_M = 0.187  # hairline to chin (Farkas, Anthropometry of the Head and Face, 1994)
FULL_GAZE_DEG = 30.0  # eye rotation that a gaze action of 1 stands for

# Mouth shapes of speech sounds. The jaw of a talker opens by about 1 cm of its 4 to 5 (Ostry & Munhall, JASA 1985).
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
    """Where a head is and what its face does, at T times.

    Attributes:
        rotation: (T, 3) radians: yaw, pitch, roll about the joint of skull and neck; positive turns the face to the
            picture's right, the chin up, the crown to the picture's left.
        position: (T, 3) metres from the rest place, of the whole body.
        expression: facial action (ARKit's names) to (T,), 0 to 1; actions that never happen are left out.
        shake: (T, 3) radians: yaw, pitch, roll of the camera, positive as in `rotation`.
    """

    rotation: Floats
    position: Floats
    expression: dict[str, Floats]
    shake: Floats


def draw_motion(
    kind: str, rng: np.random.Generator, times: Floats, heartbeat: Heartbeat, *, vigour: float = 1.0
) -> Motion:
    """Draw one movement and evaluate it.

    Args:
        kind: a key of `MOTIONS`.
        rng: source of everything random.
        times: (T,) seconds from the first frame.
        heartbeat: whose beats nod the head and whose breath lifts it.
        vigour: size of what is done on purpose, and of swaying; heartbeat, breath and eyes do not heed it.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in MOTIONS:
        raise ValueError(f"motion must be one of {', '.join(MOTIONS)}, not {kind!r}")
    sway, breath, nod, face, gaze, task = rng.spawn(6)
    parts = (
        _sway(sway, times, vigour),
        _breath(breath, times, heartbeat),
        _nod(nod, times, heartbeat),
        _face(face, times, blinks_per_minute=face.uniform(10, 20) * (1.5 if kind == "Talking" else 1.0)),
        MOTIONS[kind](task, times, vigour),
    )
    rotation = np.sum([part.rotation for part in parts], axis=0)
    expression = _gaze(gaze, times, rotation)
    for part in parts:
        for action, curve in part.expression.items():
            expression[action] = expression.get(action, 0.0) + curve
    return Motion(
        rotation=rotation,
        position=np.sum([part.position for part in parts], axis=0),
        expression={action: np.clip(curve, 0.0, 1.0) for action, curve in expression.items()},
        shake=np.sum([part.shake for part in parts], axis=0),
    )


def _part(
    times: Floats,
    *,
    turn_deg: Sequence[Floats | float] = (0, 0, 0),
    move_mm: Sequence[Floats | float] = (0, 0, 0),
    shake_deg: Sequence[Floats | float] = (0, 0, 0),
    expression: Mapping[str, Floats] | None = None,
) -> Motion:
    """A motion from its columns, in handy units."""
    turn, move, shake = (
        np.stack([np.broadcast_to(column, times.shape) for column in columns], axis=1).astype(np.float64)
        for columns in (turn_deg, move_mm, shake_deg)
    )
    return Motion(np.radians(turn), move / 1e3, dict(expression or {}), np.radians(shake))


# --- What a living head always does. ---


def _sway(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Never still: drift of millimetres and half degrees, and a change of posture now and then.

    Quiet standing sways by 2 to 6 mm (RMS), most of it below 0.5 Hz and falling steeply above (Prieto et al., IEEE
    Trans. Biomed. Eng. 1996; Winter 1995, Gait & Posture); people who sit sway less.
    """
    size_mm, size_deg = vigour * rng.uniform(0.8, 3.0), vigour * rng.uniform(0.2, 0.7)
    x, y, z, yaw, pitch, roll = (wander(rng, times, 0.02, 3.0, exponent=2.7) for _ in range(6))
    starts, chances = draw_events(rng, times, 10.0, 35.0, 7)
    shift = moves(times, starts, 0.7 + chances[:, 0], vigour * (2 * chances[:, 1:] - 1))  # 2 to 8 mm, 1 to 3 degrees
    return _part(
        times,
        turn_deg=[size_deg * noise + 2.5 * shift[:, i] for i, noise in enumerate((yaw, pitch, 0.6 * roll))],
        move_mm=[size_mm * noise + 6 * shift[:, 3 + i] for i, noise in enumerate((0.7 * x, 0.3 * y, z))],
    )


def _breath(rng: np.random.Generator, times: Floats, heartbeat: Heartbeat) -> Motion:
    """Inspiration lifts the head by a millimetre or so and tips it back: more than the pulse does (Balakrishnan)."""
    breath = heartbeat.breath(times)
    return _part(
        times,
        turn_deg=(0, rng.uniform(0.05, 0.3) * breath, 0),
        move_mm=(0, rng.uniform(0.3, 1.5) * breath, rng.uniform(-0.8, 0.8) * breath),
    )


def _nod(rng: np.random.Generator, times: Floats, heartbeat: Heartbeat) -> Motion:
    """Ballistocardiac motion: every beat throws the head up, and it rings (Starr et al., Am. J. Physiol. 1939).

    A head at rest is shaken by about 10 mg (He et al., Body Sensor Networks 2010; Balakrishnan et al., CVPR 2013): from
    peak to peak, at the 2 to 3.5 Hz at which it rings, 0.2 to 0.6 mm, most of it vertical. Breath changes the stroke,
    and so the throw, by up to a fifth.
    """
    size_mm = np.exp(rng.uniform(np.log(0.1), np.log(0.6)))
    ring_hz, decay_s = rng.uniform(2.0, 3.5), rng.uniform(0.12, 0.25)
    lead_s = rng.uniform(0.0, 0.12)  # the throw comes with ejection, before the pulse wave is at the face

    def thrown(since_s: Floats) -> Floats:
        since_s = np.maximum(since_s, 0.0)
        return np.asarray(ease(since_s / 0.1) * np.exp(-since_s / decay_s) * np.sin(2 * np.pi * ring_hz * since_s))

    heard = (heartbeat.beats_s > times.min() - 4) & (heartbeat.beats_s < times.max() + 1)
    beats_s = heartbeat.beats_s[heard]
    strokes = 1 + rng.uniform(-0.2, 0.2) * heartbeat.breath(beats_s)
    curve = thrown(times[:, None] - beats_s + lead_s) @ strokes / np.ptp(thrown(np.linspace(0, 2, 2000)))
    lean_mrad_mm = rng.uniform(-3.0, 3.0)  # 1 mm on a neck of 10 cm would be 10 mrad, were it all rotation
    return _part(
        times,
        turn_deg=(0, np.degrees(1e-3 * lean_mrad_mm * size_mm) * curve, 0),
        move_mm=[share * size_mm * curve for share in (rng.uniform(-0.25, 0.25), 1.0, rng.uniform(-0.5, 0.5))],
    )


def _face(rng: np.random.Generator, times: Floats, blinks_per_minute: float) -> Motion:
    """Blinks (17 a minute at rest, 26 in conversation: Bentivoglio et al., Mov. Disord. 1997) and rare smiles."""
    starts, chances = draw_events(rng, times, 0.6, 60 / blinks_per_minute, 2)
    seconds = 0.15 + 0.15 * chances[:, 0]  # the lid closes about twice as fast as it opens (VanderWerf et al. 2003)
    closed = swells(times, starts, 0.35 * seconds, 0.0, 0.65 * seconds) @ (0.85 + 0.15 * chances[:, 1])
    starts, chances = draw_events(rng, times, 8.0, 60.0, 3)
    # Spontaneous smiles take about 0.5 to 0.7 s to rise (Schmidt, Cohn & Tian, Biol. Psychol. 2003).
    smile = swells(times, starts, 0.5 + 0.3 * chances[:, 0], 1 + 2 * chances[:, 1], 1.0) @ (0.15 + 0.45 * chances[:, 2])
    expression = {"eyeBlinkLeft": closed, "eyeBlinkRight": closed}
    for side, share in zip(("Left", "Right"), rng.uniform(0.85, 1.0, 2), strict=True):  # no smile is even
        expression |= {f"mouthSmile{side}": share * smile, f"cheekSquint{side}": 0.5 * share * smile}
    return _part(times, expression=expression)


def _gaze(rng: np.random.Generator, times: Floats, rotation: Floats) -> dict[str, Floats]:
    """Where the eyes look: at the camera half of the time, partly held there when the head turns away."""
    hold = rng.uniform(0.0, 0.8)
    starts, chances = draw_events(rng, times, 0.6, 3.0, 3)
    targets = (2 * chances[:, :2] - 1) * (12.0, 7.0) * (chances[:, 2:] > 0.5)
    # Duration of saccades: 21 ms and 2.2 ms a degree (Bahill, Clark & Stark, Math. Biosci. 1975).
    size_deg = np.linalg.norm(np.diff(targets, axis=0, prepend=0), axis=1)
    to_right, up = (
        moves(times, starts, 0.021 + 0.0022 * size_deg, targets) - hold * np.degrees(rotation[:, :2])
    ).T / FULL_GAZE_DEG
    actions = (  # the left eye is on the picture's right
        (to_right, ("OutLeft", "InRight")),
        (-to_right, ("InLeft", "OutRight")),
        (up, ("UpLeft", "UpRight")),
        (-up, ("DownLeft", "DownRight")),
    )
    return {f"eyeLook{name}": np.maximum(curve, 0.0) for curve, names in actions for name in names}


# --- What people are asked to do. ---


def _stationary(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    return _part(times)


def _rotation(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Left, right, left (Tang et al., MMPD, EMBC 2023): 20 to 40 degrees, some seconds a cycle, irregular."""
    reach_deg, tilt = vigour * rng.uniform(22, 36), rng.uniform(-0.15, 0.15)
    starts, chances = draw_events(rng, times, 1.0, 1.7, 3)
    sides = np.where(np.arange(len(starts)) % 2, 1, -1) * reach_deg * (0.9 + 0.2 * chances[:, 0])
    targets = np.stack([sides, vigour * 6 * (2 * chances[:, 1] - 1)], axis=1)
    yaw, pitch = moves(times, starts, 0.8 + 0.6 * chances[:, 2], targets).T
    return _part(times, turn_deg=(yaw, pitch, tilt * yaw))


def _talking(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Syllables, pauses for breath and thought, and the head's beat to them (Hadar et al., Hum. Mov. Sci. 1983)."""
    rate_hz = rng.uniform(3.2, 5.6)  # syllables a second (Jacewicz et al., J. Acoust. Soc. Am. 2010)
    starts, chances = draw_events(rng, times, 1.6, 3.5, 1)
    speaks = 1 - swells(times, starts, 0.12, 0.15 + 1.0 * chances[:, 0], 0.12).sum(axis=1)

    starts, chances = draw_events(rng, times, 0.7 / rate_hz, 1 / rate_hz, 2)
    actions = sorted({action for viseme in VISEMES for action in viseme})
    shapes = np.array([[viseme.get(action, 0.0) for action in actions] for viseme in VISEMES])
    sizes = shapes[(chances[:, 0] * len(VISEMES)).astype(int)] * (0.6 + 0.4 * chances[:, 1:]) * rng.uniform(0.8, 1.1)
    # A mouth shape begins before the one before it has ended: sounds colour each other.
    mouth = speaks[:, None] * (swells(times, starts, 0.6 / rate_hz, 0.0, 0.6 / rate_hz) @ sizes)

    starts, chances = draw_events(rng, times, 0.5, 1.3, 2)  # on stressed syllables
    nods = swells(times, starts, 0.15 + 0.1 * chances[:, 0], 0.0, 0.3) @ (1 + 3 * chances[:, 1])
    starts, chances = draw_events(rng, times, 2.5, 8.0, 2)  # Cavé et al., ICSLP 1996
    brows = speaks * (swells(times, starts, 0.2, 0.2 + 0.5 * chances[:, 0], 0.3) @ (0.1 + 0.35 * chances[:, 1]))
    yaw, pitch, roll = (vigour * wander(rng, times, 0.08, 1.5) for _ in range(3))
    return _part(
        times,
        turn_deg=(2.5 * yaw, 1.5 * pitch - vigour * speaks * nods, 1.5 * roll),
        expression={action: mouth[:, i] for i, action in enumerate(actions)}
        | dict.fromkeys(("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), brows),
    )


def _walking(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Walking up and down a room with the phone held in front of the face (MMPD).

    People step at 2.0 ± 0.13 Hz (MacDougall & Moore, J. Appl. Physiol. 2005), a tenth slower when they look at a phone
    (Plummer et al., Gait Posture 2015), and indoors they turn after some seconds: half of all walking is in bouts of at
    most 12 steps (Orendurff et al., J. Rehabil. Res. Dev. 2008). At a room's pace, 0.7 to 1.2 m/s, the body bounces by
    2.7 to 3.8 cm at each step and sways by 7 to 5 cm at each stride of two (Orendurff et al., J. Rehabil. Res. Dev.
    2004), and the head pitches against the bounce by 2 to 8 degrees (Pozzo et al., Exp. Brain Res. 1990). The phone is
    carried by the same body, and the eyes keep it in view: how much of that is left between the two is our choice,
    about a fifth.
    """
    step_hz = float(np.clip(rng.normal(1.8, 0.15), 1.4, 2.2))
    turns, chances = draw_events(rng, times, 2.5, 6.0, 2)
    phase = moves(times, turns, 0.8, chances[:, 0])  # after each turn the steps start anew
    slack = 1 - 0.8 * swells(times, turns, 0.4, 0.3 + 0.6 * chances[:, 1], 0.4).sum(axis=1)  # a turn takes a second
    # Steps come early or late by about 2 % (Hausdorff, J. NeuroEng. Rehabil. 2005).
    cycles = step_hz * times + phase + 0.08 * wander(rng, times, 0.05, 0.6)
    strength = vigour * slack * (1 + 0.15 * wander(rng, times, 0.05, 0.5))

    def wave(hz_steps: float) -> Floats:
        return np.asarray(strength * np.sin(2 * np.pi * (hz_steps * cycles + rng.random())))

    bounce = strength * np.sin(2 * np.pi * cycles)
    bounce_mm, limp, second, third = rng.uniform((1.5, 0.03, 0.1, 0.02), (5, 0.15, 0.3, 0.1))
    sway_mm, surge_mm, pitch_deg, roll_deg, yaw_deg = rng.uniform((2, 0.5, 0.2, 0.2, 0.2), (6, 2, 1.0, 0.6, 0.8))
    shake_yaw, shake_pitch, shake_roll = rng.uniform(0.1, 0.4, 3)
    arm = [wander(rng, times, 0.05, 0.5) for _ in range(3)]
    hand = [vigour * wander(rng, times, 0.3, 6.0) for _ in range(3)]  # the hand trembles and corrects, up to 6 Hz
    return _part(
        times,
        turn_deg=(
            yaw_deg * wave(0.5) + 1.5 * vigour * wander(rng, times, 0.05, 0.7),
            -pitch_deg * bounce + 0.3 * pitch_deg * wave(2) + 1.5 * vigour * wander(rng, times, 0.05, 0.7),
            roll_deg * wave(0.5),
        ),
        move_mm=(
            sway_mm * (wave(0.5) + 0.15 * wave(1.5)) + 10 * vigour * arm[0],
            bounce_mm * (bounce + limp * wave(0.5) + second * wave(2) + third * wave(3)) + 8 * vigour * arm[1],
            surge_mm * wave(1) + 15 * vigour * arm[2],
        ),
        shake_deg=(
            shake_yaw * wave(0.5) + 0.3 * hand[0],
            shake_pitch * wave(1) + 0.3 * shake_pitch * wave(2) + 0.3 * hand[1],
            shake_roll * wave(0.5) + 0.2 * hand[2],
        ),
    )


def _translation(rng: np.random.Generator, times: Floats, speed: float) -> Motion:
    """Following a target that moves in the picture's plane, at `speed` face heights a second on average."""
    speed_mm_s = 1e3 * FACE_HEIGHT_M * speed
    count = int((float(times.max()) + LEAD_S) * speed_mm_s / 50) + 2  # no leg is shorter than 50 mm
    chances = rng.random((count, 2))
    x = np.where(np.arange(count) % 2, 1, -1) * (25 + 40 * chances[:, 0])
    targets = np.stack([x, 30 * (2 * chances[:, 1] - 1)], axis=1)
    seconds = np.linalg.norm(np.diff(targets, axis=0, prepend=0), axis=1) / speed_mm_s
    right, up = moves(times, np.cumsum(seconds) - seconds - LEAD_S, seconds, targets).T
    return _part(times, move_mm=(right, up, 0))


def _targets(rng: np.random.Generator, times: Floats, reach_deg: float) -> Motion:
    """Looking, chin and all, at one target after another on a circle around the camera."""
    starts, chances = draw_events(rng, times, 1.2, 2.4, 3)
    angle, reach = 2 * np.pi * chances[:, 0], reach_deg * (0.85 + 0.3 * chances[:, 1])
    # The eyes do more of the looking up and down (Freedman & Sparks, J. Neurophysiol. 1997: heads turn, rarely tilt).
    targets = np.stack([reach * np.cos(angle), 0.6 * reach * np.sin(angle)], axis=1)
    yaw, pitch = moves(times, starts, 0.7 + 0.4 * chances[:, 2], targets).T
    return _part(times, turn_deg=(yaw, pitch, 0))


def _nodding(rng: np.random.Generator, times: Floats, vigour: float) -> Motion:
    """Down, up, down, as when saying yes: 10 to 20 degrees down, some less up."""
    reach_deg = vigour * rng.uniform(10, 20)
    starts, chances = draw_events(rng, times, 0.4, 0.8, 2)
    ends = np.where(np.arange(len(starts)) % 2, -1.0, 0.6) * reach_deg * (0.8 + 0.4 * chances[:, 0])
    return _part(times, turn_deg=(0, moves(times, starts, 0.35 + 0.3 * chances[:, 1], ends), 0))


# PURE's speeds and angles are 7 and 14 % of the face's height a second, and about 20 and 35 degrees (Stricker, Müller &
# Gross, RO-MAN 2014).
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

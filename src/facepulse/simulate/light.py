"""Lighting of a face: lamps, windows and rooms, and their changes during a recording.

Every change is a function of time (see `curves`): the same seed gives the same light at another frame rate or in a
longer recording.
"""

from dataclasses import dataclass, replace

import numpy as np

from facepulse._types import Floats
from facepulse.simulate.curves import draw_events, smooth_noise, transients, transitions

HALF_SKY = np.pi / 2
MAINS_HZ = {50.0: 0.6, 60.0: 0.4}  # proportion of videos: datasets and users of networks have either
MAINS_SPREAD_HZ = 0.02  # standard deviation of the frequency of power grids (ENTSO-E: about 20 mHz)

Range = tuple[float, float]


@dataclass(frozen=True)
class Source:
    """One light source.

    Attributes:
        spectrum: key of `skin.SPECTRA`.
        direction: (T, 3) unit vectors towards the centre of the source.
        softness: angular radius in radians; π/2 is half of all directions.
        level: (T,) irradiance, relative to that of all sources together at time 0.
        flicker_hz: frequency of the flicker, which is not part of `level`: twice that of the mains, or 0.
        flicker_depth: (maximum - minimum) / (maximum + minimum) of the flicker, as in IEEE 1789-2015.
    """

    spectrum: str
    direction: Floats
    softness: float
    level: Floats
    flicker_hz: float = 0.0
    flicker_depth: float = 0.0


@dataclass(frozen=True)
class Lighting:
    """All light sources of a scene, the main one first, and `lux`, their illuminance at the face at time 0."""

    sources: tuple[Source, ...]
    lux: float


@dataclass(frozen=True)
class Room:
    """Ranges and probabilities from which one kind of lighting is drawn.

    Attributes:
        lights: spectra of the main light, one of which is drawn.
        lux: illuminance at the face.
        azimuth_deg: azimuth of the main light from the direction of the camera, to the left or to the right.
        elevation_deg: elevation of the main light.
        softness: angular radius of the main light, radians.
        direct: fraction of all light from the main light; the rest is ambient light from above and below.
        bounce: fraction reflected from below.
        ripple: depth of the flicker; `shape` above 1 makes shallow flicker more frequent.
        shape: exponent of the distribution of `ripple`.
        drift: relative standard deviation of the slow drift of the main light.
        second_lamp: probability of a second lamp of the kind.
        daylight_leak: probability that the ambient light from above is daylight.
        passers: probability of passers-by.
        screen: probability of a screen in front of the face.
        party: probability of a coloured light that changes at the frequencies of the pulse.
    """

    lights: tuple[str, ...]
    lux: Range
    azimuth_deg: Range
    elevation_deg: Range
    softness: Range
    direct: Range
    bounce: Range = (0.05, 0.15)
    ripple: Range = (0.0, 0.0)
    shape: float = 1.0
    drift: Range = (0.001, 0.004)  # mains voltage
    second_lamp: float = 0.0
    daylight_leak: float = 0.0
    passers: float = 0.0
    screen: float = 0.0
    party: float = 0.0


# Illuminance: MMPD (Tang et al., EMBC 2023) has four lights, two of them LEDs of low and high level. Typical values of
# rooms: 50 to 200 lx at home, 500 lx on an office desk (EN 12464-1), a third to a half of it on a vertical face, 300 to
# 2,000 lx beside a window. Flicker: incandescent 10 to 15 % (smoothed by the heat of the filament), fluorescent on a
# magnetic ballast 20 to 35 %, LED 0 to 30 %, mostly low (IEEE 1789-2015 and its sources). Clouds: daylight through
# windows drifts by 10 to 30 % within tens of seconds; PURE (Stricker et al., RO-MAN 2014) reports slight changes.
LED = ("white LED", "warm LED")
LIGHTINGS: dict[str, Room] = {
    "calm": Room(
        ("daylight", "white LED"),
        lux=(250, 900),
        azimuth_deg=(0, 35),
        elevation_deg=(5, 40),
        softness=(0.35, 0.9),
        direct=(0.4, 0.65),
        ripple=(0.0, 0.05),
        drift=(0.003, 0.03),
    ),
    "LED-low": Room(
        LED,
        lux=(30, 120),
        azimuth_deg=(0, 60),
        elevation_deg=(0, 65),
        softness=(0.1, 0.5),
        direct=(0.35, 0.7),
        ripple=(0.0, 0.3),
        shape=2.0,
        second_lamp=0.3,
        daylight_leak=0.1,
        passers=0.3,
        screen=0.3,
        party=0.08,
    ),
    "LED-high": Room(
        LED,
        lux=(200, 600),
        azimuth_deg=(0, 60),
        elevation_deg=(10, 70),
        softness=(0.15, 0.6),
        direct=(0.35, 0.7),
        ripple=(0.0, 0.3),
        shape=2.0,
        second_lamp=0.4,
        daylight_leak=0.1,
        passers=0.3,
        screen=0.15,
        party=0.05,
    ),
    "Incandescent": Room(
        ("incandescent",),
        lux=(40, 250),
        azimuth_deg=(0, 75),
        elevation_deg=(-5, 55),
        softness=(0.05, 0.35),
        direct=(0.4, 0.8),
        ripple=(0.10, 0.15),
        second_lamp=0.2,
        daylight_leak=0.15,
        passers=0.3,
        screen=0.25,
        party=0.06,
    ),
    "Nature": Room(
        ("daylight",),
        lux=(300, 2000),
        azimuth_deg=(0, 80),
        elevation_deg=(0, 50),
        softness=(0.3, 1.0),
        direct=(0.3, 0.7),
        drift=(0.05, 0.15),
        passers=0.4,
        screen=0.1,
        party=0.03,
    ),
    "Fluorescent": Room(
        ("fluorescent",),
        lux=(100, 400),
        azimuth_deg=(0, 50),
        elevation_deg=(35, 75),
        softness=(0.2, 0.6),
        direct=(0.4, 0.7),
        ripple=(0.20, 0.35),
        second_lamp=0.6,
        daylight_leak=0.2,
        passers=0.3,
        screen=0.2,
        party=0.03,
    ),
}


def draw_lighting(kind: str, rng: np.random.Generator, times: Floats) -> Lighting:
    """Draw the light sources of a scene and their changes.

    Args:
        kind: a key of `LIGHTINGS`.
        rng: source of all randomness.
        times: (T,) seconds from the first frame.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in LIGHTINGS:
        raise ValueError(f"light must be one of {', '.join(LIGHTINGS)}, not {kind!r}")
    room = LIGHTINGS[kind]
    clock = np.concatenate([[0.0], times])  # time 0 first: levels are relative to it
    lamps, passers, screen, party = rng.spawn(4)
    sources = _room(lamps, clock, room)
    if passers.random() < room.passers:
        sources = _pass_by(passers, clock, sources)
    for probability, generator, draw in ((room.screen, screen, _screen), (room.party, party, _party)):
        if generator.random() < probability:
            sources.append(draw(generator, clock))
    total = sum(float(source.level[0]) for source in sources)
    return Lighting(
        tuple(replace(source, direction=source.direction[1:], level=source.level[1:] / total) for source in sources),
        lux=float(np.exp(rng.uniform(*np.log(room.lux)))),
    )


def _towards(clock: Floats, azimuth_deg: Floats | float, elevation_deg: Floats | float) -> Floats:
    """Unit vectors (T, 3); azimuth 0 is the direction of the camera, 90 the right of the image."""
    azimuth, elevation = (np.radians(np.broadcast_to(a, clock.shape)) for a in (azimuth_deg, elevation_deg))
    return np.stack(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)], axis=1
    )


def _room(rng: np.random.Generator, clock: Floats, room: Room) -> list[Source]:
    """Draw the main light, possibly a second one of its kind, and ambient light from above and from below."""
    spectrum = room.lights[rng.integers(len(room.lights))]
    nominal_hz = rng.choice(list(MAINS_HZ), p=list(MAINS_HZ.values()))
    hz = 2 * float(nominal_hz + np.clip(rng.normal(0, MAINS_SPREAD_HZ), -0.1, 0.1))
    depth = room.ripple[0] + (room.ripple[1] - room.ripple[0]) * rng.random() ** room.shape
    ripple = (hz, depth) if spectrum != "daylight" and depth > 0 else (0.0, 0.0)
    # Slower than one period in 10 s, outside the band of the pulse.
    drift = rng.uniform(*room.drift) * smooth_noise(rng, clock, 1 / 120, 0.1)
    main, around = np.exp(drift), np.exp(0.6 * drift)  # ambient light comes partly from other sources

    direct, bounce = rng.uniform(*room.direct), rng.uniform(*room.bounce)
    side = rng.choice([-1, 1])
    first, second = (
        _towards(clock, at * rng.uniform(*room.azimuth_deg), rng.uniform(*room.elevation_deg)) for at in (side, -side)
    )
    softness = rng.uniform(*room.softness)
    two, share, leak = rng.random() < room.second_lamp, rng.uniform(0.2, 0.45), rng.random() < room.daylight_leak
    ambient, ambient_ripple = ("daylight", (0.0, 0.0)) if leak else (spectrum, ripple)
    sources = [Source(spectrum, first, softness, direct * (1 - share * two) * main, *ripple)]
    if two:
        sources.append(Source(spectrum, second, softness, direct * share * main, *ripple))
    above = _towards(clock, rng.uniform(-60, 60), rng.uniform(35, 80))
    below = _towards(clock, rng.uniform(-30, 30), rng.uniform(-75, -45))
    return [
        *sources,
        Source(ambient, above, HALF_SKY, (1 - direct - bounce) * around, *ambient_ripple),
        Source(spectrum, below, HALF_SKY, bounce * around, *ripple),
    ]


def _pass_by(rng: np.random.Generator, clock: Floats, sources: list[Source]) -> list[Source]:
    """Add passers-by, at most three per minute: the main light dips for 0.5 to 2 s, ambient light changes slightly."""
    starts, draws = draw_events(rng, clock, 5.0, 60 / rng.uniform(0.7, 3.0), 5)
    rise, hold, fall, depth, around = draws.T
    shade = transients(clock, starts, 0.2 + 0.4 * rise, 0.1 + 0.8 * hold, 0.2 + 0.4 * fall)
    gains = 1 - shade @ (0.1 + 0.5 * depth), 1 + shade @ (0.25 * (around - 0.6))  # clothes also reflect light
    return [replace(source, level=source.level * gains[i > 0]) for i, source in enumerate(sources)]


def _screen(rng: np.random.Generator, clock: Floats) -> Source:
    """Screen in front of the face: cuts of a film every 2.5 to 5 s (Cutting et al., i-Perception 2011), and motion."""
    share = rng.uniform(0.05, 0.25)
    within = 0.12 * smooth_noise(rng, clock, 0.1, 3.0)
    starts, draws = draw_events(rng, clock, 0.6, rng.uniform(2.5, 5.0), 1)
    shots = transitions(clock, starts, 0.04, 0.2 + 0.8 * draws[:, 0])
    level = share * shots * np.exp(within)
    return Source("screen", _towards(clock, rng.uniform(-15, 15), rng.uniform(-30, 5)), rng.uniform(0.2, 0.4), level)


def _party(rng: np.random.Generator, clock: Floats) -> Source:
    """Coloured light that pulsates or swings at 0.7 to 3 Hz for a limited time, as a disturbance of the pulse."""
    spectrum = ("red", "green", "blue")[rng.integers(3)]
    share, hz, swing_deg = rng.uniform(0.05, 0.2), rng.uniform(0.7, 3.0), rng.uniform(15, 45)
    azimuth_deg, elevation_deg = rng.uniform(-70, 70), rng.uniform(-10, 50)
    swings = rng.random() < 0.5
    oscillation = np.sin(2 * np.pi * (hz * clock + 0.1 * smooth_noise(rng, clock, 0.05, 0.5) + rng.random()))
    starts, draws = draw_events(rng, clock, 25.0, 40.0, 1)
    lit = transients(clock, starts, 1.0, 5 + 13 * draws[:, 0], 1.0).sum(axis=1)
    direction = _towards(clock, azimuth_deg + swing_deg * swings * oscillation, elevation_deg)
    level = share * lit * (1.0 if swings else 0.5 + 0.5 * oscillation)
    return Source(spectrum, direction, rng.uniform(0.1, 0.4), level)

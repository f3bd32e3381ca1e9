"""Curves of time, drawn first and evaluated afterwards: what movements and lights are made of.

What a curve draws does not depend on where, how densely or for how long it is looked at: another frame rate, or a
longer recording, shows the same events.
"""

import numpy as np

from facepulse._types import Floats

LEAD_S = 20.0  # events are drawn from this long before the first frame, so that it finds the scene in mid-life
WAVES = 24  # sinusoids in a wander: enough that it does not repeat within minutes


def wander(rng: np.random.Generator, times: Floats, low_hz: float, high_hz: float, exponent: float = 2.0) -> Floats:
    """Smooth noise of variance 1 whose power density falls as 1 / hz**exponent between two frequencies: (T,)."""
    edges = np.geomspace(low_hz, high_hz, WAVES + 1)
    hz = edges[:-1] * (edges[1:] / edges[:-1]) ** rng.random(WAVES)
    size = hz ** ((1 - exponent) / 2)  # a wave stands for a band as wide as its frequency
    waves = np.sin(2 * np.pi * (times[:, None] * hz + rng.random(WAVES)))
    return np.asarray(waves @ size * np.sqrt(2 / np.sum(size**2)))


def draw_events(
    rng: np.random.Generator, times: Floats, shortest_s: float, mean_s: float, columns: int = 0
) -> tuple[Floats, Floats]:
    """Events at random: starts (N,), and `columns` numbers from 0 to 1 for each: (N, columns).

    Gaps are exponential beyond a dead time. There is one row of random numbers an event, so that later frames only add
    rows, from a generator of their own, so that nothing drawn afterwards depends on how many there were.
    """
    until_s = float(times.max())
    chances = rng.spawn(1)[0].random((int((until_s + LEAD_S) / shortest_s) + 1, 1 + columns))
    starts = np.cumsum(shortest_s - (mean_s - shortest_s) * np.log1p(-chances[:, 0])) - LEAD_S
    kept = starts <= until_s
    return starts[kept], chances[kept, 1:]


def ease(progress: Floats) -> Floats:
    """From 0 to 1 with the least jerk, as limbs move (Flash & Hogan, J. Neurosci. 1985)."""
    u = np.clip(progress, 0.0, 1.0)
    return np.asarray(u * u * u * (10 + u * (6 * u - 15)))


def swells(
    times: Floats, starts: Floats, rise_s: Floats | float, hold_s: Floats | float, fall_s: Floats | float
) -> Floats:
    """Smooth rise to 1, hold and fall of each event: (T, N), to be multiplied by (N,) or (N, K) sizes."""
    since = times[:, None] - starts
    return ease(since / rise_s) * ease(1 - (since - rise_s - hold_s) / fall_s)


def moves(times: Floats, starts: Floats, seconds: Floats | float, targets: Floats) -> Floats:
    """From 0 to one target after the other: targets (N,) or (N, K) to (T,) or (T, K)."""
    steps = np.diff(targets, axis=0, prepend=np.zeros_like(targets[:1]))
    return np.asarray(ease((times[:, None] - starts) / seconds) @ steps)

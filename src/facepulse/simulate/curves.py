"""Random functions of time from which motion and lighting are composed.

Random draws do not depend on the times at which a function is evaluated: the same seed gives the same events at another
frame rate or in a longer recording.
"""

import numpy as np

from facepulse._types import Floats

LEAD_S = 20.0  # events are drawn from this time before the first frame, so that the first frame is a typical one
SINUSOIDS = 24  # of `smooth_noise`: enough that it does not repeat within minutes


def smooth_noise(
    rng: np.random.Generator, times: Floats, low_hz: float, high_hz: float, exponent: float = 2.0
) -> Floats:
    """Draw noise of variance 1 with a power density proportional to 1 / hz**exponent between two frequencies: (T,)."""
    edges = np.geomspace(low_hz, high_hz, SINUSOIDS + 1)
    hz = edges[:-1] * (edges[1:] / edges[:-1]) ** rng.random(SINUSOIDS)
    size = hz ** ((1 - exponent) / 2)  # a sinusoid represents a band whose width is proportional to its frequency
    sinusoids = np.sin(2 * np.pi * (times[:, None] * hz + rng.random(SINUSOIDS)))
    return np.asarray(sinusoids @ size * np.sqrt(2 / np.sum(size**2)))


def draw_events(
    rng: np.random.Generator, times: Floats, shortest_s: float, mean_s: float, columns: int = 0
) -> tuple[Floats, Floats]:
    """Draw random events: starts (N,), and `columns` uniform random numbers from 0 to 1 for each: (N, columns).

    Intervals are exponential plus a dead time of `shortest_s`. Each event has a row of random numbers, so that later
    frames only add rows; they come from a spawned generator, so that later draws do not depend on their number.
    """
    until_s = float(times.max())
    draws = rng.spawn(1)[0].random((int((until_s + LEAD_S) / shortest_s) + 1, 1 + columns))
    starts = np.cumsum(shortest_s - (mean_s - shortest_s) * np.log1p(-draws[:, 0])) - LEAD_S
    kept = starts <= until_s
    return starts[kept], draws[kept, 1:]


def minimum_jerk(progress: Floats) -> Floats:
    """Return the minimum-jerk transition from 0 to 1 (Flash & Hogan, J. Neurosci. 1985)."""
    u = np.clip(progress, 0.0, 1.0)
    return np.asarray(u * u * u * (10 + u * (6 * u - 15)))


def transients(
    times: Floats, starts: Floats, rise_s: Floats | float, hold_s: Floats | float, fall_s: Floats | float
) -> Floats:
    """Return a smooth rise to 1, hold and fall for each event: (T, N), to be multiplied by (N,) or (N, K) sizes."""
    since = times[:, None] - starts
    return minimum_jerk(since / rise_s) * minimum_jerk(1 - (since - rise_s - hold_s) / fall_s)


def transitions(times: Floats, starts: Floats, seconds: Floats | float, targets: Floats) -> Floats:
    """Return a curve that goes from 0 to one target after the other: targets (N,) or (N, K) to (T,) or (T, K)."""
    steps = np.diff(targets, axis=0, prepend=np.zeros_like(targets[:1]))
    return np.asarray(minimum_jerk((times[:, None] - starts) / seconds) @ steps)

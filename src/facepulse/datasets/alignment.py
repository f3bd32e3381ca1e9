"""Do the reference's clock and the video's agree? The pulse that both of them see tells.

A reference is put on the video's clock by its timestamps. These may be wrong: a constant delay, or a clock that runs
fast or slow. The blood volume that a face shows is compared with the reference under every delay and drift within
reason; hearts beat irregularly enough for the right ones to stand out. Where they do, they are used and reported.

Part of a delay is the body's: the pulse reaches a finger up to 0.15 s after the face. A network has to learn the
face's, so that this part is taken out with the rest, but it is no reason for a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.recording import Signal
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import bandpass, heart_rate, parabola_vertex

MAX_OFFSET_S = 1.0
MAX_DRIFT = 0.02
BODY_DELAY_S = 0.15  # between face and finger (Allen, Physiol. Meas. 2007: 0.06 to 0.13 s between ear and finger)
GRID_HZ = 30.0
BAND_HZ = (0.7, 3.5)

SEEN = 0.4  # correlation from which a pulse counts as seen by both
CLEARER = 0.007  # least difference in correlation to alignments a beat away; and in units of its standard error:
CLEARER_ERRORS = 1.3
MINIMUM_S = 15.0


@dataclass(frozen=True)
class Alignment:
    """What is known of two clocks.

    Attributes:
        offset_s: what has to be added to the reference's times in the middle of the video.
        drift: how much slower the reference's clock runs, relative: its seconds are to be stretched by 1 + drift.
        middle_s: where `offset_s` holds.
        correlation: of the video's pulse with the reference's once corrected.
        uncorrected: the same without a correction.
        evident: whether the correction can be relied on, and is used.
    """

    offset_s: float
    drift: float
    middle_s: float
    correlation: float
    uncorrected: float
    evident: bool

    def to_video(self, times: Floats) -> Floats:
        """Times of the reference on the video's clock."""
        return np.asarray(self.middle_s + self.offset_s + (1 + self.drift) * (np.asarray(times) - self.middle_s))

    def corrected(self, signal: Signal) -> Signal:
        """A signal of the reference on the video's clock, where the correction is evident; else as it was."""
        return Signal(self.to_video(signal.times), signal.values) if self.evident else signal

    def note(self) -> str | None:
        """What a user should know of it, or None where the clocks agree."""
        if not self.evident or (abs(self.offset_s) <= BODY_DELAY_S and abs(self.drift) < 2e-3):
            return None
        said = f"the reference is {abs(self.offset_s):.2f} s {'early' if self.offset_s > 0 else 'late'}"
        if abs(self.drift) >= 2e-3:
            said += f" and its clock {100 * abs(self.drift):.1f} % {'fast' if self.drift < 0 else 'slow'}"
        return f"clocks: {said}, corrected by the pulse in the video"


def align(parts: Sequence[tuple[Floats, Floats]], reference: Signal) -> Alignment | None:
    """Find the delay and the drift between a video's pulse and its reference.

    Args:
        parts: (times, waveform) of the video's pulse in each segment, (T,) each, uniform within a segment,
            systole upwards.
        reference: blood volume pulse, systole upwards, as its own timestamps have it.

    Returns:
        The best alignment within `MAX_OFFSET_S` and `MAX_DRIFT`; None where less than `MINIMUM_S` can be compared.
    """
    spans = [
        (max(float(times[0]), float(reference.times[0])), min(float(times[-1]), float(reference.times[-1])))
        for times, _ in parts
    ]
    usable = [(span, part) for span, part in zip(spans, parts, strict=True) if span[1] - span[0] >= 5.0]
    if sum(end - begin for (begin, end), _ in usable) < MINIMUM_S:
        return None
    begin, end = usable[0][0][0], usable[-1][0][1]
    middle_s = (begin + end) / 2
    clock = np.arange(begin, end, 1 / GRID_HZ)
    seen = np.zeros_like(clock)
    for (first, last), (times, waveform) in usable:
        inside = (clock >= first) & (clock <= last)
        wave = _in_band(np.interp(clock[inside], times, waveform))
        seen[inside] = wave / max(float(wave.std()), 1e-12)
    own_clock = np.arange(float(reference.times[0]), float(reference.times[-1]), 1 / GRID_HZ)
    own = _in_band(np.interp(own_clock, reference.times, reference.values))

    def shown(drift: float) -> tuple[Floats, Floats]:
        """The reference as a drift puts it on the video's clock, and where there is any."""
        at = middle_s + (clock - middle_s) / (1 + drift)
        there = (at >= own_clock[0]) & (at <= own_clock[-1])
        return np.where(there, np.interp(at, own_clock, own), 0.0), there.astype(np.float64)

    # A drift step that moves either end by half a tick; all offsets of one drift by one correlation.
    step = 1 / (GRID_HZ * (end - begin))
    drifts = step * np.arange(-round(MAX_DRIFT / step), round(MAX_DRIFT / step) + 1)
    reach = round(MAX_OFFSET_S * GRID_HZ)
    table = np.stack([_correlations(seen, *shown(drift), reach) for drift in drifts])
    row, column = np.unravel_index(int(np.argmax(table)), table.shape)
    drift = float(drifts[row] + step * _top(table[:, column], int(row)))
    offset_s = float((column - reach + _top(table[row], int(column))) / GRID_HZ)

    uncorrected = float(table[len(drifts) // 2, reach])
    best = _height(table[row], int(column))
    # Alignments a whole beat away are the rivals: the same hill continues within half a beat of the best one.
    away = np.abs(np.arange(-reach, reach + 1) / GRID_HZ - offset_s) > 0.6 * _beat_s(own)
    elsewhere = np.where(away, table, -1.0)
    other_row, other_column = np.unravel_index(int(np.argmax(elsewhere)), table.shape)
    rival = _height(elsewhere[other_row], int(other_column))
    # Two waves of this bandwidth have that many independent pairs of values.
    error = (1 - best**2) / np.sqrt(2 * (BAND_HZ[1] - BAND_HZ[0]) * np.count_nonzero(seen) / GRID_HZ)
    evident = best >= SEEN and best - rival >= max(CLEARER, CLEARER_ERRORS * error)
    return Alignment(offset_s, drift, middle_s, best, uncorrected, bool(evident))


def _in_band(wave: Floats) -> Floats:
    return bandpass(wave - wave.mean(), GRID_HZ, *BAND_HZ, order=2)


def _correlations(seen: Floats, shown: Floats, there: Floats, reach: int) -> Floats:
    """Correlation of two waves with the second one delayed by -reach to reach ticks, where both are: (2 reach + 1,)."""
    length = 1 << (2 * len(seen) - 1).bit_length()

    def lagged(fixed: Floats, moved: Floats) -> Floats:
        products = np.fft.irfft(np.fft.rfft(fixed, length) * np.conj(np.fft.rfft(moved, length)), length)
        return np.concatenate([products[-reach:], products[: reach + 1]])

    seen_power = lagged(seen**2, there)
    shown_power = lagged((seen != 0).astype(np.float64), shown**2)
    return lagged(seen, shown) / np.sqrt(np.maximum(seen_power * shown_power, 1e-12))


def _top(values: Floats, peak: int) -> float:
    """Distance in steps from a peak to the top of the parabola through it and its neighbours."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    return parabola_vertex(*values[peak - 1 : peak + 2])


def _height(values: Floats, peak: int) -> float:
    """Height of that parabola: two hills of one height look different where one of them has its top between steps."""
    if not 0 < peak < len(values) - 1:
        return float(values[peak])
    return float(values[peak] - 0.25 * (values[peak - 1] - values[peak + 1]) * _top(values, peak))


def _beat_s(wave: Floats) -> float:
    """Length of a heartbeat in a wave on the grid."""
    return 60 / heart_rate(wave, GRID_HZ, PROTOCOLS["facepulse"])

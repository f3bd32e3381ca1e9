"""Checks that a reference can be that of its video, by its samples, its times and the pulse in the video.

A wrong unit or rate of its times would otherwise give a wrong heart rate without a word. Sensors that start some tens
of seconds before the video and stop after it are ordinary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.alignment import Alignment, align
from facepulse.datasets.recording import DatasetError, Labels, Signal
from facepulse.rppg.protocols import PROTOCOLS

MINIMUM_HZ = 2 * PROTOCOLS["facepulse"].search_bpm[1] / 60  # Nyquist rate of the highest heart rate that is searched
MEASURED_HZ = 0.75 * MINIMUM_HZ  # of samples that do not lie on a line, as some of any sensor do
BEND = 0.05  # change of slope, over the usual largest one of a second, below which samples lie on a line
MINIMUM_OVERLAP = 0.1  # of the video's length
LONGER_TIMES, LONGER_S = 10.0, 120.0  # than the video; a longer reference has another unit
SAME_START_S = 1.0
OTHER_RATE = 0.03  # relative; less is drift, which is corrected

EXPECTED = "expected seconds from the first frame"
_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_EPOCH_S, _DAY_S = 1e8, 86400.0


def check_samples(labels: Labels) -> None:
    """Check that the PPG of a recording has enough samples to hold a pulse, and that they change.

    Raises:
        DatasetError: fewer than 8 samples a second (median), or fewer than 6 between which the others were
            interpolated; or a constant.
    """
    if labels.ppg is None:
        return
    spacing_s = float(np.median(np.diff(labels.ppg.times)))
    if spacing_s > (1 + 1e-6) / MINIMUM_HZ:
        raise DatasetError(
            f"the reference ppg has a sample every {spacing_s:g} s, and a pulse needs {MINIMUM_HZ:g} a second; "
            f"{EXPECTED}{_hint(_unit_of_spacing(spacing_s))}"
        )
    if np.ptp(labels.ppg.values) == 0:
        raise DatasetError(
            f"the reference ppg is {labels.ppg.values[0]:g} throughout, without a pulse; expected a blood volume pulse"
        )
    if (measured_hz := _measured_hz(labels.ppg)) < MEASURED_HZ:
        raise DatasetError(
            f"the reference ppg was measured {measured_hz:.1f} times a second and interpolated, and a pulse needs "
            f"{MINIMUM_HZ:g}; expected the samples of the sensor"
        )


def check_extent(labels: Labels, video_s: float) -> None:
    """Check that the references of a recording cover its video and are not of quite another length.

    Args:
        labels: of the recording.
        video_s: length of the video in seconds.

    Raises:
        DatasetError: a reference covers less than 10 % of the video, or is ten times as long and 120 s longer.
    """
    for name, signal in (("ppg", labels.ppg), ("bpm", labels.bpm)):
        if signal is None:
            continue
        start_s, end_s = float(signal.times[0]), float(signal.times[-1])
        length_s = end_s - start_s
        extent = f"the reference {name} covers {start_s:.1f} to {end_s:.1f} s, but the video 0.0 to {video_s:.1f} s"
        if length_s > LONGER_TIMES * video_s and length_s > video_s + LONGER_S:
            raise DatasetError(f"{extent}; {EXPECTED}{_hint(_unit_of_length(signal, video_s))}")
        if min(end_s, video_s) - max(start_s, 0.0) < MINIMUM_OVERLAP * video_s:
            unit = _unit_of_start(start_s) or _unit_of_length(signal, video_s)
            raise DatasetError(f"{extent}: they hardly overlap; {EXPECTED}{_hint(unit)}")


def check_rate(
    pulse: Sequence[tuple[Floats, Floats]], ppg: Signal, video_s: float, alignment: Alignment | None
) -> None:
    """Check the rate of a PPG that starts with the video but has another length, by the pulse in the video.

    Args:
        pulse: (times, waveform) of the video's pulse in each segment, as of `align`.
        ppg: reference with its own times.
        video_s: length of the video in seconds.
        alignment: of the PPG as it is.

    Raises:
        DatasetError: the PPG fits the video if its times are scaled to the length of the video, and only then.
    """
    length_s = float(ppg.times[-1] - ppg.times[0])
    scale = video_s / length_s
    if abs(ppg.times[0]) > SAME_START_S or abs(scale - 1) < OTHER_RATE or (alignment and alignment.reliable):
        return
    scaled = align(pulse, Signal(scale * ppg.times, ppg.values))
    if scaled is not None and scaled.reliable:
        raise DatasetError(
            f"the reference ppg is {length_s:.1f} s long and fits the pulse in the video only if it is scaled to the "
            f"video's {video_s:.1f} s; {EXPECTED}: is its sampling rate {1 / scale:.3g} times as high?"
        )


def _measured_hz(ppg: Signal) -> float:
    """Samples a second that do not lie on a line between others, in the seconds in which anything changes."""
    spacing_s = np.diff(ppg.times)
    bends = np.abs(np.diff(np.diff(ppg.values) / spacing_s))
    second = ((ppg.times[1:-1] - ppg.times[0]) // 1).astype(np.int64)
    starts = np.flatnonzero(np.diff(second, prepend=-1))
    if len(starts) == 0:
        return np.inf
    largest = np.maximum.reduceat(bends, starts)
    corners = np.add.reduceat((bends > BEND * np.median(largest[largest > 0])).astype(np.float64), starts)
    seconds = np.add.reduceat(spacing_s[1:], starts)
    return float(corners[largest > 0].sum() / seconds[largest > 0].sum())


def _hint(unit: str | None) -> str:
    return f": are they {unit}?" if unit else ""


def _unit_of_spacing(spacing_s: float) -> str | None:
    """Unit in which a sample every `spacing_s` would be 8 to 2000 a second."""
    if spacing_s == 1:
        return "sample numbers"
    return next((unit for unit, scale in _UNITS.items() if MINIMUM_HZ <= scale / spacing_s <= 2000), None)


def _unit_of_length(signal: Signal, video_s: float) -> str | None:
    """Unit in which the reference would be about as long as the video."""
    if np.allclose(np.diff(signal.times), 1):
        return "sample numbers"
    units = {**_UNITS, "minutes": 1 / 60, "hours": 1 / 3600, "thousands of seconds": 1e-3}
    length_s = float(signal.times[-1] - signal.times[0])
    return next((unit for unit, scale in units.items() if 0.3 < length_s / scale / video_s < 3), None)


def _unit_of_start(start_s: float) -> str | None:
    """Clock on which the reference would start that late."""
    if start_s > _EPOCH_S:
        return "times since 1970 or another epoch"
    return "times of day" if 3600 < start_s < _DAY_S else None

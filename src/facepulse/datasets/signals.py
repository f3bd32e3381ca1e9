"""References as they lie in text files: numbers, their times, and what has to be left out."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.recording import DatasetError, Signal

PLAUSIBLE_BPM = (20.0, 300.0)  # pulse oximeters send 0, 1 or 255 while they have no pulse


def as_signal(path: Path, what: str, times: Floats, values: Floats, notes: list[str]) -> Signal:
    """A signal without the samples that have no number, or do not come after those before.

    Args:
        path: where it comes from, for messages.
        what: its name, for messages.
        times: (N,) seconds from the first frame of the video.
        values: (N,).
        notes: gets a line for each reason why samples were left out.

    Raises:
        DatasetError: fewer than two samples are left.
    """
    known = np.isfinite(times) & np.isfinite(values)
    times, values = times[known], values[known]
    later = np.ones(len(times), bool)
    later[1:] = times[1:] > np.maximum.accumulate(times)[:-1]
    for reason, count in (
        ("without a number", len(known) - len(times)),
        ("not later than the one before", np.count_nonzero(~later)),
    ):
        if count:
            notes.append(f"{what}: samples {reason}, left out: {count}")
    if np.count_nonzero(later) < 2:
        raise DatasetError(f"{path}: a reference takes two samples of {what} at least, not {np.count_nonzero(later)}")
    if np.ptp(values[later]) == 0:
        notes.append(f"{what}: one value throughout, {values[0]:g}")
    return Signal(times[later], values[later])


def as_heart_rate(path: Path, times: Floats, values: Floats, notes: list[str]) -> Signal | None:
    """A heart rate as a device gave it, without the samples at which it gave none; None where it never gave one.

    Args:
        path: where it comes from, for messages.
        times: (N,) seconds from the first frame of the video.
        values: (N,) bpm.
        notes: gets a line for each reason why samples were left out.
    """
    low_bpm, high_bpm = PLAUSIBLE_BPM
    plausible = ~((values < low_bpm) | (values > high_bpm))
    if missing := np.count_nonzero(~plausible):
        notes.append(f"bpm: samples at which the device found no pulse, left out: {missing}")
    if np.count_nonzero(plausible & np.isfinite(values)) < 2:
        return None
    return as_signal(path, "bpm", times[plausible], values[plausible], notes)


def frame_rate_times(samples: int, frames: int, fps: float, notes: list[str]) -> Floats:
    """Times of a reference with one sample a frame; one of another length spans the same time.

    Args:
        samples: how many the reference has.
        frames: how many the video has.
        fps: of the video in Hz.
        notes: gets a line if the two differ.

    Returns:
        (samples,) seconds from the first frame.
    """
    if samples != frames:
        notes.append(f"ppg: {samples} samples for {frames} frames, taken to span the same time")
    # Equal counts give the times of the frames to the last bit: none may lie beyond the last sample.
    return np.arange(samples) / (fps * samples / frames)


def read_numbers(path: Path, wanted: str, **how: Any) -> Floats:
    """A text file of numbers, (rows, columns).

    Args:
        path: the file.
        wanted: what it should hold, in words.
        how: arguments of `numpy.loadtxt`.

    Raises:
        DatasetError: the file cannot be read, or holds something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it is empty, which is said below
            numbers = np.loadtxt(path, ndmin=2, **how)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise DatasetError(f"{path}: expected are {wanted}; {str(error).splitlines()[0]}") from error
    if numbers.size == 0:
        raise DatasetError(f"{path}: is empty; expected are {wanted}")
    return numbers


def read_reference(path: Path, notes: list[str]) -> tuple[Signal | None, Signal | None]:
    """The PPG and heart rate in a CSV file whose first line names `time_s`, and `ppg` or `bpm` or both.

    Times are seconds from the first frame of the video. A cell may be empty where one of the two has no sample.

    Args:
        path: the file.
        notes: gets a line for each reason why samples were left out.

    Raises:
        DatasetError: the file cannot be read, lacks a column, or holds something else than numbers.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            header = [name.strip() for name in rows.fieldnames or []]
            rows.fieldnames = header
            if "time_s" not in header or not {"ppg", "bpm"} & set(header):
                found = ", ".join(header) or "nothing"
                raise DatasetError(
                    f"{path}: its first line names {found}; expected are time_s and ppg or bpm (or both)"
                )
            wanted = [name for name in ("time_s", "ppg", "bpm") if name in header]
            table = np.array([[_number(path, rows.line_num, row[name]) for name in wanted] for row in rows])
    except OSError as error:
        raise unreadable(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: is not a CSV file; expected are lines of time_s, ppg, bpm") from error
    columns = dict(zip(wanted, table.reshape(-1, len(wanted)).T, strict=True))
    times = columns["time_s"]
    ppg = bpm = None
    if "ppg" in columns:
        there = ~np.isnan(columns["ppg"])
        ppg = as_signal(path, "ppg", times[there], columns["ppg"][there], notes)
    if "bpm" in columns:
        there = ~np.isnan(columns["bpm"])
        bpm = as_heart_rate(path, times[there], columns["bpm"][there], notes)
    return ppg, bpm


def unreadable(path: Path, error: OSError) -> DatasetError:
    """What to say of a file that cannot be read."""
    return DatasetError(f"{path}: cannot be read ({error.strerror or error}); check that it was copied whole")


def _number(path: Path, line: int, cell: str | None) -> float:
    try:
        return float(cell) if cell and cell.strip() else np.nan
    except ValueError:
        raise DatasetError(f"{path}: line {line} holds {cell!r} where a number is expected") from None

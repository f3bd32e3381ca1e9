"""Reference signals in text files: parsing, timestamps, and removal of invalid samples."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.recording import DatasetError, Signal

PLAUSIBLE_BPM = (20.0, 300.0)
NO_PULSE = (0, 1, 255)  # values that pulse oximeters send while they find no pulse


def as_signal(path: Path, name: str, times: Floats, values: Floats, notes: list[str]) -> Signal:
    """Make a signal of the samples that are finite and later than all before them.

    Args:
        path: source file, for messages.
        name: of the signal, for messages.
        times: (N,) seconds from the first frame of the video.
        values: (N,).
        notes: receives one line per reason for which samples were left out.

    Raises:
        DatasetError: fewer than two samples are left.
    """
    finite = np.isfinite(times) & np.isfinite(values)
    times, values = times[finite], values[finite]
    later = np.ones(len(times), bool)
    later[1:] = times[1:] > np.maximum.accumulate(times)[:-1]
    for reason, count in (
        ("without a number", len(finite) - len(times)),
        ("not later than the one before", np.count_nonzero(~later)),
    ):
        if count:
            notes.append(f"{name}: samples {reason}, left out: {count}")
    if (count := np.count_nonzero(later)) < 2:
        raise DatasetError(f"{path}: a reference needs at least two samples of {name}, not {count}")
    if np.ptp(values[later]) == 0:
        notes.append(f"{name}: one value throughout, {values[0]:g}")
    return Signal(times[later], values[later])


def as_heart_rate(path: Path, times: Floats, values: Floats, notes: list[str]) -> Signal | None:
    """Make a signal of the plausible samples of a device's heart rate; None if fewer than two are plausible.

    Args:
        path: source file, for messages.
        times: (N,) seconds from the first frame of the video.
        values: (N,) bpm.
        notes: receives one line per reason for which samples were left out.

    Raises:
        DatasetError: the values vary, but none is a plausible heart rate in bpm.
    """
    low_bpm, high_bpm = PLAUSIBLE_BPM
    known = np.unique(values[np.isfinite(values)])
    if len(known) > len(NO_PULSE) and (known.max() < low_bpm or known.min() > high_bpm):
        raise DatasetError(
            f"{path}: bpm contains {known.min():g} to {known.max():g}; expected beats per minute, {low_bpm:g} to "
            f"{high_bpm:g}: are they in Hz, or intervals between beats?"
        )
    plausible = ~((values < low_bpm) | (values > high_bpm))
    if missing := np.count_nonzero(~plausible):
        notes.append(f"bpm: samples at which the device found no pulse, left out: {missing}")
    if np.count_nonzero(plausible & np.isfinite(values)) < 2:
        return None
    return as_signal(path, "bpm", times[plausible], values[plausible], notes)


def frame_rate_times(samples: int, frames: int, fps: float, notes: list[str]) -> Floats:
    """Compute times of a reference with one sample per frame; a reference of another length gets the same duration.

    Args:
        samples: length of the reference.
        frames: length of the video.
        fps: frame rate of the video in Hz.
        notes: receives one line if the lengths differ.

    Returns:
        (samples,) seconds from the first frame.
    """
    if samples != frames:
        notes.append(f"ppg: {samples} samples for {frames} frames, assumed to have the same duration")
    # Equal counts give exactly the times of the frames, so that no frame lies beyond the last sample.
    return np.arange(samples) / (fps * samples / frames)


def read_numbers(path: Path, expected: str, **loadtxt_options: Any) -> Floats:
    """Read a text file of numbers, (rows, columns).

    Args:
        path: the file.
        expected: description of its content, for messages.
        loadtxt_options: arguments of `numpy.loadtxt`.

    Raises:
        DatasetError: the file cannot be read, or contains something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about an empty file, which is an error below
            numbers = np.loadtxt(path, ndmin=2, **loadtxt_options)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise DatasetError(f"{path}: expected {expected}; {str(error).splitlines()[0]}") from error
    if numbers.size == 0:
        raise DatasetError(f"{path}: is empty; expected {expected}")
    return numbers


@contextmanager
def open_csv(path: Path, expected: str) -> Iterator[csv.DictReader[str]]:
    """Open a CSV file whose first line contains the names of its columns.

    Args:
        path: the file.
        expected: names of its columns, for messages.

    Yields:
        Reader of its rows.

    Raises:
        DatasetError: the file cannot be read, or is not a CSV file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.DictReader(file)
    except OSError as error:
        raise unreadable(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: is not a CSV file; expected rows of {expected}") from error


def read_reference(path: Path, notes: list[str]) -> tuple[Signal | None, Signal | None]:
    """Read PPG and heart rate from a CSV file with the columns `time_s` and `ppg` or `bpm` (or both).

    Times are seconds from the first frame of the video. Cells of `ppg` and `bpm` may be empty.

    Args:
        path: the file.
        notes: receives one line per reason for which samples were left out.

    Returns:
        PPG and heart rate; None for a column that is missing.

    Raises:
        DatasetError: the file cannot be read, lacks a column, or contains something other than numbers.
    """
    with open_csv(path, "time_s, ppg, bpm") as rows:
        header = [name.strip() for name in rows.fieldnames or []]
        rows.fieldnames = header
        if "time_s" not in header or not {"ppg", "bpm"} & set(header):
            found = ", ".join(header) or "nothing"
            expected = "time_s and ppg or bpm (or both), separated by commas"
            raise DatasetError(f"{path}: its first line contains {found}; expected {expected}")
        columns = [name for name in ("time_s", "ppg", "bpm") if name in header]
        table = np.array([_numbers(path, rows.line_num, row, columns) for row in rows])
    values = dict(zip(columns, table.reshape(-1, len(columns)).T, strict=True))
    ppg = bpm = None
    if "ppg" in values:
        known = ~np.isnan(values["ppg"])
        ppg = as_signal(path, "ppg", values["time_s"][known], values["ppg"][known], notes)
    if "bpm" in values:
        known = ~np.isnan(values["bpm"])
        bpm = as_heart_rate(path, values["time_s"][known], values["bpm"][known], notes)
    return ppg, bpm


def unreadable(path: Path, error: OSError) -> DatasetError:
    """Return the error for a file that cannot be read."""
    return DatasetError(f"{path}: cannot be read ({error.strerror or error}); check that it was copied completely")


def _numbers(path: Path, line: int, row: Mapping[str | None, Any], columns: Sequence[str]) -> list[float]:
    """Read the named cells of a row; NaN for an empty one."""
    if any(cell.strip() for cell in row.get(None, [])):
        raise DatasetError(f"{path}: line {line} has more cells than the first line: write 0.5, not 0,5")
    return [_number(path, line, row[name]) for name in columns]


def _number(path: Path, line: int, cell: str | None) -> float:
    try:
        return float(cell) if cell and cell.strip() else np.nan
    except ValueError:
        raise DatasetError(f"{path}: line {line} contains {cell!r}; expected a number") from None

"""MCD-rPPG: 600 subjects at rest and after squats, three cameras at once, three minutes each; freely downloadable.

    db.csv                 a row per video: subject, clinical measurements, step, camera, view, paths of the rest
    video/*.avi            MPEG-4 of 640x480
    meta/*.txt             a line per frame: its number and its time
    ppg_sync/*.txt         a line per frame: the nearest sample of the finger PPG, and its distance in seconds
    ppg/*.PW               a line per sample, about 100 Hz: its value and its time

AVI files have no timestamps, so that the times of frames are read from `meta`. The contents of `meta` and of the second
columns are not documented; they were inferred from the files by others.

Egorov et al., arXiv 2508.17924, 2025, "Gaze into the heart: a multi-view video dataset for rPPG and health biomarkers
estimation".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.frame_sources import RetimedVideo, frame_period_s
from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording, natural_sort_key
from facepulse.datasets.roots import recordings_below
from facepulse.datasets.signals import as_signal, open_csv, unreadable
from facepulse.video.frames import Video
from facepulse.video.reader import open_video

_PPG_HZ = 100.0
_PATHS = ("video", "meta", "ppg_sync", "ppg", "ecg")
_REQUIRED = ("patient_id", "step", "camera", "video")
_EPOCH = datetime(2000, 1, 1)
_LFS_POINTER = b"version https://git-lfs"


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "db.csv and the folders video, meta, ppg_sync, ...", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    table = root / "db.csv"
    if not table.is_file():
        return []
    with open_csv(table, ", ".join((*_REQUIRED, "..."))) as reader:
        rows = list(reader)
    if missing := [name for name in _REQUIRED if rows and name not in rows[0]]:
        raise DatasetError(f"{table}: lacks {', '.join(missing)}; is it the table of MCD-rPPG?")
    recordings = [_recording(root, {name: value or "" for name, value in row.items() if name}) for row in rows]
    return sorted(recordings, key=lambda recording: natural_sort_key(recording.name))


def _recording(root: Path, row: Mapping[str, str]) -> Recording:
    files = {name: root / row[name] for name in _PATHS if row.get(name) and name != "ecg"}
    video = files.get("video", root / "video")
    return Recording(
        dataset="mcd-rppg",
        name="_".join(row[name] for name in ("patient_id", "camera", "step")),
        subject=row["patient_id"],
        files=tuple(files.values()),
        open_frames=partial(_open_frames, video, files.get("meta")),
        read_labels=partial(_read_labels, files, _attributes(row)),
    )


def _attributes(row: Mapping[str, str]) -> dict[str, Attribute]:
    """Attributes in a row of the table, numbers as numbers, and `exercise` derived from `step`."""
    cells = {name: cell for name, cell in row.items() if name not in (*_PATHS, "patient_id") and cell}
    return {**{name: _number_or_text(cell) for name, cell in cells.items()}, "exercise": row["step"] == "after"}


def _number_or_text(cell: str) -> Attribute:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return int(number) if number.is_integer() else number


def _open_frames(video: Path, meta: Path | None) -> Video:
    if video.is_file():
        with video.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise DatasetError(f"{video}: is a Git LFS pointer to the video; fetch the video with `git lfs pull`")
    if meta is None or not meta.is_file():
        return open_video(video)
    _, times = _values_and_times(meta)
    return RetimedVideo(video, times)


def _read_labels(files: Mapping[str, Path], attributes: Mapping[str, Attribute]) -> Labels:
    existing = {name: path for name, path in files.items() if path.is_file()}
    notes: list[str] = []
    frame_times = _values_and_times(existing["meta"])[1] if "meta" in existing else None
    if "ppg_sync" in existing:
        source = existing["ppg_sync"]
        times, values = _synchronised_ppg(source, files["video"], frame_times, notes)
    elif "ppg" in existing:
        source = existing["ppg"]
        times, values = _unsynchronised_ppg(source, frame_times, notes)
    else:
        expected = files.get("ppg_sync") or files.get("ppg") or "ppg_sync"
        raise DatasetError(f"{expected}: is missing; a recording needs its ppg_sync, or its ppg")
    return Labels(as_signal(source, "ppg", times, values, notes), None, attributes, tuple(notes))


def _synchronised_ppg(path: Path, video: Path, frame_times: Floats | None, notes: list[str]) -> tuple[Floats, Floats]:
    """Times in seconds from the first frame and values of a file with a sample per frame, (N,) each."""
    values = _first_column(path)
    if frame_times is None:
        notes.append("meta is missing: frames are assumed to be evenly spaced")
        return frame_period_s(video) * np.arange(len(values), dtype=np.float64), values
    if len(values) > len(frame_times):
        notes.append(f"ppg: samples beyond the last frame, left out: {len(values) - len(frame_times)}")
    values = values[: len(frame_times)]
    return frame_times[: len(values)] - frame_times[0], values


def _unsynchronised_ppg(path: Path, frame_times: Floats | None, notes: list[str]) -> tuple[Floats, Floats]:
    """Times in seconds from the first frame and values of a file with a clock of its own, (N,) each."""
    if frame_times is None:
        notes.append("meta and ppg_sync are missing: the PPG is assumed to begin with the video, at 100 Hz")
        values = _first_column(path)
        return np.arange(len(values)) / _PPG_HZ, values
    notes.append("ppg_sync is missing: the PPG is read with its own times")
    values, times = _values_and_times(path)
    return times - frame_times[0], values


def _values_and_times(path: Path) -> tuple[Floats, Floats]:
    """Read a file of numbers and times: the numbers, and the times in seconds from the year 2000, (N,) each."""
    numbers, times = [], []
    for count, line in enumerate(_lines(path), start=1):
        try:
            number, time = line.split(maxsplit=1)
            numbers.append(float(number))
            times.append((datetime.fromisoformat(time.strip()) - _EPOCH).total_seconds())
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{path}: line {count} is not a number and a time; copy it again") from error
    return np.array(numbers), np.array(times)


def _first_column(path: Path) -> Floats:
    try:
        return np.array([float(line.split()[0]) for line in _lines(path)])
    except ValueError as error:
        raise DatasetError(f"{path}: expected lines that begin with a number; copy it again") from error


def _lines(path: Path) -> list[str]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not a text file; copy it again") from error
    if not lines:
        raise DatasetError(f"{path}: is empty; copy it again")
    return lines


MCD_RPPG = Dataset(
    name="mcd-rppg",
    title="MCD-rPPG: 600 subjects at rest and after squats, three cameras, three minutes each",
    licence="CC BY 4.0",
    find=_find,
)

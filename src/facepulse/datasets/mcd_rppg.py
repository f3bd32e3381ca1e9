"""MCD-rPPG: 600 people at rest and after squats, three cameras at once, three minutes each; anybody may download it.

    db.csv: a line a video: who, what a physician measured, step, camera, view, and the paths of the rest
    video/*.avi            MPEG-4 of 640x480
    meta/*.txt             a line a frame: its number, and when it was taken
    ppg_sync/*.txt         a line a frame: the nearest sample of the finger clip, and how many seconds off that was
    ppg/*.PW               a line a sample, about 100 a second: its value, and when it was taken

An AVI only counts frames, so that their times come from `meta`. What `meta` and the second columns hold is not
documented, but others have found it in the files.

Egorov et al., arXiv 2508.17924, 2025, "Gaze into the heart: a multi-view video dataset for rPPG and health biomarkers
estimation".
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.frame_sources import RetimedVideo, frame_period_s
from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording, natural_sort_key
from facepulse.datasets.roots import recordings_below
from facepulse.datasets.signals import as_signal, unreadable
from facepulse.video.reader import Video, open_video

_PPG_HZ = 100.0
_PATHS = ("video", "meta", "ppg_sync", "ppg", "ecg")
_WANTED = ("patient_id", "step", "camera", "video")
_EPOCH = datetime(2000, 1, 1)
_LFS = b"version https://git-lfs"


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "db.csv and the folders video, meta, ppg_sync, ...", _look)


def _look(root: Path) -> list[Recording]:
    table = root / "db.csv"
    if not table.is_file():
        return []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise unreadable(table, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: is not a CSV file; copy it again") from error
    if missing := [name for name in _WANTED if rows and name not in rows[0]]:
        raise DatasetError(f"{table}: lacks {', '.join(missing)}; is it that of MCD-rPPG?")
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
    """All that is known of a recording: numbers as numbers, and `exercise` besides `step`."""
    told = {name: cell for name, cell in row.items() if name not in (*_PATHS, "patient_id") and cell}
    return {**{name: _number_or_text(cell) for name, cell in told.items()}, "exercise": row["step"] == "after"}


def _number_or_text(cell: str) -> Attribute:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return int(number) if number.is_integer() else number


def _open_frames(video: Path, meta: Path | None) -> Video:
    if video.is_file():
        with video.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise DatasetError(f"{video}: is a pointer to the video, not the video; fetch it by `git lfs pull`")
    if meta is None or not meta.is_file():
        return open_video(video)
    _, taken_s = _stamped(meta)
    return RetimedVideo(video, taken_s)


def _read_labels(files: Mapping[str, Path], attributes: Mapping[str, Attribute]) -> Labels:
    there = {name: path for name, path in files.items() if path.is_file()}
    notes: list[str] = []
    frames_s = _stamped(there["meta"])[1] if "meta" in there else None
    if "ppg_sync" in there:
        source = there["ppg_sync"]
        values = _first_column(source)
        if frames_s is None:
            notes.append("meta is missing: frames are taken to be evenly spaced")
            times = frame_period_s(files["video"]) * np.arange(len(values), dtype=np.float64)
        else:
            if len(values) > len(frames_s):
                notes.append(f"ppg: samples beyond the last frame, left out: {len(values) - len(frames_s)}")
            values = values[: len(frames_s)]
            times = frames_s[: len(values)] - frames_s[0]
    elif "ppg" in there:
        source = there["ppg"]
        if frames_s is None:
            notes.append("meta and ppg_sync are missing: the PPG is taken to begin with the video, 100 a second")
            values = _first_column(source)
            times = np.arange(len(values)) / _PPG_HZ
        else:
            notes.append("ppg_sync is missing: the PPG is read with its own times")
            values, taken_s = _stamped(source)
            times = taken_s - frames_s[0]
    else:
        wanted = files.get("ppg_sync") or files.get("ppg") or "ppg_sync"
        raise DatasetError(f"{wanted}: is missing; a recording needs its ppg_sync, or its ppg")
    return Labels(as_signal(source, "ppg", times, values, notes), None, attributes, tuple(notes))


def _stamped(path: Path) -> tuple[Floats, Floats]:
    """First column of a file of numbers and times, and the times in seconds from the year 2000, (N,) each."""
    numbers, times = [], []
    for count, line in enumerate(_lines(path), start=1):
        try:
            number, stamp = line.split(maxsplit=1)
            numbers.append(float(number))
            times.append((datetime.fromisoformat(stamp.strip()) - _EPOCH).total_seconds())
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{path}: line {count} is not a number and a time; copy it again") from error
    return np.array(numbers), np.array(times)


def _first_column(path: Path) -> Floats:
    try:
        return np.array([float(line.split()[0]) for line in _lines(path)])
    except ValueError as error:
        raise DatasetError(f"{path}: expected are lines that begin with a number; copy it again") from error


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
    title="MCD-rPPG: 600 people at rest and after squats, three cameras, three minutes each",
    licence="CC BY 4.0",
    find=_find,
)

"""Arbitrary videos below a folder, each with or without a reference beside it.

    NAME.mp4 (mov, avi, mkv, ...) and NAME.csv: time_s, and ppg or bpm or both; see `signals.read_reference`
    recordings.csv at the root (optional): video (its path), subject, stated_fps, and any attributes

Without the table, the subject is the folder of a video; at the root, each video is a subject of its own. A frame rate
in Hz as `stated_fps` replaces the timestamps of a video, if it has none (raw streams) or they are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording, natural_sort_key
from facepulse.datasets.roots import check_root
from facepulse.datasets.signals import open_csv, read_reference
from facepulse.errors import UsageError
from facepulse.video.clock import checked_rate
from facepulse.video.reader import open_video

VIDEO_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts"}

_TABLE, _COLUMNS = "recordings.csv", "video, subject, stated_fps, and any attributes"
_OWN_COLUMNS = {"video", "subject", "stated_fps"}
_BOOLEANS = {"true": True, "false": False}


def _find(root: Path) -> list[Recording]:
    layout = f"videos ({', '.join(sorted(VIDEO_SUFFIXES))})"
    check_root(root, layout)
    if found := _recordings_in(root):
        return found
    raise DatasetError(f"{root}: contains no video; expected {layout}")


def _recordings_in(root: Path) -> list[Recording]:
    table = _read_table(root / _TABLE)
    found = {
        path.relative_to(root)
        for path in root.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    videos = sorted(found | table.keys(), key=lambda video: natural_sort_key(video.as_posix()))
    names = [video.with_suffix("").as_posix() for video in videos]
    return [
        # Two videos that differ only in their suffix keep it in their names.
        _recording(root, video, name if names.count(name) == 1 else video.as_posix(), table.get(video, {}))
        for video, name in zip(videos, names, strict=True)
    ]


def _recording(root: Path, video: Path, name: str, row: Mapping[str, str]) -> Recording:
    reference = (root / video).with_suffix(".csv")
    files = (root / video, reference) if reference.is_file() else (root / video,)
    attributes = {key: _value(cell) for key, cell in row.items() if key not in _OWN_COLUMNS and cell}
    stated_fps = _stated_fps(root, row)
    return Recording(
        dataset="folder",
        name=name,
        subject=row.get("subject") or (video.parent.as_posix() if video.parent.name else video.stem),
        files=files,
        open_frames=partial(open_video, root / video, fps=stated_fps),
        read_labels=partial(_read_labels, reference, attributes),
        stated_fps=stated_fps,
    )


def _stated_fps(root: Path, row: Mapping[str, str]) -> float | None:
    if not (cell := row.get("stated_fps")):
        return None
    try:
        return checked_rate(_value(cell))
    except UsageError as error:
        video = row["video"]
        message = f"{root / _TABLE}: stated_fps of {video} is {cell!r}; expected a frame rate such as 30"
        raise DatasetError(message) from error


def _read_labels(reference: Path, attributes: Mapping[str, Attribute]) -> Labels:
    notes: list[str] = []
    ppg, bpm = read_reference(reference, notes) if reference.is_file() else (None, None)
    return Labels(ppg, bpm, attributes, tuple(notes))


def _read_table(path: Path) -> dict[Path, dict[str, str]]:
    """Read the rows of `recordings.csv` by the paths of their videos; an empty dict if there is no such file."""
    if not path.is_file():
        return {}
    with open_csv(path, _COLUMNS) as reader:
        if "video" not in (reader.fieldnames or []):
            raise DatasetError(f"{path}: its first line lacks video; expected {_COLUMNS}")
        rows = [{key: (cell or "").strip() for key, cell in row.items() if key} for row in reader]
    return {Path(row["video"]): row for row in rows if row["video"]}


def _value(cell: str) -> Attribute:
    if cell.lower() in _BOOLEANS:
        return _BOOLEANS[cell.lower()]
    for number in (int, float):
        try:
            return number(cell)
        except ValueError:
            continue
    return cell


FOLDER = Dataset(
    name="folder",
    title="arbitrary videos, with or without a reference beside each",
    licence="your own",
    find=_find,
)

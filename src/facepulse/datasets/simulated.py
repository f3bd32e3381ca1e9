"""Simulated recordings in the native layout of `facepulse simulate`: video, simulated pulse, and attributes.

    NAME/recording.json, video.* and ppg.csv (time_s, ppg, bpm)

The video is compressed, and its timestamps are those of a camera that drops frames.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from facepulse.datasets.recording import Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import read_reference
from facepulse.video.reader import open_video

_DESCRIPTION, _REFERENCE = "recording.json", "ppg.csv"


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "a folder per recording with recording.json, video.* and ppg.csv", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [_recording(folder) for folder, _ in matching(root, r"[^.].*") if (folder / _DESCRIPTION).is_file()]


def _recording(folder: Path) -> Recording:
    video = next((path for path, _ in matching(folder, r"video\.\w+")), folder / "video.mp4")
    try:
        subject = str(_description(folder)["subject"])
    except DatasetError:
        subject = folder.name  # reading its labels raises the error; the other recordings remain usable
    return Recording(
        dataset="simulated",
        name=folder.name,
        subject=subject,
        files=(video, folder / _REFERENCE, folder / _DESCRIPTION),
        open_frames=partial(open_video, video),
        read_labels=partial(_read_labels, folder),
    )


def _read_labels(folder: Path) -> Labels:
    notes: list[str] = []
    ppg, bpm = read_reference(folder / _REFERENCE, notes)
    return Labels(ppg, bpm, _description(folder)["attributes"], tuple(notes))


def _description(folder: Path) -> dict[str, Any]:
    try:
        description = json.loads((folder / _DESCRIPTION).read_bytes())
        return {"subject": description["subject"], "attributes": dict(description["attributes"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder / _DESCRIPTION}: is damaged; expected JSON with subject and attributes") from error


SIMULATED = Dataset(
    name="simulated",
    title="recordings of `facepulse simulate` in its native layout",
    licence="your own",
    find=_find,
)

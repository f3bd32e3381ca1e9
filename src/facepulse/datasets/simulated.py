"""Simulated recordings in the layout of `facepulse simulate`: a video, the pulse it was drawn with, and what is known.

    NAME/recording.json, video.* and ppg.csv (time_s, ppg, bpm)

The video is coded, and has the clock of a camera that loses frames.
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

_ABOUT, _REFERENCE = "recording.json", "ppg.csv"


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "a folder a recording, each with recording.json, video.* and ppg.csv", _look)


def _look(root: Path) -> list[Recording]:
    return [_recording(folder) for folder, _ in matching(root, r"[^.].*") if (folder / _ABOUT).is_file()]


def _recording(folder: Path) -> Recording:
    video = next((path for path, _ in matching(folder, r"video\.\w+")), folder / "video.mp4")
    try:
        subject = str(_about(folder)["subject"])
    except DatasetError:
        subject = folder.name  # its labels will say what is wrong with it, and the others can be had
    return Recording(
        dataset="simulated",
        name=folder.name,
        subject=subject,
        files=(video, folder / _REFERENCE, folder / _ABOUT),
        open_frames=partial(open_video, video),
        read_labels=partial(_read_labels, folder),
    )


def _read_labels(folder: Path) -> Labels:
    notes: list[str] = []
    ppg, bpm = read_reference(folder / _REFERENCE, notes)
    return Labels(ppg, bpm, _about(folder)["attributes"], tuple(notes))


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ABOUT).read_bytes())
        return {"subject": about["subject"], "attributes": dict(about["attributes"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder / _ABOUT}: is damaged; expected is JSON with subject and attributes") from error


SIMULATED = Dataset(
    name="simulated",
    title="what `facepulse simulate` writes in its own layout",
    licence="your own",
    find=_find,
)

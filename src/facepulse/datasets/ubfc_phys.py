"""UBFC-Phys: 56 subjects, three tasks of three minutes each, PPG of a wristband (Empatica E4).

    sN/vid_sN_T1.avi, bvp_sN_T1.csv (one number per line, 64 Hz), info_sN.txt; T2 and T3 likewise

Sabour et al., IEEE Transactions on Affective Computing 2021, "UBFC-Phys: a multimodal database for psychophysiological
studies of social stress".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facepulse.datasets.recording import Attribute, Dataset, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_signal, read_numbers
from facepulse.video.reader import open_video

_HZ = 64.0
_TASKS = {"T1": "rest", "T2": "speech", "T3": "arithmetic"}
_GENDERS = {"m": "male", "f": "female"}


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "folders s1, s2, ... with vid_s1_T1.avi, ...", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [
        Recording(
            dataset="ubfc-phys",
            name=f"{match[1]}_{match[2]}",
            subject=match[1],
            files=(video, reference),
            open_frames=partial(open_video, video),
            read_labels=partial(_read_labels, reference, folder / f"info_{folder.name}.txt", _TASKS[match[2]]),
        )
        for folder, _ in matching(root, r"s\d+")
        for video, match in matching(folder, r"vid_(s\d+)_(T[123])\.avi")
        for reference in [folder / f"bvp_{match[1]}_{match[2]}.csv"]
    ]


def _read_labels(reference: Path, info: Path, task: str) -> Labels:
    bvp = read_numbers(reference, "one number per line")[:, 0]
    notes: list[str] = []
    ppg = as_signal(reference, "ppg", np.arange(len(bvp)) / _HZ, bvp, notes)
    attributes: dict[str, Attribute] = {"task": task}
    if info.is_file():
        # Five lines: subject, m or f, test or ctrl (difficulty of the tasks), date, time.
        lines = [line.strip() for line in info.read_text(encoding="utf-8", errors="replace").splitlines()]
        if len(lines) > 2 and lines[1] in _GENDERS:
            attributes |= {"gender": _GENDERS[lines[1]], "level": lines[2]}
    return Labels(ppg, None, attributes, tuple(notes))


UBFC_PHYS = Dataset(
    name="ubfc-phys",
    title="UBFC-Phys: 56 subjects at rest, giving a speech and doing arithmetic, three minutes each",
    licence="for research, under the terms of its page at the University of Burgundy",
    find=_find,
)

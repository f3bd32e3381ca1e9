"""COHFACE: 40 subjects, four strongly compressed videos of a minute each, two in daylight, with finger PPG.

    N/0/data.avi and data.hdf5 (pulse at 256 Hz); 1, 2 and 3 likewise

Heusch, Anjos and Marcel, arXiv 1709.00962, 2017, "A reproducible study on remote heart rate measurement". The light of
each recording is taken from the protocols of the authors' package bob.db.cohface.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facepulse.datasets.hdf5 import hdf5_array
from facepulse.datasets.recording import Dataset, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_signal
from facepulse.video.reader import open_video

_HZ = 256.0
_LIGHTS = {"0": "studio", "1": "studio", "2": "natural", "3": "natural"}


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "folders 1 to 40, each with folders 0 to 3 of data.avi and data.hdf5", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [
        Recording(
            dataset="cohface",
            name=f"{subject.name}/{folder.name}",
            subject=subject.name,
            files=(video, reference),
            open_frames=partial(open_video, video),
            read_labels=partial(_read_labels, reference, _LIGHTS[folder.name]),
        )
        for subject, _ in matching(root, r"\d+")
        for folder, _ in matching(subject, r"[0-3]")
        for video, reference in [(folder / "data.avi", folder / "data.hdf5")]
        if video.is_file() or reference.is_file()
    ]


def _read_labels(reference: Path, light: str) -> Labels:
    with hdf5_array(reference, "pulse") as pulse:
        values = np.asarray(pulse, np.float64).ravel()
    notes: list[str] = []
    ppg = as_signal(reference, "ppg", np.arange(len(values)) / _HZ, values, notes)
    return Labels(ppg, None, {"light": light}, tuple(notes))


COHFACE = Dataset(
    name="cohface",
    title="COHFACE: 40 subjects, two minutes each under a lamp and in daylight",
    licence="for research, on signed request to Idiap",
    find=_find,
)

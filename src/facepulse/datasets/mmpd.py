"""MMPD: 33 subjects recorded by a phone, twenty videos of a minute each, four lights and four kinds of motion.

    subjectN/pN_K.mat: video (T, H, W, 3) of 0..1, GT_ppg (1, T), and eight labels

The mini dataset, of 80x60 pixels, has the same layout. The labels skin_color, gender and makeup of
`subject24/p24_0.mat` contradict the other nineteen files of this subject: `mmpd` reads them as published,
`mmpd-corrected` as in the other files.

Tang et al., IEEE EMBC 2023, "MMPD: multi-domain mobile video physiology dataset".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facepulse.datasets.frame_sources import as_pixels, frames_of
from facepulse.datasets.matlab import stored_array
from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_signal, frame_rate_times, unreadable
from facepulse.video.frames import TimedFrames, Video

FPS = 30.0

_MISLABELLED = "subject24/p24_0"
_AS_PUBLISHED: dict[str, Attribute] = {"skin_color": 4, "gender": "male", "makeup": False}
_AS_OTHER_FILES: dict[str, Attribute] = {"skin_color": 3, "gender": "female", "makeup": True}

_STRINGS, _BOOLEANS = ("light", "motion", "gender"), ("exercise", "glasser", "hair_cover", "makeup")
_AFTER_EXERCISE = " (after exercise)"


def _find(dataset: str, root: Path) -> list[Recording]:
    return recordings_below(
        root, "folders subject1, subject2, ... with p1_0.mat, ...", partial(_recordings_in, dataset)
    )


def _recordings_in(dataset: str, root: Path) -> list[Recording]:
    return [
        Recording(
            dataset=dataset,
            name=f"{folder.name}/{path.stem}",
            subject=folder.name,
            files=(path,),
            open_frames=partial(_open_frames, path),
            read_labels=partial(_read_labels, path, f"{folder.name}/{path.stem}", dataset == "mmpd-corrected"),
        )
        for folder, _ in matching(root, r"subject\d+")
        for path, _ in matching(folder, r"p\d+_\d+\.mat")
    ]


def _open_frames(path: Path) -> Video:
    with stored_array(path, "video") as video:
        count, height, width = _video_shape(path, video.shape)
        stack = np.empty((3, width, height, count), np.uint8)
        pixels = stack.reshape(-1)
        filled = 0
        for block in video.blocks:
            pixels[filled : filled + len(block)] = as_pixels(block, path)
            filled += len(block)
    return TimedFrames.of_images(str(path), "mat", frames_of(stack), np.arange(count) / FPS)


def _read_labels(path: Path, name: str, corrected: bool) -> Labels:
    with stored_array(path, "video") as video:
        count, _, _ = _video_shape(path, video.shape)
    content = _small_variables(path)
    notes: list[str] = []
    ppg = np.asarray(content["GT_ppg"], np.float64).ravel()
    signal = as_signal(path, "ppg", frame_rate_times(len(ppg), count, FPS, notes), ppg, notes)
    attributes = _attributes(path, content, notes)
    if name == _MISLABELLED and attributes.items() >= _AS_PUBLISHED.items():
        notes.append("skin_color, gender and makeup contradict the other files of this subject")
        if corrected:
            attributes |= _AS_OTHER_FILES
            notes.append("skin_color, gender and makeup are corrected")
    return Labels(signal, None, attributes, tuple(notes))


def _video_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) != 4 or shape[3] != 3 or 0 in shape:
        raise DatasetError(f"{path}: its video is an array of {shape}; expected (frames, height, width, 3)")
    return shape[0], shape[1], shape[2]


def _small_variables(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # imported here: it takes 0.3 s, and no other dataset needs it

    names = ["GT_ppg", *_STRINGS, *_BOOLEANS, "skin_color"]
    try:
        content: dict[str, Any] = loadmat(path, variable_names=names)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # SciPy raises many types for a damaged file
        raise DatasetError(f"{path}: is damaged or truncated; copy it again") from error
    if missing := [name for name in names if name not in content]:
        raise DatasetError(f"{path}: lacks {', '.join(missing)}; is it a file of MMPD?")
    return content


def _attributes(path: Path, content: Mapping[str, Any], notes: list[str]) -> dict[str, Attribute]:
    values = {name: _single_value(path, name, content[name]) for name in (*_STRINGS, *_BOOLEANS, "skin_color")}
    attributes: dict[str, Attribute] = {name: values[name] for name in _STRINGS}
    try:
        attributes |= {name: {"True": True, "False": False, "1": True, "0": False}[values[name]] for name in _BOOLEANS}
        attributes["skin_color"] = int(values["skin_color"])
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{path}: has a label {error}; expected True or False, and skin_color 3 to 6") from error
    motion = values["motion"]
    if motion.endswith(_AFTER_EXERCISE):
        attributes |= {"motion": motion.removesuffix(_AFTER_EXERCISE), "exercise": True}
    if motion == "Watching Videos":  # in the first release
        attributes["motion"] = "Walking"
        notes.append("motion: Watching Videos, renamed to Walking as the authors did later")
    return attributes


def _single_value(path: Path, name: str, value: Any) -> str:
    flat = np.ravel(value)
    if flat.size != 1:
        raise DatasetError(f"{path}: its label {name} has {flat.size} values; expected one")
    return str(flat[0]).strip()


MMPD, MMPD_CORRECTED = (
    Dataset(name, title, "for academic research, on signed request to the authors", partial(_find, name))
    for name, title in (
        ("mmpd", "MMPD: 33 subjects, 4 lights, 4 kinds of motion, with and without exercise; or its mini dataset"),
        ("mmpd-corrected", "MMPD with corrected labels of its one contradictory file, subject24/p24_0"),
    )
)

"""SCAMPS: 2,800 rendered videos of 20 seconds each, with the PPG that they were rendered from.

    Train/P000001.mat, Val/..., Test/...: MATLAB 7.3, so HDF5: Xsub (3, W, H, T) of 0..1, d_ppg (T, 1), and more

The files may also lie directly in the root, as in the published example.

McDuff et al., NeurIPS 2022, "SCAMPS: synthetics for camera measurement of physiological signals"; the order of the axes
is that of its readme.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facepulse.datasets.frame_sources import as_pixels, frames_of
from facepulse.datasets.hdf5 import hdf5_array
from facepulse.datasets.recording import Attribute, Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_signal, frame_rate_times
from facepulse.video.frames import TimedFrames, Video

FPS = 30.0

_COLUMNS = 16  # of the frames, read at once: 18 MB for 600 frames of 240 pixels in double precision


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "folders Train, Val and Test with P000001.mat, ...", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [
        Recording(
            dataset="scamps",
            name=path.stem,
            subject=path.stem,  # each recording has a randomly drawn subject
            files=(path,),
            open_frames=partial(_open_frames, path),
            read_labels=partial(_read_labels, path, {"subset": subset.lower()} if subset else {}),
        )
        for subset in ("", "Train", "Val", "Test")
        for path, _ in matching(root / subset, r"P\d+\.mat")
    ]


def _open_frames(path: Path) -> Video:
    with hdf5_array(path, "Xsub") as video:
        _check_shape(path, video.shape)
        # Consecutive frames are adjacent, so that each frame is spread over the file, which is read once in its order.
        stack = np.empty(video.shape, np.uint8)
        for channel in range(stack.shape[0]):
            for column in range(0, stack.shape[1], _COLUMNS):
                block = np.s_[channel, column : column + _COLUMNS]
                stack[block] = as_pixels(video[block], path)
    return TimedFrames.of_images(str(path), "mat", frames_of(stack), np.arange(stack.shape[3]) / FPS)


def _read_labels(path: Path, attributes: dict[str, Attribute]) -> Labels:
    with hdf5_array(path, "Xsub") as video:
        _check_shape(path, video.shape)
        frames = video.shape[3]
    with hdf5_array(path, "d_ppg") as reference:
        ppg = np.asarray(reference, np.float64).ravel()
    notes: list[str] = []
    times = frame_rate_times(len(ppg), frames, FPS, notes)
    return Labels(as_signal(path, "ppg", times, ppg, notes), None, attributes, tuple(notes))


def _check_shape(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or shape[0] != 3 or 0 in shape:
        raise DatasetError(f"{path}: its Xsub is an array of {shape}; expected (3, width, height, frames)")


SCAMPS = Dataset(
    name="scamps",
    title="SCAMPS: 2,800 rendered videos of 20 seconds each",
    licence="under the terms of its page, github.com/danmcduff/scampsdataset",
    find=_find,
)

"""Prepared recordings on disk: face crops as one memory-mapped uint8 array per recording, labels and description.

    DIR/DATASET/cache.json                 settings of the crops, the same for all recordings of a dataset
    DIR/DATASET/RECORDING/frames.npy       uint8 (T, size, size, 3), RGB
    DIR/DATASET/RECORDING/labels.npz       times, segment, boxes, rgb, key_times, anchor_times, and ppg and bpm if any
    DIR/DATASET/RECORDING/recording.json   subject, attributes, source, notes, and the hash of the arrays

The folder of a recording is written completely or not at all. Crops are not normalised: networks do so themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write
from facepulse._types import Floats
from facepulse.datasets.recording import Attribute, DatasetError, natural_sort_key
from facepulse.video.timing import Timing

FORMAT = 4  # of the files; caches of other formats are not read

SETTINGS, FRAMES, LABELS, DESCRIPTION = "cache.json", "frames.npy", "labels.npz", "recording.json"


@dataclass(frozen=True)
class CacheSettings:
    """Settings of the crops, the same for all recordings of a dataset in a cache.

    Attributes:
        size: side of the crops in pixels.
        fps: rate of the uniform clock in Hz.
        margin: widening of the face box on each side, as a fraction of its size; 0.25 is the field's "1.5 times".
        detector: key of `facepulse.faces.detectors.DETECTORS`.
        align: True if the reference is aligned to the pulse in the video, if that is reliable.
        format: version of the file format.
    """

    size: int = 128
    fps: float = 30.0
    margin: float = 0.25
    detector: str = "auto"
    align: bool = True
    format: int = FORMAT


@dataclass(frozen=True)
class PreparedRecording:
    """Prepared recording, whose arrays are read on demand.

    Attributes:
        path: its folder.
        dataset: key in `facepulse.datasets.DATASETS`.
        name: unique in the dataset.
        subject: identifier of the person.
        attributes: light, motion, exercise, skin_color, gender, ... in the dataset's own terms.
        settings: of the crops.
        notes: irregularities, one line each.
        alignment: fields of `facepulse.datasets.alignment.Alignment`; None if no alignment was computed.
        sha256: of frames and labels.
        details: all other fields of `recording.json`.
    """

    path: Path
    dataset: str
    name: str
    subject: str
    attributes: Mapping[str, Attribute]
    settings: CacheSettings
    notes: tuple[str, ...]
    alignment: Mapping[str, Any] | None
    sha256: str
    details: Mapping[str, Any] = field(repr=False)

    @property
    def fps(self) -> float:
        """Rate of the crops in Hz."""
        return self.settings.fps

    @property
    def simulated(self) -> bool:
        """True if the video shows no real person."""
        marked = self.details.get("simulated") or self.attributes.get("simulated")
        return self.dataset == "simulated" or bool(marked)

    @property
    def frames(self) -> NDArray[np.uint8]:
        """Crops, uint8 (T, size, size, 3), RGB; memory-mapped, so that only accessed frames are read."""
        try:
            frames = np.load(self.path / FRAMES, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path / FRAMES}: cannot be read; remove its folder and prepare again") from error
        return frames  # type: ignore[no-any-return]

    @cached_property
    def labels(self) -> dict[str, NDArray[Any]]:
        """Arrays of `labels.npz` by name, T rows each but for `key_times` and `anchor_times`."""
        try:
            with np.load(self.path / LABELS, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path / LABELS}: cannot be read; remove its folder and prepare again") from error

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each crop in seconds from the first frame of the video, (T,); uniform within a segment."""
        return self.labels["times"]

    @property
    def segment(self) -> NDArray[np.int32]:
        """Number of the segment that each crop belongs to, (T,), ascending from 0."""
        return self.labels["segment"]

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Face box at each crop's time in the frame's pixels, before the margin: x, y, width, height, (T, 4)."""
        return self.labels["boxes"]

    @property
    def rgb(self) -> Floats:
        """Mean RGB of the face and of its regions at each crop's time, as `measure` extracts it, (T, regions, 3)."""
        return self.labels["rgb"]

    @property
    def timing(self) -> Timing:
        """Timing of the video, of which `labels` contains the times of key frames, and of I and P frames."""
        key_times, anchor_times = (self.labels[name].tolist() for name in ("key_times", "anchor_times"))
        return Timing(float(self.details["video_fps"]), key_times, anchor_times, float(self.details["clock_quality"]))

    @property
    def ppg(self) -> NDArray[np.float32] | None:
        """Reference BVP at each crop's time, (T,), NaN outside of its samples; None without a reference."""
        return self.labels.get("ppg")

    @property
    def bpm(self) -> NDArray[np.float32] | None:
        """Reference device's heart rate at each crop's time, (T,), NaN outside of its samples; None without one."""
        return self.labels.get("bpm")

    def verify(self) -> None:
        """Check the arrays against the stored hash.

        Raises:
            DatasetError: an array has changed or is missing.
        """
        try:
            found = content_hash(self.path)
        except OSError:
            found = None
        if found != self.sha256:
            raise DatasetError(
                f"{self.path}: its files have changed since preparation; remove the folder and prepare again"
            )


def open_cache(root: str | Path) -> list[PreparedRecording]:
    """List all prepared recordings in a cache, by dataset and name in natural order.

    Args:
        root: a cache, or the folder of one dataset in it.

    Raises:
        DatasetError: there is no prepared recording, or the cache is of another format.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give a cache written by `facepulse prepare`")
    folders = [root] if (root / SETTINGS).is_file() else sorted(path.parent for path in root.glob(f"*/{SETTINGS}"))
    recordings = [
        read_recording(description.parent, settings)
        for folder in folders
        for settings in [read_settings(folder)]
        for description in folder.glob(f"*/{DESCRIPTION}")
        if not description.parent.name.startswith(".")
    ]
    if not recordings:
        raise DatasetError(f"{root}: contains no prepared recording; prepare a dataset into it (`facepulse prepare`)")
    return sorted(recordings, key=lambda recording: (recording.dataset, natural_sort_key(recording.name)))


def read_settings(folder: Path) -> CacheSettings:
    """Read the settings of a dataset's folder in a cache.

    Raises:
        DatasetError: they cannot be read, or are of another format.
    """
    try:
        written = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        found = written.get("format")
        if found == FORMAT:
            return CacheSettings(**written)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{folder / SETTINGS}: cannot be read; prepare into an empty folder") from error
    raise DatasetError(
        f"{folder}: is a cache of format {found}, expected {FORMAT}; prepare the dataset again into an empty folder"
    )


def read_recording(folder: Path, settings: CacheSettings) -> PreparedRecording:
    """Read the description of a prepared recording; its arrays are read on demand.

    Raises:
        DatasetError: its description cannot be read.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        known = {
            key: description.pop(key) for key in ("dataset", "name", "subject", "attributes", "alignment", "sha256")
        }
        notes = tuple(description.pop("notes"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder / DESCRIPTION}: cannot be read; remove its folder and prepare again") from error
    return PreparedRecording(path=folder, settings=settings, notes=notes, details=description, **known)


def write_settings(folder: Path, settings: CacheSettings) -> None:
    """Write the settings of a dataset's folder in a cache."""
    with atomic_write(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


class FramesWriter:
    """Writer of a `.npy` file of frames whose number is not known in advance.

    Args:
        path: the file.
        size: side of the frames in pixels.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._size = size
        self.count = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, frames: NDArray[np.uint8]) -> None:
        """Append frames, uint8 (K, size, size, 3)."""
        self._file.write(np.ascontiguousarray(frames).data)
        self.count += len(frames)

    def close(self) -> None:
        """Write the final number of frames into the header."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header for any length of the first axis: it takes the same space with the final number.
        shape = (self.count, self._size, self._size, 3)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def within_margin(frames: NDArray[np.uint8], margin: float, target: float = 0.0) -> NDArray[np.uint8]:
    """Cut crops (T, size, size, 3) of one margin to a smaller target margin, rounded to pixels."""
    size = frames.shape[1]
    edge = margin_edge(size, margin, target)
    return frames[:, edge : size - edge, edge : size - edge]


def margin_edge(size: int, margin: float, target: float = 0.0) -> int:
    """Compute the pixels to cut from each side of a crop for a target margin; negative if it is the larger one."""
    return round(size * (margin - target) / (1 + 2 * margin))


def folder_name(recording: str) -> str:
    """Return the folder name of a recording in a cache: its name with separators replaced."""
    return recording.replace("/", "__").replace("\\", "__")


def content_hash(folder: Path) -> str:
    """Compute the SHA-256 of the frames and labels in a recording's folder."""
    digest = hashlib.sha256()
    for name in (FRAMES, LABELS):
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

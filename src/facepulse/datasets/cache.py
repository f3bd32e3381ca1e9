"""Prepared recordings on disk: crops once as 8-bit numbers in one mapped array each, and all that goes with them.

    DIR/DATASET/cache.json                 how the crops were made; one dataset is prepared in one way
    DIR/DATASET/RECORDING/frames.npy       uint8 (T, size, size, 3), RGB
    DIR/DATASET/RECORDING/labels.npz       times, part, boxes, and ppg and bpm where there are references
    DIR/DATASET/RECORDING/recording.json   who, what, from which files, what was odd, and the hash of the arrays

A recording is there whole or not at all. Nothing is normalised: a network does that itself when it reads.
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
from facepulse.datasets.recording import Attribute, DatasetError, natural_sort_key

FORMAT = 2  # of the files; a cache of another is refused

SETTINGS, FRAMES, LABELS, ABOUT = "cache.json", "frames.npy", "labels.npz", "recording.json"


@dataclass(frozen=True)
class CacheSettings:
    """How crops are made, the same for all recordings of a cache.

    Attributes:
        size: side of the crops in pixels.
        fps: rate of the uniform clock in Hz.
        margin: widening of the face box to each side, as a fraction of its size; 0.25 is the field's "1.5 times".
        detector: key of `facepulse.faces.detectors.DETECTORS`.
        align: whether the reference's clock was corrected where it evidently disagrees with the video's.
        format: of the files.
    """

    size: int = 128
    fps: float = 30.0
    margin: float = 0.25
    detector: str = "auto"
    align: bool = True
    format: int = FORMAT


@dataclass(frozen=True)
class PreparedRecording:
    """One recording as networks and methods read it.

    Attributes:
        path: its folder.
        dataset: of which it is one.
        name: unique in the dataset.
        subject: whose it is.
        attributes: light, motion, exercise, skin_color, gender, ... in the dataset's own terms.
        settings: how its crops were made.
        notes: what was odd, a line each.
        alignment: what is known of the two clocks (see `facepulse.datasets.alignment`), or None.
        sha256: of frames and labels.
        details: all else that `recording.json` says.
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
        """Whether it shows no real person."""
        told = self.details.get("simulated") or self.attributes.get("simulated")
        return self.dataset == "simulated" or bool(told)

    @property
    def frames(self) -> NDArray[np.uint8]:
        """Crops, uint8 (T, size, size, 3), RGB: memory-mapped, so that what is not looked at is not read."""
        try:
            frames = np.load(self.path / FRAMES, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path / FRAMES}: cannot be read; remove its folder and prepare again") from error
        return frames  # type: ignore[no-any-return]

    @cached_property
    def labels(self) -> dict[str, NDArray[Any]]:
        """Arrays by name, T rows each, as in `labels.npz`."""
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
    def ppg(self) -> NDArray[np.float32] | None:
        """Reference blood volume pulse at each crop's time, (T,); NaN where it has none, None without a reference."""
        return self.labels.get("ppg")

    @property
    def bpm(self) -> NDArray[np.float32] | None:
        """Heart rate that the reference device gave at each crop's time, (T,); NaN where it gave none, or None."""
        return self.labels.get("bpm")

    def verify(self) -> None:
        """Make sure that the arrays are those that were prepared.

        Raises:
            DatasetError: they are not.
        """
        try:
            found = content_hash(self.path)
        except OSError:
            found = None
        if found != self.sha256:
            raise DatasetError(f"{self.path}: its files have changed since then; remove it and prepare again")


def open_cache(root: str | Path) -> list[PreparedRecording]:
    """All prepared recordings in a cache, by dataset and name in natural order.

    Args:
        root: what was given to `facepulse prepare --cache`, or the folder of one dataset in it.

    Raises:
        DatasetError: there is no prepared recording, or the cache is of another format.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give one that `facepulse prepare --cache` wrote")
    folders = [root] if (root / SETTINGS).is_file() else sorted(path.parent for path in root.glob(f"*/{SETTINGS}"))
    recordings = [
        read_recording(about.parent, settings)
        for folder in folders
        for settings in [read_settings(folder)]
        for about in folder.glob(f"*/{ABOUT}")
        if not about.parent.name.startswith(".")
    ]
    if not recordings:
        raise DatasetError(f"{root}: no prepared recording in it; run `facepulse prepare DATASET ROOT --cache {root}`")
    return sorted(recordings, key=lambda recording: (recording.dataset, natural_sort_key(recording.name)))


def read_settings(folder: Path) -> CacheSettings:
    """The settings of a dataset's folder in a cache.

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
    raise DatasetError(f"{folder}: a cache of format {found}, wanted is {FORMAT}; prepare into an empty folder")


def read_recording(folder: Path, settings: CacheSettings) -> PreparedRecording:
    """One prepared recording; its arrays are read when asked for.

    Raises:
        DatasetError: its description cannot be read.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        known = {key: about.pop(key) for key in ("dataset", "name", "subject", "attributes", "alignment", "sha256")}
        notes = tuple(about.pop("notes"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder / ABOUT}: cannot be read; remove its folder and prepare again") from error
    return PreparedRecording(path=folder, settings=settings, notes=notes, details=about, **known)


def write_settings(folder: Path, settings: CacheSettings) -> None:
    """Say how the crops in a dataset's folder are made."""
    with atomic_write(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


class FramesWriter:
    """Writes an array of frames of unknown length as they come, as a `.npy` file.

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
        """Write frames, uint8 (K, size, size, 3)."""
        self._file.write(np.ascontiguousarray(frames).data)
        self.count += len(frames)

    def close(self) -> None:
        """Write how many there are."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis may grow to any length: it is as long at the end as at first.
        shape = (self.count, self._size, self._size, 3)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def within_margin(frames: NDArray[np.uint8], margin: float, wanted: float = 0.0) -> NDArray[np.uint8]:
    """What crops (T, size, size, 3) would show had they been cut at a smaller margin, to the pixel."""
    size = frames.shape[1]
    edge = margin_edge(size, margin, wanted)
    return frames[:, edge : size - edge, edge : size - edge]


def margin_edge(size: int, margin: float, wanted: float = 0.0) -> int:
    """Pixels to take off each side of a crop for that; negative where the wanted margin is the larger one."""
    return round(size * (margin - wanted) / (1 + 2 * margin))


def folder_name(recording: str) -> str:
    """The folder of a recording in a cache, which knows no folders in folders."""
    return recording.replace("/", "__").replace("\\", "__")


def content_hash(folder: Path) -> str:
    """SHA-256 over the frames and labels in a recording's folder."""
    digest = hashlib.sha256()
    for name in (FRAMES, LABELS):
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

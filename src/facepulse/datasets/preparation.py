"""Preparation of a dataset: face crops and labels of all its recordings, on all cores or on a cluster.

A run that was stopped at any moment is continued by the next one, with the same bytes as the result. Recordings that
cannot be prepared are reported with the reason.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2

from facepulse._files import atomic_write, is_disk_full, lock_folder, remove_partial
from facepulse.datasets import DATASETS
from facepulse.datasets.cache import (
    DESCRIPTION,
    FRAMES,
    LABELS,
    SETTINGS,
    CacheSettings,
    PreparedRecording,
    folder_name,
    read_recording,
    read_settings,
    write_settings,
)
from facepulse.datasets.recording import DatasetError, Recording
from facepulse.datasets.recording_preparation import prepare_recording, source_bytes
from facepulse.errors import FacepulseError, UsageError, require_extra

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class RecordingSummary:
    """Result of one recording; a row of `summary.csv`.

    Attributes:
        recording: its name.
        subject: identifier of the person.
        result: `prepared`, `failed`, or `disk full`.
        face_s: seconds of crops.
        face_share: fraction of the video's length in which the face is visible.
        pulse_quality: 0..1, quality of the heart rate that POS measures over the whole recording.
        offset_ms: offset added to the reference's times; None without a reliable alignment.
        drift_percent: drift of the reference's clock that was corrected; None without a reliable alignment.
        notes: irregularities, or the reason of the failure.
    """

    recording: str
    subject: str
    result: str
    face_s: float | None = None
    face_share: float | None = None
    pulse_quality: float | None = None
    offset_ms: float | None = None
    drift_percent: float | None = None
    notes: str = ""


@dataclass(frozen=True)
class PreparationSummary:
    """Result of a run.

    Attributes:
        folder: folder of the dataset in the cache.
        recordings: one summary per recording, in natural order of names.
        newly_prepared: number of recordings that this run has prepared.
        already_prepared: number of recordings that were prepared before.
    """

    folder: Path
    recordings: tuple[RecordingSummary, ...]
    newly_prepared: int
    already_prepared: int

    @property
    def failed(self) -> list[RecordingSummary]:
        """Recordings that could not be prepared."""
        return [summary for summary in self.recordings if summary.result != "prepared"]


def prepare(
    dataset: str,
    root: str | Path,
    cache: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> PreparationSummary:
    """Prepare all recordings of a dataset that are not yet in the cache.

    The work is distributed by joblib: inside `with joblib.parallel_config(backend="dask"):` it is done by the workers
    of a dask cluster, which must have access to the same paths.

    Args:
        dataset: a key of `DATASETS`.
        root: root folder of the dataset.
        cache: folder to write to; a folder for the dataset is created in it.
        settings: fields of `CacheSettings` that differ from the defaults; an existing cache keeps its settings.
        jobs: number of recordings prepared at the same time; the number of cores if None.
        progress: called with the number of finished recordings and the number of all.

    Returns:
        The result of each recording. Failed recordings are tried again by the next run.

    Raises:
        UsageError: there is no such dataset, the cache cannot be written, has other settings or is in use, the disk is
            full, or a worker process was killed.
        DatasetError: the root is not one of this dataset, or the cache is of another format.
    """
    require_extra("bench", ["joblib"], "preparing a dataset")
    if dataset not in DATASETS:
        raise UsageError(f"no dataset is called {dataset!r}: choose one of {', '.join(DATASETS)}")
    recordings = DATASETS[dataset].find(Path(root))
    folder = Path(cache) / dataset
    with lock_folder(folder):
        cache_settings = _settle_settings(folder, settings or {})
        remove_partial(folder)
        summaries = {each.name: _existing_summary(each, folder, cache_settings) for each in recordings}
        missing = [each for each in recordings if summaries[each.name] is None]
        done = already_prepared = len(recordings) - len(missing)
        if progress is not None:
            progress(done, len(recordings))
        for summary in _prepare_all(missing, folder, cache_settings, jobs):
            if summary.result == "disk full":
                raise UsageError(
                    f"the disk is full: free some space in {folder} and prepare the dataset again, which continues "
                    "with the missing recordings"
                )
            summaries[summary.recording] = summary
            done += 1
            if progress is not None:
                progress(done, len(recordings))
        rows = tuple(summary for summary in summaries.values() if summary is not None)
        _write_summary(folder / SUMMARY, rows)
    prepared = sum(row.result == "prepared" for row in rows)
    return PreparationSummary(folder, rows, prepared - already_prepared, already_prepared)


def is_cache(folder: Path) -> bool:
    """True if a folder is a cache, or the folder of one dataset in it."""
    return (folder / SETTINGS).is_file() or any(folder.glob(f"*/{SETTINGS}"))


def prepare_videos(
    root: str | Path,
    cache: str | Path,
    *,
    jobs: int | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> PreparationSummary:
    """Prepare a folder of videos, with references beside them or written by `facepulse simulate`; see `prepare`.

    Args:
        root: recordings in the native layout of the simulation, or any videos of the dataset `folder`.
        cache: as in `prepare`.
        jobs: as in `prepare`.
        progress: as in `prepare`.
    """
    dataset = "simulated" if any(Path(root).glob(f"*/{DESCRIPTION}")) else "folder"
    return prepare(dataset, root, cache, jobs=jobs, progress=progress)


def _settle_settings(folder: Path, requested: Mapping[str, Any]) -> CacheSettings:
    """Read the settings of a dataset's folder in a cache; write the requested ones if the folder is new."""
    if (folder / SETTINGS).exists():
        existing = read_settings(folder)
        differing = [
            f"{name} {getattr(existing, name)}, not {value}"
            for name, value in requested.items()
            if getattr(existing, name) != value
        ]
        if differing:
            raise UsageError(
                f"{folder} was prepared with other settings ({'; '.join(differing)}): give the same settings, or "
                "another cache"
            )
        return existing
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(f"{folder} contains other files: give a new or an empty folder as the cache")
    settings = CacheSettings(**requested)
    write_settings(folder, settings)
    return settings


def _existing_summary(recording: Recording, folder: Path, settings: CacheSettings) -> RecordingSummary | None:
    """Summarise a prepared recording; None if it is not prepared, or if its source has changed since."""
    path = folder / folder_name(recording.name)
    try:
        prepared = read_recording(path, settings)
        details = prepared.details
        unchanged = details.get("source_bytes") == source_bytes(recording)
        unchanged = unchanged and details.get("stated_fps") == recording.stated_fps
    except (DatasetError, OSError):
        return None
    complete = unchanged and all((path / name).is_file() for name in (FRAMES, LABELS))
    return _summarise(prepared) if complete else None


def _summarise(prepared: PreparedRecording) -> RecordingSummary:
    alignment = prepared.alignment or {}
    reliable = bool(alignment.get("reliable"))
    return RecordingSummary(
        prepared.name,
        prepared.subject,
        "prepared",
        face_s=round(len(prepared.times) / prepared.fps, 2),
        face_share=prepared.details["face_share"],
        pulse_quality=prepared.details["pulse_quality"],
        offset_ms=round(1e3 * alignment["offset_s"], 1) if reliable else None,
        drift_percent=round(1e2 * alignment["drift"], 3) if reliable else None,
        notes="; ".join(prepared.notes),
    )


def _prepare_all(
    recordings: Sequence[Recording], folder: Path, settings: CacheSettings, jobs: int | None
) -> Iterator[RecordingSummary]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if not recordings:
        return
    parallel = Parallel(n_jobs=-1 if jobs is None else jobs, return_as="generator_unordered", batch_size=1)
    try:
        yield from parallel(delayed(_prepare_one)(recording, folder, settings) for recording in recordings)
    except TerminatedWorkerError:
        raise UsageError(
            "a worker process was killed, perhaps because memory ran out: prepare the dataset again with fewer jobs, "
            "which continues with the missing recordings"
        ) from None


def _prepare_one(recording: Recording, folder: Path, settings: CacheSettings) -> RecordingSummary:
    cv2.setNumThreads(1)  # the other cores prepare other recordings
    path = folder / folder_name(recording.name)
    try:
        prepare_recording(recording, path, settings)
        return _summarise(read_recording(path, settings))
    except Exception as error:  # no error of one recording, foreseen or not, may stop the others
        if isinstance(error, (FacepulseError, OSError)) and is_disk_full(error):
            return RecordingSummary(recording.name, recording.subject, "disk full")
        reason = " ".join(_reason(error).split())
        return RecordingSummary(recording.name, recording.subject, "failed", notes=reason)


def _reason(error: Exception) -> str:
    if isinstance(error, FacepulseError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory: prepare the dataset again with fewer jobs"
    if isinstance(error, OSError):
        return f"cannot be read or written: {error}"
    return f"unexpected {type(error).__name__}: {error}"


def _write_summary(path: Path, rows: Sequence[RecordingSummary]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(RecordingSummary)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)

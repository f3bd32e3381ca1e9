"""Prepare a dataset once: from its files to crops of faces with labels, on all cores or on a cluster.

A run that is stopped at any moment is taken up by the next one, and ends with the same bytes. Whatever could not be
prepared is named, with its reason.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2

from facepulse._files import atomic_write, is_disk_full, lock_folder, remove_partial
from facepulse._optional import require_extra
from facepulse.datasets import DATASETS
from facepulse.datasets.cache import (
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
from facepulse.errors import FacepulseError, UsageError

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class RecordingSummary:
    """What became of one recording; a row of `summary.csv`.

    Attributes:
        recording: its name.
        subject: whose it is.
        result: `prepared`, `failed`, or `disk full`.
        face_s: seconds of crops.
        face_share: for how much of the video's length the face is there.
        pulse_quality: 0..1, how far POS can be trusted on all of it.
        offset_ms: what was added to the reference's times; empty where nothing evident was found.
        drift_percent: by how much the reference's clock was stretched; likewise.
        notes: what was odd, or why it failed.
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
    """What there is after a run.

    Attributes:
        folder: of the dataset in the cache.
        recordings: one a recording, in natural order.
        newly_prepared: how many of them this run has prepared.
        already_prepared: how many were there before.
    """

    folder: Path
    recordings: tuple[RecordingSummary, ...]
    newly_prepared: int
    already_prepared: int

    @property
    def failed(self) -> list[RecordingSummary]:
        """What could not be prepared."""
        return [outcome for outcome in self.recordings if outcome.result != "prepared"]


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

    The work is spread by joblib: inside `with joblib.parallel_config(backend="dask"):` it is done by the workers of a
    dask cluster, which have to see the same paths.

    Args:
        dataset: a key of `DATASETS`.
        root: where the dataset is.
        cache: where to write; a folder for the dataset is made in it.
        settings: how to make the crops; as in the cache, or the defaults, where None.
        jobs: recordings at work at a time; all cores where None.
        progress: called with the recordings done, and their number.

    Returns:
        What became of each recording. Those that failed are tried again by the next run.

    Raises:
        UsageError: there is no such dataset, the cache cannot be written, is of other settings or in use, the disk is
            full, or a worker was killed.
        DatasetError: the root is not one of this dataset, or the cache is of another version.
    """
    require_extra("bench", ["joblib"], "preparing a dataset")
    if dataset not in DATASETS:
        raise UsageError(f"no dataset is called {dataset!r}: choose one of {', '.join(DATASETS)}")
    recordings = DATASETS[dataset].find(Path(root))
    folder = Path(cache) / dataset
    with lock_folder(folder):
        chosen = _settle(folder, settings or {})
        remove_partial(folder)
        outcomes = {each.name: _described(each, folder, chosen) for each in recordings}
        missing = [each for each in recordings if outcomes[each.name] is None]
        done = already = len(recordings) - len(missing)
        if progress is not None:
            progress(done, len(recordings))
        for outcome in _run(missing, folder, chosen, jobs):
            if outcome.result == "disk full":
                raise UsageError(
                    f"the disk is full: free some space in {folder} and repeat the command, and it goes on with what "
                    "is missing"
                )
            outcomes[outcome.recording] = outcome
            done += 1
            if progress is not None:
                progress(done, len(recordings))
        all_of_them = tuple(outcome for outcome in outcomes.values() if outcome is not None)
        _write(folder / SUMMARY, all_of_them)
    there = sum(outcome.result == "prepared" for outcome in all_of_them)
    return PreparationSummary(folder, all_of_them, there - already, already)


def _settle(folder: Path, asked: Mapping[str, Any]) -> CacheSettings:
    """The settings of a dataset's folder, written there if it is new."""
    if (folder / SETTINGS).exists():
        there = read_settings(folder)
        differing = [
            f"{name} {getattr(there, name)}, not {value}"
            for name, value in asked.items()
            if getattr(there, name) != value
        ]
        if differing:
            raise UsageError(
                f"{folder} was prepared with other settings ({'; '.join(differing)}): give the same, or another --cache"
            )
        return there
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(f"{folder} holds other files: give a new or an empty folder as --cache")
    settings = CacheSettings(**asked)
    write_settings(folder, settings)
    return settings


def _described(recording: Recording, folder: Path, settings: CacheSettings) -> RecordingSummary | None:
    """The row of a recording that is prepared; None where it is not, or its files have changed since."""
    path = folder / folder_name(recording.name)
    try:
        prepared = read_recording(path, settings)
        unchanged = prepared.details.get("source_bytes") == source_bytes(recording)
    except (DatasetError, OSError):
        return None
    whole = unchanged and all((path / name).is_file() for name in (FRAMES, LABELS))
    return _row(prepared) if whole else None


def _row(prepared: PreparedRecording) -> RecordingSummary:
    alignment = prepared.alignment or {}
    evident = bool(alignment.get("reliable"))
    return RecordingSummary(
        prepared.name,
        prepared.subject,
        "prepared",
        face_s=round(len(prepared.times) / prepared.fps, 2),
        face_share=prepared.details["face_share"],
        pulse_quality=prepared.details["pulse_quality"],
        offset_ms=round(1e3 * alignment["offset_s"], 1) if evident else None,
        drift_percent=round(1e2 * alignment["drift"], 3) if evident else None,
        notes="; ".join(prepared.notes),
    )


def _run(
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
            "a process was killed, perhaps for want of memory: repeat the command with fewer --jobs, and it goes on "
            "with what is missing"
        ) from None


def _prepare_one(recording: Recording, folder: Path, settings: CacheSettings) -> RecordingSummary:
    cv2.setNumThreads(1)  # the others have the other cores
    path = folder / folder_name(recording.name)
    try:
        prepare_recording(recording, path, settings)
        return _row(read_recording(path, settings))
    except MemoryError:
        why = "out of memory: repeat the command with fewer --jobs"
    except FacepulseError as error:
        if is_disk_full(error):
            return RecordingSummary(recording.name, recording.subject, "disk full")
        why = str(error)
    except OSError as error:
        if is_disk_full(error):
            return RecordingSummary(recording.name, recording.subject, "disk full")
        why = f"cannot be read or written: {error}"
    except Exception as error:  # a defect of ours, or a file that nobody thought of: it does not stop the others
        why = f"unexpected {type(error).__name__}: {error}"
    return RecordingSummary(recording.name, recording.subject, "failed", notes=" ".join(why.split()))


def _write(path: Path, outcomes: Sequence[RecordingSummary]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(RecordingSummary)])
        table.writeheader()
        table.writerows(asdict(outcome) for outcome in outcomes)

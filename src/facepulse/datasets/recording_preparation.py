"""Preparation of one recording: crops of its main face, and the reference at the times of the crops.

Faces are tracked and cropped as by `facepulse measure`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_path
from facepulse._types import Floats, Floats32, Image
from facepulse.datasets.alignment import Alignment, align
from facepulse.datasets.cache import DESCRIPTION, FRAMES, LABELS, CacheSettings, content_hash
from facepulse.datasets.face_crops import FaceCrops, pulse_method, segment_numbers
from facepulse.datasets.recording import DatasetError, Labels, Recording, Signal
from facepulse.datasets.reference_checks import check_extent, check_rate, check_samples
from facepulse.faces.detectors import get_detector
from facepulse.faces.tracking import Box
from facepulse.pipeline.estimate import Estimate, estimate
from facepulse.pipeline.extract import MeasurableFace, Segment, VideoTraces, select_faces, trace_faces

NOTED_UNCOVERED_S = 1.0  # of the video, without reference
SIMULATED = "simulated.json"  # written by `facepulse simulate` at the root of each layout


def prepare_recording(recording: Recording, target: Path, settings: CacheSettings) -> None:
    """Write the folder of one recording in a cache, completely or not at all; its crops are never all in memory.

    Args:
        recording: of any dataset.
        target: the folder; an existing one is replaced.
        settings: of the crops.

    Raises:
        FacepulseError: the recording cannot be read, shows no face for long enough, or has a reference whose times are
            of another unit or rate than the video's.
        OSError: the folder cannot be written.
    """
    labels = recording.read_labels()
    check_samples(labels)
    with atomic_path(target) as folder:
        folder.mkdir()
        video = _crop_faces(recording, folder, settings)
        seconds = video.traces.duration_s
        check_extent(labels, seconds)
        [face] = select_faces(video.traces, "largest")
        for crops in video.traces.faces.values():
            if crops is not face.traces:
                crops.discard_crops()
        face.traces.keep(face.segments, folder / FRAMES)
        pulse = estimate(face.segments, pulse_method(settings), timing=video.traces.timing)
        alignment = _align(face.segments, pulse, labels.ppg, seconds, settings)
        notes = [*labels.notes, *video.traces.warnings, *face.notes]
        if alignment is not None and (note := alignment.note()):
            notes.append(note)
        arrays = _traces(face, video.traces)
        for name, signal in (("ppg", labels.ppg), ("bpm", labels.bpm)):
            if signal is not None:
                arrays[name] = _reference_at(arrays["times"], signal, alignment, name, notes)
        np.savez(folder / LABELS, **arrays)  # type: ignore[arg-type]
        description = {
            **_describe_source(recording, labels),
            "frame_size": video.frame_size,
            "video_fps": video.traces.timing.fps,
            "clock_quality": round(video.traces.timing.clock_quality, 4),
            "video_s": round(seconds, 4),
            "face_share": round(min(1.0, len(arrays["times"]) / settings.fps / max(seconds, 1e-9)), 4),
            "face_score": round(face.track.score, 4),
            "pulse_quality": round(pulse.chosen.overall.quality, 4),
            "alignment": None if alignment is None else {k: _rounded(v) for k, v in asdict(alignment).items()},
            "notes": notes,
            "sha256": content_hash(folder),
        }
        text = json.dumps(description, indent=2, ensure_ascii=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def source_bytes(recording: Recording) -> int:
    """Compute the total size of the files of a recording, by which a changed source is noticed."""
    files = (inner for path in recording.files for inner in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(frozen=True, eq=False)
class _CroppedVideo:
    """Traces and crops of all faces of a video, and the size (width, height) of its frames."""

    traces: VideoTraces[FaceCrops]
    frame_size: tuple[int, int]


def _crop_faces(recording: Recording, folder: Path, settings: CacheSettings) -> _CroppedVideo:
    """Crop all faces of a video in one pass."""
    video = recording.open_frames()

    def begin(identity: int, image: Image, box: Box) -> FaceCrops:
        return FaceCrops(folder / f"face{identity}.npy", settings, image, box)

    traces = trace_faces(video, get_detector(settings.detector), begin)
    return _CroppedVideo(traces, (video.width, video.height))


def _traces(face: MeasurableFace[FaceCrops], video: VideoTraces[FaceCrops]) -> dict[str, NDArray[Any]]:
    """Return the arrays of the labels that come from the video."""
    times = np.concatenate([segment.times for segment in face.segments])
    return {
        "times": times,
        "segment": segment_numbers(face.segments),
        "boxes": face.traces.boxes_at(times),
        "rgb": np.concatenate([segment.rgb for segment in face.segments]),
        "key_times": np.array(video.timing.key_times),
        "anchor_times": np.array(video.timing.anchor_times),
    }


def _align(
    segments: Sequence[Segment], estimate: Estimate, ppg: Signal | None, video_s: float, settings: CacheSettings
) -> Alignment | None:
    """Check the rate of the PPG by the pulse in the video, and align its clock if the settings ask for it."""
    if ppg is None:
        return None
    waveforms = [waveforms[0] for waveforms in estimate.chosen.waveforms]
    pulse = [(segment.times, each) for segment, each in zip(segments, waveforms, strict=True)]
    alignment = align(pulse, ppg)
    check_rate(pulse, ppg, video_s, alignment)
    return alignment if settings.align else None


def _reference_at(times: Floats, signal: Signal, alignment: Alignment | None, name: str, notes: list[str]) -> Floats32:
    """Interpolate a reference at the times of the crops; NaN outside of its samples, which is noted."""
    corrected = signal if alignment is None else alignment.corrected(signal)
    values = corrected.at(times).astype(np.float32)
    known = np.isfinite(values)
    if not known.any():
        first, last = corrected.times[[0, -1]]
        raise DatasetError(
            f"the reference {name} covers {first:.1f} to {last:.1f} s, but the video {times[0]:.1f} to "
            f"{times[-1]:.1f} s: they do not overlap; check the reference's times"
        )
    uncovered_s = np.count_nonzero(~known) * float(np.median(np.diff(times)))
    if uncovered_s > NOTED_UNCOVERED_S:
        notes.append(f"clocks: the reference {name} lacks {uncovered_s:.1f} of {times[-1] - times[0]:.1f} s")
    return values


def _describe_source(recording: Recording, labels: Labels) -> dict[str, Any]:
    return {
        "dataset": recording.dataset,
        "name": recording.name,
        "subject": recording.subject,
        "simulated": any((parent / SIMULATED).is_file() for parent in recording.files[0].parents),
        "attributes": dict(labels.attributes),
        "source_bytes": source_bytes(recording),
        "stated_fps": recording.stated_fps,
    }


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value

"""Preparation of one recording: crops of its main face, and the reference at the times of the crops.

Faces are tracked and cropped as by `facepulse measure`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facepulse._files import atomic_path
from facepulse._types import Floats, Floats32
from facepulse.datasets.alignment import Alignment, align
from facepulse.datasets.cache import DESCRIPTION, FRAMES, LABELS, CacheSettings, content_hash
from facepulse.datasets.face_crops import FaceCrops, SegmentSelection, select_segments
from facepulse.datasets.recording import DatasetError, Labels, Recording, Signal
from facepulse.errors import NoFaceError
from facepulse.faces.detectors import get_detector
from facepulse.faces.tracking import FaceTracker, Track, largest
from facepulse.pipeline.estimate import region_waveforms
from facepulse.pipeline.extract import MINIMUM_FPS
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import estimate_rate
from facepulse.video.reader import Frame, frame_rate, length_s

NOTED_UNCOVERED_S = 1.0  # of the video, without reference
SIMULATED = "simulated.json"  # written by `facepulse simulate` at the root of each layout


@dataclass(frozen=True, eq=False)
class _CroppedVideo:
    """Crops of all faces of a video."""

    recording: Recording
    faces: dict[int, FaceCrops]
    tracks: dict[int, Track]
    times: Floats
    frame_size: tuple[int, int]
    warnings: list[str]

    @property
    def fps(self) -> float:
        return frame_rate(self.times)

    @property
    def seconds(self) -> float:
        return length_s(self.times)

    def main_face(self) -> tuple[Track, FaceCrops]:
        """Choose the largest face that stays, and discard the others."""
        name = self.recording.name
        if self.fps < MINIMUM_FPS:
            raise DatasetError(
                f"{name}: {self.fps:.1f} frames per second are too few to measure a pulse, which takes at least "
                f"{MINIMUM_FPS:g}; leave the recording out"
            )
        if not self.tracks:
            raise NoFaceError(f"{name}: no face was found in {self.seconds:.1f} s; try the face detector rfb")
        track = largest(self.tracks.values())
        for identity, crops in self.faces.items():
            if identity != track.identity:
                crops.discard()
        crops = self.faces[track.identity]
        crops.finish()
        return track, crops


@dataclass(frozen=True, eq=False)
class _Pulse:
    """Pulse in the crops by POS.

    Attributes:
        waveforms: (regions, T) of each segment; the first region is the whole face.
        quality: 0..1, calibrated, of the heart rate over all segments.
    """

    waveforms: list[Floats]
    quality: float


def prepare_recording(recording: Recording, target: Path, settings: CacheSettings) -> None:
    """Write the folder of one recording in a cache, completely or not at all; its crops are never all in memory.

    Args:
        recording: of any dataset.
        target: the folder; an existing one is replaced.
        settings: of the crops.

    Raises:
        FacepulseError: the recording cannot be read, or shows no face for long enough.
        OSError: the folder cannot be written.
    """
    labels = recording.read_labels()
    with atomic_path(target) as folder:
        folder.mkdir()
        video = _crop_faces(recording, folder, settings)
        track, crops = video.main_face()
        selection = select_segments(crops, track)
        crops.keep(selection.kept, folder / FRAMES)
        times = crops.times[selection.kept]
        pulse = _measure_pulse(crops, selection)
        alignment = _align(times, selection, pulse, labels.ppg) if settings.align else None
        notes = [*labels.notes, *video.warnings, *selection.notes]
        if alignment is not None and (note := alignment.note()):
            notes.append(note)
        arrays = {"times": times, "segment": selection.segment, "boxes": crops.boxes_at(times)}
        for name, signal in (("ppg", labels.ppg), ("bpm", labels.bpm)):
            if signal is not None:
                arrays[name] = _reference_at(times, signal, alignment, name, notes)
        np.savez(folder / LABELS, **arrays)  # type: ignore[arg-type]
        description = {
            **_describe_source(recording, labels),
            "frame_size": video.frame_size,
            "video_fps": round(video.fps, 4),
            "video_s": round(video.seconds, 4),
            "face_share": round(min(1.0, len(times) / settings.fps / max(video.seconds, 1e-9)), 4),
            "face_score": round(track.score, 4),
            "pulse_quality": round(pulse.quality, 4),
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


def _crop_faces(recording: Recording, folder: Path, settings: CacheSettings) -> _CroppedVideo:
    """Crop all faces of a video in one pass."""
    faces: dict[int, FaceCrops] = {}
    times: list[float] = []
    tracker = FaceTracker(get_detector(settings.detector))
    with recording.open_frames() as video:

        def frames() -> Iterator[Frame]:
            for frame in video:
                times.append(frame.time)
                yield frame

        for tracked in tracker.track(frames()):
            for identity, boxes in tracked.boxes.items():
                if identity not in faces:
                    faces[identity] = FaceCrops(folder / f"face{identity}.npy", settings)
                faces[identity].push(tracked.frames, boxes)
        size = (video.width, video.height)
    return _CroppedVideo(recording, faces, tracker.tracks, np.array(times), size, list(video.warnings))


def _measure_pulse(crops: FaceCrops, selection: SegmentSelection) -> _Pulse:
    rgb = crops.rgb[selection.kept]
    traces = [rgb[selection.segment == number] for number in range(int(selection.segment[-1]) + 1)]
    waveforms = [region_waveforms(CLASSICAL["POS"], trace, crops.fps) for trace in traces]
    protocol = PROTOCOLS["facepulse"]
    estimate = estimate_rate([waveform[1:] for waveform in waveforms], crops.fps, protocol)
    tested = with_color_test(estimate, [trace[:, 1:] for trace in traces], crops.fps, protocol)
    return _Pulse(waveforms, calibrated_quality(tested))


def _align(times: Floats, selection: SegmentSelection, pulse: _Pulse, ppg: Signal | None) -> Alignment | None:
    if ppg is None:
        return None
    segments = [(times[selection.segment == number], waveforms[0]) for number, waveforms in enumerate(pulse.waveforms)]
    return align(segments, ppg)


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
    }


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value

"""From one recording to its prepared folder: the run time's own tracking and crops, and labels at the crops' times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_path
from facepulse._types import Floats
from facepulse.datasets.alignment import Alignment, align
from facepulse.datasets.cache import (
    DESCRIPTION,
    FRAMES,
    LABELS,
    CacheSettings,
    FramesWriter,
    content_hash,
    within_margin,
)
from facepulse.datasets.recording import DatasetError, Recording, Signal
from facepulse.errors import NoFaceError, TooShortError
from facepulse.faces.crops import ClipBuilder, FaceClip
from facepulse.faces.detectors import DETECTORS
from facepulse.faces.skin import SkinTrace
from facepulse.faces.tracking import Box, FaceTracker, Track, largest
from facepulse.pipeline.estimate import region_waveforms
from facepulse.pipeline.extract import MINIMUM_FPS, MINIMUM_S
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import estimate_rate
from facepulse.video.reader import Frame, frame_rate, length_s

NOTED_UNCOVERED_S = 1.0  # of the video by the reference
SIMULATED = "simulated.json"  # at the root of what `facepulse simulate` wrote, in whichever layout


def prepare_recording(recording: Recording, target: Path, settings: CacheSettings) -> None:
    """Make the folder of one recording in a cache, whole or not at all; memory does not grow with its length.

    Args:
        recording: of any dataset.
        target: the folder; replaced if it is there.
        settings: how to make the crops.

    Raises:
        FacepulseError: the recording cannot be read, or shows no face for long enough.
        OSError: the folder cannot be written.
    """
    labels = recording.read_labels()
    with atomic_path(target) as folder:
        folder.mkdir()
        seen = _watch(recording, folder, settings)
        track, crops = seen.main_face()
        notes = [*labels.notes, *seen.warnings]
        kept, segment, dropped = _segments(crops, track)
        notes += dropped
        crops.keep(kept, folder / FRAMES)
        times = crops.times[kept]
        waves, quality = _pulse(crops, kept, segment, settings.fps)
        alignment = None
        if settings.align and labels.ppg is not None:
            alignment = align([(times[segment == number], wave[0]) for number, wave in enumerate(waves)], labels.ppg)
            if alignment is not None and (note := alignment.note()):
                notes.append(note)
        arrays = {"times": times, "segment": segment, "boxes": crops.boxes_at(times)}
        for name, signal in (("ppg", labels.ppg), ("bpm", labels.bpm)):
            if signal is not None:
                arrays[name] = _at(signal, times, alignment, name, notes)
        np.savez(folder / LABELS, **arrays)  # type: ignore[arg-type]
        about = {
            "dataset": recording.dataset,
            "name": recording.name,
            "subject": recording.subject,
            "simulated": any((parent / SIMULATED).is_file() for parent in recording.files[0].parents),
            "attributes": dict(labels.attributes),
            "source_bytes": source_bytes(recording),
            "picture": seen.picture,
            "video_fps": round(seen.fps, 4),
            "video_s": round(seen.seconds, 4),
            "face_share": round(min(1.0, len(times) / settings.fps / max(seen.seconds, 1e-9)), 4),
            "face_score": round(track.score, 4),
            "pulse_quality": round(quality, 4),
            "alignment": None if alignment is None else {k: _rounded(v) for k, v in asdict(alignment).items()},
            "notes": notes,
            "sha256": content_hash(folder),
        }
        (folder / DESCRIPTION).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def source_bytes(recording: Recording) -> int:
    """Size of all that a recording is made of: another one shows that it has been copied anew."""
    files = (inner for path in recording.files for inner in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.stat().st_size for file in files if file.is_file())


class _Crops:
    """The crops of one face, written to disk as they come, and what is kept of them in memory."""

    def __init__(self, path: Path, settings: CacheSettings) -> None:
        self._path, self._settings = path, settings
        self.fps = settings.fps
        self._builder = ClipBuilder(settings.size, settings.margin, settings.fps)
        self._writer = FramesWriter(path, settings.size)
        self._box_times: list[float] = []
        self._boxes: list[tuple[float, float, float, float]] = []
        self._clips: list[tuple[Floats, int]] = []
        self.skin = SkinTrace()

    @property
    def times(self) -> Floats:
        """Of all crops so far, (T,)."""
        return np.concatenate([times for times, _ in self._clips] or [np.zeros(0)])

    @property
    def segment(self) -> NDArray[np.int64]:
        """Unbroken segment of the clock that each crop belongs to, (T,)."""
        numbers = [np.full(len(times), segment) for times, segment in self._clips]
        return np.concatenate(numbers or [np.zeros(0, np.int64)])

    def push(self, frames: Sequence[Frame], boxes: Sequence[Box]) -> None:
        self._box_times += [frame.time for frame in frames]
        self._boxes += [(box.x, box.y, box.width, box.height) for box in boxes]
        for clip in self._builder.push(frames, boxes):
            self._write(clip)

    def finish(self) -> None:
        for clip in self._builder.finish():
            self._write(clip)
        self._writer.close()

    def _write(self, clip: FaceClip) -> None:
        self._writer.append(clip.frames)
        self._clips.append((clip.times, clip.segment))
        face = within_margin(clip.frames, self._settings.margin)
        self.skin.push(FaceClip(face, clip.start_s, clip.fps, clip.segment))

    def boxes_at(self, times: Floats) -> NDArray[np.float32]:
        """x, y, width and height of the face at (T,) times: (T, 4)."""
        boxes = np.array(self._boxes)
        return np.stack([np.interp(times, self._box_times, column) for column in boxes.T], axis=1).astype(np.float32)

    def keep(self, kept: NDArray[np.bool_], path: Path) -> None:
        """Make the file of the crops that are kept, and forget the rest."""
        if kept.all():
            self._path.rename(path)
            return
        crops = np.load(self._path, mmap_mode="r")
        writer = FramesWriter(path, self._settings.size)
        for rows in np.array_split(np.flatnonzero(kept), -(-len(kept) // 256)):
            writer.append(crops[rows])
        writer.close()
        self._path.unlink()

    def discard(self) -> None:
        self._writer.close()
        self._path.unlink()


@dataclass(frozen=True)
class _Seen:
    """What is kept of a whole video."""

    recording: Recording
    faces: dict[int, _Crops]
    tracks: dict[int, Track]
    times: Floats
    picture: tuple[int, int]
    warnings: list[str]

    @property
    def fps(self) -> float:
        return frame_rate(self.times)

    @property
    def seconds(self) -> float:
        return length_s(self.times)

    def main_face(self) -> tuple[Track, _Crops]:
        """The largest face that stays; the others are discarded."""
        name = self.recording.name
        if self.fps < MINIMUM_FPS:
            raise DatasetError(f"{name}: {self.fps:.1f} frames a second, at least {MINIMUM_FPS:g} show a pulse")
        if not self.tracks:
            raise NoFaceError(f"{name}: no face was found in {self.seconds:.1f} s; try --detector rfb")
        track = largest(self.tracks.values())
        for identity, crops in self.faces.items():
            if identity != track.identity:
                crops.discard()
        crops = self.faces[track.identity]
        crops.finish()
        return track, crops


def _watch(recording: Recording, folder: Path, settings: CacheSettings) -> _Seen:
    """Go through the video once and crop all that may be its main face."""
    faces: dict[int, _Crops] = {}
    times: list[float] = []
    tracker = FaceTracker(DETECTORS[settings.detector]())
    with recording.open_frames() as video:

        def frames() -> Iterator[Frame]:
            for frame in video:
                times.append(frame.time)
                yield frame

        for tracked in tracker.track(frames()):
            for identity, boxes in tracked.boxes.items():
                if identity not in faces:
                    faces[identity] = _Crops(folder / f"face{identity}.npy", settings)
                faces[identity].push(tracked.frames, boxes)
        size = (video.width, video.height)
    return _Seen(recording, faces, tracker.tracks, np.array(times), size, list(video.warnings))


def _segments(crops: _Crops, track: Track) -> tuple[NDArray[np.bool_], NDArray[np.int32], list[str]]:
    """Which crops to keep, (T,), the segment of each that is kept, from 0, and a note for each that is too short."""
    times, clock_segment = crops.times, crops.segment
    half = 0.5 / crops.fps
    segment = np.full(len(times), -1)
    notes, count, longest_s = [], 0, 0.0
    for number in np.unique(clock_segment):
        for start_s, end_s in track.segments:
            inside = (clock_segment == number) & (times >= start_s - half) & (times <= end_s + half)
            seconds = np.count_nonzero(inside) / crops.fps
            longest_s = max(longest_s, seconds)
            if seconds >= MINIMUM_S:
                segment[inside], count = count, count + 1
            elif seconds >= 1.0:
                first, last = times[inside][[0, -1]]
                notes.append(f"left out: the face from {first:.1f} to {last:.1f} s, too short")
    if not count:
        raise TooShortError(
            f"the face is there for {longest_s:.1f} s without a break, at least {MINIMUM_S:g} are needed"
        )
    return segment >= 0, segment[segment >= 0].astype(np.int32), notes


def _pulse(
    crops: _Crops, kept: NDArray[np.bool_], segment: NDArray[np.int32], fps: float
) -> tuple[list[Floats], float]:
    """POS in all regions of the face, (regions, T) for each segment, and how far it can be trusted."""
    rgb = np.concatenate([trace.rgb for trace in crops.skin.segments])[kept]
    colours = [rgb[segment == number] for number in range(int(segment[-1]) + 1)]
    waves = [region_waveforms(CLASSICAL["POS"], colour, fps) for colour in colours]
    protocol = PROTOCOLS["facepulse"]
    agreement = estimate_rate([wave[1:] for wave in waves], fps, protocol)
    return waves, calibrated_quality(with_color_test(agreement, [colour[:, 1:] for colour in colours], fps, protocol))


def _at(signal: Signal, times: Floats, alignment: Alignment | None, name: str, notes: list[str]) -> NDArray[np.float32]:
    """A reference at the crops' times; NaN where it has nothing to say, which is noted."""
    corrected = signal if alignment is None else alignment.corrected(signal)
    values = corrected.at(times).astype(np.float32)
    known = np.isfinite(values)
    if not known.any():
        first, last = corrected.times[[0, -1]]
        raise DatasetError(
            f"the reference {name} covers {first:.1f} to {last:.1f} s, the video shows {times[0]:.1f} to "
            f"{times[-1]:.1f} s: their clocks do not meet"
        )
    without_s = np.count_nonzero(~known) * float(np.median(np.diff(times)))
    if without_s > NOTED_UNCOVERED_S:
        notes.append(f"clocks: the reference {name} lacks {without_s:.1f} of {times[-1] - times[0]:.1f} s")
    return values


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value

"""Go through a video once, and keep of it what the pulse is read from: skin's colour, and a network's waveform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats
from facepulse.errors import NoFaceError, TooShortError, VideoError
from facepulse.faces.crops import ClipBuilder
from facepulse.faces.skin import SkinTrace
from facepulse.faces.tracking import Box, Detector, FaceTracker, Track, TrackedFrames, largest, left_to_right
from facepulse.video.reader import MAX_TIME_GAP_S, Frame, frame_rate, length_s, open_video

if TYPE_CHECKING:
    from facepulse.pipeline.methods import Method
    from facepulse.pipeline.network_trace import NetworkTrace

Progress = Callable[[float, float | None], None]

MINIMUM_S = 5.0  # fewer seconds hold too few beats to count
MINIMUM_FPS = 5.0  # fewer frames a second cannot follow a heart at 120 bpm
NOTED_ABSENCE_S = 1.0
NOTED_GAP_S = 0.3


@dataclass(frozen=True)
class Segment:
    """What one face shows while it was there without a break.

    Attributes:
        times: seconds from the first frame, (T,), uniform.
        rgb: colour of its skin (T, regions, 3); the first region is the whole face.
        fps: rate of the rows in Hz.
        waveform: what a network reads, (T,); None without one.
    """

    times: Floats
    rgb: Floats
    fps: float
    waveform: Floats | None = None

    @property
    def seconds(self) -> float:
        """Length, from the first row to the end of the last."""
        return len(self.times) / self.fps


class FaceTraces:
    """One face while the video goes by.

    Args:
        method: what is to be kept of it.

    Attributes:
        skin: the colour of its skin so far.
        waveform: what a network has read so far; None without one.
    """

    def __init__(self, method: Method) -> None:
        self.skin = SkinTrace()
        self.waveform: NetworkTrace | None = None
        self._views: list[tuple[ClipBuilder, SkinTrace | NetworkTrace]] = [
            (ClipBuilder(method.classical.size, method.classical.margin, method.fps), self.skin)
        ]
        if method.engine is not None:
            from facepulse.pipeline.network_trace import (
                NetworkTrace,  # engines and weights are not for classical methods
            )

            self.waveform, card = NetworkTrace(method.engine), method.engine.card
            # On the same clock: whatever the one has a sample for, the other has.
            self._views.append((ClipBuilder(card.size, card.margin, card.fps), self.waveform))

    def push(self, frames: list[Frame], boxes: list[Box]) -> None:
        """Take the next frames with the face's box in each."""
        for clips, trace in self._views:
            for clip in clips.push(frames, boxes):
                trace.push(clip)

    def finish(self) -> None:
        """Take what was still waiting for later frames."""
        for clips, trace in self._views:
            for clip in clips.finish():
                trace.push(clip)

    def forget(self, before_s: float) -> None:
        """Let go of what was before a time, where a stream has no end."""
        self.skin.forget(before_s)
        if self.waveform is not None:
            self.waveform.forget(before_s)

    def segments(self, spans: list[tuple[float, float]]) -> list[Segment]:
        """What it showed within the spans (start, end) in seconds, each segment by itself."""
        seen = {
            part.segment: Segment(part.start_s + np.arange(len(part.rgb)) / part.fps, part.rgb, part.fps)
            for part in self.skin.segments
        }
        if self.waveform is not None:
            read = {part.segment: part.waveform for part in self.waveform.segments}
            seen = {number: _with(part, read[number]) for number, part in seen.items() if number in read}
        return [
            segment
            for part in seen.values()
            for start_s, end_s in spans
            if (segment := _cut(part, start_s, end_s)) is not None
        ]


@dataclass(frozen=True, eq=False)
class Sight:
    """How a face was first seen.

    Attributes:
        picture: the first frame that shows it, uint8 RGB (H, W, 3).
        box: where it is in that frame.
    """

    picture: NDArray[np.uint8]
    box: Box


@dataclass(frozen=True)
class MeasurableFace:
    """A face that is there for long enough.

    Attributes:
        number: from left to right, from 1, among the faces of the video.
        track: where it was, and when.
        segments: its colour in each segment that is long enough to measure; at least one.
        notes: a line for each break, and each segment that was too short.
    """

    number: int
    track: Track
    segments: list[Segment]
    notes: list[str]


@dataclass(frozen=True)
class VideoTraces:
    """What is kept of a whole video.

    Attributes:
        source: the video.
        faces: by the identity of their track.
        sights: how each was first seen.
        tracks: where each face was, and when.
        times: of all frames in seconds, (N,).
        key_times: of the key frames, in seconds.
        warnings: what was wrong with the file, and survived.
    """

    source: Path
    faces: dict[int, FaceTraces]
    sights: dict[int, Sight]
    tracks: dict[int, Track]
    times: Floats
    key_times: list[float]
    warnings: list[str]

    @property
    def fps(self) -> float:
        """Frames a second while frames came, as the timestamps say; 0 where they hardly ever did."""
        return frame_rate(self.times)

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last."""
        return length_s(self.times)

    def measurable(self, which: str) -> list[MeasurableFace]:
        """The faces to measure.

        Args:
            which: `largest` for the largest face that stays, `all` for every face, from left to right.

        Raises:
            NoFaceError: there is nobody.
            TooShortError: nobody is there for long enough.
        """
        if not self.tracks:
            raise NoFaceError(
                f"{self.source}: no face was found in {self.duration_s:.1f} s: "
                "show one from the front, large and evenly lit"
            )
        found: list[MeasurableFace] = []
        longest_s = 0.0
        for number, track in enumerate(left_to_right(self.tracks.values()), start=1):
            segments = self.faces[track.identity].segments(track.segments)
            longest_s = max([longest_s, *(segment.seconds for segment in segments)])
            long_enough = [segment for segment in segments if segment.seconds >= MINIMUM_S]
            if long_enough:
                notes = self._gaps() + self._absences(track)
                notes += [
                    f"too short to measure: the face from {segment.times[0]:.1f} to {segment.times[-1]:.1f} s"
                    for segment in segments
                    if NOTED_ABSENCE_S <= segment.seconds < MINIMUM_S
                ]
                found.append(MeasurableFace(number, track, long_enough, notes))
        if not found:
            raise TooShortError(
                f"{self.source}: a face is there for {longest_s:.1f} s without a break, but counting beats takes "
                f"{MINIMUM_S:g} s: record for longer (20 s is good)"
            )
        if which == "all" or len(found) == 1:
            return found
        main = largest(face.track for face in found)
        [chosen] = [face for face in found if face.track is main]
        chosen.notes.append(f"{len(found)} faces: this is the largest that stays; --faces all measures every one")
        return [chosen]

    def _absences(self, track: Track) -> list[str]:
        edges = [0.0, *(edge for span in track.segments for edge in span), float(self.times[-1])]
        notes = []
        for start_s, end_s in zip(edges[::2], edges[1::2], strict=True):
            inside = self.times[(self.times >= start_s) & (self.times <= end_s)]
            steps = np.diff(inside)
            # Where no frames came, nobody can say who was there.
            if steps[steps <= MAX_TIME_GAP_S].sum() > NOTED_ABSENCE_S:
                notes.append(f"no face from {start_s:.1f} to {end_s:.1f} s")
        return notes

    def _gaps(self) -> list[str]:
        steps = np.diff(self.times)
        wide = np.flatnonzero(steps > max(NOTED_GAP_S, 3 * float(np.median(steps))))
        notes = [f"no frames from {self.times[i]:.2f} to {self.times[i + 1]:.2f} s" for i in wide[:3]]
        return notes + [f"{len(wide) - 3} more gaps between frames"] * (len(wide) > 3)


def extract_traces(source: Path, detector: Detector, method: Method, progress: Progress | None = None) -> VideoTraces:
    """Decode a video, follow its faces and keep what they show, in one pass with bounded memory.

    Args:
        source: a file, or a directory of images.
        detector: finds the faces.
        method: what is to be kept of them.
        progress: called with the seconds done and the length of the video (None where it is not known).

    Raises:
        VideoError: the video cannot be read, or has too few frames a second.
        TooShortError: it is a single picture.
    """
    faces: dict[int, FaceTraces] = {}
    sights: dict[int, Sight] = {}
    times: list[float] = []
    with open_video(source) as video:

        def frames() -> Iterator[Frame]:
            for frame in video:
                times.append(frame.time)
                if progress is not None:
                    progress(frame.time, video.duration_s)
                yield frame

        def keep(tracked: TrackedFrames) -> None:
            for identity, boxes in tracked.boxes.items():
                if identity not in faces:
                    faces[identity] = FaceTraces(method)
                    sights[identity] = Sight(tracked.frames[0].image, boxes[0])
                faces[identity].push(tracked.frames, boxes)

        tracker = FaceTracker(detector)
        # While one group of frames is cropped, the next is decoded and searched for faces: both spend their time in
        # compiled code that lets the other run.
        with ThreadPoolExecutor(max_workers=1) as cropping:
            kept: Future[None] | None = None
            for tracked in tracker.track(frames()):
                if kept is not None:
                    kept.result()
                kept = cropping.submit(keep, tracked)
            if kept is not None:
                kept.result()
        for face in faces.values():
            face.finish()
    if len(times) < 2:
        raise TooShortError(
            f"{source}: this is a single picture, but a pulse takes a video of at least {MINIMUM_S:g} s"
        )
    scene = VideoTraces(source, faces, sights, tracker.tracks, np.array(times), video.key_times, list(video.warnings))
    if scene.fps < MINIMUM_FPS:
        raise VideoError(
            f"{source}: {scene.fps:.1f} frames a second are too few to see a pulse: record at {MINIMUM_FPS:g} or more"
        )
    return scene


def _with(part: Segment, waveform: Floats) -> Segment:
    """On one clock to the same last tick; of the past, either may have kept a little more than the other."""
    more = len(part.times) - len(waveform)
    return Segment(part.times[max(more, 0) :], part.rgb[max(more, 0) :], part.fps, waveform[max(-more, 0) :])


def _cut(part: Segment, start_s: float, end_s: float) -> Segment | None:
    """What of a part lies within a span, the ticks nearest its ends included."""
    inside = (part.times >= start_s - 0.5 / part.fps) & (part.times <= end_s + 0.5 / part.fps)
    if not inside.any():
        return None
    waveform = None if part.waveform is None else part.waveform[inside]
    return Segment(part.times[inside], part.rgb[inside], part.fps, waveform)

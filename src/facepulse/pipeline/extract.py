"""One pass over a video: RGB traces of every face, and the waveform that a network predicts from its crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import numpy as np

from facepulse._types import Floats, Image
from facepulse.errors import NoFaceError, TooShortError, UsageError, VideoError
from facepulse.faces.crops import ClipBuilder, FaceClip
from facepulse.faces.skin import SkinTrace
from facepulse.faces.tracking import Box, Detector, FaceTracker, Track, TrackedFrames, largest, left_to_right
from facepulse.video.frames import Frame, Video
from facepulse.video.timing import MAX_TIME_GAP_S, Timing, length_s

if TYPE_CHECKING:
    from facepulse.pipeline.methods import Method
    from facepulse.pipeline.network_trace import NetworkTrace

Progress = Callable[[float, float | None], None]

MINIMUM_S = 5.0  # shorter segments hold too few beats for a heart rate
MINIMUM_FPS = 5.0  # lower frame rates cannot sample a heart rate of 120 bpm
NOTED_ABSENCE_S = 1.0
NOTED_GAP_S = 0.3
LISTED_GAPS = 3


def check_window_and_quality(window_s: float, min_quality: float, windows: str = "windows") -> None:
    """Check the length of windows and the quality below which a heart rate is withheld.

    Args:
        window_s: seconds.
        min_quality: quality.
        windows: the word for them in the message.

    Raises:
        UsageError: the windows are shorter than `MINIMUM_S` or endless, or the quality is not within 0..1.
    """
    if not MINIMUM_S <= window_s < math.inf:
        raise UsageError(f"the {windows} can be {MINIMUM_S:g} s long or longer, not {window_s:g} s")
    if not 0.0 <= min_quality <= 1.0:
        raise UsageError(f"the minimum quality is a number from 0 to 1, not {min_quality:g}")


@dataclass(frozen=True)
class Segment:
    """Traces of one face over an unbroken interval.

    Attributes:
        times: seconds from the first frame, (T,), uniform.
        rgb: mean RGB (T, regions, 3) in each of `facepulse.faces.skin.REGIONS`; the first is the whole face.
        fps: sampling rate in Hz.
        waveform: BVP (T,) that a network predicts; None without a network.
    """

    times: Floats
    rgb: Floats
    fps: float
    waveform: Floats | None = None

    @property
    def seconds(self) -> float:
        """Length from the first sample to the end of the last."""
        return len(self.times) / self.fps

    def between(self, start_s: float, end_s: float) -> Segment:
        """Return the samples from a start to an end in seconds, with half a sample of tolerance; they may be none."""
        tolerance_s = 0.5 / self.fps
        inside = (self.times >= start_s - tolerance_s) & (self.times <= end_s + tolerance_s)
        waveform = None if self.waveform is None else self.waveform[inside]
        return Segment(self.times[inside], self.rgb[inside], self.fps, waveform)

    def with_waveform(self, waveform: Floats) -> Segment:
        """Add a network's waveform that ends with the same sample; the longer of both loses its first samples."""
        excess = len(self.times) - len(waveform)
        return Segment(self.times[max(excess, 0) :], self.rgb[max(excess, 0) :], self.fps, waveform[max(-excess, 0) :])


class ClipSink(Protocol):
    """Object that takes the clips of one face."""

    def push(self, clip: FaceClip) -> None:
        """Add the next clip; clips of one segment follow each other without a gap."""


class FaceTraces:
    """Traces of one face, extended with every group of frames.

    Args:
        method: determines the crops, and whether a network runs on them.
        image: first frame that shows the face, uint8 RGB (H, W, 3).
        box: the face in that frame.
        others: further sinks, each with the builder of the clips that it takes.

    Attributes:
        skin: RGB traces so far.
        network: waveform that the network predicts so far; None without a network.
        image: as given.
        box: as given.
    """

    def __init__(
        self, method: Method, image: Image, box: Box, others: Sequence[tuple[ClipBuilder, ClipSink]] = ()
    ) -> None:
        self.image, self.box = image, box
        self.skin = SkinTrace()
        self.network: NetworkTrace | None = None
        self._inputs: list[tuple[ClipBuilder, ClipSink]] = [
            (ClipBuilder(method.classical.size, method.classical.margin, method.fps), self.skin),
            *others,
        ]
        if method.engine is not None:
            # Imported here because classical methods need neither engines nor weights.
            from facepulse.pipeline.network_trace import NetworkTrace

            self.network, card = NetworkTrace(method.engine), method.engine.card
            # Both builders have the same clock, so that both traces have the same samples.
            self._inputs.append((ClipBuilder(card.size, card.margin, card.fps), self.network))

    def push(self, frames: list[Frame], boxes: list[Box]) -> None:
        """Add the next frames with the box of the face in each."""
        for builder, sink in self._inputs:
            for clip in builder.push(frames, boxes):
                sink.push(clip)

    def finish(self) -> None:
        """Add the crops that were waiting for later frames."""
        for builder, sink in self._inputs:
            for clip in builder.finish():
                sink.push(clip)

    def discard(self, before_s: float) -> None:
        """Discard the samples before a time, which bounds memory in an endless stream."""
        self.skin.discard(before_s)
        if self.network is not None:
            self.network.discard(before_s)

    def segments(self, intervals: list[tuple[float, float]]) -> list[Segment]:
        """Return the traces within intervals (start, end) in seconds, one segment for every unbroken interval."""
        traced = {
            trace.segment: Segment(trace.start_s + np.arange(len(trace.rgb)) / trace.fps, trace.rgb, trace.fps)
            for trace in self.skin.segments
        }
        if self.network is not None:
            predicted = {trace.segment: trace.waveform for trace in self.network.segments}
            traced = {
                number: segment.with_waveform(predicted[number])
                for number, segment in traced.items()
                if number in predicted
            }
        cut = (segment.between(start_s, end_s) for segment in traced.values() for start_s, end_s in intervals)
        return [segment for segment in cut if len(segment.times)]


Face = TypeVar("Face", bound=FaceTraces)
BeginFace = Callable[[int, Image, Box], Face]  # from its identity, the first frame that shows it, and its box there


@dataclass(frozen=True)
class VideoTraces(Generic[Face]):
    """Traces of all faces of a video, with its timing.

    Attributes:
        source: name of the video in messages and results.
        faces: traces of each face by the identity of its track.
        tracks: position of each face over time, by identity; from left to right.
        times: of all frames in seconds, (N,).
        timing: frame rate, coding and clock.
        duration_s: length from the first frame to the end of the last.
        warnings: faults of the file that did not prevent decoding.
    """

    source: str
    faces: dict[int, Face]
    tracks: dict[int, Track]
    times: Floats
    timing: Timing
    duration_s: float
    warnings: list[str]


@dataclass(frozen=True, eq=False)
class MeasurableFace(Generic[Face]):
    """A face that is in view for long enough to be measured.

    Attributes:
        number: from left to right, from 1, among the faces of the video.
        track: its position over time.
        traces: its traces, of which the segments are cut.
        segments: its traces in each segment that is long enough; at least one.
        notes: one line for each gap, absence and segment that is too short.
        faces: number of faces of the video that are in view for long enough.
    """

    number: int
    track: Track
    traces: Face
    segments: list[Segment]
    notes: tuple[str, ...]
    faces: int = 1


def extract_traces(
    video: Video, detector: Detector, method: Method, progress: Progress | None = None
) -> VideoTraces[FaceTraces]:
    """Extract the traces of all faces of a video that a method needs; see `trace_faces`."""
    return trace_faces(video, detector, lambda _, image, box: FaceTraces(method, image, box), progress)


def trace_faces(
    video: Video, detector: Detector, begin: BeginFace[Face], progress: Progress | None = None
) -> VideoTraces[Face]:
    """Go through a video, track its faces and extract their traces, in one pass with bounded memory.

    Args:
        video: frames, which are all taken; the video is closed.
        detector: finds the faces.
        begin: creates the traces of a face when it is first seen.
        progress: called with the seconds done and the length of the video (None if it is not known).

    Raises:
        VideoError: a frame cannot be read, or the frame rate is too low.
        TooShortError: the video is a single image.
    """
    faces: dict[int, Face] = {}
    seconds: list[float] = []
    tracker = FaceTracker(detector)
    # While one group of frames is cropped, the next is decoded and searched for faces: both spend their time in
    # compiled code, which releases the interpreter's lock.
    with video, ThreadPoolExecutor(max_workers=1) as cropping:
        pending: Future[None] | None = None
        for tracked in tracker.track(_record_times(video, seconds, progress)):
            if pending is not None:
                pending.result()
            pending = cropping.submit(push_frames, tracked, faces, begin)
        if pending is not None:
            pending.result()
    times = np.array(seconds)
    if len(times) < 2:
        raise TooShortError(
            f"{video.name}: this is a single image, but a pulse takes a video of at least {MINIMUM_S:g} s"
        )
    timing = video.timing
    if timing.fps < MINIMUM_FPS:
        raise VideoError(
            f"{video.name}: {timing.fps:.1f} frames per second are too few to show a pulse: "
            f"record at {MINIMUM_FPS:g} or more"
        )
    tracks = {track.identity: track for track in left_to_right(tracker.tracks.values())}
    for face in faces.values():
        face.finish()
    return VideoTraces(video.name, faces, tracks, times, timing, length_s(times), list(video.warnings))


def push_frames(tracked: TrackedFrames, faces: dict[int, Face], begin: BeginFace[Face]) -> None:
    """Add frames to the traces of every face in them; those of new faces are created."""
    for identity, boxes in tracked.boxes.items():
        if identity not in faces:
            faces[identity] = begin(identity, tracked.frames[0].image, boxes[0])
        faces[identity].push(tracked.frames, boxes)


def _record_times(video: Video, times: list[float], progress: Progress | None) -> Iterator[Frame]:
    for frame in video:
        times.append(frame.time)
        if progress is not None:
            progress(frame.time, video.duration_s)
        yield frame


def select_faces(video: VideoTraces[Face], which: Literal["largest", "all"]) -> list[MeasurableFace[Face]]:
    """Select the faces to measure.

    Args:
        video: traces of all faces.
        which: `largest` for the largest face that stays, `all` for every face, from left to right.

    Raises:
        NoFaceError: the video shows no face.
        TooShortError: no face is in view for long enough.
    """
    if not video.tracks:
        raise NoFaceError(
            f"{video.source}: no face was found in {video.duration_s:.1f} s: "
            "show one from the front, large and evenly lit"
        )
    longest_s = 0.0
    found: dict[int, MeasurableFace[Face]] = {}
    for number, track in enumerate(video.tracks.values(), start=1):
        traces = video.faces[track.identity]
        segments = traces.segments(track.segments)
        longest_s = max([longest_s, *(segment.seconds for segment in segments)])
        long_enough = [segment for segment in segments if segment.seconds >= MINIMUM_S]
        if long_enough:
            notes = *gap_notes(video.times), *absence_notes(video.times, track.segments), *short_notes(segments)
            found[track.identity] = MeasurableFace(number, track, traces, long_enough, notes)
    if not found:
        raise TooShortError(
            f"{video.source}: a face is in view for {longest_s:.1f} s without a break, but a heart rate takes "
            f"{MINIMUM_S:g} s: record for longer (20 s is good)"
        )
    found = {identity: replace(face, faces=len(found)) for identity, face in found.items()}
    if which == "all" or len(found) == 1:
        return list(found.values())
    face = found[largest(video.tracks[identity] for identity in found).identity]
    note = f"{len(found)} faces: this is the largest that stays; select all faces to measure every one"
    return [replace(face, notes=(*face.notes, note))]


def gap_notes(times: Floats) -> list[str]:
    """Describe the gaps between frames, (N,) times in seconds: the first three each, and the number of the others."""
    steps = np.diff(times)
    wide = np.flatnonzero(steps > max(NOTED_GAP_S, 3 * float(np.median(steps))))
    notes = [f"no frames from {times[i]:.2f} to {times[i + 1]:.2f} s" for i in wide[:LISTED_GAPS]]
    return notes + [f"{len(wide) - LISTED_GAPS} more gaps between frames"] * (len(wide) > LISTED_GAPS)


def absence_notes(times: Floats, intervals: Sequence[tuple[float, float]]) -> list[str]:
    """Describe when a face was not in view although there were frames.

    Args:
        times: of all frames in seconds, (N,).
        intervals: (start, end) in seconds in which the face was in view.
    """
    edges = [0.0, *(edge for interval in intervals for edge in interval), float(times[-1])]
    notes = []
    for start_s, end_s in zip(edges[::2], edges[1::2], strict=True):
        steps = np.diff(times[(times >= start_s) & (times <= end_s)])
        # Gaps between frames do not count: nothing is known of the face there.
        if steps[steps <= MAX_TIME_GAP_S].sum() > NOTED_ABSENCE_S:
            notes.append(f"no face from {start_s:.1f} to {end_s:.1f} s")
    return notes


def short_notes(segments: Sequence[Segment]) -> list[str]:
    """Describe the segments that are noticeable but too short to measure."""
    return [
        f"too short to measure: the face from {segment.times[0]:.1f} to {segment.times[-1]:.1f} s"
        for segment in segments
        if NOTED_ABSENCE_S <= segment.seconds < MINIMUM_S
    ]

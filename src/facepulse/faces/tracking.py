"""Face tracking through a video: a steady box for every frame of every face, in one streaming pass.

The detector runs twice per second, and once per second while nothing moves. Detections are linked into tracks, and the
box of a track is interpolated linearly from one detection to the next, so that frames are held only until the next
detection.

A box that jitters with every detection, twice per second, would write a rhythm of 120 bpm into the mean RGB under it. A
box therefore does not move until the detections leave a dead band around it, and is then dragged along by the edge of
the band: a still head has a constant box, and the box of a moving head lags by no more than the band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple

from facepulse._types import Image
from facepulse.video.frames import Frame
from facepulse.video.timing import MAX_TIME_GAP_S

DETECTION_INTERVAL_S = 0.5
STILL_INTERVAL_S = 1.0  # while nothing moves: detection is the most expensive step of a measurement
MAX_HELD_FRAMES = 30
MAX_FACE_GAP_S = 2.0  # a face that detections miss for longer is lost

# Three standard deviations of Haar boxes on a still face in noise: one is 0.7 % of the side for the centre, and 2 % for
# the side itself.
CENTRE_BAND = 0.03
SIDE_BAND = 0.07

# A head moves by less than its own width in half a second; two heads side by side are further apart than that.
MAX_STEP_SIDES = 1.0
MAX_SIDE_RATIO = 1.6


@dataclass(frozen=True, slots=True)
class Box:
    """Rectangle of a face in pixels; `x`, `y` is the upper left corner. It may extend beyond the frame."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, x: float, y: float, side: float) -> Box:
        """Create a square box from its centre and its side."""
        return cls(x - side / 2, y - side / 2, side, side)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def side(self) -> float:
        """Side of the square with the same area."""
        return math.sqrt(self.area)

    def towards(self, other: Box, fraction: float) -> Box:
        """Interpolate linearly between this box (fraction 0) and another one (fraction 1)."""
        return Box(
            self.x + (other.x - self.x) * fraction,
            self.y + (other.y - self.y) * fraction,
            self.width + (other.width - self.width) * fraction,
            self.height + (other.height - self.height) * fraction,
        )


class Detection(NamedTuple):
    """Face detected in one image: its box, and a score in 0..1."""

    box: Box
    score: float


Detector = Callable[[Image], list[Detection]]  # from an RGB image, uint8 (H, W, 3)


@dataclass
class Track:
    """One face over time.

    Attributes:
        identity: number of the track within its tracker; the same when the face leaves and comes back.
        box: current box of the face, within the dead band of its detections.
        segments: (start, end) in seconds of the segments in which the face was present, each from a detection to a
            detection. Absences of up to 1.5 s are always bridged, those of more than 3 s never.
    """

    identity: int
    box: Box
    segments: list[tuple[float, float]] = field(default_factory=list)
    _detections: list[Detection] = field(default_factory=list, repr=False)

    @property
    def detection_count(self) -> int:
        """Number of detections in the track."""
        return len(self._detections)

    @property
    def last_seen_s(self) -> float:
        """Time of the latest detection."""
        return self.segments[-1][1]

    @property
    def coverage_s(self) -> float:
        """Seconds for which the face was present."""
        return sum(end - start for start, end in self.segments)

    @property
    def score(self) -> float:
        """Mean score of the detections, 0..1."""
        return fmean(detection.score for detection in self._detections)

    @property
    def median_box(self) -> Box:
        """Median over the detections of each of the four numbers of the box."""
        boxes = [detection.box for detection in self._detections]
        return Box(
            median(box.x for box in boxes),
            median(box.y for box in boxes),
            median(box.width for box in boxes),
            median(box.height for box in boxes),
        )

    def is_lost(self, now_s: float) -> bool:
        """True if the face has been missing for longer than is bridged."""
        # The detector next runs up to an interval after the last detection; only then is the face known to be missing.
        return now_s - self.last_seen_s > MAX_FACE_GAP_S + STILL_INTERVAL_S

    def add(self, detection: Detection, now_s: float) -> None:
        """Add a detection of this face; after too long a gap it starts a new segment."""
        if not self.segments or self.is_lost(now_s):
            self.box = detection.box
            self.segments.append((now_s, now_s))
        else:
            self.box = drag(self.box, detection.box)
            self.segments[-1] = (self.segments[-1][0], now_s)
        self._detections.append(detection)


@dataclass(frozen=True)
class TrackedFrames:
    """Successive frames, and a box for each of them in every track that is not lost.

    Attributes:
        frames: at most `MAX_HELD_FRAMES`.
        boxes: by the identity of the track, as many boxes as frames, in pixels of the frame and not clamped to it. They
            extend a little beyond the segments of the track, from the detection before the first one to the time at
            which the gap became too long; there the box is constant, and the signal has to be cut to the segments.
    """

    frames: list[Frame]
    boxes: dict[int, list[Box]]


class FaceTracker:
    """Detection and tracking of the faces of one video.

    Args:
        detector: returns the faces of an RGB image.

    Attributes:
        tracks: tracks with at least two detections, by identity; complete when `track` is exhausted. `TrackedFrames`
            has boxes from the first detection of a face on, so an identity in it that is missing here was a single
            false detection.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._tracks: list[Track] = []
        self._next_identity = 0
        self._detector_runs = 0
        self._interval_s = DETECTION_INTERVAL_S

    @property
    def tracks(self) -> dict[int, Track]:  # noqa: D102 (an attribute of the class docstring)
        return {track.identity: track for track in self._tracks if self._confirmed(track)}

    def track(self, frames: Iterable[Frame]) -> Iterator[TrackedFrames]:
        """Track the faces through all frames.

        The detector runs on the first frame, on the last, on both sides of a gap, and in between whenever
        `DETECTION_INTERVAL_S` have passed (`STILL_INTERVAL_S` after a detection that changed nothing) or
        `MAX_HELD_FRAMES` are held; never are more held than that.

        Args:
            frames: in order of time.

        Yields:
            Every frame exactly once, in order, in groups that end with a frame on which the detector ran.
        """
        held: list[Frame] = []
        since_s = -math.inf
        for frame in frames:
            if held and frame.time - held[-1].time > MAX_TIME_GAP_S:
                yield self._detect(held, since_s)
                held, since_s = [], held[-1].time
            held.append(frame)
            if frame.time - since_s >= self._interval_s or len(held) == MAX_HELD_FRAMES:
                yield self._detect(held, since_s)
                held, since_s = [], frame.time
        if held:
            yield self._detect(held, since_s)

    def discard(self, before_s: float) -> None:
        """Drop tracks and segments that ended before a time, which bounds memory for endless streams."""
        self._tracks = [track for track in self._tracks if track.last_seen_s >= before_s]
        for track in self._tracks:
            track.segments = [(start_s, end_s) for start_s, end_s in track.segments if end_s >= before_s]
            del track._detections[:-2]  # two detections confirm a track

    def _detect(self, frames: list[Frame], since_s: float) -> TrackedFrames:
        """Detect faces in the last frame, and interpolate the boxes from the previous detection, at `since_s`."""
        now_s = frames[-1].time
        before = {track.identity: track.box for track in self._tracks if not track.is_lost(now_s)}
        self._link(self._detector(frames[-1].image), now_s)
        present = [track for track in self._tracks if not track.is_lost(now_s)]
        still = before == {track.identity: track.box for track in present if track.last_seen_s == now_s}
        self._interval_s = STILL_INTERVAL_S if still else DETECTION_INTERVAL_S
        fractions = [_fraction(frame.time, since_s, now_s) for frame in frames]
        boxes = {}
        for track in present:
            start = before.get(track.identity, track.box)
            boxes[track.identity] = [start.towards(track.box, fraction) for fraction in fractions]
        return TrackedFrames(frames, boxes)

    def _link(self, detections: Sequence[Detection], now_s: float) -> None:
        """Assign each detection to the track that it continues, nearest pairs first, or to a new track."""
        self._detector_runs += 1
        # A track that was lost before it was confirmed was a false detection.
        self._tracks = [track for track in self._tracks if self._confirmed(track) or not track.is_lost(now_s)]
        # Lost tracks come after all others: a detection rather continues the track of a face that is present.
        pairs = sorted(
            (track.is_lost(now_s), distance(track.box, detection.box), row, column)
            for row, track in enumerate(self._tracks)
            for column, detection in enumerate(detections)
            if self._may_continue(track, detection, len(detections), now_s)
        )
        rows_taken: set[int] = set()
        columns_taken: set[int] = set()
        for _, _, row, column in pairs:
            if row not in rows_taken and column not in columns_taken:
                self._tracks[row].add(detections[column], now_s)
                rows_taken.add(row)
                columns_taken.add(column)
        for column, detection in enumerate(detections):
            if column not in columns_taken:
                track = Track(self._next_identity, detection.box)
                track.add(detection, now_s)
                self._tracks.append(track)
                self._next_identity += 1

    def _may_continue(self, track: Track, detection: Detection, faces: int, now_s: float) -> bool:
        if track.is_lost(now_s) and faces == len(self._tracks) == 1:
            return True  # the only face of the video comes back, at whatever place
        ratio = detection.box.side / track.box.side
        return distance(track.box, detection.box) <= MAX_STEP_SIDES and 1 / MAX_SIDE_RATIO <= ratio <= MAX_SIDE_RATIO

    def _confirmed(self, track: Track) -> bool:
        # If a video is so short that the detector ran once, one detection is enough.
        return track.detection_count >= min(2, self._detector_runs)


def drag(box: Box, detected: Box) -> Box:
    """Move a box just so far that a detection lies within the dead band around it (backlash).

    Args:
        box: previous box of the face.
        detected: box of the new detection.

    Returns:
        The moved box; `box` itself if the detection lies within `CENTRE_BAND` and `SIDE_BAND` of it, in units of its
        side.
    """
    centre_excess = _excess(distance(box, detected), CENTRE_BAND)
    side_excess = _excess(abs(math.log(detected.side / box.side)), SIDE_BAND)
    if centre_excess == side_excess == 0.0:
        return box
    (x, y), (to_x, to_y) = box.centre, detected.centre
    width = box.width * (detected.width / box.width) ** side_excess
    height = box.height * (detected.height / box.height) ** side_excess
    x += (to_x - x) * centre_excess
    y += (to_y - y) * centre_excess
    return Box(x - width / 2, y - height / 2, width, height)


def distance(one: Box, other: Box) -> float:
    """Distance between the centres of two boxes, in units of their mean (geometric) side."""
    return math.dist(one.centre, other.centre) / math.sqrt(one.side * other.side)


def largest(tracks: Iterable[Track]) -> Track:
    """Return the largest track, by the area of its median box, of those with at least half of the longest coverage.

    Raises:
        ValueError: there are no tracks.
    """
    tracks = list(tracks)
    if not tracks:
        raise ValueError("there must be at least one track to choose from, got none")
    enough_s = max(track.coverage_s for track in tracks) / 2
    return max((track for track in tracks if track.coverage_s >= enough_s), key=lambda track: track.median_box.area)


def left_to_right(tracks: Iterable[Track]) -> list[Track]:
    """Sort tracks by the centre of their median boxes, from left to right."""
    return sorted(tracks, key=lambda track: track.median_box.centre)


def _excess(deviation: float, band: float) -> float:
    """Fraction of a deviation that lies beyond the dead band."""
    return 1 - band / deviation if deviation > band else 0.0


def _fraction(time_s: float, since_s: float, now_s: float) -> float:
    """Position of a time between two others, as a fraction clamped to 0..1."""
    if not 0 < now_s - since_s < math.inf:
        return 1.0
    return min(max((time_s - since_s) / (now_s - since_s), 0.0), 1.0)

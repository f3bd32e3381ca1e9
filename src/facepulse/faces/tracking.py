"""Follow faces through a video: a steady box for every frame of every face, in one streaming pass.

Faces are looked for twice a second, and once while nothing moves. Detections are linked into tracks, and a track's box
moves in straight lines from one detection to the next, so that a frame is held only until the next detection.

A box that shivers twice a second writes 120 bpm into the colours under it. So a box stands perfectly still until the
detections leave a dead band around it, and is then dragged along by the band's edge: still heads get constant boxes,
moving heads are followed with a lag of no more than the band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple

from facepulse._types import Image
from facepulse.video.reader import MAX_TIME_GAP_S, Frame

DETECTION_INTERVAL_S = 0.5
STILL_INTERVAL_S = 1.0  # detection is the dearest step of a measurement, and where nothing moves it finds nothing new
MAX_HELD_FRAMES = 30
MAX_FACE_GAP_S = 2.0  # a face found missing for longer is gone

# Three standard deviations of Haar's boxes on a face that holds still in noise: 0.7 % of the side in the centre, 2 % in
# the side itself.
CENTRE_BAND = 0.03
SIDE_BAND = 0.07

# In half a second a head moves by less than its own width; two heads side by side are further apart than that.
MAX_STEP_SIDES = 1.0
MAX_SIDE_RATIO = 1.6


@dataclass(frozen=True, slots=True)
class Box:
    """A face's rectangle in pixels; `x`, `y` is the upper left corner. It may hang over the frame's edges."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, x: float, y: float, side: float) -> Box:
        """A square box of a side around a centre."""
        return cls(x - side / 2, y - side / 2, side, side)

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def side(self) -> float:
        """Side of the square with the same area."""
        return math.sqrt(self.area)

    def towards(self, other: Box, fraction: float) -> Box:
        """The box on the straight way to another one: this one at 0, the other at 1."""
        return Box(
            self.x + (other.x - self.x) * fraction,
            self.y + (other.y - self.y) * fraction,
            self.width + (other.width - self.width) * fraction,
            self.height + (other.height - self.height) * fraction,
        )


class Detection(NamedTuple):
    """A face found in one image: its box, and a score in 0..1."""

    box: Box
    score: float


Detector = Callable[[Image], list[Detection]]  # from an RGB image, uint8 (H, W, 3)


@dataclass
class Track:
    """One face over time.

    Attributes:
        identity: number of the track within its tracker; steady while the face stays, and when it comes back.
        box: where the face is now, steadied.
        segments: (start, end) in seconds of the segments in which the face was there, each from a detection to a
            detection. Absences of up to 1.5 s are always bridged, those of more than 3 s never.
    """

    identity: int
    box: Box
    segments: list[tuple[float, float]] = field(default_factory=list)
    _sightings: list[Detection] = field(default_factory=list, repr=False)

    @property
    def sightings(self) -> int:
        """Number of detections that the track is made of."""
        return len(self._sightings)

    @property
    def last_seen_s(self) -> float:
        """Time of the latest detection."""
        return self.segments[-1][1]

    @property
    def coverage_s(self) -> float:
        """Seconds for which the face was there."""
        return sum(end - start for start, end in self.segments)

    @property
    def score(self) -> float:
        """Mean score of the detections, 0..1."""
        return fmean(sighting.score for sighting in self._sightings)

    @property
    def median_box(self) -> Box:
        """Median over the detections of each of the box's four numbers."""
        boxes = [sighting.box for sighting in self._sightings]
        return Box(
            median(box.x for box in boxes),
            median(box.y for box in boxes),
            median(box.width for box in boxes),
            median(box.height for box in boxes),
        )

    def is_lost(self, now_s: float) -> bool:
        """Whether the face has been missing for longer than is bridged."""
        # After a detection nobody looks for up to an interval: it is from then on that the face is known to be missing.
        return now_s - self.last_seen_s > MAX_FACE_GAP_S + STILL_INTERVAL_S

    def see(self, detection: Detection, now_s: float) -> None:
        """Take the detection of this face at a time; after too long a gap it starts a new span."""
        if not self.segments or self.is_lost(now_s):
            self.box = detection.box
            self.segments.append((now_s, now_s))
        else:
            self.box = drag(self.box, detection.box)
            self.segments[-1] = (self.segments[-1][0], now_s)
        self._sightings.append(detection)


@dataclass(frozen=True)
class TrackedFrames:
    """Successive frames, and a box for each of them in every track that is alive.

    Attributes:
        frames: at most `MAX_HELD_FRAMES`.
        boxes: by the track's identity, as many boxes as frames, in pixels of the frame and not clamped to it. They
            reach a little beyond the track's spans, from the detection before the first to where the gap proved too
            long; there the box is only held, and the signal is to be cut to the spans.
    """

    frames: list[Frame]
    boxes: dict[int, list[Box]]


class FaceTracker:
    """Finds and follows the faces of one video.

    Args:
        detector: finds the faces in an RGB image.

    Attributes:
        tracks: the faces seen in at least two detections, by identity; complete when `track` is exhausted. Boxes are
            given out from a face's first detection on, so an identity in `TrackedFrames` that is not among these was
            a passing error of the detector.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._tracks: list[Track] = []
        self._born = 0
        self._detections_run = 0
        self._interval_s = DETECTION_INTERVAL_S

    @property
    def tracks(self) -> dict[int, Track]:  # noqa: D102 (an attribute of the class docstring)
        return {track.identity: track for track in self._tracks if self._confirmed(track)}

    def track(self, frames: Iterable[Frame]) -> Iterator[TrackedFrames]:
        """Give every frame its boxes.

        Faces are looked for in the first frame, in the last, on both sides of a gap, and in between whenever
        `DETECTION_INTERVAL_S` have passed (`STILL_INTERVAL_S` after a detection that changed nothing) or
        `MAX_HELD_FRAMES` are waiting; more than these are never held.

        Args:
            frames: in order of time.

        Yields:
            Every frame exactly once, in order, in groups that end with a frame in which faces were looked for.
        """
        held: list[Frame] = []
        since_s = -math.inf
        for frame in frames:
            if held and frame.time - held[-1].time > MAX_TIME_GAP_S:
                yield self._settle(held, since_s)
                held, since_s = [], held[-1].time
            held.append(frame)
            if frame.time - since_s >= self._interval_s or len(held) == MAX_HELD_FRAMES:
                yield self._settle(held, since_s)
                held, since_s = [], frame.time
        if held:
            yield self._settle(held, since_s)

    def forget(self, before_s: float) -> None:
        """Let go of faces last seen before a time, and of what others did before it: for streams without end."""
        self._tracks = [track for track in self._tracks if track.last_seen_s >= before_s]
        for track in self._tracks:
            track.segments = [span for span in track.segments if span[1] >= before_s]
            del track._sightings[:-2]  # what it takes to be more than a passing error of the detector

    def _settle(self, frames: list[Frame], since_s: float) -> TrackedFrames:
        """Look for faces in the last frame, and lead the boxes there from where they were at a time."""
        now_s = frames[-1].time
        before = {track.identity: track.box for track in self._tracks if not track.is_lost(now_s)}
        self._link(self._detector(frames[-1].image), now_s)
        alive = [track for track in self._tracks if not track.is_lost(now_s)]
        still = before == {track.identity: track.box for track in alive if track.last_seen_s == now_s}
        self._interval_s = STILL_INTERVAL_S if still else DETECTION_INTERVAL_S
        fractions = [_fraction(frame.time, since_s, now_s) for frame in frames]
        boxes = {}
        for track in alive:
            start = before.get(track.identity, track.box)
            boxes[track.identity] = [start.towards(track.box, fraction) for fraction in fractions]
        return TrackedFrames(frames, boxes)

    def _link(self, detections: Sequence[Detection], now_s: float) -> None:
        """Give each detection to the track it continues, the nearest first, or else to a new one."""
        self._detections_run += 1
        # A face that was lost before it was confirmed was none.
        self._tracks = [track for track in self._tracks if self._confirmed(track) or not track.is_lost(now_s)]
        # Lost tracks come after all others: a face that is there has the better claim.
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
                self._tracks[row].see(detections[column], now_s)
                rows_taken.add(row)
                columns_taken.add(column)
        for column, detection in enumerate(detections):
            if column not in columns_taken:
                track = Track(self._born, detection.box)
                track.see(detection, now_s)
                self._tracks.append(track)
                self._born += 1

    def _may_continue(self, track: Track, detection: Detection, faces: int, now_s: float) -> bool:
        if track.is_lost(now_s) and faces == len(self._tracks) == 1:
            return True  # the only face of the video comes back, wherever it does
        ratio = detection.box.side / track.box.side
        return distance(track.box, detection.box) <= MAX_STEP_SIDES and 1 / MAX_SIDE_RATIO <= ratio <= MAX_SIDE_RATIO

    def _confirmed(self, track: Track) -> bool:
        # A video so short that faces were looked for once must not be told that it shows none.
        return track.sightings >= min(2, self._detections_run)


def drag(box: Box, detected: Box) -> Box:
    """Move a box as little as brings a detection back within the dead band around it (backlash).

    Args:
        box: where the face was held to be.
        detected: where it is found now.

    Returns:
        `box` itself while the detection lies within `CENTRE_BAND` and `SIDE_BAND` of it, in units of its side.
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
    """The largest face that stays: of those there for half as long as the longest there, the largest in the median.

    Raises:
        ValueError: there are no tracks.
    """
    tracks = list(tracks)
    if not tracks:
        raise ValueError("there must be at least one track to choose from, got none")
    enough_s = max(track.coverage_s for track in tracks) / 2
    return max((track for track in tracks if track.coverage_s >= enough_s), key=lambda track: track.median_box.area)


def left_to_right(tracks: Iterable[Track]) -> list[Track]:
    """The tracks in the order in which their median boxes stand in the picture."""
    return sorted(tracks, key=lambda track: track.median_box.centre)


def _excess(deviation: float, band: float) -> float:
    """What fraction of a deviation lies beyond the band."""
    return 1 - band / deviation if deviation > band else 0.0


def _fraction(time_s: float, since_s: float, now_s: float) -> float:
    """How far a time lies on the way between two, clamped to 0..1."""
    if not 0 < now_s - since_s < math.inf:
        return 1.0
    return min(max((time_s - since_s) / (now_s - since_s), 0.0), 1.0)

"""Measure a live source: frames in as they are captured, about one reading per second out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepulse.faces.detectors import get_detector
from facepulse.faces.tracking import Box, Detector, FaceTracker, Track, TrackedFrames
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, Reason, rate_text
from facepulse.pipeline.advice import FEW_FRAMES, NO_FACE, advice
from facepulse.pipeline.extract import MINIMUM_FPS, MINIMUM_S, FaceTraces, check_window_and_quality, push_frames
from facepulse.video.frames import Frame
from facepulse.video.source import LiveSource, open_stream
from facepulse.video.timing import CodedTime, Timing

if TYPE_CHECKING:
    from facepulse.pipeline.methods import Fallback, Method, MethodLike

State = Literal["no face", "collecting", "unsure", "measured"]
LiveReason = Literal[Reason, "no_face", "too_short", "low_fps"]
"""Reason why a reading has no heart rate: that of a measurement, or

* `no_face`: no face is in view;
* `too_short`: the face has been in view for less than five seconds;
* `low_fps`: there are fewer than five frames per second.

In these three cases, too, there is not even a best guess.
"""

STATES: dict[LiveReason, State] = {"no_face": "no face", "too_short": "collecting"}
EVERY_S = 1.0
SETTLING_S = 2.0  # kept before the window, because the first second of a waveform is its poorest
CLOCK_DELAY_S = 0.1  # of the traces behind the newest frame: one or two samples
ABSENT_S = 2.0  # since its last detection; faces are detected once per second or more often


@dataclass(frozen=True, eq=False, repr=False)
class LiveReading:
    """Heart rate at one moment of a stream.

    Attributes:
        time_s: time of the newest frame, on the clock of the source.
        method: name of the method that measured the window; POS if the quality of a network is too low and that of POS
            is high (0.9).
        requested_method: name of the method that was asked for.
        bpm: heart rate over the window, or None if it is withheld; then `reason` says why.
        estimate_bpm: the best guess, whatever its quality; None if there is none. Equal to `bpm` unless withheld.
        reason: why there is no heart rate, as in `LiveReason`; None if there is one.
        quality: 0..1, calibrated probability that the heart rate is within 5 bpm of the truth; 0 without a heart rate.
        window_s: length of the window so far in seconds.
        box: the face in the newest frame, in pixels: x, y, width, height; None without a face.
        advice: what the person can do for a better quality; empty if it is good.
        waveform: blood volume pulse over the window, float32 (T,), unit variance, systole up.
        times_s: times of its samples, float64 (T,).
    """

    time_s: float
    method: str
    requested_method: str
    bpm: float | None
    estimate_bpm: float | None
    reason: LiveReason | None
    quality: float
    window_s: float
    box: tuple[float, float, float, float] | None
    advice: tuple[str, ...]
    waveform: NDArray[np.float32]
    times_s: NDArray[np.float64]

    @classmethod
    def empty(
        cls,
        time_s: float,
        reason: LiveReason,
        method: str,
        *,
        window_s: float = 0.0,
        box: tuple[float, float, float, float] | None = None,
        advice: tuple[str, ...] = (),
    ) -> LiveReading:
        """Create a reading without a heart rate."""
        return cls(
            time_s=time_s,
            method=method,
            requested_method=method,
            bpm=None,
            estimate_bpm=None,
            reason=reason,
            quality=0.0,
            window_s=window_s,
            box=box,
            advice=advice,
            waveform=np.zeros(0, np.float32),
            times_s=np.zeros(0),
        )

    @property
    def state(self) -> State:
        """State of the measurement.

        "no face"; "collecting" until a face has been in view for five seconds; "unsure" if the heart rate is withheld;
        "measured".
        """
        if self.reason is None:
            return "measured"
        return STATES.get(self.reason, "unsure")

    def __repr__(self) -> str:
        rate = rate_text(self.estimate_bpm, self.reason)
        return f"<LiveReading at {self.time_s:.1f} s: {rate}, quality {self.quality:.2f}, {self.method}>"

    def __str__(self) -> str:
        """Return one line for a terminal."""
        state = {
            "no face": "no face",
            "collecting": f"collecting, {self.window_s:.0f} s",
            "unsure": f"no reliable pulse, quality {self.quality:.2f}",
            "measured": f"{self.bpm or 0:5.1f} bpm, quality {self.quality:.2f}",
        }[self.state]
        return f"{self.time_s:7.1f} s  {state}" + "".join(f"; {advice}" for advice in self.advice)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for `json.dumps`, without the waveform."""
        return {
            "time_s": round(self.time_s, 3),
            "state": self.state,
            "method": self.method,
            "requested_method": self.requested_method,
            "bpm": None if self.bpm is None else round(self.bpm, 2),
            "estimate_bpm": None if self.estimate_bpm is None else round(self.estimate_bpm, 2),
            "reason": self.reason,
            "quality": round(self.quality, 3),
            "window_s": round(self.window_s, 2),
            "box": None if self.box is None else [round(side, 1) for side in self.box],
            "advice": list(self.advice),
        }


def stream(
    source: LiveSource,
    *,
    fps: float | None = None,
    times: ArrayLike | None = None,
    method: MethodLike = DEFAULT,
    fallback: Fallback = "POS",
    window_s: float = 10.0,
    detector: str | Detector = "auto",
    min_quality: float = QUALITY_THRESHOLD,
) -> Iterator[LiveReading]:
    """Measure the heart rate of the largest face in a stream, about once per second, with constant memory.

    Frames that are late, out of order or without a finite time are skipped; missing frames are interpolated. A face
    that was lost is measured anew from when it is found again.

    Args:
        source: list or iterator of `Frame`s with their capture times in seconds; the number of a camera; the address
            of a network camera or video (rtsp://, http://, https://); or a video as in `facepulse.measure`. Frames of a
            program keep their size, so that boxes are in their pixels.
        fps: frame rate in Hz of an array or of images, or of a path, as in `facepulse.measure`.
        times: seconds, (T,), one for each image, in place of `fps`.
        method: as in `facepulse.measure`.
        fallback: as in `facepulse.measure`.
        window_s: seconds up to the newest frame that a reading covers, at least 5; less at the beginning.
        detector: as in `facepulse.measure`.
        min_quality: 0..1; below it a heart rate is withheld.

    Raises:
        UsageError: an argument is out of its range, the camera does not exist, or the source is of another kind.
            Faults of frames that an iterator gives later are raised while the readings are iterated.
        VideoError: the video or address cannot be read; or, during iteration, the camera is lost.
    """
    # Engines and weights would slow down `import facepulse`.
    from facepulse.pipeline.methods import check_fallback, find_method

    found_method, found_detector = find_method(method), get_detector(detector)
    check_fallback(fallback)
    check_window_and_quality(window_s, min_quality, "window")
    live = LiveTraces(FaceTracker(found_detector), found_method, window_s, min_quality, fallback)
    return _readings(open_stream(source, fps=fps, times=times), live)


def _readings(frames: Iterable[Frame], live: LiveTraces) -> Iterator[LiveReading]:
    previous_s = -math.inf
    for tracked in live.tracker.track(frames):
        live.push(tracked)
        now_s = tracked.frames[-1].time
        # Groups of frames end with a detection, and detections are not exactly one second apart.
        if now_s - previous_s >= EVERY_S - 0.25:
            previous_s = now_s
            yield live.reading(now_s)


class LiveTraces:
    """Traces of the faces of a stream over the newest seconds, and the choice of the face that is measured.

    Args:
        tracker: tracks the faces.
        method: determines the crops, and whether a network runs on them.
        window_s: length of the window of a reading in seconds.
        min_quality: 0..1; below it a heart rate is withheld.
        fallback: "POS", which may replace a network; or None.

    Attributes:
        tracker: as given.
        faces: traces of each face by the identity of its track.
        boxes: of each face, with their times in seconds.
        coded: times of the frames in seconds, and how they were coded.
    """

    def __init__(
        self, tracker: FaceTracker, method: Method, window_s: float, min_quality: float, fallback: Fallback = "POS"
    ) -> None:
        self.tracker = tracker
        self._method = method
        self._window_s = window_s
        self._min_quality = min_quality
        self._fallback: Fallback = fallback
        self.faces: dict[int, FaceTraces] = {}
        self.boxes: dict[int, deque[tuple[float, Box]]] = {}
        self.coded: deque[CodedTime] = deque()
        self._chosen: int | None = None

    def push(self, tracked: TrackedFrames) -> None:
        """Add the next frames with the boxes of their faces, and discard what is older than needed."""
        now_s = tracked.frames[-1].time
        oldest_s = now_s - self._window_s - SETTLING_S
        self.tracker.discard(oldest_s)
        self.coded.extend(CodedTime(frame.time, frame.key, frame.anchor) for frame in tracked.frames)
        while self.coded and self.coded[0].time < oldest_s:
            self.coded.popleft()
        push_frames(tracked, self.faces, lambda _, image, box: FaceTraces(self._method, image, box))
        for identity, boxes in tracked.boxes.items():
            self.faces[identity].discard(oldest_s)
            recent = self.boxes.setdefault(identity, deque())
            recent.append((now_s, boxes[-1]))
            while recent[0][0] < oldest_s:
                recent.popleft()
        for identity in self.faces.keys() - tracked.boxes.keys():
            del self.faces[identity], self.boxes[identity]

    def reading(self, now_s: float) -> LiveReading:
        """Measure the window that ends now."""
        present = {
            identity: track
            for identity, track in self.tracker.tracks.items()
            if identity in self.faces and now_s - track.last_seen_s <= ABSENT_S
        }
        self._chosen = choose_face(present, self._chosen)
        if self._chosen is None:
            return LiveReading.empty(now_s, "no_face", self._method.name, advice=(NO_FACE,))
        track = present[self._chosen]
        box = (track.box.x, track.box.y, track.box.width, track.box.height)
        since_s = track.segments[-1][0]
        seconds = min(_length_s(self.faces[self._chosen], since_s), self._window_s)
        timing = Timing.of(self.coded)
        long_enough = seconds >= MINIMUM_S - CLOCK_DELAY_S
        if long_enough and timing.fps >= MINIMUM_FPS:
            return self._measured(now_s, since_s, seconds, timing, self._chosen, box)
        reason: LiveReason = "low_fps" if long_enough else "too_short"
        slow = (FEW_FRAMES,) if len(self.coded) > 1 and timing.fps < MINIMUM_FPS else ()
        return LiveReading.empty(now_s, reason, self._method.name, window_s=seconds, box=box, advice=slow)

    def _measured(
        self,
        now_s: float,
        since_s: float,
        seconds: float,
        timing: Timing,
        identity: int,
        box: tuple[float, float, float, float],
    ) -> LiveReading:
        """Estimate the heart rate of a face that has been in view for long enough."""
        # scipy would slow down `import facepulse`.
        from facepulse.pipeline.decision import decide
        from facepulse.pipeline.estimate import estimate

        segment = self.faces[identity].segments([(since_s, now_s)])[-1]
        chosen = estimate(
            [segment],
            self._method,
            timing=timing,
            min_quality=self._min_quality,
            fallback=self._fallback,
            newest_s=self._window_s,
        ).chosen
        reported = [rgb[chosen.begin :] for rgb in chosen.traces]
        decision = decide(chosen, chosen.reported, reported, self._min_quality)
        boxes = [recent for time_s, recent in self.boxes[identity] if time_s >= now_s - self._window_s]
        return LiveReading(
            time_s=now_s,
            method=chosen.method.name,
            requested_method=self._method.name,
            bpm=decision.bpm,
            estimate_bpm=decision.estimate_bpm,
            reason=decision.reason,
            quality=chosen.reported.quality,
            window_s=seconds,
            box=box,
            advice=() if decision.reason is None else tuple(advice(segment.rgb[chosen.begin :, 0], boxes, timing.fps)),
            waveform=chosen.bvp()[0].astype(np.float32),
            times_s=segment.times[chosen.begin :],
        )


def choose_face(present: Mapping[int, Track], previous: int | None) -> int | None:
    """Choose the face to measure: the previous one while it is in view, even beside a larger one; else the largest.

    Args:
        present: faces that are in view, by identity.
        previous: identity of the face measured so far, if any.
    """
    if previous in present:
        return previous
    return max(present, key=lambda identity: present[identity].box.area, default=None)


def _length_s(face: FaceTraces, since_s: float) -> float:
    """Length in seconds of the newest segment since a time; from the RGB traces, which costs no network inference."""
    if not (segments := face.skin.segments):
        return 0.0
    newest = segments[-1]
    return max(newest.start_s + len(newest.rgb) / newest.fps - max(newest.start_s, since_s), 0.0)

"""The stages of a measurement over a live source: frames in as they are captured, a reading a second out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from facepulse.errors import UsageError
from facepulse.faces.detectors import get_detector
from facepulse.faces.tracking import Box, FaceTracker, TrackedFrames
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.advice import FEW_FRAMES, NO_FACE, advice
from facepulse.pipeline.extract import MINIMUM_FPS, MINIMUM_S, FaceTraces
from facepulse.video.reader import Frame, frame_rate, open_video
from facepulse.video.webcam import open_camera

if TYPE_CHECKING:
    from facepulse.pipeline.methods import Method

State = Literal["no face", "collecting", "unsure", "measured"]

EVERY_S = 1.0
LEAD_S = 2.0  # kept before the window, so that its first second is read as if the waveform had begun earlier
# Faces are looked for once a second or more often; one that was found neither time is not there now.
GONE_S = 2.0


@dataclass(frozen=True, eq=False)
class LiveReading:
    """What is known of the pulse at one moment of a stream.

    Attributes:
        time_s: of the newest frame, on the source's clock.
        state: "no face"; "collecting", until there are five seconds of a face; "unsure", where the quality is too low
            for a heart rate; "measured".
        method: name of what reads the window: POS, where a network cannot be trusted and POS is sure (0.9).
        bpm: heart rate over the window, or None where it cannot be said.
        quality: 0..1, how far to trust what the window says; 0 while there is none.
        window_s: how many seconds the window has by now.
        box: the face in the newest frame, in pixels: x, y, width, height; None where there is none.
        advice: what would make it better, in words; empty where it is good.
        waveform: blood-volume pulse over the window, float32 (T,), unit spread, systole upwards.
        times_s: of its samples, float64 (T,).
    """

    time_s: float
    state: State
    method: str
    bpm: float | None
    quality: float
    window_s: float
    box: tuple[float, float, float, float] | None
    advice: tuple[str, ...]
    waveform: NDArray[np.float32] = field(repr=False)
    times_s: NDArray[np.float64] = field(repr=False)

    def __str__(self) -> str:
        """One line, as on a terminal."""
        said = {
            "no face": "no face",
            "collecting": f"collecting, {self.window_s:.0f} s",
            "unsure": f"no trustworthy pulse, quality {self.quality:.2f}",
            "measured": f"{self.bpm or 0:5.1f} bpm, quality {self.quality:.2f}",
        }[self.state]
        return f"{self.time_s:7.1f} s  {said}" + "".join(f"; {words}" for words in self.advice)

    def to_dict(self) -> dict[str, Any]:
        """As plain Python values that `json.dumps` takes, without the waveform."""
        return {
            "time_s": round(self.time_s, 3),
            "state": self.state,
            "method": self.method,
            "bpm": None if self.bpm is None else round(self.bpm, 2),
            "quality": round(self.quality, 3),
            "window_s": round(self.window_s, 2),
            "box": None if self.box is None else [round(side, 1) for side in self.box],
            "advice": list(self.advice),
        }


def stream(
    source: Iterable[Frame] | str | Path | int,
    *,
    method: str = DEFAULT,
    window_s: float = 10.0,
    detector: str = "auto",
    min_quality: float = QUALITY_THRESHOLD,
) -> Iterator[LiveReading]:
    """Read the pulse of the largest face in a stream, about once a second, with constant memory.

    A frame that comes late, out of order or without a time is passed over; where frames are missing, the others are
    enough. A face that is lost and found again is read from then on.

    Args:
        source: frames with their capture times in seconds, or a video file, or the number of a camera.
        method: as in `facepulse.measure`.
        window_s: how many of the newest seconds a reading is made of, at least 5; fewer while there are fewer.
        detector: a key of `facepulse.faces.detectors.DETECTORS`.
        min_quality: 0..1; below it a heart rate is withheld.

    Raises:
        UsageError: an argument is out of its range, or there is no such camera.
        VideoError: the video cannot be read.
    """
    from facepulse.pipeline.methods import (
        find_method,  # half a second, which who only imports the package need not wait for
    )

    chosen = find_method(method)
    found = get_detector(detector)
    if not MINIMUM_S <= window_s < math.inf:
        raise UsageError(f"the window can be {MINIMUM_S:g} s long or longer, not {window_s:g} s")
    if not 0.0 <= min_quality <= 1.0:
        raise UsageError(f"the minimum quality is a number from 0 to 1, not {min_quality:g}")
    return _readings(_frames(source), FaceTracker(found), chosen, window_s, min_quality)


def _readings(
    frames: Iterable[Frame], tracker: FaceTracker, method: Method, window_s: float, min_quality: float
) -> Iterator[LiveReading]:
    watched = _Watched(tracker, method, window_s, min_quality)
    since_s = -math.inf
    for tracked in tracker.track(_in_order(frames)):
        watched.take(tracked)
        now_s = tracked.frames[-1].time
        # Groups of frames end when faces were looked for, which is not to the second.
        if now_s - since_s >= EVERY_S - 0.25:
            since_s = now_s
            yield watched.reading(now_s)


class _Watched:
    """The faces of a stream, and of them the one that is read."""

    def __init__(self, tracker: FaceTracker, method: Method, window_s: float, min_quality: float) -> None:
        self._tracker = tracker
        self._method = method
        self._window_s = window_s
        self._min_quality = min_quality
        self._faces: dict[int, FaceTraces] = {}
        self._boxes: dict[int, deque[tuple[float, Box]]] = {}
        self._times: deque[tuple[float, bool]] = deque()  # of the frames, and whether they are key frames
        self._chosen: int | None = None

    def take(self, tracked: TrackedFrames) -> None:
        """The next frames, with the boxes of their faces."""
        now_s = tracked.frames[-1].time
        kept_s = now_s - self._window_s - LEAD_S
        self._tracker.forget(kept_s)
        self._times.extend((frame.time, frame.key) for frame in tracked.frames)
        while self._times and self._times[0][0] < kept_s:
            self._times.popleft()
        for identity, boxes in tracked.boxes.items():
            if identity not in self._faces:
                self._faces[identity] = FaceTraces(self._method)
                self._boxes[identity] = deque()
            self._faces[identity].push(tracked.frames, boxes)
            self._faces[identity].forget(kept_s)
            trail = self._boxes[identity]
            trail.append((now_s, boxes[-1]))
            while trail[0][0] < kept_s:
                trail.popleft()
        for identity in self._faces.keys() - tracked.boxes.keys():
            del self._faces[identity], self._boxes[identity]

    def reading(self, now_s: float) -> LiveReading:
        """What can be said now."""
        there = {
            identity: track
            for identity, track in self._tracker.tracks.items()
            if identity in self._faces and now_s - track.last_seen_s <= GONE_S
        }
        if not there:
            self._chosen = None
            return self._without(now_s, "no face", 0.0, None, (NO_FACE,))
        if self._chosen not in there:  # who is read stays so, also when someone larger walks by
            self._chosen = max(there, key=lambda identity: there[identity].box.area)
        track = there[self._chosen]
        box = (track.box.x, track.box.y, track.box.width, track.box.height)
        span = (track.segments[-1][0], now_s)
        seconds = min(self._seconds(self._chosen, span), self._window_s)
        fps = frame_rate(np.array([when for when, _ in self._times]))
        boxes = [box for when, box in self._boxes[self._chosen] if when >= now_s - self._window_s]
        # The clock is a tick or two behind the newest frame.
        if seconds < MINIMUM_S - 0.1:
            slow = (FEW_FRAMES,) if len(self._times) > 1 and fps < MINIMUM_FPS else ()
            return self._without(now_s, "collecting", seconds, box, slow)
        if fps < MINIMUM_FPS:
            return self._without(now_s, "unsure", seconds, box, (FEW_FRAMES,))
        keys = [when for when, key in self._times if key]
        coded = keys if len(keys) < len(self._times) else []  # where every frame is one, there is no rhythm
        from facepulse.pipeline.estimate import read_latest

        segment = self._faces[self._chosen].segments([span])[-1]
        latest = read_latest(segment, self._method, self._window_s, fps, coded, self._min_quality)
        trusted = latest.quality >= self._min_quality
        skin = segment.rgb[-len(latest.times) :, 0]
        return LiveReading(
            time_s=now_s,
            state="measured" if trusted else "unsure",
            method=latest.method,
            bpm=latest.bpm if trusted else None,
            quality=latest.quality,
            window_s=seconds,
            box=box,
            advice=() if trusted else tuple(advice(skin, boxes, fps)),
            waveform=latest.waveform.astype(np.float32),
            times_s=latest.times,
        )

    def _seconds(self, identity: int, span: tuple[float, float]) -> float:
        """How long a face has been there without a break; asked of the skin, which costs no network anything."""
        if not (parts := self._faces[identity].skin.segments):
            return 0.0
        newest = parts[-1]
        return max(newest.start_s + len(newest.rgb) / newest.fps - max(newest.start_s, span[0]), 0.0)

    def _without(
        self,
        now_s: float,
        state: State,
        seconds: float,
        box: tuple[float, float, float, float] | None,
        words: tuple[str, ...],
    ) -> LiveReading:
        nothing = np.zeros(0)
        return LiveReading(
            now_s, state, self._method.name, None, 0.0, seconds, box, words, nothing.astype(np.float32), nothing
        )


def _frames(source: Iterable[Frame] | str | Path | int) -> Iterable[Frame]:
    if isinstance(source, int):
        return open_camera(source)
    if isinstance(source, str | Path):
        return _of_file(Path(source))
    return source


def _of_file(path: Path) -> Iterator[Frame]:
    with open_video(path) as video:
        yield from video


def _in_order(frames: Iterable[Frame]) -> Iterator[Frame]:
    latest_s = -math.inf
    for frame in frames:
        if latest_s < frame.time < math.inf:
            latest_s = frame.time
            yield frame

"""Timestamps of decoded frames: their order of presentation, and one clock that increases throughout."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from facepulse.errors import VideoError
from facepulse.video.frames import Frame
from facepulse.video.timing import MAX_TIME_GAP_S

HELD_FRAMES = 90  # images are large: of more successive frames without a timestamp, only the last are kept
FITTED_FRAMES = 11  # with timestamps, whose spacing times the frames before the first or after the last of them
JUMP_S = 10.0  # a timestamp further ahead is only believed if that of the next frame follows it
WRAPS_S = 2**33 / 90000, 2**32 / 90000, 2**32 / 1000  # where counters of MPEG-TS, RTP and milliseconds overflow
LISTED_RESTARTS = 3

STATE_THE_RATE = "state its frame rate (fps), as of the camera or program that recorded it"


class PresentationOrder:
    """Timestamps of frames, in units of the stream's time base, from those of its packets.

    AVI, ASF and other old containers have one timestamp per packet, in decoding order, which FFmpeg gives as that of
    presentation although B frames are presented in another order. These timestamps increase from packet to packet,
    whereas true ones decrease at each B frame. The decoder outputs frames in order of presentation; therefore, frame
    after frame gets the lowest timestamp that is left.

    Args:
        reordered: True if the decoder changes the order of frames.
    """

    def __init__(self, reordered: bool) -> None:
        self._in_decoding_order = reordered
        self._unused: deque[int] = deque()

    def add(self, presentation: int | None, decoding: int | None) -> None:
        """Add the timestamps of the next packet."""
        timestamp = decoding if presentation is None else presentation
        if not self._in_decoding_order or timestamp is None:
            return
        if self._unused and timestamp <= self._unused[-1]:
            self._in_decoding_order = False
            self._unused.clear()
        else:
            self._unused.append(timestamp)

    def take(self, stated: int | None) -> int | None:
        """Return the timestamp of the next frame, given the one that the decoder states."""
        return self._unused.popleft() if self._in_decoding_order and self._unused else stated


class ContinuousClock:
    """Timestamps of frames on one clock that increases throughout.

    Missing timestamps are interpolated. A clock that starts again, as where two recordings were joined, is continued
    after a gap that separates segments, since the true length of the interruption is not known. A counter that
    overflows is continued without a gap. A single timestamp that fits neither those before nor those after is left out.

    Args:
        name: of the source, in messages.
        period_s: nominal time from frame to frame.

    Attributes:
        interpolated: number of frames that had no timestamp.
        untimed: number of frames without a timestamp that were left out, because too many followed each other.
        outliers: number of frames that were left out because of their timestamps.
        restarts: times (end, start) in seconds, from before each restart of the clock to after it.
    """

    def __init__(self, name: str, period_s: float) -> None:
        self._name, self._period_s = name, period_s
        self.interpolated = self.untimed = self.outliers = 0
        self.restarts: list[tuple[float, float]] = []

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield frames with continuous times, given those of the source in seconds, NaN if there is none.

        Raises:
            VideoError: no frame has a timestamp, or none fits that of the first frame.
        """
        return self._continued(self._interpolated(frames))

    def notes(self) -> list[str]:
        """Describe what was changed, one line each, with times in seconds from the first frame at 0."""
        found = []
        if self.interpolated:
            found.append(f"missing for {self.interpolated} frames, interpolated between those before and after")
        if self.untimed:
            found.append(f"missing for too many successive frames, of which were left out: {self.untimed}")
        for end_s, start_s in self.restarts[:LISTED_RESTARTS]:
            found.append(
                f"they start again after {end_s:.1f} s, where recordings may have been joined; "
                f"the frames that follow are another segment, from {start_s:.1f} s on"
            )
        if more := len(self.restarts[LISTED_RESTARTS:]):
            found.append(f"they start again {more} more times")
        return [f"timestamps: {note}" for note in found]

    def _interpolated(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        waiting: deque[tuple[int, Frame]] = deque()  # with their positions; the first has no timestamp
        missing = 0  # number of frames among them without a timestamp
        known: deque[tuple[int, float]] = deque(maxlen=FITTED_FRAMES)
        for position, frame in enumerate(frames):
            is_timed = not math.isnan(frame.time)
            if is_timed:
                known.append((position, frame.time))
                if not waiting:
                    yield frame
                    continue
            waiting.append((position, frame))
            missing += not is_timed
            if missing > HELD_FRAMES:
                waiting.popleft()
                missing -= 1
                self.untimed += 1
            elif is_timed and (len(known) == FITTED_FRAMES or known[0][0] < waiting[0][0]):
                yield from self._timed(waiting, known)
                missing = 0
        yield from self._timed(waiting, known)

    def _timed(self, waiting: deque[tuple[int, Frame]], known: deque[tuple[int, float]]) -> Iterator[Frame]:
        """Yield the waiting frames, and interpolate missing times from known (position, time)."""
        if waiting and not known:
            raise VideoError(f"{self._name}: has no timestamps; {STATE_THE_RATE}")
        positions, times = np.array(known or [(0, 0.0)]).T
        step_s = float(np.median(np.diff(times) / np.diff(positions))) if len(times) > 1 else self._period_s
        while waiting:
            position, frame = waiting.popleft()
            if math.isnan(frame.time):
                self.interpolated += 1
                nearest = min(max(position, positions[0]), positions[-1])
                time = np.interp(nearest, positions, times) + (position - nearest) * step_s
                frame = replace(frame, time=float(time))
            yield frame

    def _continued(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        start_s: float | None = None
        latest_s = offset_s = 0.0
        held: Frame | None = None  # its time fits those before only if the next frame follows it
        for frame in frames:
            time = frame.time + offset_s
            start_s, latest_s = (time, time) if start_s is None else (start_s, latest_s)
            if wrap_s := next((wrap for wrap in WRAPS_S if abs(latest_s - time - wrap) < JUMP_S), 0.0):
                offset_s += wrap_s
                time += wrap_s
            if held is not None and 0 <= time - held.time <= MAX_TIME_GAP_S:
                if held.time < latest_s:
                    shift_s = latest_s + MAX_TIME_GAP_S + self._period_s - held.time
                    self.restarts.append((latest_s - start_s, held.time + shift_s - start_s))
                    offset_s += shift_s
                    time += shift_s
                    held = replace(held, time=held.time + shift_s)
                yield held
                latest_s = held.time
            elif held is not None:
                self.outliers += 1
            held = None
            if not latest_s - MAX_TIME_GAP_S <= time <= latest_s + JUMP_S:
                held = replace(frame, time=time)
                continue
            latest_s = max(latest_s, time)
            yield replace(frame, time=time) if offset_s else frame
        self.outliers += held is not None
        if held is not None and latest_s == start_s:
            spacing_s = (held.time - latest_s) / self.outliers
            raise VideoError(f"{self._name}: its timestamps are {spacing_s:.6g} s apart; {STATE_THE_RATE}")

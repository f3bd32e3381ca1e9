"""Session of one client of the live page: frames to readings, in a thread of its own."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from threading import Condition, Thread

from facepulse.stream import LiveReading
from facepulse.video.frames import Frame

MAX_QUEUED_FRAMES = 45  # 1.5 s at 30 Hz; if the computer cannot keep up, the oldest frames are dropped


class Session:
    """Computation of readings from the frames of one client, while they arrive.

    Args:
        read: function from frames to readings, such as `facepulse.stream` with its options.
        on_reading: called in the thread of the session with each reading, the milliseconds since its newest frame
            arrived, and the number of frames dropped since the previous reading.
        on_error: called in the thread of the session, once, if `read` raises an error.
    """

    def __init__(
        self,
        read: Callable[[Iterable[Frame]], Iterator[LiveReading]],
        on_reading: Callable[[LiveReading, float, int], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._read, self._on_reading, self._on_error = read, on_reading, on_error
        self._queue: deque[Frame] = deque(maxlen=MAX_QUEUED_FRAMES)
        self._arrived: OrderedDict[float, float] = OrderedDict()
        self._changed = Condition()
        self._dropped = 0
        self._closed = False
        self._thread = Thread(target=self._run, daemon=True, name="facepulse-session")
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Add the next frame, without blocking."""
        with self._changed:
            self._dropped += len(self._queue) == MAX_QUEUED_FRAMES
            self._queue.append(frame)
            self._arrived[frame.time] = time.monotonic()
            while len(self._arrived) > 4 * MAX_QUEUED_FRAMES:
                self._arrived.popitem(last=False)
            self._changed.notify()

    def close(self) -> None:
        """End the session and drop queued frames."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            # Frames of another size, from a rotated or another camera, start a new stream, because boxes are in pixels.
            for _, frames in groupby(self._frames(), key=lambda frame: frame.image.shape):
                for reading in self._read(frames):
                    now_s = time.monotonic()
                    with self._changed:
                        arrived_s = self._arrived.get(reading.time_s, now_s)
                        dropped, self._dropped = self._dropped, 0
                    self._on_reading(reading, 1e3 * (now_s - arrived_s), dropped)
        except Exception as error:  # of any kind: it must not be lost with the thread
            self._on_error(error)

    def _frames(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                frame = self._queue.popleft()
            yield frame

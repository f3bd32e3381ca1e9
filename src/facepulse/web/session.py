"""One client of the live page: pictures in, readings out, in a thread of its own."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from threading import Condition, Thread

from facepulse.stream import LiveReading
from facepulse.video.reader import Frame

WAITING = 45  # pictures: a second and a half; if the computer cannot keep up, the oldest are let go


class Session:
    """Reads the pictures of one client while they come.

    Args:
        read: from frames to readings, as `facepulse.stream` with its arguments given.
        give: called in the session's thread with each reading, the milliseconds since its newest frame came, and how
            many pictures were let go unread since the reading before.
        fail: called there once if reading broke off.
    """

    def __init__(
        self,
        read: Callable[[Iterable[Frame]], Iterator[LiveReading]],
        give: Callable[[LiveReading, float, int], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._read, self._give, self._fail = read, give, fail
        self._waiting: deque[Frame] = deque(maxlen=WAITING)
        self._came: OrderedDict[float, float] = OrderedDict()
        self._changed = Condition()
        self._let_go = 0
        self._closed = False
        self._thread = Thread(target=self._run, daemon=True, name="facepulse-session")
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Take the next picture; never waits."""
        with self._changed:
            self._let_go += len(self._waiting) == WAITING
            self._waiting.append(frame)
            self._came[frame.time] = time.monotonic()
            while len(self._came) > 4 * WAITING:
                self._came.popitem(last=False)
            self._changed.notify()

    def close(self) -> None:
        """End the session; what is waiting is let go."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            # A camera that is turned, or another one, begins anew: boxes are in pixels.
            for _, frames in groupby(self._frames(), key=lambda frame: frame.image.shape):
                for reading in self._read(frames):
                    now_s = time.monotonic()
                    with self._changed:
                        came_s = self._came.get(reading.time_s, now_s)
                        let_go, self._let_go = self._let_go, 0
                    self._give(reading, 1e3 * (now_s - came_s), let_go)
        except Exception as error:  # of whatever kind: it must not be lost with the thread
            self._fail(error)

    def _frames(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                frame = self._waiting.popleft()
            yield frame

"""What reading live costs: time to the first reading, delay, share of a core, memory over an hour.

    python benchmarks/live.py [--minutes 60]

A painted face of 320x240 at 30 frames a second, as the live page sends them. The first reading and the delay are of a
stream fed in real time; so is the share of a core, over all threads of the process. Memory is of a stream fed as fast
as it goes, for as long as it takes to have seen so many minutes: of the process, after the first minute and at its end.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames
from facepulse.stream import LiveReading, stream
from facepulse.video.reader import Frame
from facepulse.web.server import warm_up

FPS, FILM_S, LIVE_S = 30, 16, 30
STATUS = Path("/proc/self/status")


def film() -> list[Frame]:
    """Twenty beats, so that it runs on without a seam."""
    times = np.arange(FILM_S * FPS) / FPS
    images = paint_frames(
        [PaintedFace(metronome(75.0, FILM_S), height=0.6, strength=0.03)], times, width=320, height=240
    )
    return [Frame(np.asarray(image, np.uint8), float(when)) for image, when in zip(images, times, strict=True)]


def running_on(frames: list[Frame], seconds: float) -> Iterator[Frame]:
    """The film over and over."""
    for number in range(round(seconds * FPS)):
        yield Frame(frames[number % len(frames)].image, number / FPS)


def in_real_time(frames: Iterator[Frame], given: list[float]) -> Iterator[Frame]:
    """Each frame when it is due; `given` holds when the newest was."""
    began = time.monotonic()
    for frame in frames:
        time.sleep(max(0.0, began + frame.time - time.monotonic()))
        given[:] = [time.monotonic()]
        yield frame


def memory_mb() -> float:
    """Of this process, now."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def live(frames: list[Frame]) -> None:
    """First reading, delay and share of a core."""
    warm_up(stream)
    given: list[float] = []
    delays: list[float] = []
    first: LiveReading | None = None
    began, used = time.monotonic(), time.process_time()
    for reading in stream(in_real_time(running_on(frames, LIVE_S), given)):
        delays.append(1e3 * (time.monotonic() - given[0]))
        if reading.bpm is not None and first is None:
            first = reading
    share = (time.process_time() - used) / (time.monotonic() - began)
    assert first is not None
    print(f"first reading    {first.time_s:.1f} s after the first frame: {first.bpm:.1f} bpm, painted 75.0")
    print(f"delay            {np.median(delays):.0f} ms (median), {max(delays):.0f} ms (worst of {len(delays)})")
    print(f"share of a core  {100 * share:.0f} % at {FPS} frames a second")


def hour(frames: list[Frame], minutes: float) -> None:
    """Memory."""
    began, early_mb = time.monotonic(), 0.0
    for reading in stream(running_on(frames, 60 * minutes)):
        if not early_mb and reading.time_s >= 60:
            early_mb = memory_mb()
    took = time.monotonic() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    now_mb = memory_mb()
    print(
        f"memory           {early_mb:.0f} MB after a minute, {now_mb:.0f} MB after {minutes:g}, peak {peak_mb:.0f} MB"
    )
    print(f"as fast as goes  {60 * minutes / took:.0f} times real time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the stream whose memory is watched")
    arguments = parser.parse_args()
    painted = film()
    live(painted)
    hour(painted, arguments.minutes)

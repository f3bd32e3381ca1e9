"""How fast, how soon and how large: a painted face of 640x480 at 30 fps in H.264, measured with POS.

    python benchmarks/speed.py [--runs 5]

Prints the seconds of video measured a second of wall time, stage by stage, then whole processes: until the first frame
is worked on, until the answer, and their peak memory (Linux), for clips of 20 s, 1 min and 10 min. Medians of several
runs. Targets on two cores: 30 times real time; import in 0.3 s, first frame in 1 s; 20 s of video in 2 s and 300 MB;
10 min in no more than 50 MB above 1 min.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from facepulse import measure
from facepulse.classical import METHODS
from facepulse.demo import PaintedFace, metronome, render
from facepulse.detectors import DETECTORS
from facepulse.face import FaceTracker
from facepulse.methods import Method
from facepulse.scene import watch
from facepulse.video import open_video


def decode(path: Path) -> None:
    with open_video(path) as video:
        for _ in video:
            pass


def track(path: Path) -> None:
    with open_video(path) as video:
        for _ in FaceTracker(DETECTORS["auto"]()).track(video):
            pass


def reduce_to_colour(path: Path) -> None:
    watch(path, DETECTORS["auto"](), Method(METHODS["POS"]))


STAGES: dict[str, Callable[[Path], object]] = {
    "decode": decode,
    "+ find and follow the face": track,
    "+ crop, skin colour": reduce_to_colour,
    "+ pulse, quality, beats (all)": measure,
}


def repeated(path: Path, target: Path, times: int) -> Path:
    """The same video several times in a row, without coding it again."""
    with av.open(str(target), "w") as output:
        stream = None
        offset = 0
        for _ in range(times):
            with av.open(str(path)) as source:
                video = source.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    output.mux(packet)
                offset += video.duration
    return target


def process(code: str, *arguments: str) -> tuple[float, str]:
    """Run Python code in a process of its own: wall seconds, and the last line that it printed."""
    start = time.time()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return time.time() - start, done.stdout.splitlines()[-1]


# The peak that the operating system accounts to a child starts with its parent's; the one of its own memory does not.
ANSWER = """
import sys
from facepulse.cli import main
try: main(['measure', sys.argv[1]])
finally: print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""
READY = """
import sys, time, facepulse
class Ready(Exception): pass
def first(done, total):
    print(time.time()); raise Ready
try: facepulse.measure(sys.argv[1], progress=first)
except Ready: pass
"""
IMPORT = "import time; start = time.perf_counter(); import facepulse; print(time.perf_counter() - start)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"painting ... ({os.cpu_count()} cores)", flush=True)
        encoding = {"options": {"crf": "18", "preset": "veryfast"}}
        short = render(folder / "20s.mp4", [PaintedFace(metronome(72, 20))], seconds=20, **encoding)
        minute = render(folder / "1min.mp4", [PaintedFace(metronome(72, 60))], seconds=60, **encoding)
        long = repeated(minute, folder / "10min.mp4", 10)

        print("\nin one process, 1 min of video, median:")
        before_s = 0.0
        for stage, work in STAGES.items():
            took = []
            for _ in range(runs):
                start = time.perf_counter()
                work(minute)
                took.append(time.perf_counter() - start)
            median_s = statistics.median(took)
            print(f"  {stage:32} {60 / median_s:6.1f} times real time  (this stage {median_s - before_s:5.2f} s)")
            before_s = median_s

        print("\nwhole processes, median (min to max):")
        imports = [float(process(IMPORT)[1]) for _ in range(runs)]
        print(f"  import facepulse                   {_spread(imports)} s")
        ready = []
        for _ in range(runs):
            start = time.time()
            ready.append(float(process(READY, str(minute))[1]) - start)
        print(f"  until the first frame is worked on {_spread(ready)} s")
        for label, path, count in (("20 s", short, runs), ("1 min", minute, runs), ("10 min", long, 1)):
            wall, peak_kb = zip(*(process(ANSWER, str(path)) for _ in range(count)), strict=True)
            print(
                f"  facepulse measure, {label:6} clip  {_spread(wall)} s, peak {max(map(int, peak_kb)) / 1024:.0f} MB"
            )


def _spread(values: list[float] | tuple[float, ...]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()

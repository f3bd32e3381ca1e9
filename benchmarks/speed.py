"""Speed, latency and memory on a painted face of 640x480 at 30 fps in H.264.

    python benchmarks/speed.py [--runs 5] [--method physfsunet] [--open-rppg PYTHON] [--networks FacePhys.rlap]
    python benchmarks/speed.py --against OTHER_CHECKOUT/src [--runs 5]

Prints the seconds of video measured per second of wall time, stage by stage; then, for whole processes, the time until
the first frame is processed, the time until the result, and the peak memory (Linux), for clips of 20 s, 1 min and
10 min. Medians of several runs. With an interpreter that can import open-rppg (see `external_methods.py`), its networks
measure the clips of 20 s and 1 min, too. With the sources of another commit, only compares whole processes of both, in
turn, and prints the ratios of processor time, wall time and peak memory.
Targets on two cores, with POS: 30 times real time; import in 0.3 s, first frame in 1 s; 20 s of video in 2 s and
300 MB; 10 min in no more than 50 MB above 1 min. With a network: 10 times real time, 20 s of video in 3 s, and 500 MB.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av

from facepulse import measure
from facepulse.faces.detectors import get_detector
from facepulse.faces.tracking import FaceTracker
from facepulse.inference.registry import DEFAULT
from facepulse.pipeline.extract import extract_traces
from facepulse.pipeline.methods import Method, find_method
from facepulse.rppg.classical import CLASSICAL
from facepulse.simulate.painted_face import PaintedFace, metronome, render
from facepulse.video.reader import open_video


def decode(path: Path) -> None:
    with open_video(path) as video:
        for _ in video:
            pass


def track(path: Path) -> None:
    with open_video(path) as video:
        for _ in FaceTracker(get_detector("auto")).track(video):
            pass


def extract_rgb(path: Path) -> None:
    extract_traces(open_video(path), get_detector("auto"), Method(CLASSICAL["POS"]))


def stages(method: str) -> dict[str, Callable[[Path], object]]:
    """Return the stages by name, each with all stages before it."""
    chosen = find_method(method)
    found: dict[str, Callable[[Path], object]] = {
        "decode": decode,
        "+ detect and track the face": track,
        "+ crop, RGB traces": extract_rgb,
    }
    if chosen.engine is not None:
        found["+ crop again, network"] = lambda path: extract_traces(open_video(path), get_detector("auto"), chosen)
    return {**found, "+ pulse, quality, beats (all)": partial(measure, method=method)}


def repeated(path: Path, target: Path, times: int) -> Path:
    """Repeat a video several times without encoding it again."""
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


OPEN_RPPG = """
import logging, sys, rppg
logging.getLogger('open-rppg').setLevel(logging.ERROR)
model = rppg.Model(sys.argv[2])
model.process_video(sys.argv[1])
print(model.hr(return_hrv=False)['hr'])
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


def process(code: str, *arguments: str, python: str = sys.executable) -> tuple[float, str]:
    """Run Python code in a new process and return the wall time in seconds and the last line printed."""
    start = time.time()
    done = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return time.time() - start, done.stdout.splitlines()[-1]


# VmHWM is the peak of the process itself; the peak in the resource usage of a child includes that of its parent.
ANSWER = """
import sys
from facepulse.cli import main
try: main(['measure', sys.argv[1], '--method', sys.argv[2]])
finally: print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""
READY = """
import sys, time, facepulse
class Ready(Exception): pass
def first(done, total):
    print(time.time()); raise Ready
try: facepulse.measure(sys.argv[1], method=sys.argv[2], progress=first)
except Ready: pass
"""
IMPORT = "import time; start = time.perf_counter(); import facepulse; print(time.perf_counter() - start)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--method", default=DEFAULT)
    parser.add_argument("--open-rppg", metavar="PYTHON")
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=["FacePhys.rlap"])
    parser.add_argument("--against", metavar="SRC", help="folder `src` of another checkout")
    options = parser.parse_args()
    runs, method = options.runs, options.method
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"painting ... ({os.cpu_count()} cores)", flush=True)
        encoding = {"options": {"crf": "18", "preset": "veryfast"}}
        short = render(folder / "20s.mp4", [PaintedFace(metronome(72, 20))], seconds=20, **encoding)
        minute = render(folder / "1min.mp4", [PaintedFace(metronome(72, 60))], seconds=60, **encoding)
        if options.against:
            for label, path in (("20 s", short), ("1 min", minute)):
                print_ratios(label, path, method, options.against, runs)
            return
        long = repeated(minute, folder / "10min.mp4", 10)

        print_stages(minute, runs, method)
        print("\nwhole processes, median (min to max):")
        print_start(minute, runs, method)
        for label, path, count in (("20 s", short, runs), ("1 min", minute, runs), ("10 min", long, 1)):
            results = [process(ANSWER, str(path), method) for _ in range(count)]
            print(f"  facepulse measure, {label:6} clip  {_time_and_peak(results)}")
        for network in options.networks if options.open_rppg else ():
            for label, path in (("20 s", short), ("1 min", minute)):
                count = min(runs, 3)
                results = [process(OPEN_RPPG, str(path), network, python=options.open_rppg) for _ in range(count)]
                print(f"  open-rppg {network}, {label:6} clip  {_time_and_peak(results)}")


def print_ratios(label: str, path: Path, method: str, against: str, runs: int) -> None:
    """Print ratios of this checkout over another one, each of a pair of processes that ran one after the other."""
    sources = (str(Path(__file__).parents[1] / "src"), str(Path(against).resolve()))
    ratios: list[list[float]] = []
    for _ in range(runs):
        figures = []
        for source in sources:
            os.environ["PYTHONPATH"] = source
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall_s, peak = process(ANSWER, str(path), method)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            figures.append((processor_s, wall_s, float(peak)))
        ratios.append([ours / theirs for ours, theirs in zip(*figures, strict=True)])
    for name, values in zip(("processor time", "wall time", "peak memory"), zip(*ratios, strict=True), strict=True):
        print(f"  {label:6} clip, {name:14} {_spread(list(values))} of that of {against}")


def print_stages(path: Path, runs: int, method: str) -> None:
    """Print the speed of each stage on 1 min of video, in this process."""
    print(f"\nin one process, 1 min of video, {method}, median:")
    before_s = 0.0
    for stage, work in stages(method).items():
        seconds = []
        for _ in range(runs):
            start = time.perf_counter()
            work(path)
            seconds.append(time.perf_counter() - start)
        median_s = statistics.median(seconds)
        print(f"  {stage:32} {60 / median_s:6.1f} times real time  (this stage {median_s - before_s:5.2f} s)")
        before_s = median_s


def print_start(path: Path, runs: int, method: str) -> None:
    """Print the time of `import facepulse` and the time until the first frame is processed."""
    imports = [float(process(IMPORT)[1]) for _ in range(runs)]
    print(f"  import facepulse                   {_spread(imports)} s")
    ready = []
    for _ in range(runs):
        start = time.time()
        ready.append(float(process(READY, str(path), method)[1]) - start)
    print(f"  until the first frame is processed {_spread(ready)} s")


def _time_and_peak(results: list[tuple[float, str]]) -> str:
    seconds, peaks_kb = zip(*results, strict=True)
    return f"{_spread(seconds)} s, peak {max(map(int, peaks_kb)) / 1024:.0f} MB"


def _spread(values: list[float] | tuple[float, ...]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()

"""Speed of `facepulse measure --jobs 2` against one video after another, and whether both give the same.

    python benchmarks/jobs.py [--videos 50] [--seconds 10] [--method physfsunet] [--jobs 2] [--runs 3]

Paints ten faces of 640x480 at 30 fps in H.264, measures each of them several times, with and without --jobs in turn, in
new processes, and prints the ratios of wall time and of processor time (of all processes of a run), with the load of
the machine. Wall times mean something only on a machine that does nothing else.
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
from pathlib import Path
from typing import NamedTuple

from facepulse.inference.registry import DEFAULT
from facepulse.simulate.painted_face import PaintedFace, metronome, render

DIFFERENT = 10  # videos that are painted; each is measured several times


class Run(NamedTuple):
    """Times in seconds, and everything that was printed and written."""

    wall_s: float
    processor_s: float
    output: tuple[int, str, str, str]


def paint(path: Path, bpm: float, seconds: float) -> Path:
    encoding = {"crf": "18", "preset": "veryfast"}
    return render(path, [PaintedFace(metronome(bpm, seconds))], seconds=seconds, options=encoding)


def measured(videos: list[Path], method: str, jobs: int, folder: Path) -> Run:
    json = folder / "out.jsonl"
    command = [sys.executable, "-m", "facepulse", "measure", *map(str, videos), "--method", method, "--json", str(json)]
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*command, "--jobs", str(jobs)], capture_output=True, text=True)
    wall_s, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Run(wall_s, processor_s, (done.returncode, done.stdout, done.stderr, json.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--method", default=DEFAULT)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"painting {DIFFERENT} faces of {options.seconds:g} s ({os.cpu_count()} cores)", flush=True)
        painted = [paint(folder / f"{number}.mp4", 50 + 6 * number, options.seconds) for number in range(DIFFERENT)]
        videos = [painted[number % DIFFERENT] for number in range(options.videos)]
        runs: dict[int, list[Run]] = {1: [], options.jobs: []}
        for _ in range(options.runs):
            for jobs, found in runs.items():
                load = os.getloadavg()[0]
                found.append(measured(videos, options.method, jobs, folder))
                wall_s, processor_s, _ = found[-1]
                print(
                    f"--jobs {jobs}: {wall_s:6.1f} s, processor {processor_s:6.1f} s, load before {load:.1f}",
                    flush=True,
                )
        alone, together = runs.values()
        same = len({run.output for run in (*alone, *together)}) == 1
        print(f"wall time, one after another over --jobs {options.jobs}: {ratio(alone, together, 'wall_s'):.2f}")
        print(f"processor time, the same: {ratio(alone, together, 'processor_s'):.2f}")
        print(f"text, JSON and exit code are {'the same' if same else 'DIFFERENT'}")


def ratio(alone: list[Run], together: list[Run], time_of: str) -> float:
    medians = [statistics.median(getattr(run, time_of) for run in runs) for runs in (alone, together)]
    return medians[0] / medians[1]


if __name__ == "__main__":
    main()

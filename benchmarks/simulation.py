"""Speed of the simulator, and a control without a pulse.

    python benchmarks/simulation.py clips [--clips 24] [--preset complex] [--size 128] [--frames 160]
    python benchmarks/simulation.py leak [--recordings 20] [--seconds 20]

`clips` prints training clips per second over all cores, after each process has made one, and the memory of the largest
process. `leak` renders recordings with constant blood volume and everything else as it is, including the nod of the
head at each beat, writes them as files and measures those: no method should then report a high quality. All data are
simulated.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

import facepulse
from facepulse.errors import FacepulseError
from facepulse.simulate.clips import training_clip
from facepulse.simulate.layouts import write_video
from facepulse.simulate.recording import make_recording

CLASSICAL = ("POS", "CHROM", "GREEN")
CONFIDENT = 0.3


def processes() -> ProcessPoolExecutor:
    """One process per core with one thread each; more threads would compete for the cores."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when a fresh process imports numpy
    return ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn"), cv2.setNumThreads, (1,))


def make_clip(index: int, *, preset: str, size: int, frames: int) -> float:
    """Make a clip, and return the peak memory of this process in MB."""
    training_clip(preset, 0, index, size=size, frames=frames)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def clips(count: int, preset: str, size: int, frames: int) -> None:
    cores = len(os.sched_getaffinity(0))
    work = partial(make_clip, preset=preset, size=size, frames=frames)
    with processes() as pool:
        list(pool.map(work, range(1000, 1000 + 2 * cores)))
        started = time.perf_counter()
        memory = max(pool.map(work, range(count)))
        seconds = time.perf_counter() - started
    print(
        f"{count} clips of {frames} frames, {size}x{size}, {preset}: {count / seconds:.2f} per second on {cores} "
        f"cores, {memory:.0f} MB in the largest process"
    )


@dataclass(frozen=True)
class Control:
    """Estimate of a method from a recording without a pulse; the error is the distance from the drawn heart rate."""

    preset: str
    method: str
    quality: float
    error_bpm: float


def measure_without_pulse(job: tuple[str, int], *, seconds: float) -> list[Control]:
    preset, index = job
    recording = make_recording(preset, 11, index, split="validation", seconds=seconds)
    controls = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(recording, recording.frames(pulse=False), Path(folder))
        for method in CLASSICAL:
            try:
                found = facepulse.measure(path, method=method, min_quality=0.0)
            except FacepulseError:
                continue  # no face for long enough, so no estimate
            error = abs(found.bpm - recording.bpm) if found.bpm is not None else np.nan
            controls.append(Control(preset, method, found.quality, error))
    return controls


def leak(count: int, seconds: float) -> None:
    jobs = [(preset, index) for index in range(count) for preset in ("calm", "complex")]
    with processes() as pool:
        done = pool.map(partial(measure_without_pulse, seconds=seconds), jobs)
        controls = [control for group in done for control in group]
    print(f"simulated, {count} recordings of {seconds:g} s per preset, validation split, seed 11, pulse switched off")
    for preset in ("calm", "complex"):
        for method in CLASSICAL:
            group = [control for control in controls if (control.preset, control.method) == (preset, method)]
            quality = np.array([control.quality for control in group])
            leaked = np.array([control.quality >= CONFIDENT and control.error_bpm < 5 for control in group])
            print(
                f"{preset:8} {method:6} n {len(group):3}  quality below {CONFIDENT}: {np.mean(quality < CONFIDENT):.0%}"
                f", median {np.median(quality):.2f}, largest {quality.max():.2f};"
                f" above it and within 5 bpm: {leaked.sum()}"
            )
    quality = np.array([control.quality for control in controls])
    print(f"all      n {len(quality)}  quality below {CONFIDENT}: {np.mean(quality < CONFIDENT):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fast = commands.add_parser("clips")
    fast.add_argument("--clips", type=int, default=24)
    fast.add_argument("--preset", default="complex")
    fast.add_argument("--size", type=int, default=128)
    fast.add_argument("--frames", type=int, default=160)
    without = commands.add_parser("leak")
    without.add_argument("--recordings", type=int, default=20)
    without.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    if arguments.command == "clips":
        clips(arguments.clips, arguments.preset, arguments.size, arguments.frames)
    else:
        leak(arguments.recordings, arguments.seconds)


if __name__ == "__main__":
    main()

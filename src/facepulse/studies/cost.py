"""Computational cost of networks: parameters, multiply-accumulates, time and memory (the paper's table VIII).

Time and memory of each network are measured in a separate process, so that they do not include those of another.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional

from facepulse.inference.registry import NETWORKS
from facepulse.models.figures import Config, clip_length, count_parameters, macs, on_meta

STATUS = Path("/proc/self/status")  # exists on Linux only


@dataclass(frozen=True)
class Cost:
    """Cost of the inference of one network for one clip, in float32 on the CPU.

    Attributes:
        network: key of `NETWORKS`.
        parameters: number of parameters.
        macs: multiply-accumulates of convolutions and matrix products for the clip, attention included.
        frames: length of the clip, rounded up to the multiple of the network.
        size: height and width of the clip, pixels.
        milliseconds: median wall-clock time of the runs, after a first run that is not counted.
        runs: number of runs.
        threads: number of threads of torch.
        peak_mb: peak memory of the process minus its memory with torch loaded and idle, MiB: network, clip and
            activations; None on systems other than Linux.
        torch: version of torch.
    """

    network: str
    parameters: int
    macs: int
    frames: int
    size: int
    milliseconds: float
    runs: int
    threads: int
    peak_mb: float | None
    torch: str


def costs(
    frames: int = 160,
    size: int = 128,
    *,
    runs: int = 3,
    threads: int = 1,
    networks: Iterable[str] = tuple(NETWORKS),
    configs: Mapping[str, Config] | None = None,
) -> list[Cost]:
    """Measure the cost of each network for a clip, one after another.

    Args:
        frames: length of the clip, rounded up to the multiple of each network.
        size: height and width, pixels.
        runs: number of runs, of which the time is the median.
        threads: number of threads of torch.
        networks: keys of `NETWORKS`.
        configs: configs, by network; the default config for all others.

    Raises:
        ValueError: a network does not accept such a clip.
        RuntimeError: a measurement failed, for instance for lack of memory.
    """
    chosen = {name: (configs or {}).get(name, {}) for name in networks}
    lengths = {name: clip_length(name, frames, config) for name, config in chosen.items()}
    # Counting comes first, so that a clip of the wrong size is refused before anything is measured.
    counted = {name: macs(name, lengths[name], size, config) for name, config in chosen.items()}
    return [
        Cost(
            network=name,
            parameters=count_parameters(on_meta(name, config)),
            macs=counted[name],
            frames=lengths[name],
            size=size,
            runs=runs,
            threads=threads,
            torch=torch.__version__,
            **_time_and_memory(name, config, lengths[name], size, runs, threads),
        )
        for name, config in chosen.items()
    ]


def _time_and_memory(name: str, config: Config, frames: int, size: int, runs: int, threads: int) -> dict[str, Any]:
    """Measure the fields `milliseconds` and `peak_mb` of `Cost` in a separate process."""
    command = [sys.executable, "-m", __name__, name, json.dumps(dict(config)), *map(str, (frames, size, runs, threads))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        errors = done.stderr.strip().splitlines() or ["no error message"]
        raise RuntimeError(f"measuring {name} ended with exit code {done.returncode}: {errors[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _measure_here(
    name: str, config: Config, frames: int, size: int, runs: int, threads: int
) -> dict[str, float | None]:
    """Measure in this process, which `_time_and_memory` has started for it."""
    torch.set_num_threads(threads)
    # The first convolution makes torch load its libraries, which are not part of the cost of a network.
    functional.conv3d(torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1))
    idle_mb = _status_mb("VmRSS")
    network = NETWORKS[name].build(config).eval()
    clip = torch.randint(0, 256, (1, 3, frames, size, size), dtype=torch.uint8)
    milliseconds = []
    with torch.inference_mode():
        for _ in range(1 + runs):
            start = time.perf_counter()
            network(clip)
            milliseconds.append(1000 * (time.perf_counter() - start))
    peak_mb = _status_mb("VmHWM")
    return {
        "milliseconds": median(milliseconds[1:]),
        "peak_mb": None if idle_mb is None or peak_mb is None else peak_mb - idle_mb,
    }


def _status_mb(field: str) -> float | None:
    """Read a field of `/proc/self/status`, MiB; unlike that of `getrusage`, its peak excludes the parent process."""
    if not STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(_measure_here(sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:]))))

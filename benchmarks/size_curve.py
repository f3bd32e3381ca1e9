"""What does a network gain from larger pictures, and what do they cost? The same training at each size.

    python benchmarks/size_curve.py SETTINGS.yaml NAME=ROOT ... --out FOLDER [--sizes 36 48 64 72 96 128] [--seed 0]

Trains what SETTINGS says once a size (`data.size`; stopped at any moment, the same command goes on), and lets
`facepulse.measure` read the simulated recordings of each ROOT with it, as `held_out.py` does. The cost is a whole
process of `facepulse measure` on a painted minute of 640x480, the median of three.

Prints the tables of `held_out.py`, with the first size beside each other in pairs, and a row of cost a size. All of it
is simulated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from held_out import Reading, beside, label_of, read, table
from judges import find_recordings
from speed import ANSWER, process

from facepulse.demo import PaintedFace, metronome, render
from facepulse.export import export
from facepulse.whole_files import written_whole

MINUTE_S = 60
RUNS = 3


def train(settings: Path, size: int, seed: int, folder: Path) -> Path:
    """The network that learnt at a size, as a file that needs no torch."""
    run = ["--data.size", str(size), "--seed", str(seed), "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "facepulse", "train", str(settings), *run], check=True)
    export(folder / "last.safetensors", network := folder.with_suffix(".onnx"))
    return network


def cost(network: Path, video: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of a fresh process that measures a video."""
    runs = [process(ANSWER, str(video), str(network)) for _ in range(RUNS)]
    return statistics.median(seconds for seconds, _ in runs), max(int(peak_kb) for _, peak_kb in runs) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("sets", nargs="+", metavar="NAME=ROOT")
    parser.add_argument("--sizes", type=int, nargs="+", default=[36, 48, 64, 72, 96, 128])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sets = {name: find_recordings(Path(root)) for name, _, root in (each.partition("=") for each in options.sets)}
    options.out.mkdir(parents=True, exist_ok=True)
    networks = {
        size: train(options.settings, size, options.seed, options.out / f"size-{size}") for size in options.sizes
    }
    jobs = [(name, each, str(path)) for path in networks.values() for name, found in sets.items() for each in found]
    readings: list[Reading] = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for number, found in enumerate(pool.map(read, jobs), 1):
            readings += found
            print(f"\r{number} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    first = label_of(str(networks[options.sizes[0]]))
    for name in sets:
        part = [each for each in readings if each.set == name]
        print(f"\nsimulated, {name}\n{table(part)}\n\n{first} beside each, in pairs\n{beside(part, first)}", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        faces = [PaintedFace(metronome(72, MINUTE_S))]
        fast = {"crf": "18", "preset": "veryfast"}
        minute = render(Path(folder) / "minute.mp4", faces, seconds=MINUTE_S, options=fast)
        print("\n| size | 1 min of 640x480 | peak |\n|---|---|---|")
        for size, path in networks.items():
            seconds, peak_mb = cost(path, minute)
            print(
                f"| {size} | {seconds:.1f} s, {MINUTE_S / seconds:.0f} times real time | {peak_mb:.0f} MB |", flush=True
            )
            rows.append({"size": size, "seconds": seconds, "peak_mb": peak_mb})
    with written_whole(options.out / "curve.json") as temporary:
        temporary.write_text(json.dumps({"cost": rows, "readings": [asdict(each) for each in readings]}) + "\n")


if __name__ == "__main__":
    main()

"""What does a network gain from larger pictures, and what do they cost? The same training at each size.

    python benchmarks/size_curve.py SETTINGS.yaml NAME=ROOT ... --out FOLDER [--sizes 36 48 64 72 96 128] [--seed 0]
                                    [--cost-only 128]

Trains what SETTINGS says once a size (`data.size`; stopped at any moment, the same command goes on), and lets
`facepulse.measure` read the simulated recordings of each ROOT with it, as `held_out.py` does. The cost is a whole
process of `facepulse measure` on a painted minute of 640x480, the median of three; of a size for which there is no time
to train, --cost-only measures it with the weights that SETTINGS starts from.

Prints a row a size: error with its 95 % interval over recordings, share within 5 bpm, and cost. All of it is simulated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from held_out import CLOSE_BPM, Reading, read
from judges import find_recordings
from speed import ANSWER, process

from facepulse import metrics
from facepulse.demo import PaintedFace, metronome, render
from facepulse.export import export
from facepulse.training.settings import read_settings
from facepulse.weights import load_with_card, save_model
from facepulse.whole_files import written_whole

MINUTE_S = 60
RUNS = 3


def train(settings: Path, size: int, seed: int, folder: Path) -> Path:
    """The network that learnt at a size, as a file that needs no torch."""
    run = ["--data.size", str(size), "--seed", str(seed), "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "facepulse", "train", str(settings), *run], check=True)
    export(folder / "last.safetensors", network := folder.with_suffix(".onnx"))
    return network


def untrained(settings: Path, size: int, folder: Path) -> Path:
    """The weights that a training would start from, for pictures of another size: they cost what trained ones do."""
    model, card = load_with_card(read_settings(settings).network.start)
    save_model(model, replace(card, size=size), weights := folder.with_suffix(".safetensors"))
    export(weights, network := folder.with_suffix(".onnx"))
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
    parser.add_argument("--cost-only", type=int, nargs="+", default=[], metavar="SIZE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sets = {name: find_recordings(Path(root)) for name, _, root in (each.partition("=") for each in options.sets)}
    options.out.mkdir(parents=True, exist_ok=True)
    networks = {
        size: train(options.settings, size, options.seed, options.out / f"size-{size}") for size in options.sizes
    }
    jobs = [(name, each, str(path)) for path in networks.values() for name, found in sets.items() for each in found]
    readings: dict[str, list[Reading]] = {str(path): [] for path in networks.values()}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for number, (job, found) in enumerate(zip(jobs, pool.map(read, jobs), strict=True), 1):
            readings[job[2]] += [each for each in found if each.start_s is None]
            print(f"\r{number} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        faces = [PaintedFace(metronome(72, MINUTE_S))]
        fast = {"crf": "18", "preset": "veryfast"}
        minute = render(Path(folder) / "minute.mp4", faces, seconds=MINUTE_S, options=fast)
        heads = [f"{name}: MAE, bpm; within {CLOSE_BPM:g}" for name in sets]
        print("\n| size | " + " | ".join(heads) + " | 1 min of 640x480 | peak |\n" + "|---" * (len(sets) + 3) + "|")
        for size in options.cost_only:
            networks[size] = untrained(options.settings, size, options.out / f"untrained-{size}")
            readings[str(networks[size])] = []
        for size, path in networks.items():
            cells = []
            for name in sets:
                part = [each for each in readings[str(path)] if each.set == name]
                if not part:
                    cells.append("not trained")
                    continue
                mae = metrics.mean([each.error for each in part], [each.recording for each in part])
                cells.append(f"{mae}; {np.mean([each.error <= CLOSE_BPM for each in part]):.0%}")
            seconds, peak_mb = cost(path, minute)
            cells += [f"{seconds:.1f} s, {MINUTE_S / seconds:.0f} times real time", f"{peak_mb:.0f} MB"]
            print(f"| {size} | " + " | ".join(cells) + " |", flush=True)
            rows.append({"size": size, "seconds": seconds, "peak_mb": peak_mb})
    with written_whole(options.out / "curve.json") as temporary:
        said = {"cost": rows, "readings": {path: [asdict(each) for each in found] for path, found in readings.items()}}
        temporary.write_text(json.dumps(said) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

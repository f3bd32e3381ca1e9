"""Cost of larger crops, and one network trained per crop size to measure their benefit.

    python benchmarks/size_curve.py SETTINGS.yaml --out FOLDER [--sizes 36 48 64 72 96 128] [--seed 0]

Trains the network of SETTINGS once per size (`data.size`; the same command resumes an interrupted run), and exports
each to FOLDER/size-N.onnx, for `held_out.py --method FOLDER/size-36.onnx ...`. The cost is that of a whole process of
`facepulse measure` on a painted face of 640x480 pixels and one minute, the median of three.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from speed import ANSWER, process

from facepulse.models.export import export
from facepulse.simulate.painted_face import PaintedFace, metronome, render

MINUTE_S = 60
RUNS = 3


def train(settings: Path, size: int, seed: int, folder: Path) -> Path:
    """Train at a crop size and export the network to a file that needs no torch."""
    run = ["--data.size", str(size), "--seed", str(seed), "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "facepulse", "train", str(settings), *run], check=True)
    export(folder / "last.safetensors", network := folder.with_suffix(".onnx"))
    return network


def cost(network: Path, video: Path) -> tuple[float, float]:
    """Measure seconds and peak megabytes of a new process that measures a video."""
    runs = [process(ANSWER, str(video), str(network)) for _ in range(RUNS)]
    return statistics.median(seconds for seconds, _ in runs), max(int(peak_kb) for _, peak_kb in runs) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[36, 48, 64, 72, 96, 128])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    networks = {
        size: train(options.settings, size, options.seed, options.out / f"size-{size}") for size in options.sizes
    }
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


if __name__ == "__main__":
    main()

"""Speed and memory of each engine with physFSUNet, for 160 frames of 36, 72 and 128 pixels.

    python benchmarks/engines.py [--runs 5] [--sizes 36 72 128]

The weights are random, which does not change the cost. Every figure is from a separate process: the fastest of the
runs after a warm-up run, and the peak memory of the whole process; "without a clip" is Python with the engine and the
network loaded. Real time is 30 frames per second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FRAMES = 160
FPS = 30

# A process inherits the peak memory of its parent, hence this one imports no large package.
RUN = """
import resource, sys, time
import numpy as np
from facepulse.inference.engine import load_engine
path, engine, precision, frames, size, runs = sys.argv[1:]
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
loaded = load_engine(path, engine, precision)
before = peak()
clip = np.random.default_rng(0).integers(0, 256, (int(frames), int(size), int(size), 3), dtype=np.uint8)
loaded(clip)
took = []
for _ in range(int(runs)):
    start = time.perf_counter()
    loaded(clip)
    took.append(time.perf_counter() - start)
print(min(took), peak(), before)
"""

EXPORT = """
import sys
from pathlib import Path
import torch
from facepulse.inference.model_card import ModelCard
from facepulse.models.export import export
from facepulse.models import PhysFSUNet
from facepulse.inference.weights import save_model
path, frames = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
network = PhysFSUNet()
for module in network.modules():  # take the statistics of one batch, as if it had been trained
    if isinstance(module, torch.nn.BatchNorm3d): module.momentum = 1.0
with torch.no_grad(): network(torch.randint(0, 256, (2, 3, 32, 36, 36)))
card = ModelCard("random", "physfsunet", {}, 4, frames, 72, 0.5, 30.0, "inside the network", "none", "none", {}, "none")
save_model(network, card, path.with_suffix(".safetensors"))
export(path.with_suffix(".safetensors"), path)
"""

CHOICES = (("openvino", "bf16"), ("openvino", "f32"), ("onnxruntime", "f32"), ("torch", "bf16"), ("torch", "f32"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[36, 72, 128])
    options = parser.parse_args()
    print(f"physFSUNet, {FRAMES} frames; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
    print("size  engine       precision  frames/s  x real time  peak MB  without a clip")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        subprocess.run([sys.executable, "-c", EXPORT, str(path), str(FRAMES)], check=True)
        for size in options.sizes:
            for engine, precision in CHOICES:
                arguments = [str(path), engine, precision, str(FRAMES), str(size), str(options.runs)]
                done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True)
                if done.returncode != 0:
                    print(f"{size:4}  {engine:11}  {precision:9}  {done.stderr.splitlines()[-1]}", flush=True)
                    continue
                seconds, peak, before = map(float, done.stdout.split())
                print(
                    f"{size:4}  {engine:11}  {precision:9}  {FRAMES / seconds:8.0f}  {FRAMES / seconds / FPS:11.1f}  "
                    f"{peak:7.0f}  {before:14.0f}",
                    flush=True,
                )
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()

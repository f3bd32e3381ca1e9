"""Time, memory and disk space of preparing a recording, compared with the steps of rPPG-Toolbox on the same file.

    python benchmarks/prepare.py [--seconds 60] [--size 128] [--runs 3] [--root UBFC_ROOT]

The file is a simulated recording in the layout of UBFC-rPPG (uncompressed, 640x480), or the first recording of another
root of that layout, given by --root. The toolbox's steps are reimplemented here: read the whole video into a list and
an array, run the Haar cascade on the first frame, enlarge its box by half, resize each crop into float64, standardise
over the whole video (with --inputs diff also compute the normalised difference), cut into clips of 160 frames and save.
Each measurement is a process of its own with one thread; both programs alternate, and the fastest run is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ENV = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

REPORT = """
import os, resource, sys, time
def report(start, out, frames):
    took, cpu = time.perf_counter() - start, time.process_time()
    import pathlib
    size = sum(f.stat().st_size for f in pathlib.Path(out).rglob("*") if f.is_file())
    print(took, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1800 * size / frames)
"""

OURS = (
    REPORT
    + """
root, out, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.perf_counter()
from facepulse.datasets import DATASETS
from facepulse.datasets.cache import CacheSettings
from facepulse.datasets.recording_preparation import prepare_recording
import cv2, pathlib
cv2.setNumThreads(1)
[recording, *_] = DATASETS["ubfc-rppg"].find(pathlib.Path(root))
prepare_recording(recording, pathlib.Path(out) / "one", CacheSettings(size=size))
import numpy
report(start, out, len(numpy.load(out + "/one/labels.npz")["times"]))
"""
)

TOOLBOX = (
    REPORT
    + """
root, out, size, inputs = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
start = time.perf_counter()
import cv2, pathlib
import numpy as np
cv2.setNumThreads(1)
[video, *_] = sorted(pathlib.Path(root).glob("subject*/vid.avi"), key=lambda p: int(p.parent.name[7:]))
capture, frames = cv2.VideoCapture(str(video)), []
while True:
    success, frame = capture.read()
    if not success: break
    frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
frames = np.asarray(frames)
ppg = np.array(video.with_name("ground_truth.txt").read_text().splitlines()[0].split(), float)
faces = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml").detectMultiScale(frames[0])
x, y, w, h = max(faces, key=lambda face: face[2]) if len(faces) else (0, 0, frames.shape[2], frames.shape[1])
x, y, w, h = max(0, int(x - 0.25 * w)), max(0, int(y - 0.25 * h)), int(1.5 * w), int(1.5 * h)
crops = np.zeros((len(frames), size, size, 3))
for index, frame in enumerate(frames):
    crops[index] = cv2.resize(frame[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_AREA)
inputs_of_network = []
if inputs == "diff":
    ratio = np.zeros((len(crops) - 1, size, size, 3), np.float32)
    for index in range(len(ratio)):
        later, earlier = crops[index + 1], crops[index]
        ratio[index] = (later - earlier) / (later + earlier + 1e-7)
    ratio = ratio / np.std(ratio)
    inputs_of_network.append(np.append(ratio, np.zeros((1, size, size, 3), np.float32), axis=0))
inputs_of_network.append((crops - np.mean(crops)) / np.std(crops))
data = np.concatenate(inputs_of_network, axis=-1)
label = (ppg - ppg.mean()) / ppg.std()
for number in range(len(data) // 160):
    clip = slice(number * 160, number * 160 + 160)
    np.save(pathlib.Path(out) / f"input{number}.npy", data[clip])
    np.save(pathlib.Path(out) / f"label{number}.npy", label[clip])
report(start, out, len(data) // 160 * 160)
"""
)


def run(script: str, *arguments: str) -> list[float]:
    """Run a script; return its seconds, CPU seconds, peak memory in MB and bytes per minute of crops."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", script, arguments[0], out, *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True, env=ENV, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return [float(figure) for figure in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--inputs", choices=("standardised", "diff"), default="standardised")
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root
        if root is None:
            root = Path(folder) / "ubfc"
            print("simulating the file ...", file=sys.stderr, flush=True)
            from facepulse.simulate.generate import generate

            generate(root, 1, layout="ubfc-rppg", seconds=options.seconds, split="test")
        figures: dict[str, list[list[float]]] = {"facepulse prepare": [], "the toolbox's steps": []}
        for _ in range(options.runs):
            figures["facepulse prepare"].append(run(OURS, str(root), str(options.size)))
            figures["the toolbox's steps"].append(run(TOOLBOX, str(root), str(options.size), options.inputs))
    print(
        f"one video as of UBFC-rPPG, {options.size}x{options.size} pixels, one thread, fastest of {options.runs} runs"
    )
    print(f"{'':22}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'MB/minute':>13}")
    best = {name: min(rows) for name, rows in figures.items()}
    for name, (seconds, cpu, peak, size) in best.items():
        print(f"{name:22}{seconds:10.2f}{cpu:10.2f}{peak:10.0f}{size / 1e6:13.1f}")
    ours, theirs = best["facepulse prepare"], best["the toolbox's steps"]
    print(
        f"ratio: time {theirs[0] / ours[0]:.1f}, CPU {theirs[1] / ours[1]:.1f}, memory {theirs[2] / ours[2]:.1f}, "
        f"disk {theirs[3] / ours[3]:.1f}"
    )


if __name__ == "__main__":
    main()

"""How honest is the quality? Painted faces, with and without a pulse, through real codecs.

    python benchmarks/quality.py [--videos 160] [--fit]

Each video of 20 s draws its heart rate (one in four has none), pulse strength, skin tone, noise, sway, size,
compression and key-frame interval at random. A reading is right when it is within 5 bpm of the truth; one without a
pulse never is. Prints, for videos that the constants in `facepulse/regions.py` were not fitted on, how often windows
of 5 and 10 s and whole videos of each quality are right. With --fit, prints the constants fitted on the other half.

All of it is simulated: the table says that the quality orders and counts as promised on these, not on people.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepulse.evaluation.calibration import fit_logistic
from facepulse.faces.detectors import DETECTORS
from facepulse.pipeline.extract import extract_traces
from facepulse.pipeline.methods import Method
from facepulse.rppg import quality as quality_model
from facepulse.rppg import regions
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import coincides_with_key_frames, remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import with_color_test
from facepulse.simulate.painted_face import PaintedFace, metronome, render

SECONDS = 20.0
LENGTHS_S = (5.0, 10.0, SECONDS)
PROTOCOL = PROTOCOLS["facepulse"]


@dataclass(frozen=True)
class Reading:
    """One rate that was read, and whether it was right."""

    video: int
    seconds: float
    share: float
    bpm: float
    colour: float
    as_coded: bool
    right: bool
    quality: float


def read_video(seed: int) -> list[Reading]:
    """Paint the video of a seed, and read it in windows and as a whole with three methods."""
    rng = np.random.default_rng(seed)
    true_bpm = None if rng.random() < 0.25 else float(rng.uniform(45, 190))
    face = PaintedFace(
        () if true_bpm is None else metronome(true_bpm, SECONDS),
        height=float(rng.uniform(0.5, 0.85)),
        tone=str(rng.choice(["light", "medium", "dark"])),
        strength=float(np.exp(rng.uniform(np.log(0.004), np.log(0.03)))),
        sway=float(rng.choice([0.0, 0.003, 0.01, 0.02])),
    )
    codec = {"codec": "mjpeg", "options": {"qmin": "3", "qmax": "3"}}
    if rng.random() < 0.85:
        codec = {"options": {"crf": str(rng.integers(12, 25)), "preset": str(rng.choice(["veryfast", "medium"]))}}
        if (interval := rng.choice([0, 15, 30, 60])) > 0:
            codec["key_interval"] = int(interval)
    width, height = ((320, 240), (480, 360), (640, 480))[rng.integers(3)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("video.avi" if "codec" in codec else "video.mp4")
        noise = float(rng.uniform(0.0, 3.0))
        render(path, [face], seconds=SECONDS, width=width, height=height, noise=noise, seed=seed, **codec)
        scene = extract_traces(path, DETECTORS["auto"](), Method(CLASSICAL["POS"]))
    readings = []
    for track in scene.tracks.values():
        for part in scene.faces[track.identity].skin.segments:
            times = part.start_s + np.arange(len(part.rgb)) / part.fps
            clean = remove_key_frame_rhythm(part.rgb, times, scene.key_times)
            for as_coded, rgb in ((False, clean), (True, part.rgb)):
                for name in ("POS", "CHROM", "GREEN"):
                    waves = np.stack([CLASSICAL[name].waveform(rgb[:, i], part.fps) for i in range(1, rgb.shape[1])])
                    for seconds in LENGTHS_S:
                        length = round(seconds * part.fps)
                        for begin in range(0, waves.shape[1] - length + 1, length // 2):
                            found = regions.estimate_rate([waves[:, begin : begin + length]], part.fps, PROTOCOL)
                            found = with_color_test(found, [rgb[begin : begin + length, 1:]], part.fps, PROTOCOL)
                            if as_coded and not coincides_with_key_frames(found.bpm, scene.key_times, seconds):
                                continue  # the pipeline takes the trace as coded only for rates in step
                            right = true_bpm is not None and abs(found.bpm - true_bpm) < 5
                            quality = quality_model.calibrated_quality(found, key_frame_rhythm=as_coded)
                            readings.append(
                                Reading(
                                    seed, seconds, found.coherence, found.bpm, found.color, as_coded, right, quality
                                )
                            )
    return readings


def fitted(readings: list[Reading]) -> NDArray[np.float64]:
    """Constants of `calibrated_quality` that make the observed rights and wrongs most likely."""
    usable = [reading for reading in readings if reading.share > 0]
    share = np.array([min(reading.share, 0.999) for reading in usable])
    bpm = np.array([reading.bpm for reading in usable])
    rate = np.log(np.clip(bpm, *quality_model.RATE_LIMITS_BPM) / quality_model.REFERENCE_BPM)
    as_coded = np.array([reading.as_coded for reading in usable], float)
    seconds = np.array([reading.seconds for reading in usable])
    length = np.log(np.clip(seconds, *quality_model.LENGTH_LIMITS_S) / quality_model.REFERENCE_S)
    features = np.stack([np.ones_like(share), np.log(share / (1 - share)), rate, length, -as_coded], axis=1)
    colour = np.array([reading.colour for reading in usable])
    right = [reading.right for reading in usable]
    return fit_logistic(features, right, [2.5, 1.8, 5.0, 1.0, 2.0], known=colour)


def table(readings: list[Reading]) -> str:
    """How often readings of each quality are right."""
    edges = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0001]
    lines = ["quality        n  mean quality   right"]
    for low, high in pairwise(edges):
        inside = [reading for reading in readings if low <= reading.quality < high]
        if inside:
            right = np.mean([reading.right for reading in inside])
            mean = np.mean([reading.quality for reading in inside])
            lines.append(f"{low:.1f} to {min(high, 1):.1f} {len(inside):6d}  {mean:12.2f}  {right:6.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=160)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        readings = [reading for video in pool.map(read_video, range(arguments.videos)) for reading in video]
    if arguments.fit:
        fit = fitted([reading for reading in readings if reading.video % 2 == 0])
        print("offset, share, rate, length of REGIONS, and DOUBT =", ", ".join(f"{value:.2f}" for value in fit))
    held_out = [reading for reading in readings if reading.video % 2 == 1]
    print(f"simulated; seeds 0 to {arguments.videos - 1}, the odd ones shown; POS, CHROM and GREEN together")
    for seconds in LENGTHS_S:
        print(f"\n{seconds:g} s\n" + table([reading for reading in held_out if reading.seconds == seconds]))


if __name__ == "__main__":
    main()

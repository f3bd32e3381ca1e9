"""Calibration of the quality of classical methods, on painted faces with and without a pulse, through real codecs.

    python benchmarks/quality.py [--videos 160] [--fit]

Each video of 20 s draws its heart rate (one in four has none), pulse strength, skin tone, noise, sway, size,
compression and key-frame interval at random. A rate is right if it is within 5 bpm of the truth; without a pulse it
never is. Prints the fraction of right rates in each bin of quality, for windows of 5 and 10 s and for whole videos, on
the odd seeds. With --fit, prints the constants of `facepulse/rppg/quality.py` fitted on the even seeds.

All data are simulated: the table shows the calibration on these videos, not on people.
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
from facepulse.faces.detectors import get_detector
from facepulse.pipeline.extract import extract_traces
from facepulse.pipeline.methods import Method
from facepulse.rppg import quality as quality_model
from facepulse.rppg import regions
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import coincides_with_key_frames, remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import with_color_test
from facepulse.simulate.painted_face import PaintedFace, metronome, render
from facepulse.video.reader import open_video

SECONDS = 20.0
LENGTHS_S = (5.0, 10.0, SECONDS)
PROTOCOL = PROTOCOLS["facepulse"]


@dataclass(frozen=True)
class LabelledRate:
    """One estimated rate with its evidence, and True in `right` if it is right."""

    video: int
    seconds: float
    coherence: float
    bpm: float
    color: float
    key_frames_kept: bool
    right: bool
    quality: float


def rates_of_video(seed: int) -> list[LabelledRate]:
    """Paint the video of a seed, and estimate rates in windows and as a whole with three methods."""
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
        traces = extract_traces(open_video(path), get_detector("auto"), Method(CLASSICAL["POS"]))
    rates, timing = [], traces.timing
    for track in traces.tracks.values():
        for segment in traces.faces[track.identity].skin.segments:
            times = segment.start_s + np.arange(len(segment.rgb)) / segment.fps
            clean = remove_key_frame_rhythm(segment.rgb, times, timing.key_times, timing.anchor_times)
            for key_frames_kept, rgb in ((False, clean), (True, segment.rgb)):
                for name in ("POS", "CHROM", "GREEN"):
                    waveforms = np.stack(
                        [CLASSICAL[name].waveform(rgb[:, i], segment.fps) for i in range(1, rgb.shape[1])]
                    )
                    for seconds in LENGTHS_S:
                        length = round(seconds * segment.fps)
                        for begin in range(0, waveforms.shape[1] - length + 1, length // 2):
                            found = regions.estimate_rate([waveforms[:, begin : begin + length]], segment.fps, PROTOCOL)
                            found = with_color_test(found, [rgb[begin : begin + length, 1:]], segment.fps, PROTOCOL)
                            if key_frames_kept and not coincides_with_key_frames(found.bpm, timing.key_times, seconds):
                                continue  # the pipeline keeps the rhythm only for rates that coincide with it
                            right = true_bpm is not None and abs(found.bpm - true_bpm) < 5
                            quality = quality_model.calibrated_quality(found, key_frame_rhythm=key_frames_kept)
                            rates.append(
                                LabelledRate(
                                    seed,
                                    seconds,
                                    found.coherence,
                                    found.bpm,
                                    found.color,
                                    key_frames_kept,
                                    right,
                                    quality,
                                )
                            )
    return rates


def fit_model(rates: list[LabelledRate]) -> NDArray[np.float64]:
    """Fit the constants of `calibrated_quality` by maximum likelihood."""
    usable = [rate for rate in rates if rate.coherence > 0]
    coherence = np.array([min(rate.coherence, 0.999) for rate in usable])
    bpm = np.array([rate.bpm for rate in usable])
    rate = np.log(np.clip(bpm, *quality_model.RATE_LIMITS_BPM) / quality_model.REFERENCE_BPM)
    key_frames_kept = np.array([rate.key_frames_kept for rate in usable], float)
    seconds = np.array([rate.seconds for rate in usable])
    length = np.log(np.clip(seconds, *quality_model.LENGTH_LIMITS_S) / quality_model.REFERENCE_S)
    features = np.stack(
        [np.ones_like(coherence), np.log(coherence / (1 - coherence)), rate, length, -key_frames_kept], axis=1
    )
    color = np.array([rate.color for rate in usable])
    right = [rate.right for rate in usable]
    return fit_logistic(features, right, [2.5, 1.8, 5.0, 1.0, 2.0], known=color)


def table(rates: list[LabelledRate]) -> str:
    """Table of the fraction of right rates in each bin of quality."""
    edges = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0001]
    lines = ["quality        n  mean quality   right"]
    for low, high in pairwise(edges):
        inside = [rate for rate in rates if low <= rate.quality < high]
        if inside:
            right = np.mean([rate.right for rate in inside])
            mean = np.mean([rate.quality for rate in inside])
            lines.append(f"{low:.1f} to {min(high, 1):.1f} {len(inside):6d}  {mean:12.2f}  {right:6.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=160)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        rates = [rate for video in pool.map(rates_of_video, range(arguments.videos)) for rate in video]
    if arguments.fit:
        fit = fit_model([rate for rate in rates if rate.video % 2 == 0])
        print("intercept, coherence, rate, length, and KEY_FRAME_PENALTY =", ", ".join(f"{value:.2f}" for value in fit))
    held_out = [rate for rate in rates if rate.video % 2 == 1]
    print(f"simulated; seeds 0 to {arguments.videos - 1}, the odd ones shown; POS, CHROM and GREEN together")
    for seconds in LENGTHS_S:
        print(f"\n{seconds:g} s\n" + table([rate for rate in held_out if rate.seconds == seconds]))


if __name__ == "__main__":
    main()

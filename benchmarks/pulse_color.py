"""Calibration of the quality under motion, on simulated people with a pulse and the same people without one.

    python benchmarks/pulse_color.py [--recordings 40] [--preset complex] [--seconds 20] [--seed 101] [--fit]

Renders each recording twice, writes both as files, and estimates rates of the whole and of windows of 10 s with three
methods. A rate is right if it is within 5 bpm of the true mean over the same time; without a pulse it never is. Prints
for the odd recordings, on which nothing was fitted, the fraction of right rates in each bin of quality, and the
fraction of rates without a pulse below two thresholds, with and without the colour test. With --fit, prints the
constants of `facepulse/rppg/pulse_color.py` fitted on the even recordings. All data are simulated.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse.errors import FacepulseError
from facepulse.evaluation.calibration import fit_logistic
from facepulse.faces.detectors import get_detector
from facepulse.pipeline.estimate import region_waveforms
from facepulse.pipeline.extract import extract_traces, select_faces
from facepulse.pipeline.methods import Method
from facepulse.rppg import pulse_color, regions
from facepulse.rppg import quality as quality_model
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.simulate.layouts import write_video
from facepulse.simulate.recording import SimulatedRecording, make_recording
from facepulse.video.reader import open_video

PROTOCOL = PROTOCOLS["facepulse"]
WINDOW_S = 10.0


@dataclass(frozen=True)
class LabelledRate:
    """One estimated rate of a whole segment or a window, with its colour composition."""

    recording: int
    pulse: bool
    whole: bool
    found: regions.RateEstimate
    composition: pulse_color.PulseColor
    right: bool

    def quality(self, *, colour: bool) -> float:
        """Quality as `measure` gives it, with or without the colour test."""
        return quality_model.calibrated_quality(
            replace(self.found, color=self.composition.log_odds) if colour else self.found
        )


def rates_of_recording(index: int, *, preset: str, seed: int, seconds: float) -> list[LabelledRate]:
    cv2.setNumThreads(1)
    recording = make_recording(preset, seed, index, seconds=seconds)
    return [rate for pulses in (True, False) for rate in rates_of(recording, index, pulses)]


def rates_of(recording: SimulatedRecording, index: int, pulses: bool) -> list[LabelledRate]:
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(recording, recording.frames(pulse=pulses), Path(folder))
        try:
            traces = extract_traces(open_video(path), get_detector("auto"), Method(CLASSICAL["POS"]))
            [face] = select_faces(traces, "largest")
        except FacepulseError:
            return []
    rates = []
    for segment in face.segments:
        rgb = remove_key_frame_rhythm(segment.rgb, segment.times, traces.timing.key_times, traces.timing.anchor_times)
        for name in ("POS", "CHROM", "GREEN"):
            waveforms = region_waveforms(CLASSICAL[name], rgb[:, 1:], segment.fps)
            for length in sorted({len(rgb), min(len(rgb), round(WINDOW_S * segment.fps))}):
                for begin in range(0, len(rgb) - length + 1, max(length // 2, 1)):
                    window = slice(begin, begin + length)
                    found = regions.estimate_rate([waveforms[:, window]], segment.fps, PROTOCOL)
                    composition = pulse_color.pulse_color([rgb[window, 1:]], segment.fps, found.bpm, PROTOCOL)
                    first_s, last_s = segment.times[window][[0, -1]]
                    right = pulses and abs(found.bpm - recording.heartbeat.mean_bpm(first_s, last_s)) < 5
                    if composition is not None:
                        rates.append(LabelledRate(index, pulses, length == len(rgb), found, composition, right))
    return rates


def fit_model(rates: list[LabelledRate]) -> NDArray[np.float64]:
    """Fit the two coefficients by maximum likelihood, with the log odds of the quality model as an offset."""
    usable = [rate for rate in rates if rate.found.coherence > 0]
    quality = np.clip([rate.quality(colour=False) for rate in usable], 1e-9, 1 - 1e-9)
    predictors = np.array([rate.composition.predictors for rate in usable])
    right = [rate.right for rate in usable]
    return fit_logistic(predictors, right, np.ones(2), known=np.log(quality / (1 - quality)))


def table(rates: list[LabelledRate], *, colour: bool) -> str:
    lines = ["with a pulse:   n  right"]
    moving = [(rate.quality(colour=colour), rate.right) for rate in rates if rate.pulse]
    for low, high in pairwise([0.0, 0.3, 0.7, 0.9, 1.0001]):
        rights = [right for quality, right in moving if low <= quality < high]
        if rights:
            lines.append(f"{low:.1f} to {min(high, 1):.1f} {len(rights):8d}  {np.mean(rights):5.2f}")
    still = np.array([rate.quality(colour=colour) for rate in rates if not rate.pulse])
    below = ", ".join(f"{np.mean(still < limit):.1%} below {limit}" for limit in (0.3, 0.7))
    lines.append(f"without a pulse: n {len(still)}, {below}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--preset", default="complex")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    work = partial(rates_of_recording, preset=arguments.preset, seed=arguments.seed, seconds=arguments.seconds)
    with ProcessPoolExecutor() as pool:
        rates = [rate for some in pool.map(work, range(arguments.recordings)) for rate in some]
    if arguments.fit:
        fit = fit_model([rate for rate in rates if rate.recording % 2 == 0])
        print("PULSE_COEFFICIENT, MOTION_COEFFICIENT =", ", ".join(f"{value:.2f}" for value in fit))
    of = f"{arguments.preset}, seed {arguments.seed}, the odd ones of {arguments.recordings} recordings"
    print(f"simulated, {of}; POS, CHROM and GREEN together")
    for whole in (True, False):
        shown = [rate for rate in rates if rate.recording % 2 == 1 and rate.whole == whole]
        for colour in (False, True) if shown else ():
            what = f"{'whole' if whole else f'{WINDOW_S:g} s'}, colour {'tested' if colour else 'not tested'}"
            print(f"\n{what}\n{table(shown, colour=colour)}")


if __name__ == "__main__":
    main()

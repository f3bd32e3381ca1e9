"""Calibration of the quality of a network, on simulated people with a pulse and the same people without one.

    python benchmarks/network_quality.py NETWORK [--recordings 120] [--seconds 20] [--seed 21] [--split validation]
                                         [--presets complex complex calm] [--fit] [--json FILE]

NETWORK is a file (.onnx) or a name. Each recording is rendered around the face twice, with and without its pulse,
encoded, written as a file and measured with the network as `facepulse.measure` does, except for the penalty of rates
that coincide with key frames: as a whole, and in windows of 5 and 10 s. A rate is right if it is within 5 bpm of the
true mean over the same time; without a pulse it never is.

Prints the fraction of right rates in each bin of quality, with the classical quality model and with that of the card of
the network; with --fit, a model fitted on the even recordings (`quality_model` of a card) and its table for the odd
ones. Since POS is used if the quality of the network is low, the fraction of rates without a pulse that either of them
would show is printed as well. With --json, rates are kept for another run. All data are simulated.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from facepulse.errors import FacepulseError
from facepulse.evaluation.calibration import fit_logistic
from facepulse.faces.detectors import get_detector
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.estimate import HIGH_QUALITY, region_waveforms
from facepulse.pipeline.extract import extract_traces, select_faces
from facepulse.pipeline.methods import find_method
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import CLASSICAL_QUALITY, QualityModel, calibrated_quality, quality_log_odds
from facepulse.rppg.regions import RateEstimate, estimate_rate
from facepulse.simulate.layouts import LAYOUTS, write_video
from facepulse.simulate.recording import make_recording
from facepulse.video.reader import open_video

PROTOCOL = PROTOCOLS["facepulse"]
LENGTHS_S = (5.0, 10.0, 1e9)
CLOSE_BPM = 5.0
COEFFICIENTS = [field.name for field in fields(QualityModel)]


@dataclass(frozen=True)
class LabelledRate:
    """One estimated rate with its evidence, and True in `right` if it is right."""

    recording: int
    pulse: bool
    seconds: float
    coherence: float
    network: float
    bpm: float
    color: float
    right: bool
    classical_quality: float  # of POS over the same time, at the rate that POS gives

    @property
    def found(self) -> RateEstimate:
        """Estimate as `estimate_rate` returned it, without the spectra."""
        return RateEstimate(np.zeros(1), np.zeros(1), self.bpm, self.coherence, self.seconds, self.color, self.network)


def rates_of_recording(
    index: int, *, network: str, presets: Sequence[str], split: str, seed: int, seconds: float
) -> list[LabelledRate]:
    cv2.setNumThreads(1)
    method = find_method(network)
    slot = LAYOUTS["close-up"].slot(index)
    preset = presets[index % len(presets)]
    recording = make_recording(preset, seed, index, split=split, slot=slot, seconds=seconds)
    rates = []
    for pulses in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            path = write_video(recording, recording.frames(pulse=pulses), Path(folder))
            try:
                traces = extract_traces(open_video(path), get_detector("auto"), method)
                [face] = select_faces(traces, "largest")
            except FacepulseError:
                continue
        for segment in face.segments:
            timing = traces.timing
            rgb = remove_key_frame_rhythm(segment.rgb, segment.times, timing.key_times, timing.anchor_times)
            waveforms = region_waveforms(CLASSICAL["POS"], rgb[:, 1:], segment.fps)
            assert segment.waveform is not None
            for length in sorted({min(len(rgb), round(length_s * segment.fps)) for length_s in LENGTHS_S}):
                for begin in range(0, len(rgb) - length + 1, max(length // 2, 1)):
                    window = slice(begin, begin + length)
                    found = estimate_rate([waveforms[:, window]], segment.fps, PROTOCOL, [segment.waveform[window]])
                    found = with_color_test(found, [rgb[window, 1:]], segment.fps, PROTOCOL)
                    first_s, last_s = segment.times[window][[0, -1]]
                    right = pulses and abs(found.bpm - recording.heartbeat.mean_bpm(first_s, last_s)) <= CLOSE_BPM
                    alone = estimate_rate([waveforms[:, window]], segment.fps, PROTOCOL)
                    quality = calibrated_quality(with_color_test(alone, [rgb[window, 1:]], segment.fps, PROTOCOL))
                    evidence = (found.seconds, found.coherence, found.network, found.bpm, found.color)
                    rates.append(LabelledRate(index, pulses, *evidence, right=bool(right), classical_quality=quality))
    return rates


def fit_model(rates: Sequence[LabelledRate]) -> QualityModel:
    """Fit a quality model by maximum likelihood; evidence for a rate has coefficients of 0 or more."""
    evidence = np.stack(  # derivative of the log odds with respect to each coefficient
        [
            [
                quality_log_odds(each.found, QualityModel(**dict.fromkeys(COEFFICIENTS, 0.0) | {name: 1.0}))
                for each in rates
            ]
            for name in COEFFICIENTS
        ],
        axis=1,
    )
    bounds = [(None, None) if name in ("intercept", "rate") else (0.0, None) for name in COEFFICIENTS]
    right = [each.right for each in rates]
    found = fit_logistic(evidence, right, np.full(len(COEFFICIENTS), 0.5), bounds=bounds)
    return QualityModel(**dict(zip(COEFFICIENTS, np.round(found, 2).tolist(), strict=True)))


def table(rates: Sequence[LabelledRate], model: QualityModel) -> str:
    lines = ["with a pulse:      n  right   of 5 s      n  right"]
    rows = [(calibrated_quality(each.found, model), each) for each in rates]
    for low, high in pairwise([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0001]):
        cells = []
        for among in (rows, [row for row in rows if row[1].seconds < 6]):
            rights = [each.right for quality, each in among if each.pulse and low <= quality < high]
            cells.append(f"{len(rights):8d}  {np.mean(rights) if rights else float('nan'):5.2f}")
        lines.append(f"{low:.1f} to {min(high, 1):.1f}  {cells[0]}        {cells[1]}")
    moving = [(quality, each.right) for quality, each in rows if each.pulse]
    for limit in (0.7, 0.8):
        over = [right for quality, right in moving if quality > limit]
        lines.append(f"over {limit}: {len(over) / len(moving):.0%} of rates, {np.mean(over):.1%} right")
    lines.append(f"right at all: {np.mean([right for _, right in moving]):.1%}")
    still = np.array([quality for quality, each in rows if not each.pulse])
    below = ", ".join(f"{np.mean(still < limit):.1%} below {limit}" for limit in (0.3, 0.7, 0.8))
    classical = np.array([each.classical_quality for _, each in rows if not each.pulse])
    shown = np.mean((still >= QUALITY_THRESHOLD) | (classical >= HIGH_QUALITY))
    lines.append(f"without a pulse: n {len(still)}, {below}; shown by either {shown:.1%}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--recordings", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--presets", nargs="+", default=["complex", "complex", "calm"])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--json", type=Path, help="file to write the rates to, or to read them from")
    options = parser.parse_args()
    settings = {name: value for name, value in vars(options).items() if name not in ("fit", "json")}
    if options.json is not None and options.json.exists():
        kept = json.loads(options.json.read_text())
        if kept["settings"] != settings:
            sys.exit(f"{options.json} contains rates of {kept['settings']}: give another file")
        rates = [LabelledRate(**row) for row in kept["rates"]]
    else:
        work = partial(
            rates_of_recording,
            network=options.network,
            presets=options.presets,
            split=options.split,
            seed=options.seed,
            seconds=options.seconds,
        )
        rates = []
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            for number, found in enumerate(pool.map(work, range(options.recordings)), 1):
                rates += found
                print(f"\r{number} of {options.recordings}", end="", file=sys.stderr, flush=True)
        if options.json is not None:
            kept = {"settings": settings, "rates": [asdict(each) for each in rates]}
            options.json.write_text(json.dumps(kept))
    shown = len({each.recording for each in rates})
    print(f"\nsimulated, {options.split}, seed {options.seed}: a face in {shown} of {options.recordings} recordings")
    print(f"with the classical quality model ({CLASSICAL_QUALITY})\n{table(rates, CLASSICAL_QUALITY)}")
    card = find_method(options.network).quality_model
    if card != CLASSICAL_QUALITY:
        print(f"\nwith the quality model of the card ({card})\n{table(rates, card)}")
    if options.fit:
        model = fit_model([each for each in rates if each.recording % 2 == 0])
        odd = [each for each in rates if each.recording % 2]
        print(f"\nfitted on the even recordings: {model}\nthe odd ones:\n{table(odd, model)}")


if __name__ == "__main__":
    main()

"""How honest is the quality of a network? Simulated people whose blood moves, and the same with it standing still.

    python benchmarks/network_quality.py NETWORK [--recordings 120] [--seconds 20] [--seed 21] [--split validation]
                                         [--presets complex complex calm] [--fit] [--json FILE]

NETWORK is a file (.onnx) or a name. Each recording is rendered around the face twice, with and without its pulse,
coded, written as a file and read by the network as `facepulse.measure` does it, but for its doubts about rates in step
with key frames: as a whole, and in windows of 5 and 10 s. A reading is right within 5 bpm of the heart in that time;
one without blood that moves never is.

Prints how often readings of each quality are right, with and without the weights in the network's card; with --fit,
weights fitted on the even recordings (a card's `trust`), and the table that they give for the odd ones. POS is read
where the network cannot be trusted: so it counts too what either of them would show without a pulse. With --json,
readings are kept for another run. All of it is simulated.
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
from facepulse.faces.detectors import DETECTORS
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.estimate import SURE, region_waveforms
from facepulse.pipeline.extract import extract_traces
from facepulse.pipeline.methods import find_method
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import CLASSICAL_QUALITY, QualityModel, calibrated_quality, quality_log_odds
from facepulse.rppg.regions import RateEstimate, estimate_rate
from facepulse.simulate.layouts import LAYOUTS, write_video
from facepulse.simulate.recording import make_recording

PROTOCOL = PROTOCOLS["facepulse"]
LENGTHS_S = (5.0, 10.0, 1e9)
CLOSE_BPM = 5.0
WEIGHTS = [field.name for field in fields(QualityModel)]


@dataclass(frozen=True)
class Reading:
    """One rate that was read, all that speaks for it, and whether it was right."""

    recording: int
    pulse: bool
    seconds: float
    share: float
    lead: float
    bpm: float
    colour: float
    right: bool
    skin: float  # quality of POS there, at the rate that it reads

    @property
    def found(self) -> RateEstimate:
        """As `agree` gave it, but for the spectra."""
        return RateEstimate(np.zeros(1), np.zeros(1), self.bpm, self.share, self.seconds, self.colour, self.lead)


def read_recording(
    index: int, *, network: str, presets: Sequence[str], split: str, seed: int, seconds: float
) -> list[Reading]:
    cv2.setNumThreads(1)
    method = find_method(network)
    slot = LAYOUTS["close-up"].slot(index)
    preset = presets[index % len(presets)]
    recording = make_recording(preset, seed, index, split=split, slot=slot, seconds=seconds)
    readings = []
    for pulses in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            path = write_video(recording, recording.frames(pulse=pulses), Path(folder))
            try:
                scene = extract_traces(path, DETECTORS["auto"](), method)
                [face] = scene.measurable("largest")
            except FacepulseError:
                continue
        for segment in face.segments:
            rgb = remove_key_frame_rhythm(segment.rgb, segment.times, scene.key_times)
            waves = region_waveforms(CLASSICAL["POS"], rgb[:, 1:], segment.fps)
            assert segment.waveform is not None
            for length in sorted({min(len(rgb), round(length_s * segment.fps)) for length_s in LENGTHS_S}):
                for begin in range(0, len(rgb) - length + 1, max(length // 2, 1)):
                    part = slice(begin, begin + length)
                    found = estimate_rate([waves[:, part]], segment.fps, PROTOCOL, [segment.waveform[part]])
                    found = with_color_test(found, [rgb[part, 1:]], segment.fps, PROTOCOL)
                    first_s, last_s = segment.times[part][[0, -1]]
                    right = pulses and abs(found.bpm - recording.heartbeat.mean_bpm(first_s, last_s)) <= CLOSE_BPM
                    alone = estimate_rate([waves[:, part]], segment.fps, PROTOCOL)
                    skin = calibrated_quality(with_color_test(alone, [rgb[part, 1:]], segment.fps, PROTOCOL))
                    seen = (found.seconds, found.coherence, found.network, found.bpm, found.color)
                    readings.append(Reading(index, pulses, *seen, right=bool(right), skin=skin))
    return readings


def fitted(readings: Sequence[Reading]) -> QualityModel:
    """The weights that make the observed rights and wrongs most likely; being clear may not speak against a rate."""
    evidence = np.stack(  # how much the evidence grows with each weight
        [
            [
                quality_log_odds(each.found, QualityModel(**dict.fromkeys(WEIGHTS, 0.0) | {name: 1.0}))
                for each in readings
            ]
            for name in WEIGHTS
        ],
        axis=1,
    )
    bounds = [(None, None) if name in ("offset", "rate") else (0.0, None) for name in WEIGHTS]
    right = [each.right for each in readings]
    found = fit_logistic(evidence, right, np.full(len(WEIGHTS), 0.5), bounds=bounds)
    return QualityModel(**dict(zip(WEIGHTS, np.round(found, 2).tolist(), strict=True)))


def table(readings: Sequence[Reading], weights: QualityModel) -> str:
    lines = ["blood moves:       n  right   of 5 s      n  right"]
    rows = [(calibrated_quality(each.found, weights), each) for each in readings]
    for low, high in pairwise([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0001]):
        cells = []
        for among in (rows, [row for row in rows if row[1].seconds < 6]):
            rights = [each.right for quality, each in among if each.pulse and low <= quality < high]
            cells.append(f"{len(rights):8d}  {np.mean(rights) if rights else float('nan'):5.2f}")
        lines.append(f"{low:.1f} to {min(high, 1):.1f}  {cells[0]}        {cells[1]}")
    moving = [(quality, each.right) for quality, each in rows if each.pulse]
    for limit in (0.7, 0.8):
        over = [right for quality, right in moving if quality > limit]
        lines.append(f"over {limit}: {len(over) / len(moving):.0%} of readings, {np.mean(over):.1%} right")
    lines.append(f"right at all: {np.mean([right for _, right in moving]):.1%}")
    still = np.array([quality for quality, each in rows if not each.pulse])
    below = ", ".join(f"{np.mean(still < limit):.1%} below {limit}" for limit in (0.3, 0.7, 0.8))
    skin = np.array([each.skin for _, each in rows if not each.pulse])
    shown = np.mean((still >= QUALITY_THRESHOLD) | (skin >= SURE))
    lines.append(f"stands still: n {len(still)}, {below}; shown by either {shown:.1%}")
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
    parser.add_argument("--json", type=Path, help="write, or read again, the readings")
    options = parser.parse_args()
    asked = {name: value for name, value in vars(options).items() if name not in ("fit", "json")}
    if options.json is not None and options.json.exists():
        kept = json.loads(options.json.read_text())
        if kept["asked"] != asked:
            sys.exit(f"{options.json} holds readings of {kept['asked']}: give another file")
        readings = [Reading(**row) for row in kept["readings"]]
    else:
        read = partial(
            read_recording,
            network=options.network,
            presets=options.presets,
            split=options.split,
            seed=options.seed,
            seconds=options.seconds,
        )
        readings = []
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            for number, found in enumerate(pool.map(read, range(options.recordings)), 1):
                readings += found
                print(f"\r{number} of {options.recordings}", end="", file=sys.stderr, flush=True)
        if options.json is not None:
            kept = {"asked": asked, "readings": [asdict(each) for each in readings]}
            options.json.write_text(json.dumps(kept))
    shown = len({each.recording for each in readings})
    print(f"\nsimulated, {options.split}, seed {options.seed}: a face in {shown} of {options.recordings} recordings")
    print(f"as a method that reads skin ({CLASSICAL_QUALITY})\n{table(readings, CLASSICAL_QUALITY)}")
    card = find_method(options.network).quality_model
    if card != CLASSICAL_QUALITY:
        print(f"\nas the card says ({card})\n{table(readings, card)}")
    if options.fit:
        weights = fitted([each for each in readings if each.recording % 2 == 0])
        odd = [each for each in readings if each.recording % 2]
        print(f"\nfitted on the even recordings: {weights}\nthe odd ones:\n{table(odd, weights)}")


if __name__ == "__main__":
    main()

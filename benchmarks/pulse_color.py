"""Does the quality hold when people move? Simulated people whose blood moves, and the same with it standing still.

    python benchmarks/pulse_color.py [--recordings 40] [--preset complex] [--seconds 20] [--seed 101] [--fit]

Renders each recording twice, writes both as files, and reads them as a whole and in windows of 10 s with three methods.
A reading is right within 5 bpm of the heart in that time; one without blood that moves never is. Prints for the odd
recordings, on which nothing was fitted, how often readings of each quality are right and how much of what is read
without a pulse would be believed, with the colour looked at and without. With --fit, prints the constants of
`facepulse/pulse_color.py` fitted on the even ones. All of it is simulated.
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
from facepulse.faces.detectors import DETECTORS
from facepulse.pipeline.estimate import region_waveforms
from facepulse.pipeline.extract import extract_traces
from facepulse.pipeline.methods import Method
from facepulse.rppg import pulse_color, regions
from facepulse.rppg import quality as quality_model
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.simulate.layouts import write_video
from facepulse.simulate.recording import Recording, make_recording

PROTOCOL = PROTOCOLS["facepulse"]
WINDOW_S = 10.0


@dataclass(frozen=True)
class Reading:
    """One rate that was read: from a whole segment or a window, what its colour was, and whether it was right."""

    recording: int
    pulse: bool
    whole: bool
    found: regions.RateEstimate
    seen: pulse_color.Signature
    right: bool

    def quality(self, *, colour: bool) -> float:
        """What `measure` would say, with the colour looked at or not."""
        return quality_model.calibrated_quality(replace(self.found, color=self.seen.evidence) if colour else self.found)


def read_recording(index: int, *, preset: str, seed: int, seconds: float) -> list[Reading]:
    cv2.setNumThreads(1)
    recording = make_recording(preset, seed, index, seconds=seconds)
    return [reading for pulses in (True, False) for reading in read(recording, index, pulses)]


def read(recording: Recording, index: int, pulses: bool) -> list[Reading]:
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(recording, recording.frames(pulse=pulses), Path(folder))
        try:
            scene = extract_traces(path, DETECTORS["auto"](), Method(CLASSICAL["POS"]))
            [face] = scene.measurable("largest")
        except FacepulseError:
            return []
    readings = []
    for segment in face.segments:
        rgb = remove_key_frame_rhythm(segment.rgb, segment.times, scene.key_times)
        for name in ("POS", "CHROM", "GREEN"):
            waves = region_waveforms(CLASSICAL[name], rgb[:, 1:], segment.fps)
            for length in sorted({len(rgb), min(len(rgb), round(WINDOW_S * segment.fps))}):
                for begin in range(0, len(rgb) - length + 1, max(length // 2, 1)):
                    part = slice(begin, begin + length)
                    found = regions.estimate_rate([waves[:, part]], segment.fps, PROTOCOL)
                    seen = pulse_color.signature([rgb[part, 1:]], segment.fps, found.bpm, PROTOCOL)
                    first_s, last_s = segment.times[part][[0, -1]]
                    right = pulses and abs(found.bpm - recording.heartbeat.mean_bpm(first_s, last_s)) < 5
                    if seen is not None:
                        readings.append(Reading(index, pulses, length == len(rgb), found, seen, right))
    return readings


def fitted(readings: list[Reading]) -> NDArray[np.float64]:
    """The two weights that make the observed rights and wrongs most likely, on top of what the agreement says."""
    usable = [reading for reading in readings if reading.found.coherence > 0]
    trust = np.clip([reading.quality(colour=False) for reading in usable], 1e-9, 1 - 1e-9)
    parts = np.array([reading.seen.logarithms for reading in usable])
    return fit_logistic(parts, [reading.right for reading in usable], np.ones(2), known=np.log(trust / (1 - trust)))


def table(readings: list[Reading], *, colour: bool) -> str:
    lines = ["blood moves:    n  right"]
    moving = [(reading.quality(colour=colour), reading.right) for reading in readings if reading.pulse]
    for low, high in pairwise([0.0, 0.3, 0.7, 0.9, 1.0001]):
        rights = [right for quality, right in moving if low <= quality < high]
        if rights:
            lines.append(f"{low:.1f} to {min(high, 1):.1f} {len(rights):8d}  {np.mean(rights):5.2f}")
    still = np.array([reading.quality(colour=colour) for reading in readings if not reading.pulse])
    below = ", ".join(f"{np.mean(still < limit):.1%} below {limit}" for limit in (0.3, 0.7))
    lines.append(f"stands still: n {len(still)}, {below}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--preset", default="complex")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    work = partial(read_recording, preset=arguments.preset, seed=arguments.seed, seconds=arguments.seconds)
    with ProcessPoolExecutor() as pool:
        readings = [reading for some in pool.map(work, range(arguments.recordings)) for reading in some]
    if arguments.fit:
        fit = fitted([reading for reading in readings if reading.recording % 2 == 0])
        print("BLOOD_WEIGHT, STRANGE_WEIGHT =", ", ".join(f"{value:.2f}" for value in fit))
    of = f"{arguments.preset}, seed {arguments.seed}, the odd ones of {arguments.recordings} recordings"
    print(f"simulated, {of}; POS, CHROM and GREEN together")
    for whole in (True, False):
        shown = [reading for reading in readings if reading.recording % 2 == 1 and reading.whole == whole]
        for colour in (False, True) if shown else ():
            what = f"{'whole' if whole else f'{WINDOW_S:g} s'}, colour {'looked at' if colour else 'not looked at'}"
            print(f"\n{what}\n{table(shown, colour=colour)}")


if __name__ == "__main__":
    main()

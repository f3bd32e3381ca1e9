"""Errors of methods and networks on simulated people that are not in the training data, measured as by a user.

    python benchmarks/held_out.py NAME=ROOT ... [--method physfsunet POS CHROM FILE.onnx] [--open-rppg PYTHON]
                                  [--networks FacePhys.rlap] [--out FOLDER]

Each ROOT holds recordings of `facepulse simulate` in the native layout, of a split that was not trained on. Every
method measures every video through `facepulse.measure` without a quality threshold, so that errors are over all
recordings; results with a quality of at least 0.7 would have been shown. The reference of a recording, and of each of
its windows of 10 s, is the mean of the simulated heart rate. Networks of the package open-rppg (see
`external_methods.py`) read the same files with their own detector, and are taken at their own word (`hr`).

Prints one table per set, with 95 % intervals over recordings by bootstrap, and one that compares the first method with
each other one on the same recordings, and writes them with every result to FOLDER. Results that are there already are
reused: give another FOLDER after a change of the package. Everything is simulated: methods are compared under equal
conditions, which does not show how accurate they are on people.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from external_methods import Recording, estimate_with_open_rppg, find_recordings

from facepulse import measure
from facepulse._files import atomic_write
from facepulse.errors import FacepulseError
from facepulse.evaluation import metrics
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.estimate import HIGH_QUALITY

CLOSE_BPM = 5.0
HIGH = 0.8
INSTEAD = ", else POS"


@dataclass(frozen=True)
class Result:
    """Heart rate of one method in a recording, or in a window of it; bpm is None if nothing was measured."""

    set: str
    recording: str
    method: str
    start_s: float | None  # of a window; None for the whole recording
    true_bpm: float
    bpm: float | None
    quality: float | None
    attributes: dict[str, Any]

    @property
    def error(self) -> float:
        """Absolute error in bpm; a missing heart rate counts as 90 bpm, the middle of the range."""
        return abs((90.0 if self.bpm is None else self.bpm) - self.true_bpm)


def true_rate(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Return times in seconds and the instantaneous heart rate of the simulated heart."""
    with (recording.video.parent / "ppg.csv").open(newline="", encoding="utf-8") as file:
        rows = [(float(row["time_s"]), float(row["bpm"])) for row in csv.DictReader(file)]
    times, bpm = np.array(rows).T
    return times, bpm


def attributes_of(recording: Recording) -> dict[str, Any]:
    """Return the attributes of the simulated recording, in the terms of MMPD."""
    description = json.loads((recording.video.parent / "recording.json").read_text(encoding="utf-8"))
    return dict(description["attributes"])


def label_of(method: str) -> str:
    """Return a name, or the end of a path, which distinguishes files of equal name in different folders."""
    return "/".join(Path(method).with_suffix("").parts[-2:])


def measure_video(job: tuple[str, Recording, str]) -> list[Result]:
    cv2.setNumThreads(1)
    name, recording, method = job
    times, bpm = true_rate(recording)
    attributes = attributes_of(recording)
    label = label_of(method)
    try:
        found = measure(recording.video, method=method, min_quality=0.0)
    except FacepulseError:  # no face, or for too short a time
        return [Result(name, recording.name, label, None, recording.bpm, None, None, attributes)]
    results = [Result(name, recording.name, label, None, recording.bpm, found.bpm, found.quality, attributes)]
    for window in found.windows:
        inside = (times >= window.start_s) & (times < window.end_s)
        truth = float(bpm[inside].mean())  # mean over equal steps of time
        results.append(
            Result(name, recording.name, label, window.start_s, truth, window.bpm, window.quality, attributes)
        )
    return results


def kept(folder: Path | None, name: str) -> list[Result]:
    """Load the results of an earlier run for a set."""
    if folder is None or not (file := folder / f"{name}.json").exists():
        return []
    results = [Result(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    return [each for each in results if not each.method.endswith(INSTEAD)]


def keep(folder: Path | None, name: str, results: Iterable[Result]) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps([asdict(each) for each in results]) + "\n", encoding="utf-8")


def with_fallback(results: Iterable[Result], network: str) -> list[Result]:
    """Combine results: the network above the quality threshold, else POS with a high quality, else the network."""
    by_key = {(each.set, each.recording, each.method): each for each in results if each.start_s is None}
    shown = []
    for (name, recording, method), each in by_key.items():
        if method == network != "POS" and (other := by_key.get((name, recording, "POS"))) is not None:
            use = other if (each.quality or 0) < QUALITY_THRESHOLD and (other.quality or 0) >= HIGH_QUALITY else each
            values = {**asdict(use), "method": f"{network}{INSTEAD}"}
            shown.append(Result(**values))
    return shown


def table(results: Sequence[Result], by: str = "motion") -> str:
    """Format one row per method: errors over all recordings and by stratum, and calibration of its quality."""
    strata = sorted({str(each.attributes.get(by)) for each in results})
    heads = [
        "method",
        "MAE, bpm",
        "within 5 bpm",
        *strata,
        f"shown (quality {QUALITY_THRESHOLD:g} or more)",
        "MAE of these",
    ]
    heads += ["windows of 10 s: MAE", f"of these, with a quality over {HIGH:g}: within 5 bpm"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for method in dict.fromkeys(each.method for each in results):
        whole = [each for each in results if each.method == method and each.start_s is None]
        errors = [each.error for each in whole]
        mae = metrics.mean(errors, [each.recording for each in whole])  # one person per recording
        cells = [method, str(mae), f"{np.mean(np.array(errors) <= CLOSE_BPM):.0%}"]
        for stratum in strata:
            among = [each.error for each in whole if str(each.attributes.get(by)) == stratum]
            cells.append(f"{np.mean(among):.1f} (n {len(among)})" if among else "")
        shown = [each for each in whole if each.quality is not None and each.quality >= QUALITY_THRESHOLD]
        rated = any(each.quality is not None for each in whole)
        cells.append(f"{len(shown) / len(whole):.0%}" if rated else "")
        cells.append(f"{np.mean([each.error for each in shown]):.2f}" if shown else "")
        windows = [each for each in results if each.method == method and each.start_s is not None]
        persons = [each.recording for each in windows]
        cells.append(str(metrics.mean([each.error for each in windows], persons)) if windows else "")
        correct = [each.error <= CLOSE_BPM for each in windows if (each.quality or 0) > HIGH]
        cells.append(f"{np.mean(correct):.1%} of {len(correct)}" if correct else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compare(results: Sequence[Result], network: str) -> str:
    """Format one row per other method: difference and ratio of the network's error to its, on common recordings."""
    lines = ["| method | whole: difference, bpm | ratio | windows: difference, bpm | ratio |", "|---|---|---|---|---|"]
    errors = {(each.method, each.recording, each.start_s): each.error for each in results}
    for method in dict.fromkeys(each.method for each in results if each.method not in (network, network + INSTEAD)):
        cells = [method]
        for windows in (False, True):
            keys = [key for key in errors if key[0] == method and (key[2] is not None) == windows]
            pairs = [(errors[network, *key[1:]], errors[key], key[1]) for key in keys if (network, *key[1:]) in errors]
            if not pairs:
                cells += ["", ""]
                continue
            both, persons = np.array([pair[:2] for pair in pairs]), [pair[2] for pair in pairs]
            low, high = (
                metrics.bootstrap_interval(both, persons, lambda means: means[:, 0] / means[:, 1]) or (np.nan,) * 2
            )
            ratio = both[:, 0].mean() / both[:, 1].mean()
            cells += [str(metrics.mean(both[:, 0] - both[:, 1], persons)), f"{ratio:.2f} [{low:.2f}, {high:.2f}]"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measure_videos(
    sets: dict[str, list[Recording]], results: dict[str, list[Result]], options: argparse.Namespace
) -> None:
    """Measure every recording with every method of the package, except where there is a result already."""
    known = {(name, each.recording, each.method) for name, found in results.items() for each in found}
    jobs = [
        (name, each, method)
        for name, found in sets.items()
        for method in options.method
        for each in found
        if (name, each.name, label_of(method)) not in known
    ]
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        for number, ((name, _, method), found) in enumerate(zip(jobs, pool.map(measure_video, jobs), strict=True), 1):
            results[name] += found
            print(f"\r{number} of {len(jobs)}", end="", file=sys.stderr, flush=True)
            if number == len(jobs) or (name, method) != (jobs[number][0], jobs[number][2]):  # the set is complete
                keep(options.out, name, results[name])


def add_open_rppg(
    sets: dict[str, list[Recording]], results: dict[str, list[Result]], network: str, options: argparse.Namespace
) -> None:
    """Add the results of a network of open-rppg, except those that are there already."""
    label = f"{network} (open-rppg)"
    for name, recordings in sets.items():
        known = {each.recording for each in results[name] if each.method == label}
        new = [each for each in recordings if each.name not in known]
        if not new:
            continue
        for each, estimate in zip(new, estimate_with_open_rppg(options.open_rppg, network, new), strict=True):
            result = Result(name, each.name, label, None, each.bpm, estimate.own_bpm, None, attributes_of(each))
            results[name].append(result)
        keep(options.out, name, results[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=ROOT")
    parser.add_argument("--method", nargs="+", default=[DEFAULT, "POS", "CHROM", "GREEN"])
    parser.add_argument("--open-rppg", metavar="PYTHON")
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=["FacePhys.rlap"])
    parser.add_argument("--by", default="motion", help="attribute whose values are the strata")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--jobs", type=int, default=None)
    options = parser.parse_args()
    sets = {name: find_recordings(Path(root)) for name, _, root in (each.partition("=") for each in options.sets)}
    results = {name: kept(options.out, name) for name in sets}
    measure_videos(sets, results, options)
    if options.open_rppg:
        for network in options.networks:
            add_open_rppg(sets, results, network, options)
    first = label_of(options.method[0])
    for found in results.values():
        found += with_fallback(found, first)
    report = partial(table, by=options.by)
    for name, found in results.items():
        text = f"{report(found)}\n\n{first} compared with each other method, recordings drawn in pairs:\n\n"
        text += compare(found, first)
        print(f"\n\nsimulated, {name}: {len(sets[name])} recordings\n{text}")
        if options.out is not None:
            keep(options.out, name, found)
            with atomic_write(options.out / f"{name}.md") as temporary:
                temporary.write_text(f"Simulated, {len(sets[name])} recordings.\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

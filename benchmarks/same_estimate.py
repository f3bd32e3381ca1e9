"""Agreement of `facepulse evaluate` on prepared recordings with `facepulse measure` on their videos.

    python benchmarks/same_estimate.py ROOT ... --cache FOLDER [--method physfsunet] [--jobs 2]

Each ROOT holds recordings of `facepulse simulate` in the native layout, or videos with a reference beside each. They
are prepared into FOLDER (again only if they are missing there), evaluated, and measured. Both use the same estimator:
the RGB traces in the cache are those that a measurement extracts, but a network gets crops that were resized twice.
Prints the recordings whose heart rates differ by more than 0.2 bpm or that only one of the two shows, and the numbers
of both. The exit code is 1 if there are more of either than one in thirty.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from facepulse import measure
from facepulse.datasets.cache import open_cache
from facepulse.datasets.folder import FOLDER
from facepulse.datasets.preparation import is_cache, prepare_videos
from facepulse.datasets.simulated import SIMULATED
from facepulse.evaluation.run import evaluate

CLOSE_BPM = 0.2
ACCEPTED = 1 / 30  # fraction of recordings that may differ


def compare(root: Path, cache: Path, method: str, jobs: int) -> tuple[int, int, int]:
    """Compare both on the recordings of a folder: number of rates and of decisions that differ, and of recordings."""
    if not is_cache(cache):
        prepare_videos(root, cache, jobs=jobs)
    [dataset] = (path.name for path in cache.iterdir() if path.is_dir())
    evaluation = evaluate(method, open_cache(cache))
    videos = {each.name: each.files[0] for each in (SIMULATED if dataset == "simulated" else FOLDER).find(root)}
    rates = decisions = 0
    for row in evaluation.recordings:
        measured = measure(videos[row.recording], method=method)
        bpm = measured.estimate_bpm
        other_rate = bpm is None or abs(row.bpm - bpm) > CLOSE_BPM
        other_decision = row.shown != (measured.bpm is not None)
        rates, decisions = rates + other_rate, decisions + other_decision
        if other_rate or other_decision:
            print(
                f"{row.recording}: measure {bpm or 0:.2f} bpm at {measured.quality:.3f} by {measured.method}, "
                f"evaluate {row.bpm:.2f} bpm at {row.quality:.3f} by {row.method}"
            )
    for failure in evaluation.failed:
        print(f"{failure.recording} is not evaluated: {failure.reason}")
    print(
        f"{root.name}: {len(evaluation.recordings)} recordings, heart rates differ by over {CLOSE_BPM:g} bpm in "
        f"{rates}, shown or withheld otherwise in {decisions}"
    )
    return rates, decisions, len(evaluation.recordings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--cache", required=True, type=Path)
    parser.add_argument("--method", default="physfsunet")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    found = [compare(root, options.cache / root.name, options.method, options.jobs) for root in options.roots]
    rates, decisions, total = (sum(column) for column in zip(*found, strict=True))
    print(f"all: of {total}, heart rates differ in {rates}, decisions in {decisions}")
    return int(max(rates, decisions) > ACCEPTED * total)


if __name__ == "__main__":
    sys.exit(main())

"""The command simulate."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse.cli.console import progress_bar

logger = logging.getLogger(__name__)


def simulate(
    out: Path,
    /,
    *,
    recordings: Annotated[int, Parameter(validator=Number(gte=1))],
    preset: Literal["calm", "complex", "unseen"] = "calm",
    layout: Literal["native", "close-up", "pure", "ubfc-rppg", "mmpd"] = "native",
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    seconds: Annotated[float, Parameter(validator=Number(gte=5, lte=3600))] = 30.0,
    split: Literal["train", "validation", "test"] = "train",
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
) -> int:
    """Simulate videos of faces with a known pulse, for tests and training. They show no real person.

    An interrupted run is resumed by the same command; with more recordings, the command adds to those already written.

    Example: facepulse simulate simulated --recordings 20 --preset complex

    Args:
        out: Folder to write into: new, empty, or of an earlier run with the same settings.
        recordings: Number of recordings in the folder at the end.
        preset: calm: people at rest in steady light; complex: motion, difficult light, cheap cameras; unseen: a light
            and a motion that neither of the others has, for tests.
        layout: Layout of the files: native (video.mp4, ppg.csv, recording.json); close-up, for training: the same with
            frames cropped around the face, for a third of the computing time; or that of a public dataset.
        seed: Seed of the random numbers; the same seed gives the same recordings.
        seconds: Length of each recording in seconds.
        split: Split that the faces belong to; no face is in two splits.
        jobs: Number of parallel processes, each with one thread; all cores by default.
    """
    from facepulse.simulate.generate import generate
    from facepulse.simulate.layouts import LAYOUTS

    size = LAYOUTS[layout].expected_bytes(seconds)
    if size is not None:
        logger.info(f"size      about {recordings * size / 1e9:.1f} GB in the layout {layout}")
    with progress_bar("simulating", "recordings") as progress:
        summary = generate(
            out,
            recordings,
            preset=preset,
            layout=layout,
            seed=seed,
            seconds=seconds,
            split=split,
            jobs=jobs,
            progress=progress,
        )
    print(f"simulated {summary.written}, {summary.already} already present (they show no real person)")
    print(f"folder    {out}, {summary.names[0]} to {summary.names[-1]}")
    return 0

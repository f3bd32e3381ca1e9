"""From the name of a study to its result: prepare, train what is missing, test or measure, and set it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from facepulse._files import lock_folder
from facepulse.datasets.cache import open_cache
from facepulse.errors import UsageError
from facepulse.inference.registry import NETWORKS
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.studies.attention_figure import AttentionFigure
from facepulse.studies.cost import costs
from facepulse.studies.cost_table import CostTable
from facepulse.studies.plan import ALL_MMPD, PURE, STUDIES, Arm, Study
from facepulse.studies.table import fill
from facepulse.studies.trials import PROTOCOL, Bench, Trial, trials_of
from facepulse.training.run_folder import BEST

COST, ATTENTION = "cost", "attention"
NAMES = (*STUDIES, COST, ATTENTION)

Say = Callable[[str], None]


class Result(Protocol):
    """What comes of a study."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What has no result, and why."""
        ...

    def to_markdown(self) -> str:
        """It as text."""
        ...

    def write(self, folder: Path) -> list[Path]:
        """Write its files, and say which."""
        ...


def study(
    bench: Bench, names: Sequence[str], *, seeds: int = 3, networks: Sequence[str] = (), say: Say
) -> Iterator[Result]:
    """Do studies; what has been prepared, trained and tested before is not done again.

    Args:
        bench: where, and how large.
        names: of `NAMES`.
        seeds: trainings of each row.
        networks: only rows of these, besides the classical methods; all of them by default.
        say: called with a line for all that is done.

    Yields:
        The results in the order of the names.

    Raises:
        UsageError: there is no such study or network, or a dataset is not there.
        DatasetError: a dataset cannot be read.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(f"no study is called {name!r}: choose one of {', '.join(NAMES)}")
    tables = [_with(STUDIES[name], networks) for name in names if name in STUDIES]
    with lock_folder(bench.out):
        datasets = [dataset for table in tables for dataset in table.datasets]
        datasets += [PURE.dataset, ALL_MMPD.dataset] if ATTENTION in names else []
        bench.prepare(list(dict.fromkeys(datasets)), say)
        trials = [trial for table in tables for trial in trials_of(table.arms, seeds)]
        scores = iter(bench.scores(trials, say))
        filled = {
            table.name: fill(
                table,
                [next(scores) for _ in trials_of(table.arms, seeds)],
                _terms(table, bench, seeds),
                any(recording.simulated for name in table.datasets for recording in open_cache(bench.cache / name)),
            )
            for table in tables
        }
        for name in names:
            if name == COST:
                yield _cost(bench, networks, seeds)
            elif name == ATTENTION:
                yield _attention(bench)
            else:
                yield filled[name]


def _with(table: Study, networks: Sequence[str]) -> Study:
    there = list(dict.fromkeys(arm.network for arm in table.arms if arm.train is not None))
    for network in networks:
        if network not in NETWORKS:
            raise UsageError(f"no network is called {network!r}: choose of {', '.join(NETWORKS)}")
    kept = [network for network in there if not networks or network in networks]
    if not kept:
        raise UsageError(f"{table.name} has none of these networks: it has {', '.join(there)}")
    return replace(table, arms=tuple(arm for arm in table.arms if arm.train is None or arm.network in kept))


def _cost(bench: Bench, networks: Sequence[str], seeds: int) -> CostTable:
    recipe = bench.recipe
    measured = costs(
        recipe.data.frames,
        recipe.data.size,
        networks=networks or tuple(NETWORKS),
        configs={recipe.network.name: recipe.network.config},
    )
    maes: dict[str, float | None] = {}
    for network in NETWORKS:
        scores = [bench.known(Trial(Arm("", PURE, ALL_MMPD, network=network), seed)) for seed in range(seeds)]
        errors = [error for score in scores if score for error in score.errors]
        maes[network] = float(np.mean(errors)) if errors else None
    simulated = bench.prepared(ALL_MMPD.dataset) and any(
        recording.simulated for recording in open_cache(bench.cache / ALL_MMPD.dataset)
    )
    return CostTable(measured, maes, simulated)


def _attention(bench: Bench) -> AttentionFigure:
    trial = Trial(Arm("physFSUNet", PURE, ALL_MMPD), 0)
    score = bench.score(trial)
    weights = Path(bench.settings(trial).out) / BEST
    recordings = open_cache(bench.cache / ALL_MMPD.dataset)
    return AttentionFigure(weights, recordings[0], (score.failure,) if score.failure else ())


def _terms(table: Study, bench: Bench, seeds: int) -> dict[str, str]:
    recipe = bench.recipe
    data, steps = recipe.data, recipe.optimiser
    terms = {}
    for dataset in table.datasets:
        recordings = open_cache(bench.cache / dataset)
        seconds = sum(len(recording.times) for recording in recordings) / data.fps
        people = len({recording.subject for recording in recordings})
        terms[f"data, {dataset}"] = (
            f"{'simulated, ' if any(r.simulated for r in recordings) else ''}{len(recordings)} recordings of {people} "
            f"people, {seconds / 60:.0f} minutes, crops of {data.size} px"
        )
    for arm in table.arms:
        if arm.train is not None:
            terms[f"trained on {arm.train.label}"] = str(arm.train) + (
                ", the best epoch by validation" if arm.train.validation else ", the last epoch"
            )
        terms[f"tested on {arm.test.label}"] = str(arm.test)
    terms["training"] = (
        f"{steps.epochs} epochs of clips of {data.frames} frames, batch {steps.batch}, highest learning rate "
        f"{steps.lr:g}, {recipe.hardware.precision}; config of {recipe.network.name} over its default: "
        f"{recipe.network.config or 'none'}; seeds 0 to {seeds - 1}"
    )
    terms["protocol"] = f"{PROTOCOLS[PROTOCOL]}; one heart rate a recording"
    return terms

"""Execution of studies by name: preparation, training, test and the resulting tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from facepulse._files import lock_folder
from facepulse.errors import UsageError
from facepulse.inference.registry import NETWORKS
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.studies.attention_figure import AttentionFigure
from facepulse.studies.cost import costs
from facepulse.studies.cost_table import CostTable
from facepulse.studies.plan import ALL_MMPD, PURE, STUDIES, Experiment, Study, Trial, trials_of
from facepulse.studies.schedule import prepare_datasets, run_trials
from facepulse.studies.table import fill_table
from facepulse.studies.trials import PROTOCOL, run_trial, stored_result
from facepulse.studies.workspace import Workspace
from facepulse.training.run_folder import BEST
from facepulse.training.settings import Settings

COST, ATTENTION = "cost", "attention"
NAMES = (*STUDIES, COST, ATTENTION)


class Result(Protocol):
    """Result of a study."""

    @property
    def failures(self) -> tuple[str, ...]:
        """Reasons for missing results."""
        ...

    def to_markdown(self) -> str:
        """Return the result as Markdown."""
        ...

    def write(self, folder: Path) -> list[Path]:
        """Write the files of the result and return their paths."""
        ...


def study(
    workspace: Workspace,
    names: Sequence[str],
    *,
    recipe: Settings,
    seeds: int = 3,
    networks: Sequence[str] = (),
    jobs: int | None = None,
) -> Iterator[Result]:
    """Run studies; recordings, trainings and tests of earlier runs are reused. Completed steps are logged.

    Args:
        workspace: folders of the datasets and of all outputs.
        names: elements of `NAMES`.
        recipe: settings of every training, except those that a table varies.
        seeds: number of trainings per row.
        networks: networks to keep in the tables, beside the classical methods; all by default.
        jobs: trials at a time; by default one on a GPU, otherwise as many as cores.

    Yields:
        The results in the order of the names.

    Raises:
        UsageError: there is no such study or network, or a dataset is missing.
        DatasetError: a dataset cannot be read.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(f"no study is called {name!r}: choose one of {', '.join(NAMES)}")
    tables = [_restricted(STUDIES[name], networks) for name in names if name in STUDIES]
    with lock_folder(workspace.out):
        datasets = [dataset for table in tables for dataset in table.datasets]
        datasets += [PURE.dataset, ALL_MMPD.dataset] if ATTENTION in names else []
        prepare_datasets(dict.fromkeys(datasets), workspace, recipe)
        trials = [trial for table in tables for trial in trials_of(table.experiments, seeds)]
        results = iter(run_trials(trials, workspace, recipe, jobs))
        filled = {
            table.name: fill_table(
                table,
                [next(results) for _ in trials_of(table.experiments, seeds)],
                _terms(table, workspace, recipe, seeds),
                simulated=any(map(workspace.is_simulated, table.datasets)),
            )
            for table in tables
        }
        for name in names:
            if name == COST:
                yield _cost(workspace, recipe, networks, seeds)
            elif name == ATTENTION:
                yield _attention(workspace, recipe)
            else:
                yield filled[name]


def _restricted(table: Study, networks: Sequence[str]) -> Study:
    """Copy a study with the rows of some networks only."""
    available = list(dict.fromkeys(row.network for row in table.experiments if row.train is not None))
    for network in networks:
        if network not in NETWORKS:
            raise UsageError(f"no network is called {network!r}: choose of {', '.join(NETWORKS)}")
    kept = [network for network in available if not networks or network in networks]
    if not kept:
        raise UsageError(f"{table.name} has none of these networks: it has {', '.join(available)}")
    rows = tuple(row for row in table.experiments if row.train is None or row.network in kept)
    return replace(table, experiments=rows)


def _cost(workspace: Workspace, recipe: Settings, networks: Sequence[str], seeds: int) -> CostTable:
    measured = costs(
        recipe.data.frames,
        recipe.data.size,
        networks=networks or tuple(NETWORKS),
        configs={recipe.network.name: recipe.network.config},
    )
    maes: dict[str, float | None] = {}
    for network in NETWORKS:
        trials = trials_of([Experiment("", PURE, ALL_MMPD, network=network)], seeds)
        stored = [stored_result(trial, workspace) for trial in trials]
        errors = [error for result in stored if result for error in result.errors]
        maes[network] = float(np.mean(errors)) if errors else None
    mmpd = ALL_MMPD.dataset
    return CostTable(measured, maes, simulated=workspace.is_prepared(mmpd) and workspace.is_simulated(mmpd))


def _attention(workspace: Workspace, recipe: Settings) -> AttentionFigure:
    trial = Trial(Experiment("physFSUNet", PURE, ALL_MMPD), 0)
    failure = run_trial(trial, workspace, recipe).failure
    recording = workspace.recordings(ALL_MMPD.dataset)[0]
    return AttentionFigure(workspace.run_folder(trial) / BEST, recording, (failure,) if failure else ())


def _terms(table: Study, workspace: Workspace, recipe: Settings, seeds: int) -> dict[str, str]:
    """Data, training and protocol behind a table, by name."""
    data, steps = recipe.data, recipe.optimiser
    terms = {}
    for dataset in table.datasets:
        recordings = workspace.recordings(dataset)
        seconds = sum(len(recording.times) for recording in recordings) / data.fps
        people = len({recording.subject for recording in recordings})
        terms[f"data, {dataset}"] = (
            f"{'simulated, ' if workspace.is_simulated(dataset) else ''}{len(recordings)} recordings of {people} "
            f"people, {seconds / 60:.0f} minutes, crops of {data.size} px"
        )
    for row in table.experiments:
        if row.train is not None:
            weights = "the best epoch by validation" if row.train.validation else "the last epoch"
            terms[f"trained on {row.train.label}"] = f"{row.train}, {weights}"
        terms[f"tested on {row.test.label}"] = str(row.test)
    terms["training"] = (
        f"{steps.epochs} epochs of clips of {data.frames} frames, batch {steps.batch}, highest learning rate "
        f"{steps.lr:g}, {recipe.hardware.precision}; config of {recipe.network.name} over its default: "
        f"{recipe.network.config or 'none'}; seeds 0 to {seeds - 1}"
    )
    terms["protocol"] = f"{PROTOCOLS[PROTOCOL]}; one heart rate per recording"
    return terms

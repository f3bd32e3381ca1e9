"""Preparation of the datasets of a study and parallel execution of its trials."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from facepulse.datasets.preparation import prepare
from facepulse.errors import require_extra
from facepulse.studies.plan import DataSelection, Trial
from facepulse.studies.trials import TrialResult, run_trial
from facepulse.studies.workspace import Workspace
from facepulse.training.settings import Settings

logger = logging.getLogger(__name__)


def prepare_datasets(datasets: Iterable[str], workspace: Workspace, recipe: Settings) -> None:
    """Prepare the recordings that have not been prepared yet, at the frame size, rate and margin of the recipe.

    Logs one line per dataset and per recording that could not be prepared.

    Args:
        datasets: keys of `facepulse.datasets.DATASETS`.
        workspace: folders of the study.
        recipe: settings of every training.

    Raises:
        UsageError: a dataset is missing.
        DatasetError: a dataset cannot be read.
    """
    settings = {"size": recipe.data.size, "fps": recipe.data.fps, "margin": recipe.data.margin}
    for dataset in datasets:
        began = time.monotonic()
        summary = prepare(dataset, workspace.dataset_root(dataset), workspace.cache, settings=settings)
        for outcome in summary.failed:
            logger.info(f"left out  {dataset} {outcome.recording}: {outcome.notes}")
        logger.info(
            f"prepared  {dataset}: {summary.newly_prepared}, {summary.already_prepared} were there already, "
            f"{len(summary.failed)} failed, {time.monotonic() - began:.0f} s"
        )


def run_trials(trials: Sequence[Trial], workspace: Workspace, recipe: Settings, jobs: int | None) -> list[TrialResult]:
    """Run trials in parallel processes, each training and each test once.

    Logs one line per result, with an estimate of the remaining time.

    Args:
        trials: trials of one or several tables, which may share trainings and tests.
        workspace: folders of the study.
        recipe: settings of every training.
        jobs: trials at a time; by default one on a GPU, otherwise as many as cores.

    Returns:
        The results in the order of the trials.
    """
    require_extra("bench", ["joblib"], "a study")
    import joblib

    cores = os.cpu_count() or 1
    jobs = jobs or (1 if torch.cuda.is_available() else cores)
    threads = max(1, cores // jobs)
    groups = _by_training(trials)
    results: dict[tuple[str, DataSelection], TrialResult] = {}
    began = time.monotonic()
    with joblib.parallel_config(backend="loky", inner_max_num_threads=threads), warnings.catch_warnings():
        # loky replaces workers whose memory has grown, and warns of it.
        warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        tasks = (joblib.delayed(_run_group)(group, workspace, recipe, threads) for group in groups)
        for number, group in enumerate(pool(tasks), 1):
            minutes = (time.monotonic() - began) / number * (len(groups) - number) / 60
            for result in group:
                results[_identity(result.trial)] = result
                logger.info(f"{number:3} of {len(groups)}  {_summary(result)}; about {minutes:.0f} min left")
    return [replace(results[_identity(trial)], trial=trial) for trial in trials]


def _by_training(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Group distinct trials by their training, which two processes must not run at the same time."""
    groups: dict[str, dict[tuple[str, DataSelection], Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.name, {}).setdefault(_identity(trial), trial)
    return [list(group.values()) for group in groups.values()]


def _identity(trial: Trial) -> tuple[str, DataSelection]:
    """Training and test recordings, on which the result depends; labels of rows do not matter."""
    return trial.name, trial.experiment.test


def _run_group(trials: Sequence[Trial], workspace: Workspace, recipe: Settings, threads: int) -> list[TrialResult]:
    torch.set_num_threads(threads)
    return [run_trial(trial, workspace, recipe) for trial in trials]


def _summary(result: TrialResult) -> str:
    trial = result.trial
    mae = np.mean(result.errors or [np.nan])
    return f"{trial.name}: {result.failure or f'MAE {mae:.2f} bpm on {trial.experiment.test.label}'}"

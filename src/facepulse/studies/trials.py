"""Trials: every training and evaluation that tables need, each done once, in any number of processes, at any time."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facepulse._files import atomic_write
from facepulse._optional import require_extra
from facepulse.datasets.cache import folder_name, open_cache
from facepulse.datasets.preparation import prepare
from facepulse.errors import FacepulseError, UsageError
from facepulse.evaluation.predictors import find_predictor
from facepulse.evaluation.run import choose, evaluate
from facepulse.models.figures import clip_length
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.studies.plan import Arm, Recordings
from facepulse.training.loop import train
from facepulse.training.settings import Settings, settings_from

PROTOCOL = "paper"  # second-order Butterworth and Welch, a heart rate a recording, as in the paper

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One row of one table with one seed.

    Attributes:
        arm: the row.
        seed: of its training; None for a classical method.
    """

    arm: Arm
    seed: int | None

    @property
    def name(self) -> str:
        """Distinct for what is trained or tested otherwise."""
        return self.arm.network.lower() if self.seed is None else f"{self.arm.run}/seed{self.seed}"


@dataclass(frozen=True)
class Score:
    """What came of a trial.

    Attributes:
        trial: which.
        rows: a row a recording, as `facepulse.evaluation.summary.Row.to_dict` gives it.
        mae_bpm: of the windows of the validation, where there was one.
        failure: why there is no result; None where there is one.
    """

    trial: Trial
    rows: Sequence[Mapping[str, Any]]
    mae_bpm: float | None = None
    failure: str | None = None

    @property
    def errors(self) -> list[float]:
        """Absolute errors of the recordings that have a reference, bpm."""
        return [abs(row["error"]) for row in self.rows if row["error"] is not None]


@dataclass(frozen=True)
class Bench:
    """Where a study reads and writes, and how large it is.

    Attributes:
        data: folder of the datasets, each under its own name.
        out: folder of what is made: `cache`, `runs`, `scores`, and the tables.
        recipe: settings of every training, but for what a table varies.
        jobs: trials at work at a time; one a core, or one on a GPU, if None.
    """

    data: Path
    out: Path
    recipe: Settings
    jobs: int | None = None

    @property
    def cache(self) -> Path:
        """Of the prepared recordings."""
        return self.out / "cache"

    def root(self, dataset: str) -> Path:
        """Where a dataset is, under whatever capitals.

        Raises:
            UsageError: it is not there.
        """
        if self.data.is_dir():
            for path in sorted(self.data.iterdir()):
                if path.is_dir() and path.name.lower().replace("_", "-") == dataset:
                    return path
        raise UsageError(f"{self.data} has no folder {dataset}: put that dataset there, or link it")

    def prepare(self, datasets: Sequence[str], say: Say) -> None:
        """Prepare what is not yet, all of it in the recipe's size."""
        data = self.recipe.data
        for dataset in datasets:
            settings = {"size": data.size, "fps": data.fps, "margin": data.margin}
            began = time.monotonic()
            summary = prepare(dataset, self.root(dataset), self.cache, settings=settings)
            for outcome in summary.failed:
                say(f"left out  {dataset} {outcome.recording}: {outcome.notes}")
            say(
                f"prepared  {dataset}: {summary.newly_prepared}, {summary.already_prepared} were there already, "
                f"{len(summary.failed)} failed, {time.monotonic() - began:.0f} s"
            )

    def settings(self, trial: Trial) -> Settings:
        """Of the training that a trial takes."""
        arm = trial.arm
        assert arm.train is not None
        values = self.recipe.to_dict()
        values["out"] = str(self.out / "runs" / trial.name)
        values["seed"] = trial.seed
        own = values["network"]["config"] if values["network"]["name"] == arm.network else {}
        values["network"] = {"name": arm.network, "config": {**own, **arm.config}}
        # Windows overlap by half, so a clip is two halves of a length that the network takes.
        half = -(-self.recipe.data.frames // 2)
        values["data"]["frames"] = 2 * clip_length(arm.network, half, values["network"]["config"])
        values["loss"] = {**values["loss"], **arm.loss}
        values["data"]["caches"] = [self._cache(arm.train, arm.train.subset)]
        values["data"]["validation"] = [self._cache(arm.train, "validation")] if arm.train.validation else []
        return settings_from(values, f"the settings of {trial.name}")

    def prepared(self, dataset: str) -> bool:
        """Whether there are crops of it."""
        return (self.cache / dataset).is_dir()

    def known(self, trial: Trial) -> Score | None:
        """What came of a trial, if it has been made."""
        there = _read(self._scores(trial))
        return None if there is None else Score(trial, there["rows"])

    def score(self, trial: Trial) -> Score:
        """Train what is not trained yet, test what is not tested yet, and say what came of it."""
        arm, path = trial.arm, self._scores(trial)
        try:
            if trial.seed is None:
                model, mae, print_of = arm.network, None, ""
            else:
                trained = train(self.settings(trial))
                model, mae, print_of = str(trained.weights), trained.mae_bpm, _print_of(trained.weights)
            there = _read(path)
            if there is None or there["weights"] != print_of:
                recordings, _ = choose(
                    open_cache(self.cache / arm.test.dataset), arm.test.split, arm.test.subset, arm.test.where
                )
                found = evaluate(find_predictor(model, PROTOCOLS[PROTOCOL]), recordings, protocol=PROTOCOL)
                there = {"weights": print_of, "rows": [row.to_dict() for row in found.recordings]}
                with atomic_write(path) as temporary:
                    temporary.write_text(json.dumps(there), encoding="utf-8")
        except FacepulseError as error:
            return Score(trial, [], failure=" ".join(str(error).split()))
        return Score(trial, there["rows"], mae)

    def scores(self, trials: Sequence[Trial], say: Say) -> list[Score]:
        """All trials, `jobs` at a time; a line for each as it ends, with the time that the rest will take."""
        require_extra("bench", ["joblib"], "a study")
        import joblib

        cores = os.cpu_count() or 1
        jobs = self.jobs or (1 if torch.cuda.is_available() else cores)
        threads = max(1, cores // jobs)
        # Arms of several tables may share a training, which two processes must not do at once.
        first: dict[tuple[str, Recordings], Trial] = {}
        for trial in trials:
            first.setdefault((trial.name, trial.arm.test), trial)
        by_run: dict[str, list[Trial]] = {}
        for trial in first.values():
            by_run.setdefault(trial.name, []).append(trial)
        began = time.monotonic()
        done: dict[tuple[str, Recordings], Score] = {}
        with joblib.parallel_config(backend="loky", inner_max_num_threads=threads), warnings.catch_warnings():
            # A worker that has grown is replaced by a new one, which is as it should be.
            warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
            work = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
            groups = work(joblib.delayed(_scored)(self, group, threads) for group in by_run.values())
            for number, found in enumerate(groups, 1):
                left = (time.monotonic() - began) / number * (len(by_run) - number) / 60
                for score in found:
                    done[score.trial.name, score.trial.arm.test] = score
                    said = (
                        score.failure
                        or f"MAE {np.mean(score.errors or [np.nan]):.2f} bpm on {score.trial.arm.test.label}"
                    )
                    say(f"{number:3} of {len(by_run)}  {score.trial.name}: {said}; about {left:.0f} min left")
        scored = [done[trial.name, trial.arm.test] for trial in trials]
        return [
            Score(trial, score.rows, score.mae_bpm, score.failure) for trial, score in zip(trials, scored, strict=True)
        ]

    def _scores(self, trial: Trial) -> Path:
        return self.out / "scores" / f"{folder_name(trial.name)}-on-{folder_name(str(trial.arm.test))}.json"

    def _cache(self, recordings: Recordings, subset: str) -> dict[str, Any]:
        return {
            "path": str(self.cache / recordings.dataset),
            "split": recordings.split,
            "subset": subset,
            "where": {key: list(values) for key, values in recordings.where.items()},
        }


def trials_of(arms: Sequence[Arm], seeds: int) -> list[Trial]:
    """Every arm with every seed from 0; classical methods have none."""
    return [Trial(arm, seed) for arm in arms for seed in ([None] if arm.train is None else range(seeds))]


def _scored(bench: Bench, trials: Sequence[Trial], threads: int) -> list[Score]:
    torch.set_num_threads(threads)
    return [bench.score(trial) for trial in trials]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _print_of(weights: Path) -> str:
    from facepulse.inference.weights import read_card

    return read_card(weights).sha256

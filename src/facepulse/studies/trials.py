"""Training and test of one trial, each done once and kept in the workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepulse._files import atomic_write
from facepulse.errors import FacepulseError
from facepulse.evaluation.run import choose, evaluate
from facepulse.inference.weights import read_card
from facepulse.models.figures import clip_length
from facepulse.studies.plan import DataSelection, Trial
from facepulse.studies.workspace import Workspace
from facepulse.training.loop import train
from facepulse.training.settings import Settings, settings_from

PROTOCOL = "paper"  # second-order Butterworth and Welch, one heart rate per recording, as in the paper


@dataclass(frozen=True)
class TrialResult:
    """Test results of a trial, or the reason for their absence.

    Attributes:
        trial: trial.
        rows: one row per recording, as of `facepulse.evaluation.summary.Row.to_dict`.
        failure: message of the error that ended the trial; None if there was none.
    """

    trial: Trial
    rows: Sequence[Mapping[str, Any]]
    failure: str | None = None

    @property
    def scored(self) -> list[Mapping[str, Any]]:
        """Rows of the recordings that have a reference."""
        return [row for row in self.rows if row["error"] is not None]

    @property
    def errors(self) -> list[float]:
        """Absolute errors of the recordings that have a reference, bpm."""
        return [abs(row["error"]) for row in self.scored]


def run_trial(trial: Trial, workspace: Workspace, recipe: Settings) -> TrialResult:
    """Train and test a trial, or return its stored result if the weights have not changed since.

    Args:
        trial: experiment and seed.
        workspace: folders of the study.
        recipe: settings of every training, overridden by those of the experiment.

    Returns:
        The result; an error of this package becomes its `failure`.
    """
    experiment, path = trial.experiment, workspace.result_file(trial)
    try:
        if trial.seed is None:
            model, weights_hash = experiment.network, ""
        else:
            weights = train(training_settings(trial, workspace, recipe)).weights
            model, weights_hash = str(weights), read_card(weights).sha256
        stored = _read(path)
        if stored is None or stored["weights"] != weights_hash:
            test = experiment.test
            recordings, _ = choose(workspace.recordings(test.dataset), test.split, test.subset, test.where)
            evaluation = evaluate(model, recordings, protocol=PROTOCOL)
            stored = {"weights": weights_hash, "rows": [row.to_dict() for row in evaluation.recordings]}
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(stored), encoding="utf-8")
    except FacepulseError as error:
        return TrialResult(trial, [], failure=" ".join(str(error).split()))
    return TrialResult(trial, stored["rows"])


def stored_result(trial: Trial, workspace: Workspace) -> TrialResult | None:
    """Read the result of a trial that has been run before; None if it has not."""
    stored = _read(workspace.result_file(trial))
    return None if stored is None else TrialResult(trial, stored["rows"])


def training_settings(trial: Trial, workspace: Workspace, recipe: Settings) -> Settings:
    """Settings of the training of a trial: the recipe, overridden by those of the experiment.

    The config of the network in the recipe applies to that network only. Evaluation windows overlap by half, so that
    clips have twice the shortest length that the network accepts and that is at least half of the recipe's.

    Args:
        trial: experiment and seed of a network.
        workspace: folders of the study.
        recipe: settings of every training.
    """
    experiment = trial.experiment
    assert experiment.train is not None
    values = recipe.to_dict()
    values["out"] = str(workspace.run_folder(trial))
    values["seed"] = trial.seed
    recipe_config = values["network"]["config"] if values["network"]["name"] == experiment.network else {}
    config = {**recipe_config, **experiment.config}
    values["network"] = {"name": experiment.network, "config": config}
    values["data"]["frames"] = 2 * clip_length(experiment.network, -(-recipe.data.frames // 2), config)
    values["loss"] = {**values["loss"], **experiment.loss}
    train, root = experiment.train, workspace.cache
    values["data"]["caches"] = [_cache_settings(root, train, train.subset)]
    values["data"]["validation"] = [_cache_settings(root, train, "validation")] if train.validation else []
    return settings_from(values, f"the settings of {trial.name}")


def _cache_settings(cache: Path, selection: DataSelection, subset: str) -> dict[str, Any]:
    return {
        "path": str(cache / selection.dataset),
        "split": selection.split,
        "subset": subset,
        "where": {key: list(values) for key, values in selection.where.items()},
    }


def _read(path: Path) -> dict[str, Any] | None:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored

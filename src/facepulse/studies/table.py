"""Tables of studies: errors over all seeds with their intervals, beside the published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from facepulse._types import Floats
from facepulse.evaluation import metrics
from facepulse.evaluation.metrics import HeartRateErrors, Statistic
from facepulse.studies import published, table_report
from facepulse.studies.formats import write_files
from facepulse.studies.plan import Experiment, Study
from facepulse.studies.trials import TrialResult


@dataclass(frozen=True)
class TableRow:
    """One row of a table, over all seeds.

    Attributes:
        experiment: experiment of the row.
        recordings: number of test recordings.
        people: number of people in them.
        seed_maes: MAE of each seed, bpm; empty if the row has no result.
        mae: mean over seeds, bpm.
        rmse: mean over seeds, bpm.
        mape: mean over seeds, %.
        pearson: mean over the seeds that have a correlation; None if none has.
        difference: MAE minus that of the first row, bpm; None for the first row and in tables that do not compare.
        failures: reasons for missing results.
    """

    experiment: Experiment
    recordings: int
    people: int
    seed_maes: tuple[float, ...]
    mae: Statistic | None
    rmse: float | None
    mape: float | None
    pearson: float | None
    difference: Statistic | None
    failures: tuple[str, ...]

    @property
    def published(self) -> tuple[published.PublishedRow, ...]:
        """Published rows of the same experiment in any table, one per source and MAE."""
        experiment = self.experiment
        trained_on = None if experiment.train is None else experiment.train.label
        rows = [
            row
            for table in published.TABLES.values()
            for row in table.find(experiment.network, trained_on, experiment.test.label)
            if row.variant == experiment.variant and row.mae is not None
        ]
        return tuple({(row.mae, row.publication): row for row in rows}.values())


@dataclass(frozen=True)
class Table:
    """Filled table of a study.

    Attributes:
        study: plan of the table.
        rows: rows in the order of the plan.
        terms: data, training and protocol behind the figures, by name.
        simulated: True if any recording is simulated.
    """

    study: Study
    rows: tuple[TableRow, ...]
    terms: Mapping[str, str]
    simulated: bool

    @property
    def failures(self) -> tuple[str, ...]:
        """Reasons for missing results."""
        return tuple(failure for row in self.rows for failure in row.failures)

    def to_markdown(self) -> str:
        """Return the table with its terms as Markdown."""
        return table_report.to_markdown(self)

    def to_html(self) -> str:
        """Return the table with its terms and a figure of the errors as one HTML page."""
        return table_report.to_html(self)

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.md, NAME.html and NAME.csv and return their paths."""
        texts = {"md": self.to_markdown(), "html": self.to_html(), "csv": table_report.to_csv(self)}
        return write_files(folder, self.study.name, texts)


def fill_table(study: Study, results: Sequence[TrialResult], terms: Mapping[str, str], *, simulated: bool) -> Table:
    """Summarise the results of trials as a table.

    Args:
        study: plan of the table.
        results: results of all seeds of all experiments of the plan, in its order.
        terms: data, training and protocol behind the figures, by name.
        simulated: True if any recording is simulated.
    """
    groups = [(row, list(group)) for row, group in groupby(results, key=lambda result: result.trial.experiment)]
    errors = [SeedErrors.of(group) for _, group in groups]
    rows = []
    for number, (experiment, group) in enumerate(groups):
        first = errors[0] if study.compared and number > 0 else None
        rows.append(_row(experiment, group, errors[number], first))
    return Table(study, tuple(rows), terms, simulated)


@dataclass(frozen=True, eq=False)
class SeedErrors:
    """Absolute errors of heart rates, by seed and recording.

    Attributes:
        bpm: (S, R).
        recordings: (R) names.
        people: (R) subjects of the recordings.
    """

    bpm: Floats
    recordings: tuple[str, ...]
    people: tuple[str, ...]

    @classmethod
    def of(cls, results: Sequence[TrialResult]) -> SeedErrors | None:
        """Collect the errors of the recordings that every seed has measured; None if there are none."""
        tables = [{row["recording"]: row for row in result.scored} for result in results if result.failure is None]
        names = [name for name in (tables[0] if tables else []) if all(name in table for table in tables)]
        if not names:
            return None
        bpm = np.array([[abs(table[name]["error"]) for name in names] for table in tables])
        return cls(bpm, tuple(names), tuple(tables[0][name]["subject"] for name in names))

    def mean(self) -> Statistic:
        """Mean error with its interval over people and seeds."""
        return metrics.bootstrap_subjects_and_seeds([self.bpm], self.people, lambda means: means[0])

    def difference(self, other: SeedErrors) -> Statistic:
        """Mean difference from other errors, over the recordings that both have; their seeds are independent."""
        common = [name for name in self.recordings if name in set(other.recordings)]
        own_index = [self.recordings.index(name) for name in common]
        other_index = [other.recordings.index(name) for name in common]
        people = [self.people[i] for i in own_index]
        groups = [self.bpm[:, own_index], other.bpm[:, other_index]]
        return metrics.bootstrap_subjects_and_seeds(groups, people, lambda means: means[0] - means[1])


def _row(
    experiment: Experiment, results: Sequence[TrialResult], errors: SeedErrors | None, first: SeedErrors | None
) -> TableRow:
    failures = tuple(dict.fromkeys(result.failure for result in results if result.failure is not None))
    if errors is None:
        return TableRow(experiment, 0, 0, (), None, None, None, None, None, failures)
    by_seed = [_seed_metrics(result) for result in results if result.failure is None]
    correlations = [seed.pearson.value for seed in by_seed if seed.pearson is not None]
    return TableRow(
        experiment=experiment,
        recordings=len(errors.recordings),
        people=len(set(errors.people)),
        seed_maes=tuple(float(mae) for mae in errors.bpm.mean(1)),
        mae=errors.mean(),
        rmse=float(np.mean([seed.rmse.value for seed in by_seed])),
        mape=float(np.mean([seed.mape.value for seed in by_seed])),
        pearson=float(np.mean(correlations)) if correlations else None,
        difference=None if first is None else errors.difference(first),
        failures=failures,
    )


def _seed_metrics(result: TrialResult) -> HeartRateErrors:
    rows = result.scored
    return metrics.heart_rate_errors([row["reference_bpm"] for row in rows], [row["bpm"] for row in rows])

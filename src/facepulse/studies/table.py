"""A table of a study: our figures with their intervals, beside the published ones; as Markdown, CSV and a page."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from facepulse._files import atomic_write
from facepulse._types import Floats
from facepulse.evaluation import html, metrics
from facepulse.evaluation.metrics import Estimate
from facepulse.studies import published
from facepulse.studies.plan import Arm, Study
from facepulse.studies.trials import Score

HEADS = ("row", "trained on", "tested on", "MAE, bpm", "RMSE, bpm", "MAPE, %", "r", "MAE of each seed", "published MAE")
COLUMNS = (
    *("row", "network", "trained_on", "tested_on", "seeds", "recordings", "people", "mae", "mae_low", "mae_high"),
    *("rmse", "mape", "pearson", "difference", "difference_low", "difference_high", "published_mae"),
)
INTERVALS = "95 %, over other people and other seeds, by bootstrap over both; RMSE, MAPE and r are means over the seeds"
WARNING = (
    "Simulated recordings: they show that all of this works and how these variants compare on this simulation. They do "
    "not show how accurate anything is on people, and cannot be set against published figures but for sign and size."
)


@dataclass(frozen=True)
class Line:
    """A row of a table, over all seeds.

    Attributes:
        arm: the row.
        recordings: how many it was tested on.
        people: in them.
        seed_maes: MAE of each seed, bpm; empty where nothing came of the row.
        mae: their mean, bpm.
        rmse: mean over seeds, bpm.
        mape: mean over seeds, %.
        pearson: mean over seeds; None where it cannot be had.
        difference: of MAE to the table's first row, bpm, where the table compares.
        failures: why trainings have no result.
    """

    arm: Arm
    recordings: int
    people: int
    seed_maes: tuple[float, ...]
    mae: Estimate | None
    rmse: float | None
    mape: float | None
    pearson: float | None
    difference: Estimate | None
    failures: tuple[str, ...]

    @property
    def published(self) -> tuple[published.Row, ...]:
        """What was published of such a row, in any table: more than one where sources differ."""
        trained = None if self.arm.train is None else self.arm.train.label
        found = [
            row
            for table in published.TABLES.values()
            for row in table.of(self.arm.network, trained, self.arm.test.label)
            if row.variant == self.arm.variant and row.mae is not None
        ]
        return tuple({(row.mae, row.source.partition(",")[0]): row for row in found}.values())


@dataclass(frozen=True)
class Table:
    """A filled table.

    Attributes:
        study: which.
        lines: its rows.
        terms: under what terms they hold, name to text.
        simulated: the recordings show no real person.
    """

    study: Study
    lines: tuple[Line, ...]
    terms: Mapping[str, str]
    simulated: bool

    @property
    def failures(self) -> tuple[str, ...]:
        """What has no result, and why."""
        return tuple(failure for line in self.lines for failure in line.failures)

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.md, NAME.csv and NAME.html, each whole or not at all."""
        texts = {"md": self.to_markdown(), "html": self.to_html()}
        paths = []
        for ending, text in texts.items():
            paths.append(folder / f"{self.study.name}.{ending}")
            with atomic_write(paths[-1]) as temporary:
                temporary.write_text(text, encoding="utf-8")
        paths.append(folder / f"{self.study.name}.csv")
        with atomic_write(paths[-1]) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            self._write_csv(csv.writer(file))
        return paths

    def to_markdown(self) -> str:
        """The table with its terms."""
        heads, rows = self._cells()
        lines = [f"# {self.study.title}", ""]
        if self.simulated:
            lines += [f"**{WARNING}**", ""]
        lines += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines += ["", *(f"* {name}: {text}" for name, text in self._all_terms().items())]
        lines += [f"* failed, {line.arm.label}: {failure}" for line in self.lines for failure in line.failures]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The table with its terms, and our errors beside the published ones as a drawing."""
        heads, rows = self._cells()
        title = self.study.title
        failures = [[line.arm.label, failure] for line in self.lines for failure in line.failures]
        sections = [
            f"<h1>{escape(title)}</h1>",
            "<p class='soft'>heart rate from videos of faces, set beside a reference. Not a medical device.</p>",
            f"<p class='note'>{escape(WARNING)}</p>" if self.simulated else "",
            html.table(heads, rows),
            html.figure(partial(_draw, lines=self.lines), "MAE with its interval; published figures as crosses", 7, 4),
            f"<h2>Failed</h2>{html.table(['row', 'why'], failures)}" if failures else "",
            "<h2>Terms</h2>",
            html.definitions(self._all_terms()),
        ]
        return html.page(title, sections)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        heads = list(HEADS)
        if self.study.compared:
            heads.insert(4, "difference to the first row")
        rows = []
        for line in self.lines:
            cells = [
                line.arm.label,
                "" if line.arm.train is None else line.arm.train.label,
                line.arm.test.label,
                _estimate(line.mae),
                _number(line.rmse),
                _number(line.mape),
                _number(line.pearson),
                ", ".join(f"{mae:.2f}" for mae in line.seed_maes) if line.arm.train else "",
                "; ".join(f"{row.mae} ({row.source.partition(',')[0]})" for row in line.published),
            ]
            if self.study.compared:
                cells.insert(4, _estimate(line.difference))
            rows.append(cells)
        return heads, rows

    def _all_terms(self) -> dict[str, str]:
        theirs = published.TABLES[self.study.name].protocol
        return {**self.terms, "intervals": INTERVALS, "published figures": theirs}

    def _write_csv(self, table: Any) -> None:
        table.writerow(COLUMNS)
        for line in self.lines:
            row: list[Any] = [
                line.arm.label,
                line.arm.network,
                line.arm.train or "",
                line.arm.test,
                len(line.seed_maes),
            ]
            row += [line.recordings, line.people, *_three(line.mae), line.rmse, line.mape, line.pearson]
            row += [*_three(line.difference), "; ".join(f"{each.mae} ({each.source})" for each in line.published)]
            table.writerow(row)


def fill(study: Study, scores: Sequence[Score], terms: Mapping[str, str], simulated: bool) -> Table:
    """The table that scores amount to.

    Args:
        study: whose arms the scores are of.
        scores: of all seeds of all arms, arm by arm in their order.
        terms: under what terms they hold.
        simulated: the recordings show no real person.
    """
    groups = [(arm, list(group)) for arm, group in groupby(scores, key=lambda score: score.trial.arm)]
    first = _Errors.of(groups[0][1]) if study.compared else None
    lines = []
    for arm, group in groups:
        errors = _Errors.of(group)
        lines.append(_line(arm, group, errors, None if arm is groups[0][0] else first))
    return Table(study, tuple(lines), terms, simulated)


@dataclass(frozen=True)
class _Errors:
    """Absolute errors of heart rates by seed and recording.

    Attributes:
        bpm: (S, R).
        recordings: R names.
        people: R names: whose each is.
    """

    bpm: Floats
    recordings: tuple[str, ...]
    people: tuple[str, ...]

    @classmethod
    def of(cls, scores: Sequence[Score]) -> _Errors | None:
        """Of the recordings that every seed has read; None where there are none."""
        tables = [
            {row["recording"]: row for row in score.rows if row["error"] is not None}
            for score in scores
            if score.failure is None
        ]
        names = [name for name in (tables[0] if tables else []) if all(name in table for table in tables)]
        if not names:
            return None
        bpm = np.array([[abs(table[name]["error"]) for name in names] for table in tables])
        return cls(bpm, tuple(names), tuple(tables[0][name]["subject"] for name in names))

    def mean(self) -> Estimate:
        """Mean with its interval over other people and seeds."""
        return metrics.bootstrap_seeds([self.bpm], self.people, lambda means: means[0])

    def minus(self, other: _Errors) -> Estimate:
        """Mean difference to other errors on the same recordings, which each was trained for by itself."""
        both = [name for name in self.recordings if name in set(other.recordings)]
        mine = [self.recordings.index(name) for name in both]
        theirs = [other.recordings.index(name) for name in both]
        people = [self.people[i] for i in mine]
        return metrics.bootstrap_seeds(
            [self.bpm[:, mine], other.bpm[:, theirs]], people, lambda means: means[0] - means[1]
        )


def _line(arm: Arm, scores: Sequence[Score], errors: _Errors | None, first: _Errors | None) -> Line:
    failures = tuple(dict.fromkeys(score.failure for score in scores if score.failure is not None))
    if errors is None:
        return Line(arm, 0, 0, (), None, None, None, None, None, failures)
    found = [
        metrics.heart_rate_errors([row["reference_bpm"] for row in rows], [row["bpm"] for row in rows])
        for score in scores
        for rows in [[row for row in score.rows if row["error"] is not None]]
        if score.failure is None
    ]
    correlations = [each.pearson.value for each in found if each.pearson is not None]
    return Line(
        arm=arm,
        recordings=len(errors.recordings),
        people=len(set(errors.people)),
        seed_maes=tuple(float(mae) for mae in errors.bpm.mean(1)),
        mae=errors.mean(),
        rmse=float(np.mean([each.rmse.value for each in found])),
        mape=float(np.mean([each.mape.value for each in found])),
        pearson=float(np.mean(correlations)) if correlations else None,
        difference=None if first is None else errors.minus(first),
        failures=failures,
    )


def _draw(axes: Axes, lines: Sequence[Line]) -> None:
    shown = [line for line in lines if line.mae is not None]
    for place, line in enumerate(reversed(shown)):
        assert line.mae is not None
        low, high = line.mae.interval or (line.mae.value, line.mae.value)
        axes.plot([low, high], [place, place], color=html.LINE, lw=3, solid_capstyle="round")
        axes.plot([line.mae.value], [place], "o", color=html.ESTIMATE, ms=6)
        known = [row.mae for row in line.published if isinstance(row.mae, float)]
        axes.plot(known, [place] * len(known), "x", color=html.REFERENCE, ms=6, mew=1.5)
    labels = [
        line.arm.label + (f", {line.arm.train.label}" if line.arm.train else "") + f" → {line.arm.test.label}"
        for line in reversed(shown)
    ]
    axes.set(yticks=range(len(shown)), yticklabels=labels, xlabel="MAE, bpm")
    axes.set_xlim(left=0)


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    ends = "" if estimate.interval is None else " [{:.2f}, {:.2f}]".format(*estimate.interval)
    return f"{estimate.value:.2f}{ends}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _three(estimate: Estimate | None) -> list[float | None]:
    if estimate is None:
        return [None, None, None]
    return [estimate.value, *(estimate.interval or (None, None))]

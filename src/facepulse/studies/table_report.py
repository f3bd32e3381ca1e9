"""Tables of studies as Markdown, CSV and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from facepulse.evaluation import html
from facepulse.evaluation.metrics import Statistic
from facepulse.studies import published
from facepulse.studies.formats import csv_table, markdown_table

if TYPE_CHECKING:
    from facepulse.studies.table import Table, TableRow

COLUMNS = (
    *("row", "network", "trained_on", "tested_on", "seeds", "recordings", "people", "mae", "mae_low", "mae_high"),
    *("rmse", "mape", "pearson", "difference", "difference_low", "difference_high", "published_mae"),
)
INTERVALS = "95 %, by bootstrap over people and over seeds; RMSE, MAPE and r are means over the seeds"
WARNING = (
    "Simulated recordings. They show that the whole study runs and how its rows compare on this simulation, not how "
    "accurate any row is on people. With published figures only sign and size can be compared."
)


def to_markdown(table: Table) -> str:
    """Return a table with its terms as Markdown."""
    lines = [f"# {table.study.title}", ""]
    if table.simulated:
        lines += [f"**{WARNING}**", ""]
    lines += markdown_table(_cells(table))
    lines += ["", *(f"* {name}: {text}" for name, text in _terms(table).items())]
    lines += [f"* failed, {label}: {failure}" for label, failure in _failures(table)]
    return "\n".join(lines) + "\n"


def to_html(table: Table) -> str:
    """Return a table with its terms, and a figure of errors and published errors, as one HTML page."""
    title, cells = table.study.title, _cells(table)
    failures = _failures(table)
    caption = "MAE with its interval; published figures as crosses"
    sections = [
        f"<h1>{escape(title)}</h1>",
        "<p class='soft'>heart rate from videos of faces, set beside a reference. Not a medical device.</p>",
        f"<p class='note'>{escape(WARNING)}</p>" if table.simulated else "",
        html.table(cells[0], [row.values() for row in cells]),
        html.figure(partial(_draw, rows=table.rows), caption, 7, 4),
        f"<h2>Failed</h2>{html.table(['row', 'reason'], failures)}" if failures else "",
        "<h2>Terms</h2>",
        html.definitions(_terms(table)),
    ]
    return html.page(title, sections)


def to_csv(table: Table) -> str:
    """Return the figures of a table as CSV, without rounding."""
    return csv_table(COLUMNS, map(_csv_row, table.rows))


def _cells(table: Table) -> list[dict[str, str]]:
    """Text of each cell by heading, row by row."""
    return [_row_cells(row, compared=table.study.compared) for row in table.rows]


def _row_cells(row: TableRow, *, compared: bool) -> dict[str, str]:
    experiment = row.experiment
    return {
        "row": experiment.label,
        "trained on": "" if experiment.train is None else experiment.train.label,
        "tested on": experiment.test.label,
        "MAE, bpm": _estimate_text(row.mae),
        **({"difference from the first row": _estimate_text(row.difference)} if compared else {}),
        "RMSE, bpm": _number_text(row.rmse),
        "MAPE, %": _number_text(row.mape),
        "r": _number_text(row.pearson),
        "MAE of each seed": ", ".join(f"{mae:.2f}" for mae in row.seed_maes) if experiment.train else "",
        "published MAE": "; ".join(f"{known.mae} ({known.publication})" for known in row.published),
    }


def _csv_row(row: TableRow) -> dict[str, Any]:
    mae_low, mae_high = _interval(row.mae)
    difference_low, difference_high = _interval(row.difference)
    return {
        "row": row.experiment.label,
        "network": row.experiment.network,
        "trained_on": row.experiment.train or "",
        "tested_on": row.experiment.test,
        "seeds": len(row.seed_maes),
        "recordings": row.recordings,
        "people": row.people,
        "mae": row.mae and row.mae.value,
        "mae_low": mae_low,
        "mae_high": mae_high,
        "rmse": row.rmse,
        "mape": row.mape,
        "pearson": row.pearson,
        "difference": row.difference and row.difference.value,
        "difference_low": difference_low,
        "difference_high": difference_high,
        "published_mae": "; ".join(f"{known.mae} ({known.source})" for known in row.published),
    }


def _terms(table: Table) -> dict[str, str]:
    protocol = published.TABLES[table.study.name].protocol
    return {**table.terms, "intervals": INTERVALS, "published figures": protocol}


def _failures(table: Table) -> list[tuple[str, str]]:
    return [(row.experiment.label, failure) for row in table.rows for failure in row.failures]


def _draw(axes: Axes, rows: Sequence[TableRow]) -> None:
    """Draw one line per row, the first on top: MAE, its interval and published MAEs."""
    labels = []
    for height, row in enumerate(row for row in reversed(rows) if row.mae is not None):
        assert row.mae is not None
        train, test = row.experiment.train, row.experiment.test
        labels.append(row.experiment.label + (f", {train.label}" if train else "") + f" → {test.label}")
        interval = row.mae.interval or (row.mae.value, row.mae.value)
        axes.plot(interval, [height, height], color=html.LINE, lw=3, solid_capstyle="round")
        axes.plot([row.mae.value], [height], "o", color=html.ESTIMATE, ms=6)
        known = [published.mae for published in row.published if isinstance(published.mae, float)]
        axes.plot(known, [height] * len(known), "x", color=html.REFERENCE, ms=6, mew=1.5)
    axes.set(yticks=range(len(labels)), yticklabels=labels, xlabel="MAE, bpm")
    axes.set_xlim(left=0)


def _estimate_text(estimate: Statistic | None) -> str:
    if estimate is None:
        return ""
    interval = "" if estimate.interval is None else " [{:.2f}, {:.2f}]".format(*estimate.interval)
    return f"{estimate.value:.2f}{interval}"


def _number_text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(estimate: Statistic | None) -> tuple[float | None, float | None]:
    return (None, None) if estimate is None or estimate.interval is None else estimate.interval

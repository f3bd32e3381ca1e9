"""Table and figure of the computational cost of networks and their error (the paper's table VIII, figure 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from facepulse.evaluation import html
from facepulse.studies.cost import Cost
from facepulse.studies.formats import csv_table, markdown_table, write_files
from facepulse.studies.published import TABLES, PublishedCost, plain_name

TITLE = "Cost, and error from PURE to MMPD (Table VIII, Figure 3)"
CAPTION = (
    "Parameters against mean absolute error. Hollow markers are published figures from PURE to MMPD; they are "
    "comparable with filled ones only if these have the same data. PhysNet's error is as printed, but most likely "
    "TS-CAN's."
)
PUBLISHED = [row for row in TABLES["cost"].rows if isinstance(row, PublishedCost)]
MARKERS = "osD^v<>Pp*hX"

Location: TypeAlias = Literal["outside right upper", "outside right lower"]


class _Point(NamedTuple):
    """Network in the figure."""

    network: str
    parameters: float
    mae: float


@dataclass(frozen=True)
class CostTable:
    """Costs of networks, measured in one run on one machine.

    Attributes:
        costs: cost of each network.
        maes: MAE of each network from PURE to MMPD, bpm, mean over seeds; None if table 2 has no such row yet.
        simulated: True if these errors are of simulated recordings.
        failures: always empty, as a failed measurement ends the study.
    """

    costs: Sequence[Cost]
    maes: Mapping[str, float | None]
    simulated: bool
    failures: tuple[str, ...] = ()

    @property
    def terms(self) -> dict[str, str]:
        """Conditions of the measurements, by name."""
        first = self.costs[0]
        errors = "simulated recordings, not comparable with published figures" if self.simulated else "PURE to MMPD"
        return {
            "clip": f"{first.frames} frames of {first.size} px",
            "time": f"median of {first.runs} runs, {first.threads} thread(s), float32, torch {first.torch}, on the CPU",
            "memory": "peak of the process minus its memory with torch loaded and idle",
            "MAE": f"{errors}; empty if table2 has not been filled",
            "published figures": TABLES["cost"].protocol,
        }

    def to_markdown(self) -> str:
        """Return the measured and the published costs with their terms as Markdown."""
        lines = [f"# {TITLE}", "", *markdown_table(self._cells()), "", *markdown_table(_published_cells()), ""]
        return "\n".join([*lines, *(f"* {name}: {text}" for name, text in self.terms.items())]) + "\n"

    def to_html(self) -> str:
        """Return the measured and the published costs with their terms and a figure as one HTML page."""
        tested = "simulated recordings" if self.simulated else "from PURE to MMPD"
        sections = [
            f"<h1>{escape(TITLE)}</h1>",
            _html_table(self._cells()),
            cost_figure(self.costs, self.maes, tested),
            f"<h2>As published</h2>{_html_table(_published_cells())}",
            "<h2>Terms</h2>",
            html.definitions(self.terms),
        ]
        return html.page(TITLE, sections)

    def to_csv(self) -> str:
        """Return the measured costs as CSV, without rounding."""
        rows = [{**asdict(cost), "mae": self.maes.get(cost.network)} for cost in self.costs]
        return csv_table(list(rows[0]), rows)

    def write(self, folder: Path) -> list[Path]:
        """Write cost.md, cost.html and cost.csv and return their paths."""
        texts = {"md": self.to_markdown(), "html": self.to_html(), "csv": self.to_csv()}
        return write_files(folder, "cost", texts)

    def _cells(self) -> list[dict[str, str]]:
        return [
            {
                "network": cost.network,
                "parameters": f"{cost.parameters:,}",
                "GMACs per clip": f"{cost.macs / 1e9:.2f}",
                "ms per clip": f"{cost.milliseconds:.0f}",
                "peak memory, MiB": "" if cost.peak_mb is None else f"{cost.peak_mb:.0f}",
                "MAE, bpm": "" if (mae := self.maes.get(cost.network)) is None else f"{mae:.2f}",
            }
            for cost in self.costs
        ]


def cost_figure(costs: Sequence[Cost], maes: Mapping[str, float | None], tested: str) -> str:
    """Draw parameters against error, as the paper's figure 3, as HTML.

    Args:
        costs: costs of the networks of this study.
        maes: mean absolute error of each network, bpm; a network without one is named in the caption only.
        tested: data of these errors, for the legend; published errors are from PURE to MMPD.
    """
    caption = CAPTION
    if missing := [cost.network for cost in costs if maes.get(cost.network) is None]:
        caption += f" Not drawn, for lack of an error: {', '.join(missing)}."
    return html.figure(partial(draw_costs, costs=costs, maes=maes, tested=tested), caption, 7.5, 4.2)


def draw_costs(axes: Axes, costs: Sequence[Cost], maes: Mapping[str, float | None], tested: str) -> None:
    """Draw one marker per network, filled if measured here and hollow if published; arguments as of `cost_figure`."""
    known = [(cost, mae) for cost in costs if (mae := maes.get(cost.network)) is not None]
    measured = [_Point(cost.network, cost.parameters, mae) for cost, mae in known]
    published = [_Point(row.network, row.parameters, row.mae) for row in PUBLISHED if isinstance(row.mae, float)]
    names = dict.fromkeys(plain_name(point.network) for point in (*published, *measured))
    markers = {name: MARKERS[number % len(MARKERS)] for number, name in enumerate(names)}
    drawing = axes.get_figure(root=True)
    assert drawing is not None
    for title, points, fill, color, top in (
        ("published, from PURE to MMPD", published, "none", html.REFERENCE, True),
        (f"this study, {tested}", measured, html.ESTIMATE, html.ESTIMATE, False),
    ):
        handles = [
            axes.plot(x, y, markers[plain_name(name)], color=color, mfc=fill, ms=6, label=name)[0]
            for name, x, y in points
        ]
        if handles:
            location: Location = "outside right upper" if top else "outside right lower"
            drawing.legend(handles=handles, title=title, loc=location, fontsize=8, title_fontsize=8, alignment="left")
    axes.set(xscale="log", xlabel="parameters, millions", ylabel="MAE, bpm")
    axes.xaxis.set_major_locator(FixedLocator([n * 1e6 for n in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda parameters, _: f"{parameters / 1e6:g}"))
    axes.margins(0.15, 0.15)
    axes.set_ylim(bottom=0)


def _html_table(cells: Sequence[Mapping[str, str]]) -> str:
    rows: Iterable[Iterable[str]] = (row.values() for row in cells)
    return html.table(cells[0], rows)


def _published_cells() -> list[dict[str, str]]:
    return [
        {
            "network": row.network,
            "parameters": f"{row.parameters:,.0f}",
            "MMACs per frame": "" if row.mmacs is None else f"{row.mmacs:.2f}",
            "memory, MB": "" if row.memory_mb is None else str(row.memory_mb),
            "MAE, bpm": str(row.mae),
            "source": row.source,
        }
        for row in PUBLISHED
    ]

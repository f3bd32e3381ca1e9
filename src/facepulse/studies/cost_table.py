"""The table of cost: what each network takes, beside how wrong it is; as Markdown, CSV and a page with figure 3."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from facepulse._files import atomic_write
from facepulse.evaluation import html
from facepulse.studies.cost import Cost, cost_figure
from facepulse.studies.published import TABLES, CostRow

TITLE = "Cost, and error from PURE to MMPD (Table VIII, Figure 3)"
HEADS = ("network", "parameters", "GMACs a clip", "ms a clip", "peak memory, MiB", "MAE, bpm")
PUBLISHED_HEADS = ("network", "parameters", "MMACs a frame", "memory, MB", "MAE, bpm", "source")


@dataclass(frozen=True)
class CostTable:
    """Costs of networks, all measured in one run on one machine.

    Attributes:
        costs: of each network.
        maes: of each network from PURE to MMPD, bpm, where table 2 has been filled; mean over seeds.
        simulated: those errors are on recordings that show no real person.
        failures: none; a network that cannot be measured ends the study.
    """

    costs: Sequence[Cost]
    maes: Mapping[str, float | None]
    simulated: bool
    failures: tuple[str, ...] = ()

    @property
    def terms(self) -> dict[str, str]:
        """Under what terms the figures hold."""
        one = self.costs[0]
        errors = (
            "simulated recordings, which are not comparable with published ones" if self.simulated else "PURE to MMPD"
        )
        return {
            "clip": f"{one.frames} frames of {one.size} px",
            "time": f"median of {one.runs} runs, {one.threads} thread(s), float32, torch {one.torch}, on the CPU",
            "memory": "growth of the process at its peak over what it has with torch loaded",
            "MAE": f"{errors}; empty where table2 has not been filled",
            "published figures": TABLES["cost"].protocol,
        }

    def to_markdown(self) -> str:
        """The measured and the published table with their terms."""
        lines = [f"# {TITLE}", ""]
        for heads, rows in ((HEADS, self._rows()), (PUBLISHED_HEADS, _published())):
            lines += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
            lines += [f"| {' | '.join(row)} |" for row in rows]
            lines.append("")
        return "\n".join([*lines, *(f"* {name}: {text}" for name, text in self.terms.items())]) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write cost.md, cost.csv and cost.html, each whole or not at all."""
        tested = "ours, on simulated recordings" if self.simulated else "ours"
        page = html.page(
            TITLE,
            [
                f"<h1>{escape(TITLE)}</h1>",
                html.table(HEADS, self._rows()),
                cost_figure(self.costs, self.maes, tested),
                f"<h2>As published</h2>{html.table(PUBLISHED_HEADS, _published())}",
                "<h2>Terms</h2>",
                html.definitions(self.terms),
            ],
        )
        paths = [folder / f"cost.{ending}" for ending in ("md", "html", "csv")]
        for path, text in zip(paths[:2], (self.to_markdown(), page), strict=True):
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        with atomic_write(paths[2]) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [*asdict(self.costs[0]), "mae"])
            table.writeheader()
            for cost in self.costs:
                table.writerow({**asdict(cost), "mae": self.maes.get(cost.network)})
        return paths

    def _rows(self) -> list[list[str]]:
        return [
            [
                cost.network,
                f"{cost.parameters:,}",
                f"{cost.macs / 1e9:.2f}",
                f"{cost.milliseconds:.0f}",
                "" if cost.peak_mb is None else f"{cost.peak_mb:.0f}",
                "" if (mae := self.maes.get(cost.network)) is None else f"{mae:.2f}",
            ]
            for cost in self.costs
        ]


def _published() -> list[list[str]]:
    return [
        [
            row.network,
            f"{row.parameters:,.0f}",
            "" if row.mmacs is None else f"{row.mmacs:.2f}",
            "" if row.memory_mb is None else str(row.memory_mb),
            str(row.mae),
            row.source,
        ]
        for row in TABLES["cost"].rows
        if isinstance(row, CostRow)
    ]

"""What an evaluation is: heart rates with their errors and under which terms they hold, as text and as files."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

from facepulse._files import atomic_write
from facepulse._types import Floats
from facepulse.datasets.cache import CacheSettings
from facepulse.datasets.recording import natural_sort_key
from facepulse.evaluation import metrics
from facepulse.evaluation.summary import (
    Coverage,
    ReliabilityBin,
    Row,
    Summary,
    confidence,
    coverage_curve,
    figures,
    reliability,
    summarised,
)

Level = Literal["recordings", "windows"]

STRATA = range(2, 13)  # an attribute with more values than this says who, not what kind
RECORDING_ROWS = "a recording's row is over its longest segment with a reference"
PACKAGES = ("numpy", "scipy", "opencv-python-headless", "openvino", "torch")


@dataclass(frozen=True)
class Failure:
    """A recording that could not be evaluated, and why."""

    recording: str
    subject: str
    reason: str


@dataclass(frozen=True, eq=False)
class Trace:
    """Waveforms of one segment, filtered under the protocol, for the eye.

    Attributes:
        times: (T,) seconds from the first frame of the video.
        estimate: (T,).
        reference: (T,); None without a reference PPG.
    """

    times: Floats
    estimate: Floats
    reference: Floats | None


@dataclass(frozen=True)
class Selection:
    """How the recordings were chosen.

    Attributes:
        split: one of `facepulse.datasets.splits.SPLITS`, with the number of the fold where it has several.
        subset: subset of the split that was evaluated.
        where: attribute to wanted values, by which the subset was filtered.
        ids: names of the recordings of every subset, before the filter.
    """

    split: str
    subset: str
    where: Mapping[str, tuple[str, ...]]
    ids: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Evaluation:
    """A model on recordings of one dataset under one protocol.

    Attributes:
        model: what it is called.
        how: how it reads, in one line.
        card: the model card of a network; None for a classical method.
        protocol: from waveform to bpm, in one line; it names the protocol first.
        dataset: its key in `facepulse.datasets.DATASETS`.
        settings: how the crops were made.
        simulated: whether the recordings show no real person.
        selection: how the recordings were chosen; None where the caller did it.
        sha256: recording to the hash of its arrays; all that were asked for, in their order.
        window_s: length of the windows.
        recordings: a row each, over its longest segment with a reference.
        windows: rows of windows that do not overlap, within such segments.
        failed: recordings that could not be evaluated.
        traces: recording to waveforms, of the segment that its row is over; not in the files.
    """

    model: str
    how: str
    card: Mapping[str, Any] | None
    protocol: str
    dataset: str
    settings: CacheSettings
    simulated: bool
    selection: Selection | None
    sha256: Mapping[str, str]
    window_s: float
    recordings: tuple[Row, ...]
    windows: tuple[Row, ...]
    failed: tuple[Failure, ...]
    traces: Mapping[str, Trace] = field(repr=False)

    @cached_property
    def summaries(self) -> dict[Level, Summary | None]:
        """Over recordings and over windows; None where none has a reference."""
        return {"recordings": summarised(self.recordings), "windows": summarised(self.windows)}

    @cached_property
    def strata(self) -> dict[str, dict[str, dict[Level, Summary | None]]]:
        """Attribute to value to summaries, for every attribute that has two to twelve values here."""
        values: dict[str, set[str]] = {}
        for row in self.recordings:
            for attribute, value in row.attributes.items():
                values.setdefault(attribute, set()).add(str(value))
        return {
            attribute: {
                value: {
                    "recordings": summarised(_of(self.recordings, attribute, value)),
                    "windows": summarised(_of(self.windows, attribute, value)),
                }
                for value in sorted(found, key=natural_sort_key)
            }
            for attribute, found in sorted(values.items())
            if len(found) in STRATA
        }

    @cached_property
    def coverage(self) -> list[Coverage]:
        """Error of the windows against how many are kept, the most trusted first."""
        return coverage_curve(self.windows)

    @cached_property
    def reliability(self) -> list[ReliabilityBin]:
        """Share of windows that are right, by quality; empty where the model gives none."""
        return reliability(self.windows)

    def to_dict(self) -> dict[str, Any]:
        """All but the waveforms, as plain values that `json.dumps` takes. The same evaluation gives the same values."""
        return {
            "model": self.model,
            "how": self.how,
            "card": self.card,
            "protocol": self.protocol,
            "dataset": self.dataset,
            "settings": asdict(self.settings),
            "simulated": self.simulated,
            "selection": None if self.selection is None else asdict(self.selection),
            "window_s": self.window_s,
            "recording_rows": RECORDING_ROWS,
            "bootstrap": {"clusters": "subjects", "resamples": metrics.RESAMPLES, "seed": metrics.SEED},
            "summaries": {level: summary and asdict(summary) for level, summary in self.summaries.items()},
            "strata": {
                attribute: {
                    value: {level: summary and asdict(summary) for level, summary in summaries.items()}
                    for value, summaries in values.items()
                }
                for attribute, values in self.strata.items()
            },
            "rejected_by": confidence(self.windows),
            "coverage": [asdict(point) for point in self.coverage],
            "reliability": [asdict(entry) for entry in self.reliability],
            "failed": [asdict(failure) for failure in self.failed],
            "sha256": dict(self.sha256),
            "recordings": [row.to_dict() for row in self.recordings],
            "windows": [row.to_dict() for row in self.windows],
            "versions": _versions(),
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Write `recordings.csv`, `windows.csv`, `result.json` and `report.html`, each whole or not at all.

        Args:
            folder: where to write; made if missing.

        Returns:
            The four files.

        Raises:
            UsageError: the folder cannot be written.
        """
        from facepulse.evaluation.report import report  # matplotlib takes 0.4 s to import: only who writes pays for it

        folder = Path(folder)
        recordings, windows, result, page = (
            folder / name for name in ("recordings.csv", "windows.csv", "result.json", "report.html")
        )
        _write_table(recordings, self.recordings)
        _write_table(windows, self.windows)
        with atomic_write(result) as temporary:
            text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        with atomic_write(page) as temporary:
            temporary.write_text(report(self), encoding="utf-8", errors="backslashreplace")
        return [recordings, windows, result, page]

    def __str__(self) -> str:
        """The summary that the command line prints."""
        people = len({row.subject for row in self.recordings})
        lines = [f"{self.model} on {self.dataset}: {len(self.recordings)} recordings of {people} people"]
        terms = self.terms
        if self.failed:
            names = " ".join(failure.recording for failure in self.failed)
            terms["failed"] = f"{len(self.failed)} of {len(self.sha256)}: {names}"
        for name, text in terms.items():
            lines += wrap(text, 120, initial_indent=f"  {name:9} ", subsequent_indent=12 * " ", break_long_words=False)
        tables = [(level, summary) for level, summary in self.summaries.items() if summary is not None]
        if not tables:
            lines.append("  no recording has a reference: there are heart rates, but no errors")
            return "\n".join(lines)
        heads = [f"{summary.n} {self.level_name(level)} of {summary.subjects} people" for level, summary in tables]
        columns = [figures(summary) for _, summary in tables]
        width = max(len(text) for text in (*heads, *(text for column in columns for text in column.values())))
        for name, *texts in [("", *heads), *((name, *(column[name] for column in columns)) for name in columns[0])]:
            lines.append(f"  {name:16}" + "  ".join(f"{text:{width}}" for text in texts).rstrip())
        return "\n".join(lines)

    @property
    def terms(self) -> dict[str, str]:
        """Under what terms the figures hold, a line each."""
        made = self.settings
        terms = {
            "reads": self.how,
            "protocol": self.protocol,
            "data": f"{self.dataset}, crops of {made.size} px at margin {made.margin:g} and {made.fps:g} fps, boxes by "
            f"{made.detector}, clocks {'aligned' if made.align else 'as they are'}",
        }
        if self.simulated:
            terms["note"] = "simulated recordings: they show that methods work, not how accurate they are on people"
        if self.selection is not None:
            filters = "; ".join(f"{key}={','.join(values)}" for key, values in self.selection.where.items())
            terms["split"] = f"{self.selection.split}, {self.selection.subset}{f', where {filters}' if filters else ''}"
        terms["ids"] = " ".join(self.sha256)
        terms["whole"] = RECORDING_ROWS
        terms["reference"] = self._reference()
        return terms

    def level_name(self, level: Level) -> str:
        """`recordings`, or `windows of 10 s`."""
        return level if level == "recordings" else f"windows of {self.window_s:g} s"

    def _reference(self) -> str:
        kinds = [row.reference for row in self.recordings]
        said = {
            "ppg": "the reference PPG by the same protocol over the same samples",
            "bpm": "the mean of the heart rate that the device gave",
            None: "nothing",
        }
        counted = [(kinds.count(kind), text) for kind, text in said.items() if kind in kinds]
        if len(counted) == 1:
            return counted[0][1]
        return "; ".join(f"{count} recordings: {text}" for count, text in counted)


def _of(rows: Iterable[Row], attribute: str, value: str) -> list[Row]:
    return [row for row in rows if attribute in row.attributes and str(row.attributes[attribute]) == value]


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    attributes = sorted({attribute for row in rows for attribute in row.attributes})
    columns = [name for name in Row.__dataclass_fields__ if name != "attributes"]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        table = csv.writer(file)
        table.writerow([*columns, *attributes])
        for row in rows:
            values = row.to_dict()
            table.writerow([*(values[c] for c in columns), *(row.attributes.get(a) for a in attributes)])


def _versions() -> dict[str, str]:
    import facepulse

    found = {"facepulse": facepulse.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # torch is an extra
            continue
    return found

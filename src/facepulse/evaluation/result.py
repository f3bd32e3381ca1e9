"""Result of an evaluation: heart rates with their errors, their summaries, and all of it as JSON and CSV."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from facepulse import __version__
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
    reliability,
    summarise,
)

Level = Literal["recordings", "windows"]

STRATA = range(2, 13)  # numbers of values; an attribute with more of them identifies recordings, not conditions
RECORDING_ROWS = {
    True: "a recording's row is over its longest segment with a reference",
    False: "a recording's row is over all of its segments with a reference",
}
PACKAGES = ("numpy", "scipy", "opencv-python-headless", "openvino", "torch")


@dataclass(frozen=True)
class Failure:
    """A recording that could not be evaluated, and why."""

    recording: str
    subject: str
    reason: str


@dataclass(frozen=True, eq=False)
class Trace:
    """Waveforms of one segment, filtered under the protocol, for plots.

    Attributes:
        times: (T,) seconds from the first frame of the video.
        estimate: (T,) waveform of the model.
        reference: (T,) reference PPG; None without one.
    """

    times: Floats
    estimate: Floats
    reference: Floats | None


@dataclass(frozen=True)
class Selection:
    """Choice of the recordings.

    Attributes:
        split: one of `facepulse.datasets.splits.SPLITS`, with the number of the fold if it has several.
        subset: subset of the split that was evaluated.
        where: attribute to accepted values, the filter of the subset.
        ids: names of the recordings of every subset, before the filter.
    """

    split: str
    subset: str
    where: Mapping[str, tuple[str, ...]]
    ids: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of one model on recordings of one dataset under one protocol.

    Attributes:
        model: name of the model.
        description: input and method of the model, in one line.
        card: the model card of a network; None for a classical method.
        protocol: steps from waveform to bpm, in one line that begins with the protocol's name.
        waveform_only: True if heart rates are from the waveform alone; False if they are those of `measure`.
        min_quality: 0..1; quality below which a heart rate counts as withheld.
        dataset: key in `facepulse.datasets.DATASETS`.
        settings: settings with which the crops were prepared.
        simulated: True if the recordings show no real person.
        selection: choice of the recordings; None if the caller chose them.
        sha256: recording to the hash of its arrays, for all recordings passed, in their order.
        window_s: length of the windows.
        recordings: one row per recording.
        windows: rows of windows that do not overlap, within segments with a reference.
        failed: recordings that could not be evaluated.
        traces: recording to waveforms of the segment of its row; not written to files.
    """

    model: str
    description: str
    card: Mapping[str, Any] | None
    protocol: str
    waveform_only: bool
    min_quality: float
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
        """Metrics over recordings and over windows; None if none has a reference."""
        return {"recordings": summarise(self.recordings), "windows": summarise(self.windows)}

    @cached_property
    def strata(self) -> dict[str, dict[str, dict[Level, Summary | None]]]:
        """Attribute to value to summaries, for every attribute with two to twelve values."""
        values: dict[str, set[str]] = {}
        for row in self.recordings:
            for attribute, value in row.attributes.items():
                values.setdefault(attribute, set()).add(str(value))
        return {
            attribute: {
                value: {
                    "recordings": summarise(_with_value(self.recordings, attribute, value)),
                    "windows": summarise(_with_value(self.windows, attribute, value)),
                }
                for value in sorted(found, key=natural_sort_key)
            }
            for attribute, found in sorted(values.items())
            if len(found) in STRATA
        }

    @cached_property
    def coverage(self) -> list[Coverage]:
        """Errors of the windows against the percentage kept, highest confidence first."""
        return coverage_curve(self.windows)

    @cached_property
    def reliability(self) -> list[ReliabilityBin]:
        """Fraction of windows within 5 bpm, by quality; empty if the model gives no quality."""
        return reliability(self.windows)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the waveforms as plain values for `json.dumps`; equal evaluations give equal values."""
        return {
            "model": self.model,
            "how": self.description,
            "card": self.card,
            "protocol": self.protocol,
            "waveform_only": self.waveform_only,
            "min_quality": None if self.waveform_only else self.min_quality,
            "dataset": self.dataset,
            "settings": asdict(self.settings),
            "simulated": self.simulated,
            "selection": None if self.selection is None else asdict(self.selection),
            "window_s": self.window_s,
            "recording_rows": RECORDING_ROWS[self.waveform_only],
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


def _with_value(rows: Iterable[Row], attribute: str, value: str) -> list[Row]:
    return [row for row in rows if attribute in row.attributes and str(row.attributes[attribute]) == value]


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write `Evaluation.to_dict` as JSON, atomically."""
    text = json.dumps(evaluation.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write one line per row as CSV, atomically, with a column per field and per attribute."""
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
    found = {"facepulse": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # torch is an extra
            continue
    return found

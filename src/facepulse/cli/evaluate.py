"""The command evaluate."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse._files import check_folder
from facepulse.cli.console import EXIT_UNREADABLE, progress_bar
from facepulse.errors import UsageError
from facepulse.measurement import QUALITY_THRESHOLD, printable

if TYPE_CHECKING:
    from facepulse.datasets.cache import PreparedRecording

logger = logging.getLogger(__name__)


def evaluate(
    method: str,
    /,
    *,
    data: Path,
    protocol: Literal["facepulse", "paper", "toolbox", "toolbox-2023"] = "facepulse",
    waveform_only: Annotated[bool, Parameter(negative=())] = False,
    fallback: Literal["POS", "none"] = "POS",
    split: str = "all",
    subset: Literal["train", "validation", "test"] = "test",
    window_s: Annotated[float, Parameter(alias="--window", validator=Number(gte=5))] = 10.0,
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    where: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    out: Path | None = None,
) -> int:
    """Evaluate a method on recordings with a reference, and report its errors.

    Heart rates are those that `facepulse measure` gives, with quality; errors are reported of all of them, and of those
    that it shows. With --waveform-only, and under all protocols but facepulse, they come from the waveform of the
    network, or of the mean RGB of whole crops, alone: the literature's way.

    Writes recordings.csv, windows.csv, result.json and report.html.

    Example: facepulse evaluate physfsunet --data cache/pure --split pure-60-40

    Exit codes: 0 all recordings evaluated; 2 wrong usage; 3 a recording could not be evaluated, the others were.

    Args:
        method: Method, as in `measure`.
        data: Folder of one dataset in the cache that `facepulse prepare` wrote; or a folder of videos, each with a
            reference NAME.csv beside it (time_s, ppg and/or bpm), which is prepared first, into evaluations/cache.
        protocol: Computation of heart rates from waveforms, the same for estimate and reference.
        waveform_only: Compute heart rates from the waveform alone also under the protocol facepulse.
        fallback: POS: if the quality of a network is low and that of POS is high, POS replaces it; none: never.
        split: Split of the dataset: all, pure-60-40, ubfc-30-12, mmpd-7-1-2, ..., or one fold of several: 5-fold/2.
        subset: Subset of the split.
        window_s: Length in seconds of the windows that are evaluated in addition to whole recordings.
        min_quality: Count heart rates with a quality (0 to 1) below this as withheld.
        where: Only recordings with these attributes, KEY=VALUE,VALUE, once for each attribute; or mmpd-simple.
        jobs: Number of parallel processes that prepare videos; all cores by default.
        out: Folder to write into; by default evaluations/METHOD-DATASET-SPLIT-PROTOCOL.
    """
    from facepulse.evaluation.report import to_text, write_report
    from facepulse.evaluation.run import choose
    from facepulse.evaluation.run import evaluate as run
    from facepulse.pipeline.methods import find_method

    found = find_method(method, precision="f32")
    prepared, unprepared = _open_data(data, jobs)
    recordings, selection = choose(prepared, split, subset, _attributes(where))
    if out is None:
        name = Path(method).stem if os.path.isfile(method) else found.name
        words = [name, data.name if unprepared is not None else recordings[0].dataset, split]
        words += [*([subset] if subset != "test" else []), *where, protocol, *(["waveform"] if waveform_only else [])]
        out = Path("evaluations") / re.sub(r"[^\w=,-]+", "_", "-".join(words))
    check_folder(out)
    with progress_bar("evaluating", "recordings") as progress:
        evaluation = run(
            found,
            recordings,
            protocol=protocol,
            waveform_only=waveform_only,
            fallback=None if fallback == "none" else fallback,
            window_s=window_s,
            min_quality=min_quality,
            selection=selection,
            progress=progress,
        )
    print(printable(to_text(evaluation)))
    for path in write_report(evaluation, out):
        print(f"  wrote {path}")
    failures = [*(unprepared or []), *(failure.reason for failure in evaluation.failed)]
    for reason in failures:
        logger.error(reason)
    return EXIT_UNREADABLE if failures else 0


def _open_data(data: Path, jobs: int | None) -> tuple[list[PreparedRecording], list[str] | None]:
    """Open a cache; prepare a folder of videos first, and list what could not be prepared (None for a cache)."""
    from facepulse.datasets.cache import open_cache
    from facepulse.datasets.preparation import is_cache, prepare_videos
    from facepulse.datasets.recording import DatasetError

    if is_cache(data) or not data.is_dir():
        return open_cache(data), None
    path = data.resolve()
    cache = Path("evaluations", "cache", f"{path.name}-{hashlib.sha256(bytes(path)).hexdigest()[:8]}")
    with progress_bar("preparing", "recordings") as progress:
        summary = prepare_videos(data, cache, jobs=jobs, progress=progress)
    if len(summary.failed) == len(summary.recordings):
        first = summary.failed[0]
        raise DatasetError(f"{data}: no video could be prepared; {first.recording}: {first.notes}")
    return open_cache(cache), [f"{each.recording} cannot be prepared: {each.notes}" for each in summary.failed]


def _attributes(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse attributes and their values from texts like KEY=VALUE,VALUE, or from the name of a filter."""
    from facepulse.datasets.splits import FILTERS

    attributes: dict[str, tuple[str, ...]] = {}
    for text in where:
        key, equals, values = text.partition("=")
        if text in FILTERS:
            attributes.update(FILTERS[text])
        elif equals and key and values:
            attributes[key] = (*attributes.get(key, ()), *values.split(","))
        else:
            raise UsageError(f"--where takes KEY=VALUE,VALUE or {', '.join(FILTERS)}, not {text!r}")
    return attributes

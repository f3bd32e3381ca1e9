"""The command evaluate."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse._files import check_folder
from facepulse.cli.console import EXIT_UNREADABLE, progress_bar
from facepulse.errors import UsageError
from facepulse.measurement import printable

logger = logging.getLogger(__name__)


def evaluate(
    model: str,
    /,
    *,
    data: Path,
    protocol: Literal["facepulse", "paper", "toolbox", "toolbox-2023"] = "facepulse",
    split: str = "all",
    subset: Literal["train", "validation", "test"] = "test",
    window: Annotated[float, Parameter(validator=Number(gte=5))] = 10.0,
    where: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    out: Path | None = None,
) -> int:
    """Evaluate a method or a network on recordings with a reference, and report its errors.

    A network is evaluated alone: unlike in `measure`, it is not fused with facial regions and has no quality.

    Writes recordings.csv, windows.csv, result.json and report.html.

    Example: facepulse evaluate POS --data cache/pure --split pure-60-40

    Exit codes: 0 all recordings evaluated; 2 wrong usage; 3 a recording could not be evaluated, the others were.

    Args:
        model: Classical method, .onnx, .safetensors or .pth file, or name of weights that come with the package.
        data: Folder of one dataset in the cache that `facepulse prepare` wrote.
        protocol: Computation of heart rates from waveforms, the same for estimate and reference.
        split: Split of the dataset: all, pure-60-40, ubfc-30-12, mmpd-7-1-2, ..., or one fold of several: 5-fold/2.
        subset: Subset of the split.
        window: Length in seconds of the windows that are evaluated in addition to whole recordings.
        where: Only recordings with these attributes, KEY=VALUE,VALUE, once for each attribute; or mmpd-simple.
        out: Folder to write into; by default evaluations/MODEL-DATASET-SPLIT-PROTOCOL.
    """
    from facepulse.datasets.cache import open_cache
    from facepulse.evaluation.predictors import find_predictor
    from facepulse.evaluation.report import to_text, write_report
    from facepulse.evaluation.run import choose
    from facepulse.evaluation.run import evaluate as run
    from facepulse.rppg.protocols import PROTOCOLS

    recordings, selection = choose(open_cache(data), split, subset, _attributes(where))
    predictor = find_predictor(model, PROTOCOLS[protocol])
    if out is None:
        name = Path(model).stem if os.path.isfile(model) else predictor.name
        words = [name, recordings[0].dataset, split, *([subset] if subset != "test" else []), *where, protocol]
        out = Path("evaluations") / re.sub(r"[^\w=,-]+", "_", "-".join(words))
    check_folder(out)
    with progress_bar("evaluating", "recordings") as progress:
        evaluation = run(
            predictor, recordings, protocol=protocol, window_s=window, selection=selection, progress=progress
        )
    print(printable(to_text(evaluation)))
    for path in write_report(evaluation, out):
        print(f"  wrote {path}")
    for failure in evaluation.failed:
        logger.error(failure.reason)
    return EXIT_UNREADABLE if evaluation.failed else 0


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

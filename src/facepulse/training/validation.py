"""Validation: the error of heart rates on people that were not learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facepulse.datasets.cache import PreparedRecording
from facepulse.datasets.recording import DatasetError
from facepulse.evaluation.predictors import Predictor
from facepulse.evaluation.result import Trace
from facepulse.evaluation.run import evaluate
from facepulse.training.distributed import Ranks
from facepulse.training.settings import Validation


@dataclass(frozen=True)
class Validated:
    """What a validation found.

    Attributes:
        mae_bpm: mean absolute error over all windows of all recordings.
        traces: recording to waveforms, of those that this process has read.
    """

    mae_bpm: float
    traces: Mapping[str, Trace]


def validate(
    reader: Predictor, groups: Sequence[Sequence[PreparedRecording]], settings: Validation, ranks: Ranks
) -> Validated:
    """Read all recordings, each by one of the processes.

    Args:
        reader: of the network as it is.
        groups: recordings; those of a group are of one dataset, prepared in one way.
        settings: protocol and windows.
        ranks: the processes that share the work.

    Raises:
        DatasetError: no window could be read.
    """
    errors: list[float] = []
    traces: dict[str, Trace] = {}
    failed: list[str] = []
    for group in groups:
        mine = list(group)[ranks.rank :: ranks.size]
        if mine:
            evaluation = evaluate(reader, mine, protocol=settings.protocol, window_s=settings.window_s)
            errors += [abs(row.error) for row in evaluation.windows if row.error is not None]
            traces.update(evaluation.traces)
            failed += [failure.reason for failure in evaluation.failed]
    errors, failed = ranks.gather(errors), ranks.gather(failed)
    if not errors:
        raise DatasetError(f"nothing can be validated on: {(failed or ['no recording has a reference'])[0]}")
    return Validated(float(np.mean(errors)), traces)

"""Validation: error of heart rates on subjects that the network is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facepulse.datasets.cache import PreparedRecording
from facepulse.datasets.recording import DatasetError
from facepulse.evaluation.result import Trace
from facepulse.evaluation.run import evaluate
from facepulse.pipeline.methods import Method
from facepulse.training.distributed import Ranks
from facepulse.training.settings import Validation


@dataclass(frozen=True)
class Validated:
    """Result of a validation.

    Attributes:
        mae_bpm: mean absolute error over all windows of all recordings.
        traces: recording to waveforms, of the recordings of this process.
    """

    mae_bpm: float
    traces: Mapping[str, Trace]


def validate(
    method: Method, groups: Sequence[Sequence[PreparedRecording]], settings: Validation, ranks: Ranks
) -> Validated:
    """Evaluate all recordings, each in one of the processes.

    Args:
        method: the network.
        groups: recordings; those of a group are of one dataset, prepared with the same settings.
        settings: protocol and windows.
        ranks: processes that share the work.

    Raises:
        DatasetError: no window could be evaluated.
    """
    errors: list[float] = []
    traces: dict[str, Trace] = {}
    failed: list[str] = []
    for group in groups:
        mine = list(group)[ranks.rank :: ranks.size]
        if mine:
            evaluation = evaluate(
                method, mine, protocol=settings.protocol, waveform_only=True, window_s=settings.window_s
            )
            errors += [abs(row.error) for row in evaluation.windows if row.error is not None]
            traces.update(evaluation.traces)
            failed += [failure.reason for failure in evaluation.failed]
    errors, failed = ranks.gather(errors), ranks.gather(failed)
    if not errors:
        raise DatasetError(
            f"no recording can be used for validation: {(failed or ['no recording has a reference'])[0]}"
        )
    return Validated(float(np.mean(errors)), traces)

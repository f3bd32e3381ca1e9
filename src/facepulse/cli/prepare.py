"""The command prepare."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse.cli.console import EXIT_UNREADABLE, progress_bar
from facepulse.errors import UsageError
from facepulse.faces.detectors import DetectorName

logger = logging.getLogger(__name__)


def prepare(
    dataset: str,
    root: Path,
    /,
    *,
    cache: Path,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    size: Annotated[int | None, Parameter(validator=Number(gte=32, lte=512))] = None,
    fps: Annotated[float | None, Parameter(validator=Number(gte=10, lte=120))] = None,
    margin: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None,
    detector: DetectorName | None = None,
    align: bool | None = None,
    scheduler: str | None = None,
) -> int:
    """Prepare a dataset once for training and evaluation: crops of the main face on a uniform clock, with labels.

    An interrupted run is resumed by the same command. Recordings that cannot be prepared are listed with the reason,
    and the next run tries them again.

    Datasets: pure, ubfc-rppg, mmpd, mmpd-corrected, mcd-rppg, ubfc-phys, scamps, ibvp, cohface, simulated, and folder:
    any videos NAME.mp4, each with or without a NAME.csv beside it (time_s, ppg and/or bpm).

    Example: facepulse prepare mcd-rppg MCD-rPPG --cache cache

    Exit codes: 0 all recordings prepared; 2 wrong usage; 3 a recording could not be prepared, the others were.

    Args:
        dataset: Name of the dataset.
        root: Folder of the dataset.
        cache: Folder to write into; the dataset gets a folder of its own in it.
        jobs: Number of parallel processes; all cores by default.
        size: Side of the crops in pixels; 128 for a new cache.
        fps: Frame rate of the crops in Hz; 30 for a new cache.
        margin: Widening of the face box to each side, as a fraction of its size; 0.25 for a new cache.
        detector: Face detector: auto (for a new cache), haar, or rfb (turned heads, low light).
        align: Correct the clock of the reference if it clearly differs from that of the video; yes for a new cache.
        scheduler: Address of a dask scheduler whose workers do the work, for example tcp://head:8786.
    """
    from facepulse.datasets.preparation import SUMMARY
    from facepulse.datasets.preparation import prepare as run

    options = {"size": size, "fps": fps, "margin": margin, "detector": detector, "align": align}
    with _dask_workers(scheduler), progress_bar("preparing", "recordings") as progress:
        summary = run(
            dataset,
            root,
            cache,
            settings={name: value for name, value in options.items() if value is not None},
            jobs=jobs,
            progress=progress,
        )
    for outcome in summary.recordings:
        if outcome.result == "failed":
            logger.error(f"{outcome.recording} failed: {outcome.notes}")
        elif outcome.notes:
            logger.info(f"note      {outcome.recording}: {outcome.notes}")
    print(
        f"prepared  {summary.newly_prepared}, {summary.already_prepared} already present, {len(summary.failed)} failed"
    )
    print(f"cache     {summary.folder}, {SUMMARY} lists the result of each recording")
    return EXIT_UNREADABLE if summary.failed else 0


@contextmanager
def _dask_workers(scheduler: str | None) -> Iterator[None]:
    """Run joblib on the workers of a dask cluster; if no scheduler is given, do nothing."""
    if scheduler is None:
        yield
        return
    from facepulse.errors import require_extra

    require_extra("cluster", ["distributed"], "--scheduler")
    from distributed import Client
    from joblib import parallel_config

    try:
        client: Any = Client(scheduler, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UsageError(f"no dask scheduler answers at {scheduler}: start one with `dask scheduler`") from error
    with client, parallel_config(backend="dask"):
        yield

"""The command study."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse._files import check_folder
from facepulse.cli.console import EXIT_UNREADABLE, problems_only
from facepulse.measurement import printable

logger = logging.getLogger(__name__)


def study(
    names: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    data: Path,
    out: Path = Path("study"),
    recipe: Path | None = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    networks: Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=True)] = (),
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
) -> int:
    """Reproduce a table of the paper: prepare, train and test what is missing, and compare with the published figures.

    An interrupted run is resumed by the same command; tables share their trained networks. Writes NAME.md, NAME.csv
    and NAME.html.

    Tables: table1 (within a dataset), table2 (to MMPD), table3 (to UBFC-rPPG), ablation-fusion, ablation-tsm,
    ablation-attention, ablation-loss, cost (table VIII), and attention (figure 2b). Several names are separated by
    commas.

    Example: facepulse study table2 --data datasets --out study

    Exit codes: 0 table complete; 2 wrong usage; 3 the data cannot be read, or a row has no result.

    Args:
        names: Name of the table.
        data: Folder with the datasets PURE, UBFC-rPPG and MMPD, as they were published.
        out: Folder for all results.
        recipe: YAML file with settings of each training, such as a smaller size; those of the paper by default.
        seeds: Number of trainings per row, each with another seed.
        networks: Only rows of these networks, in addition to the classical methods.
        jobs: Number of parallel trainings; by default the number of cores, or one on a GPU.
    """
    from facepulse.inference.weights import require_train_extra

    require_train_extra("facepulse study")
    from facepulse.studies.study import study as run
    from facepulse.studies.workspace import Workspace
    from facepulse.training.settings import Settings, read_settings

    settings = Settings() if recipe is None else read_settings(recipe)
    check_folder(out)
    workspace, chosen = Workspace(data, out), names.split(",")
    code = 0
    with problems_only("facepulse.training"):  # a line per training is enough
        for result in run(workspace, chosen, recipe=settings, seeds=seeds, networks=networks, jobs=jobs):
            print(printable(result.to_markdown()))
            for path in result.write(out):
                print(f"  wrote {path}")
            for failure in result.failures:
                logger.error(failure)
                code = EXIT_UNREADABLE
    return code

"""The command train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from facepulse.cli.console import progress_bar


def train(
    config: Path,
    /,
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
) -> int:
    """Train a network with the settings of a YAML file. An interrupted run is resumed by the same command.

    Options override settings of the file: --optimiser.lr 1e-3, --data.size 64, --out runs/other. To train on several
    GPUs or machines, use torchrun; the first lines of the file show how.

    Writes the folder `out`: settings, environment, data hashes, metrics.jsonl, plots, and the weights, best.safetensors
    and last.safetensors.

    Example: facepulse train configs/physfsunet.yaml --out runs/first --seed 1

    Exit codes: 0 trained; 1 the loss became NaN or infinite; 2 wrong usage; 3 the data cannot be read.

    Args:
        config: YAML file with the settings that differ from those of the paper.
        settings: Further settings, --section.key value.
    """
    from facepulse.inference.weights import require_train_extra

    require_train_extra("facepulse train")
    from facepulse.training.loop import train as run
    from facepulse.training.settings import read_settings

    chosen = read_settings(config, settings)
    with progress_bar(f"training {chosen.network.name}", "steps") as progress:
        trained = run(chosen, progress=progress)
    if trained.already:
        print(f"already trained: {trained.folder}")
    score = "" if trained.mae_bpm is None else f", validation MAE {trained.mae_bpm:.2f} bpm in epoch {trained.epoch}"
    print(f"weights   {trained.weights}{score}")
    return 0

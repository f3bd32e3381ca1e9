"""Log of a run: its metrics, line by line, to a file and optionally to TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facepulse.errors import require_extra
from facepulse.training.run_folder import RunFolder


class Log:
    """Writes the metrics of steps and epochs.

    Args:
        folder: folder of the run.
        step: steps done before; TensorBoard drops later ones of an interrupted run.
        tensorboard: True to write for TensorBoard as well.
    """

    def __init__(self, folder: RunFolder, step: int, tensorboard: bool) -> None:
        self._folder, self._board = folder, None
        if tensorboard:
            require_extra("tensorboard", ["tensorboard"], "hardware.tensorboard")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder.path / "tensorboard"), purge_step=step)

    def write(self, line: Mapping[str, Any]) -> None:
        """Write a line with `step` and any other values."""
        self._folder.append_metrics(line)
        if self._board is not None:
            for name, value in line.items():
                if isinstance(value, float):
                    self._board.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Close the files of TensorBoard."""
        if self._board is not None:
            self._board.close()

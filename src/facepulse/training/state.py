"""State of a training run: all that changes from step to step, and that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from facepulse.training.settings import Optimiser


@dataclass
class TrainState:
    """Network, optimiser and schedule of a run, and its progress.

    Attributes:
        network: network that is trained.
        optimiser: AdamW over its parameters.
        schedule: OneCycle over all steps of the run.
        epoch_steps: steps per epoch.
        step: steps done.
        best: epoch and `mae_bpm` of the best validation so far; None before the first.
        losses: losses of the steps of the current epoch.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch_steps: int
    step: int = 0
    best: dict[str, Any] | None = None
    losses: list[float] = field(default_factory=list)

    @classmethod
    def begin(cls, network: nn.Module, settings: Optimiser, epoch_steps: int) -> TrainState:
        """Create the state before the first step.

        Args:
            network: network to train, on its device.
            settings: learning rate, weight decay and number of epochs.
            epoch_steps: steps per epoch.
        """
        optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        steps = epoch_steps * settings.epochs
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.lr, total_steps=steps + 1)
        return cls(network, optimiser, schedule, epoch_steps)

    @property
    def epoch(self) -> int:
        """Epoch of the next step, from 1."""
        return self.step // self.epoch_steps + 1

    @property
    def epoch_complete(self) -> bool:
        """True if the step done last is the last of its epoch."""
        return self.step % self.epoch_steps == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the state as a checkpoint holds it."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "best": self.best,
            "losses": self.losses,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Continue from the state of a checkpoint."""
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        self.step, self.best, self.losses = saved["step"], saved["best"], saved["losses"]

"""Training in one process or many: what `torchrun` sets in the environment, and communication between ranks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Ranks:
    """Processes that train together.

    Attributes:
        rank: number of this process; 0 is the one that writes.
        size: number of processes.
        device: device of this process.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """True if this process is the one that writes."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Compute the mean of a tensor over the ranks."""
        if self.size == 1:
            return value
        value = value.clone()
        distributed.all_reduce(value)
        return value / self.size

    def gather(self, values: list[Any]) -> list[Any]:
        """Concatenate the values of all ranks, in the order of the ranks, on each of them."""
        if self.size == 1:
            return values
        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, values)
        return [value for values in gathered for value in values]

    def broadcast(self, value: Any) -> Any:
        """Return the value of the first rank, on each of them."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def average_statistics(self, network: nn.Module) -> None:
        """Average the running statistics of batch normalisation over the ranks, each of which has seen other clips."""
        if self.size == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.mean(buffer))


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Join the process group that `torchrun` has started; a single process without it.

    Args:
        device: "cpu", or "cuda" for the GPU with this process's local rank.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local = torch.device(device, int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device(device)
    if device == "cuda":
        torch.cuda.set_device(local)
    if size == 1:
        yield Ranks(0, 1, local)
        return
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), size, local)
    finally:
        distributed.destroy_process_group()

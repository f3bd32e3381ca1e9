"""One process or many: what `torchrun` sets in the environment, and the few things that ranks say to each other."""

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
    """The processes that train together.

    Attributes:
        rank: which of them this is; 0 is the one that writes.
        size: how many there are.
        device: on which this one computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the ranks of a tensor that each has."""
        if self.size == 1:
            return value
        value = value.clone()
        distributed.all_reduce(value)
        return value / self.size

    def gather(self, values: list[Any]) -> list[Any]:
        """The values of all ranks in the order of the ranks, on each of them."""
        if self.size == 1:
            return values
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, values)
        return [value for part in found for value in part]

    def tell(self, value: Any) -> Any:
        """What the first rank has, on each of them."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def share_statistics(self, network: nn.Module) -> None:
        """Give all ranks the mean of their running statistics: each has seen other clips."""
        if self.size == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.mean(buffer))


@contextmanager
def started(device: str) -> Iterator[Ranks]:
    """Join the other processes that `torchrun` has started; on one's own without it.

    Args:
        device: "cpu", or "cuda": the GPU of this process's number on its machine.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    here = torch.device(device, int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device(device)
    if device == "cuda":
        torch.cuda.set_device(here)
    if size == 1:
        yield Ranks(0, 1, here)
        return
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), size, here)
    finally:
        distributed.destroy_process_group()

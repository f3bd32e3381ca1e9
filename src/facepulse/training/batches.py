"""Batches of clips, read and drawn ahead by other processes where there are any; the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facepulse.errors import FacepulseError
from facepulse.training.clips import Clip, Mixture
from facepulse.training.distributed import Ranks
from facepulse.training.settings import Settings

Batch = tuple[Tensor, Tensor, list[str]]  # frames uint8 (B, T, S, S, 3), targets float32 (B, T), names of the clips


def batches(clips: Mixture, settings: Settings, ranks: Ranks, step: int, steps: int) -> Iterator[Batch]:
    """What is left of a run for one of its processes: together they see what one with as many clips a step would.

    Args:
        clips: of an epoch.
        settings: of the run.
        ranks: its processes.
        step: how many steps are done.
        steps: how many there are in an epoch.

    Raises:
        FacepulseError: a clip cannot be read.
    """
    batch = settings.optimiser.batch
    order = [
        whole[ranks.rank * batch : (ranks.rank + 1) * batch]
        for epoch in range(step // steps, settings.optimiser.epochs)
        for whole in clips.batches(epoch, batch * ranks.size)
    ][step % steps :]
    loader = DataLoader(
        _ClipDataset(clips),
        batch_sampler=cast(Any, order),
        num_workers=settings.hardware.workers,
        # A fork would copy threads' locks, of torch's and others', in whatever state they are in.
        multiprocessing_context="spawn" if settings.hardware.workers else None,
        collate_fn=_collated,
        pin_memory=ranks.device.type == "cuda",
    )
    for found in loader:
        if isinstance(found, FacepulseError):
            raise found
        yield found


class _ClipDataset(Dataset[Clip | FacepulseError]):
    """Clips by (epoch, index), as a `DataLoader` wants them."""

    def __init__(self, clips: Mixture) -> None:
        self._clips = clips

    def __getitem__(self, key: tuple[int, int]) -> Clip | FacepulseError:
        try:
            return self._clips.clip(*key)
        except FacepulseError as error:  # raised here, it would come back with a worker's traceback as its text
            return error


def _collated(clips: Sequence[Clip | FacepulseError]) -> Batch | FacepulseError:
    good = [clip for clip in clips if isinstance(clip, Clip)]
    if len(good) < len(clips):
        return next(clip for clip in clips if isinstance(clip, FacepulseError))
    frames = torch.from_numpy(np.stack([clip.frames for clip in good]))
    return frames, torch.from_numpy(np.stack([clip.ppg for clip in good])), [clip.name for clip in good]

"""Batches of clips, prepared ahead by worker processes if there are any; the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facepulse.errors import FacepulseError
from facepulse.training.clips import Clip, Mixture
from facepulse.training.distributed import Ranks
from facepulse.training.settings import Settings


class Batch(NamedTuple):
    """Clips of one step.

    Attributes:
        frames: uint8 (B, T, S, S, 3), RGB.
        ppg: float32 (B, T), the targets.
        names: names of the clips.
    """

    frames: Tensor
    ppg: Tensor
    names: list[str]


def batches(clips: Mixture, settings: Settings, ranks: Ranks, steps_done: int, epoch_steps: int) -> Iterator[Batch]:
    """Iterate over the remaining batches of one process.

    All processes together process each clip of an epoch at most once: clips that do not fill a last batch are left out
    of that epoch.

    Args:
        clips: training clips of all sources, which determine the order of each epoch.
        settings: settings of the run.
        ranks: processes of the run.
        steps_done: steps since the beginning of the run, over all epochs.
        epoch_steps: steps per epoch.

    Raises:
        FacepulseError: a clip cannot be read.
    """
    batch = settings.optimiser.batch
    order = [
        whole[ranks.rank * batch : (ranks.rank + 1) * batch]
        for epoch in range(steps_done // epoch_steps, settings.optimiser.epochs)
        for whole in clips.batches(epoch, batch * ranks.size)
    ][steps_done % epoch_steps :]
    loader = DataLoader(
        _ClipDataset(clips),
        batch_sampler=cast(Any, order),
        num_workers=settings.hardware.workers,
        # A fork would copy the locks of torch's threads in whatever state they are.
        multiprocessing_context="spawn" if settings.hardware.workers else None,
        collate_fn=_collate,
        pin_memory=ranks.device.type == "cuda",
    )
    for batch_or_error in loader:
        if isinstance(batch_or_error, FacepulseError):
            raise batch_or_error
        yield batch_or_error


class _ClipDataset(Dataset[Clip | FacepulseError]):
    """Clips by (epoch, index), for a `DataLoader`."""

    def __init__(self, clips: Mixture) -> None:
        self._clips = clips

    def __getitem__(self, key: tuple[int, int]) -> Clip | FacepulseError:
        try:
            return self._clips.clip(*key)
        except FacepulseError as error:  # raised in a worker, its text would become a traceback
            return error


def _collate(clips: Sequence[Clip | FacepulseError]) -> Batch | FacepulseError:
    good = [clip for clip in clips if isinstance(clip, Clip)]
    if len(good) < len(clips):
        return next(clip for clip in clips if isinstance(clip, FacepulseError))
    frames = torch.from_numpy(np.stack([clip.frames for clip in good]))
    return Batch(frames, torch.from_numpy(np.stack([clip.ppg for clip in good])), [clip.name for clip in good])

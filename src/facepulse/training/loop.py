"""Training loop: plain PyTorch, the same for every network, in one process or many."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facepulse._files import lock_folder
from facepulse.errors import FacepulseError, UsageError
from facepulse.evaluation.predictors import check_crops
from facepulse.inference.engine import torch_engine
from facepulse.inference.registry import NETWORKS
from facepulse.inference.weights import require_train_extra, save_model
from facepulse.pipeline.methods import Method
from facepulse.rppg.classical import CLASSICAL
from facepulse.training import plots
from facepulse.training.batches import Batch, batches
from facepulse.training.clips import Mixture, mixture
from facepulse.training.data import RunData
from facepulse.training.distributed import Ranks, join_ranks
from facepulse.training.log import Log
from facepulse.training.run_folder import BEST, LAST, RunFolder
from facepulse.training.settings import Settings
from facepulse.training.setup import LossFunction, choose_device, load_start, make_card, make_loss, wrap
from facepulse.training.state import TrainState
from facepulse.training.validation import validate

Progress = Callable[[float, float | None], None]

logger = logging.getLogger(__name__)


class DivergedError(FacepulseError):
    """The loss or its gradient became NaN or infinite."""


@dataclass(frozen=True)
class Trained:
    """Result of a run.

    Attributes:
        folder: folder of the run.
        epoch: epoch of the best weights, from 1.
        mae_bpm: validation error of the best weights; None without validation.
        already: True if the run had been completed before.
    """

    folder: Path
    epoch: int
    mae_bpm: float | None
    already: bool = False

    @property
    def weights(self) -> Path:
        """File of the best weights."""
        return self.folder / BEST


def train(settings: Settings, *, progress: Progress | None = None) -> Trained:
    """Train a network, or resume an interrupted run with the same settings.

    The weights depend only on settings, data, machine and number of threads: a resumed run gives the same weights as
    an uninterrupted one. Under `torchrun` every process calls this function, and the first one writes
    and logs a line at the end of each epoch.

    Args:
        settings: settings of the run; `out` is its folder.
        progress: called with the number of steps done and in total.

    Raises:
        UsageError: the settings cannot be satisfied, the folder holds another run, or something cannot be written.
        DatasetError: the data cannot be read, or none are left after filtering.
        DivergedError: the loss or its gradient became NaN or infinite; the weights of the last epoch are kept.
    """
    require_train_extra("training")
    if not settings.out:
        raise UsageError("the run has no folder: give `out`")
    with ExitStack() as stack:
        ranks = stack.enter_context(join_ranks(choose_device(settings.hardware.device)))
        if not ranks.first:
            return _Run(settings, ranks).train(lambda done, total: None)
        stack.enter_context(lock_folder(Path(settings.out)))
        return _Run(settings, ranks).train(progress or (lambda done, total: None))


class _Run:
    """Everything that stays the same during a run: settings, data, network, loss and folder."""

    def __init__(self, settings: Settings, ranks: Ranks) -> None:
        self.settings, self.ranks = settings, ranks
        self.folder = RunFolder(settings.out)
        self.data = RunData(settings.data)
        torch.manual_seed(settings.seed)
        self.network: nn.Module = NETWORKS[settings.network.name].build(settings.network.config)
        training_data, self.hashes = str(self.data), self.data.hashes
        if settings.network.start:
            start = load_start(self.network, settings.network.start)
            training_data = f"{training_data}; before that, as {start.name}: {start.training_data}"
            self.hashes["start"] = {start.name: start.sha256}
        self.card = make_card(settings, self.network, training_data)
        # The engine always has the current weights.
        self.method = Method(CLASSICAL["POS"], torch_engine(self.network, self.card))
        for group in (*self.data.train, *self.data.validation):
            check_crops(self.method, group[0].settings)
        self.clips: Mixture = mixture(settings, self.data.train)
        self.steps = len(self.clips) // (settings.optimiser.batch * ranks.size)  # per epoch
        if self.steps == 0:
            raise UsageError(
                f"there are {len(self.clips)} clips, and one step takes {settings.optimiser.batch * ranks.size}: give "
                "more recordings, or a smaller optimiser.batch"
            )
        self.loss = make_loss(settings.loss, settings.optimiser.epochs, settings.data.fps)

    def train(self, progress: Progress) -> Trained:
        """Run all remaining steps."""
        settings, ranks, folder = self.settings, self.ranks, self.folder
        result, saved = folder.result, folder.check(settings, ranks.size, self.hashes)
        if result is not None and saved is not None:
            return Trained(folder.path, result["epoch"], result["mae_bpm"], already=True)
        saved = ranks.broadcast(saved)  # no process writes before all have read the folder
        total = self.steps * settings.optimiser.epochs
        self.network.to(ranks.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        state = TrainState.begin(self.network, settings.optimiser, self.steps)
        if saved is not None:
            state.load(saved)
        if ranks.first:
            folder.begin(settings, ranks.size, self.hashes, state.step)
        log = Log(folder, state.step, settings.hardware.tensorboard) if ranks.first else None
        wrapped = wrap(self.network, settings, ranks)
        saved_at = time.monotonic()
        with _deterministic():
            for batch in batches(self.clips, settings, ranks, state.step, self.steps):
                begun, epoch = time.monotonic(), state.epoch
                values = train_step(wrapped, state, batch, self.loss, settings, ranks)
                if log is not None:
                    seconds = round(time.monotonic() - begun, 4)
                    log.write({"step": state.step, "epoch": epoch, **values, "seconds": seconds})
                if state.epoch_complete:
                    self._end_epoch(state, epoch, log)
                progress(state.step, total)
                due = ranks.broadcast(time.monotonic() - saved_at > 60 * settings.hardware.checkpoint_minutes)
                if state.epoch_complete or due:
                    self._save_checkpoint(state)
                    saved_at = time.monotonic()
        result = state.best or {"epoch": settings.optimiser.epochs, "mae_bpm": None}
        if log is not None:
            log.close()
            plots.losses(folder.read_metrics(), folder.path / "loss.png")
            folder.finish(result)
        return Trained(folder.path, result["epoch"], result["mae_bpm"])

    def _save_checkpoint(self, state: TrainState) -> None:
        if not state.epoch_complete:  # at its end an epoch has averaged them
            self.ranks.average_statistics(self.network)
        if self.ranks.first:
            self.folder.write_checkpoint({**state.to_dict(), "ranks": self.ranks.size})

    def _end_epoch(self, state: TrainState, epoch: int, log: Log | None) -> None:
        """Validate, write weights and log the epoch."""
        settings, folder, epochs = self.settings, self.folder, self.settings.optimiser.epochs
        self.ranks.average_statistics(self.network)
        validated = None
        if self.data.validation and (epoch == epochs or epoch % settings.validation.every == 0):
            validated = validate(self.method, self.data.validation, settings.validation, self.ranks)
        mae = None if validated is None else validated.mae_bpm
        is_best = mae is not None and (state.best is None or mae < state.best["mae_bpm"])
        if is_best:
            state.best = {"epoch": epoch, "mae_bpm": mae}
        loss, state.losses = float(np.mean(state.losses)), []
        if log is None:
            return
        card = replace(self.card, scores={} if mae is None else {"validation_mae_bpm": round(mae, 4)})
        if is_best:
            save_model(self.network, card, folder.path / BEST)
        save_model(self.network, card, folder.path / LAST)
        log.write({"step": state.step, "epoch": epoch, "epoch_loss": loss, "validation_mae_bpm": mae})
        if validated is not None:
            plots.waveforms(validated.traces, folder.path / "waveforms.png")
        error = "" if mae is None else f", validation MAE {mae:.2f} bpm{' (best so far)' if is_best else ''}"
        logger.info(f"epoch {epoch} of {epochs}: loss {loss:.4f}{error}")


def train_step(
    wrapped: nn.Module,
    state: TrainState,
    batch: Batch,
    loss_function: LossFunction,
    settings: Settings,
    ranks: Ranks,
) -> dict[str, float]:
    """Do one step of the optimiser.

    Args:
        wrapped: network of the state as it is called in training, see `facepulse.training.setup.wrap`.
        state: state of the run, changed in place.
        batch: clips of this process.
        loss_function: loss of a batch in an epoch.
        settings: settings of the run.
        ranks: processes that train together.

    Returns:
        Loss (mean over the processes), learning rate and norm of the gradient.

    Raises:
        DivergedError: the loss or its gradient became NaN or infinite.
    """
    epoch = state.epoch
    # Dropout is seeded by the step, not by what was drawn before, so that a resumed run draws the same.
    torch.manual_seed(int(np.random.SeedSequence([settings.seed, state.step, ranks.rank]).generate_state(1)[0]))
    wrapped.train()
    state.optimiser.zero_grad(set_to_none=True)
    with torch.autocast(ranks.device.type, torch.bfloat16, enabled=settings.hardware.precision == "bf16"):
        prediction = wrapped(batch.frames.to(ranks.device, non_blocking=True).permute(0, 4, 1, 2, 3))
    loss = loss_function(prediction.float(), batch.ppg.to(ranks.device), epoch)
    loss.backward()  # type: ignore[no-untyped-call]
    mean_loss = float(ranks.mean(loss.detach()))
    longest = settings.optimiser.clip_norm or math.inf
    norm = float(nn.utils.clip_grad_norm_(wrapped.parameters(), longest))
    if not (math.isfinite(mean_loss) and math.isfinite(norm)):
        quantity = "gradient" if math.isfinite(mean_loss) else "loss"
        last = Path(settings.out) / LAST
        kept = f"the weights of epoch {epoch - 1} are in {last}" if epoch > 1 else "no epoch was finished"
        raise DivergedError(
            f"the {quantity} became NaN or infinite in epoch {epoch}, step {state.step + 1}, clips "
            f"{'; '.join(ranks.gather(batch.names))}: {kept}; check these clips, or lower optimiser.lr, or set "
            "optimiser.clip_norm"
        )
    lr = float(state.optimiser.param_groups[0]["lr"])
    state.optimiser.step()
    state.schedule.step()
    state.step += 1
    state.losses.append(mean_loss)
    return {"loss": mean_loss, "lr": lr, "gradient": norm}


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use deterministic algorithms, as far as torch has them."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])

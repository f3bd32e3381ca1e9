"""The training loop: plain PyTorch, one for every network, on one process or many."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facepulse._files import lock_folder
from facepulse.errors import FacepulseError, UsageError
from facepulse.evaluation.predictors import NetworkPredictor
from facepulse.inference.engine import torch_engine
from facepulse.inference.model_card import ModelCard
from facepulse.inference.registry import NETWORKS
from facepulse.inference.weights import load_with_card, require_train_extra, save_model
from facepulse.training import plots
from facepulse.training.batches import batches
from facepulse.training.clips import Mixture, mixture
from facepulse.training.data import RunData
from facepulse.training.distributed import Ranks, started
from facepulse.training.losses import HybridLoss, mse, negative_pearson
from facepulse.training.recomputation import recompute
from facepulse.training.run_folder import BEST, LAST, RunFolder
from facepulse.training.settings import Settings
from facepulse.training.validation import Validated, validate

Progress = Callable[[float, float | None], None]
LossFunction = Callable[[Tensor, Tensor, int], Tensor]


class DivergedError(FacepulseError):
    """The loss or its gradient is no number any more."""


@dataclass(frozen=True)
class Trained:
    """What came of a run.

    Attributes:
        folder: of the run.
        epoch: from 1, in which the best weights were had.
        mae_bpm: of the validation with them; None without validation.
        already: the run had come to its end before.
    """

    folder: Path
    epoch: int
    mae_bpm: float | None
    already: bool = False

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.folder / BEST


def train(
    settings: Settings,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train a network, or go on where an earlier call with the same settings was stopped.

    The weights are a function of settings, data, machine and number of threads: of nothing that happens on the way.
    Under `torchrun` every process calls this, and the first one writes.

    Args:
        settings: of the run; `out` is its folder.
        progress: called with the number of steps done and of all.
        say: called with a line at the end of each epoch.

    Raises:
        UsageError: the settings cannot be honoured, the folder holds another run, or something cannot be written.
        DatasetError: the data cannot be read, or nothing is left of them.
        DivergedError: the loss or its gradient is no number any more; the weights of the last epoch are kept.
    """
    require_train_extra("training")
    if not settings.out:
        raise UsageError("the run has no folder: give `out`")
    with ExitStack() as stack:
        ranks = stack.enter_context(started(_device(settings.hardware.device)))
        if ranks.first:
            stack.enter_context(lock_folder(Path(settings.out)))
        return _Run(settings, ranks, progress or (lambda done, total: None), say).run()


class _Run:
    """One call of `train`."""

    def __init__(self, settings: Settings, ranks: Ranks, progress: Progress, say: Callable[[str], None]) -> None:
        self.settings, self.ranks = settings, ranks
        self.progress = progress if ranks.first else lambda done, total: None
        self.say = say if ranks.first else lambda line: None
        self.folder = RunFolder(settings.out)
        self.data = RunData(settings.data)
        torch.manual_seed(settings.seed)
        self.network: nn.Module = NETWORKS[settings.network.name].build(settings.network.config)
        learnt, self.hashes = str(self.data), self.data.hashes
        if settings.network.start:
            before = _begin_with(self.network, settings.network.start)
            learnt = f"{learnt}; before that, as {before.name}: {before.training_data}"
            self.hashes["start"] = {before.name: before.sha256}
        self.card = _card(settings, self.network, learnt)
        self.reader = NetworkPredictor(
            torch_engine(self.network, self.card)
        )  # of the weights that there are at the time
        for group in (*self.data.train, *self.data.validation):
            self.reader.check(group[0].settings)
        self.clips: Mixture = mixture(settings, self.data.train)
        self.steps = len(self.clips) // (settings.optimiser.batch * ranks.size)  # an epoch
        if self.steps == 0:
            raise UsageError(
                f"there are {len(self.clips)} clips, and one step takes {settings.optimiser.batch * ranks.size}: give "
                "more recordings, or a smaller optimiser.batch"
            )
        self.loss = _loss(settings)

    def run(self) -> Trained:
        settings, ranks = self.settings, self.ranks
        done = self.folder.result
        state = self.folder.check(settings, ranks.size, self.hashes)
        if done is not None and state is not None:
            return Trained(self.folder.path, done["epoch"], done["mae_bpm"], already=True)
        state = ranks.tell(state)  # also makes sure that all have looked before the first writes
        total = self.steps * settings.optimiser.epochs
        network = self.network.to(ranks.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.optimiser.lr, weight_decay=settings.optimiser.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.optimiser.lr, total_steps=total + 1)
        step, best, losses = 0, None, []
        if state is not None:
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
            step, best, losses = state["step"], state["best"], state["losses"]
        if ranks.first:
            self.folder.begin(settings, ranks.size, self.hashes, step)
        board = _board(settings, self.folder.path, step) if ranks.first and settings.hardware.tensorboard else None
        trained = _wrapped(network, settings, ranks)
        saved = time.monotonic()
        with _deterministic():
            for frames, target, names in batches(self.clips, settings, ranks, step, self.steps):
                epoch = step // self.steps + 1
                begun = time.monotonic()
                line = self._step(trained, optimiser, schedule, frames, target, names, epoch, step)
                step += 1
                losses.append(line["loss"])
                if ranks.first:
                    line = {"step": step, "epoch": epoch, **line, "seconds": round(time.monotonic() - begun, 4)}
                    self.folder.append_metrics(line)
                    _write_scalars(board, step, line)
                ended = step % self.steps == 0
                if ended:
                    best = self._epoch(network, epoch, step, best, losses, board)
                    losses = []
                self.progress(step, total)
                due = ranks.tell(time.monotonic() - saved > 60 * settings.hardware.checkpoint_minutes)
                if ended or due:
                    if not ended:  # at its end an epoch shares them by itself
                        ranks.share_statistics(network)
                    if ranks.first:
                        self.folder.write_checkpoint(
                            {
                                "network": network.state_dict(),
                                "optimiser": optimiser.state_dict(),
                                "schedule": schedule.state_dict(),
                                "step": step,
                                "best": best,
                                "losses": losses,
                                "ranks": ranks.size,
                            }
                        )
                    saved = time.monotonic()
        if board is not None:
            board.close()
        result = best or {"epoch": settings.optimiser.epochs, "mae_bpm": None}
        if ranks.first:
            plots.losses(self.folder.read_metrics(), self.folder.path / "loss.png")
            self.folder.finish(result)
        return Trained(self.folder.path, result["epoch"], result["mae_bpm"])

    def _step(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        frames: Tensor,
        target: Tensor,
        names: Sequence[str],
        epoch: int,
        step: int,
    ) -> dict[str, float]:
        settings, ranks = self.settings, self.ranks
        # Of dropout: by the step and not by what was drawn before, so that a run that goes on draws the same.
        torch.manual_seed(int(np.random.SeedSequence([settings.seed, step, ranks.rank]).generate_state(1)[0]))
        network.train()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(ranks.device.type, torch.bfloat16, enabled=settings.hardware.precision == "bf16"):
            prediction = network(frames.to(ranks.device, non_blocking=True).permute(0, 4, 1, 2, 3))
        loss = self.loss(prediction.float(), target.to(ranks.device), epoch)
        loss.backward()  # type: ignore[no-untyped-call]
        mean = float(ranks.mean(loss.detach()))
        longest = settings.optimiser.clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), longest))
        if not (math.isfinite(mean) and math.isfinite(norm)):
            what = "loss" if not math.isfinite(mean) else "gradient"
            whose = [name for part in ranks.gather([list(names)]) for name in part]
            last = self.folder.path / LAST
            kept = f"the weights of epoch {epoch - 1} are in {last}" if epoch > 1 else "no epoch was finished"
            raise DivergedError(
                f"the {what} is {mean if what == 'loss' else norm} in epoch {epoch}, step {step + 1}, clips "
                f"{'; '.join(whose)}: {kept}; look at these clips, or lower optimiser.lr, or set optimiser.clip_norm"
            )
        lr = float(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
        return {"loss": mean, "lr": lr, "gradient": norm}

    def _epoch(
        self,
        network: nn.Module,
        epoch: int,
        step: int,
        best: dict[str, Any] | None,
        losses: Sequence[float],
        board: Any,
    ) -> dict[str, Any] | None:
        """What ends an epoch: validation, and weights on disk. Returns the best so far."""
        settings, ranks = self.settings, self.ranks
        ranks.share_statistics(network)
        found: Validated | None = None
        last = epoch == settings.optimiser.epochs
        if self.data.validation and (last or epoch % settings.validation.every == 0):
            found = validate(self.reader, self.data.validation, settings.validation, ranks)
        better = found is not None and (best is None or found.mae_bpm < best["mae_bpm"])
        if found is not None and better:
            best = {"epoch": epoch, "mae_bpm": found.mae_bpm}
        if not ranks.first:
            return best
        scores = {} if found is None else {"validation_mae_bpm": round(found.mae_bpm, 4)}
        card = replace(self.card, scores=scores)
        if better:
            save_model(network, card, self.folder.path / BEST)
        save_model(network, card, self.folder.path / LAST)
        mae = None if found is None else found.mae_bpm
        line = {"step": step, "epoch": epoch, "epoch_loss": float(np.mean(losses)), "validation_mae_bpm": mae}
        self.folder.append_metrics(line)
        _write_scalars(board, step, line)
        if found is not None:
            plots.waveforms(found.traces, self.folder.path / "waveforms.png")
        said = "" if mae is None else f", validation MAE {mae:.2f} bpm{' (best so far)' if better else ''}"
        self.say(f"epoch {epoch} of {settings.optimiser.epochs}: loss {np.mean(losses):.4f}{said}")
        return best


def _begin_with(network: nn.Module, weights: str) -> ModelCard:
    """Give a network weights that somebody has trained; returns their card."""
    trained, card = load_with_card(weights)
    if type(trained) is not type(network) or trained.config != network.config:
        raise UsageError(
            f"network.start: {weights} is {type(trained).__name__} of {trained.config}, and what is to be trained is "
            f"{type(network).__name__} of {network.config}: give the same network.name and network.config"
        )
    network.load_state_dict(trained.state_dict())
    return card


def _wrapped(network: nn.Module, settings: Settings, ranks: Ranks) -> nn.Module:
    """The network as it is trained; its tensors are those of `network`."""
    if settings.hardware.recompute:
        recompute(network)
    wrapped = network
    if ranks.size > 1:
        wrapped = DistributedDataParallel(network, device_ids=[ranks.device] if ranks.device.type == "cuda" else None)
    if settings.hardware.compile:
        wrapped = cast(nn.Module, torch.compile(wrapped))
    return wrapped


def _loss(settings: Settings) -> LossFunction:
    wanted = settings.loss
    if wanted.name == "hybrid":
        return HybridLoss(
            epochs=settings.optimiser.epochs,
            fps=settings.data.fps,
            alpha=wanted.alpha,
            lambda_=wanted.lambda_,
            theta=wanted.theta,
            heart_rate=wanted.heart_rate,
            as_coded=wanted.as_coded,
        )
    simple = {"mse": mse, "negative-pearson": negative_pearson}[wanted.name]
    return lambda prediction, target, epoch: simple(prediction, target)


def _card(settings: Settings, network: nn.Module, learnt: str) -> ModelCard:
    data, validation = settings.data, settings.validation
    try:
        return ModelCard(
            name=Path(settings.out).name,
            network=settings.network.name,
            config=asdict(cast(Any, network.config)),
            multiple=cast(int, network.multiple),
            frames=data.frames,
            size=data.size,
            margin=data.margin,
            fps=data.fps,
            normalisation=cast(str, network.normalisation),
            training_data=learnt,
            protocol=f"validation on other people: MAE over windows of {validation.window_s:g} s, protocol "
            f"{validation.protocol}",
            scores={},
            licence="whatever the training data allow",
        )
    except ValueError as error:
        raise UsageError(f"{settings.network.name} cannot be trained so: {error}") from error


def _device(wanted: str) -> str:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError("there is no GPU that torch can use here: set hardware.device to cpu")
    return "cuda" if there and wanted != "cpu" else "cpu"


@contextmanager
def _deterministic() -> Iterator[None]:
    """The same sums in the same order, as far as torch can promise it."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _board(settings: Settings, folder: Path, step: int) -> Any:
    from facepulse._optional import require_extra

    require_extra("tensorboard", ["tensorboard"], "hardware.tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)


def _write_scalars(board: Any, step: int, line: dict[str, Any]) -> None:
    if board is not None:
        for name, value in line.items():
            if isinstance(value, float):
                board.add_scalar(name, value, step)

"""Setup of a run from its settings: device, network, loss and model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facepulse.errors import UsageError
from facepulse.inference.model_card import ModelCard
from facepulse.inference.weights import load_with_card
from facepulse.training.distributed import Ranks
from facepulse.training.losses import HybridLoss, mse, negative_pearson
from facepulse.training.recomputation import recompute
from facepulse.training.settings import Loss, Settings

LossFunction = Callable[[Tensor, Tensor, int], Tensor]  # of prediction (B, T), target (B, T) and epoch


def choose_device(device: str) -> str:
    """Return "cpu" or "cuda" for a device setting, which may be "auto"."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UsageError("there is no GPU that torch can use here: set hardware.device to cpu")
    return "cuda" if available and device != "cpu" else "cpu"


def load_start(network: nn.Module, weights: str) -> ModelCard:
    """Load initial weights into a network of the same class and config, and return their card."""
    trained, card = load_with_card(weights)
    if type(trained) is not type(network) or trained.config != network.config:
        raise UsageError(
            f"network.start: {weights} is {type(trained).__name__} of {trained.config}, but the network to train is "
            f"{type(network).__name__} of {network.config}: give the same network.name and network.config"
        )
    network.load_state_dict(trained.state_dict())
    return card


def wrap(network: nn.Module, settings: Settings, ranks: Ranks) -> nn.Module:
    """Apply recomputation, data parallelism and compilation; the tensors remain those of `network`."""
    if settings.hardware.recompute:
        recompute(network)
    wrapped = network
    if ranks.size > 1:
        wrapped = DistributedDataParallel(network, device_ids=[ranks.device] if ranks.device.type == "cuda" else None)
    if settings.hardware.compile:
        wrapped = cast(nn.Module, torch.compile(wrapped))
    return wrapped


def make_loss(settings: Loss, epochs: int, fps: float) -> LossFunction:
    """Create the loss function of a run.

    Args:
        settings: name and options of the loss.
        epochs: length of the run, over which the hybrid loss changes its weights.
        fps: frame rate of the clips in Hz.
    """
    if settings.name == "hybrid":
        return HybridLoss(
            epochs=epochs,
            fps=fps,
            alpha=settings.alpha,
            lambda_=settings.lambda_,
            theta=settings.theta,
            heart_rate=settings.heart_rate,
            as_published_code=settings.as_published_code,
        )
    simple = {"mse": mse, "negative-pearson": negative_pearson}[settings.name]
    return lambda prediction, target, epoch: simple(prediction, target)


def make_card(settings: Settings, network: nn.Module, training_data: str) -> ModelCard:
    """Create the card of the weights, without scores.

    Args:
        settings: settings of the run.
        network: network that is trained.
        training_data: description of the training recordings.

    Raises:
        UsageError: the network cannot take clips of the length and size in the settings.
    """
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
            training_data=training_data,
            protocol=f"validation on other people: MAE over windows of {validation.window_s:g} s, protocol "
            f"{validation.protocol}",
            scores={},
            licence="whatever the training data allow",
        )
    except ValueError as error:
        raise UsageError(f"{settings.network.name} cannot be trained with these settings: {error}") from error

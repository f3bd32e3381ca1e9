"""Checkpoints that rPPG-Toolbox released: which network they are of, and that network with their weights in it.

They are known by the names and shapes of their tensors. Those names are data, taken from the files and from the layer
tables of the papers; no code of the toolbox is used. Files are read as tensors alone, so that none can run code.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from facepulse.errors import UsageError
from facepulse.inference.model_card import MINIMUM_SIZE, ModelCard

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]

# What the toolbox trains on: frames a second, half as much again of the face's box, pixels for a network of any size.
FPS, MARGIN, FRAME_SIZE = 30.0, 0.25, 72


@dataclass(frozen=True)
class Layout:
    """How the toolbox stores a network.

    Attributes:
        title: the network's name in the toolbox.
        modules: name of a module there to its name here; those not named are called the same.
        config: from the shapes of the tensors by name to what differs from the default config.
        dead: in the names of tensors that no output depends on there, and that are passed over; empty for none.
        frames: of the clips that the toolbox trains on.
        output: what it trains the network to give, as `ModelCard.output` has it.
    """

    title: str
    modules: Mapping[str, str] = field(default_factory=dict)
    config: Callable[[Shapes], dict[str, Any]] = lambda shapes: {}
    dead: str = ""
    frames: int = 180
    output: str = "derivative"

    def theirs(self, ours: str) -> str:
        """The toolbox's name of a tensor that is called `ours` here."""
        for there, here in self.modules.items():
            if ours.startswith(f"{here}."):
                return there + ours[len(here) :]
        return ours


def _frame_config(shapes: Shapes) -> dict[str, Any]:
    """Sizes of DeepPhys and of those that are made like it."""
    width, (hidden, features) = shapes["motion_conv1.weight"][0], shapes["final_dense_1.weight"]
    side = math.isqrt(features // (2 * width))
    # Four sizes have that many features, as pools drop odd rows: one of the four is a multiple of four, as all of the
    # toolbox's are. A dense layer that fits no size at all is refused with the network that this one makes.
    return {"size": 4 * side + 8, "width": width, "hidden": hidden}


MOTION = {
    "motion_conv1": "motion.0.conv1",
    "motion_conv2": "motion.0.conv2",
    "motion_conv3": "motion.1.conv1",
    "motion_conv4": "motion.1.conv2",
    "apperance_att_conv1": "masks.0.conv",
    "apperance_att_conv2": "masks.1.conv",
    "final_dense_1": "head.dense1",
    "final_dense_2": "head.dense2",
}
APPEARANCE = {
    "apperance_conv1": "appearance.0.conv1",
    "apperance_conv2": "appearance.0.conv2",
    "apperance_conv3": "appearance.1.conv1",
    "apperance_conv4": "appearance.1.conv2",
}

LAYOUTS: dict[str, Layout] = {
    "physnet": Layout("PhysNet", frames=128),
    "deepphys": Layout("DeepPhys", MOTION | APPEARANCE, _frame_config),
    "ts-can": Layout("TS-CAN", MOTION | APPEARANCE, _frame_config),
    "efficientphys": Layout("EfficientPhys", MOTION, _frame_config),
    "physformer": Layout("PhysFormer", frames=160),
    "rhythmformer": Layout("RhythmFormer", dead=".qkv_linear.", frames=160, output="waveform"),
}
"""Key in `facepulse.models.MODELS` to how the toolbox stores it."""


def load_checkpoint(path: Path, network: str | None = None) -> nn.Module:
    """The network of a checkpoint, with its weights.

    Args:
        path: a state dict that torch wrote, of a network alone or wrapped in `DataParallel`.
        network: one of `LAYOUTS`; None recognises it. DeepPhys and TS-CAN have the same tensors: of these two it is the
            one that is named in the file's name.

    Returns:
        The network in evaluation mode, with the config that the shapes imply.

    Raises:
        UsageError: the file is damaged or holds something else, or a tensor is missing, unknown or of another shape;
            the line names the first such tensor.
    """
    import torch

    from facepulse.models import MODELS

    tensors = {name.removeprefix("module."): tensor for name, tensor in _read(path).items()}
    network = network or _recognised(tensors, path)
    if network not in LAYOUTS:
        raise UsageError(f"no checkpoints of a network {network!r} are known: choose one of {', '.join(LAYOUTS)}")
    layout, names = LAYOUTS[network], _names(network)
    if layout.dead:
        tensors = {name: tensor for name, tensor in tensors.items() if layout.dead not in name}
    for what, differing in (("lacks the tensor", names - set(tensors)), ("has a foreign tensor", set(tensors) - names)):
        if differing:
            raise UsageError(f"{path}, taken for a checkpoint of {layout.title}, {what} {min(differing)}")
    model = MODELS[network]
    try:
        config = model.config(**layout.config({name: tuple(tensor.shape) for name, tensor in tensors.items()}))
        with torch.device("meta"):  # shapes alone: nothing is as large as a damaged one may claim
            state = model.network(config).state_dict()
    except (IndexError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"{path} has the tensors of {layout.title}, but in shapes from which no such network can be made"
        ) from error
    loaded = {}
    for ours, wanted in state.items():
        theirs = layout.theirs(ours)
        tensor = tensors[theirs]
        if tensor.ndim == wanted.ndim - 1:
            wanted = wanted.squeeze(2)  # a kernel over one frame, which the toolbox has in two dimensions
        if tensor.shape != wanted.shape or tensor.is_floating_point() != wanted.is_floating_point():
            raise UsageError(
                f"{path}: the tensor {theirs} is {_said(tensor)}, but {layout.title} wants {_said(wanted)}"
            )
        loaded[ours] = tensor.reshape(state[ours].shape)
    built = model.network(config)
    built.load_state_dict(loaded, strict=True)
    return built.eval()


def card_for(network: nn.Module, path: Path) -> ModelCard:
    """The card of a network that `load_checkpoint` has loaded: the input that the toolbox trains it on.

    Args:
        network: as loaded.
        path: of the checkpoint; the card has its name, for nothing in it says what it was trained on.
    """
    from facepulse.models import MODELS

    if getattr(network.config, "size", FRAME_SIZE) < MINIMUM_SIZE:
        raise UsageError(f"{path} reads frames of {network.config.size} px: expected {MINIMUM_SIZE} or more")
    [name] = [name for name, model in MODELS.items() if type(network) is model.network]
    config: Any = network.config
    return ModelCard(
        name=path.stem,
        network=name,
        config=asdict(config),
        multiple=cast(int, network.multiple),
        frames=LAYOUTS[name].frames,
        size=getattr(config, "size", FRAME_SIZE),
        margin=MARGIN,
        fps=FPS,
        normalisation=cast(str, network.normalisation),
        training_data=f"what its authors say of {path.name}",
        protocol="as released",
        scores={},
        licence="as released",
        output=LAYOUTS[name].output,
    )


def _read(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may be wrong with the file: that is said below, in one line
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by what is wrong where in the file, and of many lines
        raise UsageError(f"{path} is damaged, or no file of tensors that torch wrote: get the file again") from error
    if not (
        isinstance(found, Mapping)
        and found
        and all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items())
    ):
        raise UsageError(f"{path} holds no tensors by name: give the state dict of one of {_titles()}")
    return dict(found)


def _recognised(tensors: Mapping[str, Tensor], path: Path) -> str:
    """The network whose tensors' names are most like these; most of them have to be there, and most of these its."""
    unlike = {network: len(_names(network) ^ set(tensors)) for network in LAYOUTS}
    least = min(unlike.values())
    likely = [network for network, number in unlike.items() if number == least]
    if least >= len(_names(likely[0]) & set(tensors)):
        raise UsageError(f"{path} is no checkpoint of a network that is known here: those are {_titles()}")
    named = [network for network in likely if _letters(network) in _letters(path.stem)]
    if len(likely) > 1 and len(named) != 1:
        raise UsageError(
            f"{path} may be of {' or '.join(likely)}, whose tensors are called the same: put one of these into its name"
        )
    return (named if len(likely) > 1 else likely)[0]


def _names(network: str) -> set[str]:
    """What the toolbox calls the tensors of a network; their names do not depend on the config."""
    import torch

    from facepulse.models import MODELS

    with torch.device("meta"):
        return {LAYOUTS[network].theirs(ours) for ours in MODELS[network].network().state_dict()}


def _titles() -> str:
    return ", ".join(layout.title for layout in LAYOUTS.values())


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _said(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"

"""Load checkpoints of rPPG-Toolbox: recognise the network and build it with their weights.

A checkpoint is recognised by the names and shapes of its tensors. These names are data, taken from the files and from
the layer tables of the papers; no code of the toolbox is used. Files are read as tensors only, so that none can run
code.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepulse.errors import UsageError
from facepulse.inference.model_card import ModelCard
from facepulse.inference.registry import NETWORKS

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]

# Input in the toolbox's training: frame rate in Hz, margin of the face box, and pixels for networks of any size.
FPS, MARGIN, FRAME_SIZE = 30.0, 0.25, 72


@dataclass(frozen=True)
class CheckpointLayout:
    """Names and shapes of a network's tensors in the toolbox, and its training there.

    Attributes:
        modules: name of a module in the toolbox to its name here; all others have the same name.
        config: computes, from the shapes of the tensors by name, the values that differ from the default config.
        unused: substring of the names of tensors that are skipped, because no output of the toolbox's network depends
            on them; empty if there are none.
        frames: length of the clips on which the toolbox trains.
        output: signal that the network is trained to predict there, as in `ModelCard.output`.
    """

    modules: Mapping[str, str] = field(default_factory=dict)
    config: Callable[[Shapes], dict[str, Any]] = lambda shapes: {}
    unused: str = ""
    frames: int = 180
    output: str = "derivative"

    def theirs(self, ours: str) -> str:
        """Return the toolbox's name of a tensor, given its name here."""
        for there, here in self.modules.items():
            if ours.startswith(f"{here}."):
                return there + ours[len(here) :]
        return ours


def _frame_config(shapes: Shapes) -> dict[str, Any]:
    """Compute the sizes of DeepPhys and of the networks built like it."""
    width, (hidden, features) = shapes["motion_conv1.weight"][0], shapes["final_dense_1.weight"]
    side = math.isqrt(features // (2 * width))
    # Four sizes have this number of features, because pooling drops odd rows; one of the four is a multiple of four, as
    # all sizes of the toolbox are. A dense layer that fits no size is refused when shapes are compared.
    return {"size": 4 * side + 8, "width": width, "hidden": hidden}


# `apperance` is spelled as in the toolbox.
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

LAYOUTS: dict[str, CheckpointLayout] = {
    "physnet": CheckpointLayout(frames=128),
    "deepphys": CheckpointLayout(MOTION | APPEARANCE, _frame_config),
    "ts-can": CheckpointLayout(MOTION | APPEARANCE, _frame_config),
    "efficientphys": CheckpointLayout(MOTION, _frame_config),
    "physformer": CheckpointLayout(frames=160),
    "rhythmformer": CheckpointLayout(unused=".qkv_linear.", frames=160, output="waveform"),
}
"""Key in `facepulse.inference.registry.NETWORKS` to the network's layout in the toolbox."""


def load_checkpoint(path: Path, network: str | None = None) -> tuple[nn.Module, ModelCard]:
    """Build the network of a checkpoint with its weights, and a model card that describes the toolbox's training.

    Args:
        path: a state dict that torch wrote, of a network alone or wrapped in `DataParallel`.
        network: a key of `LAYOUTS`; if None, the network is recognised by the names of the tensors. DeepPhys and TS-CAN
            have the same tensors: of these two, the one that the file's name contains is built.

    Returns:
        The network in evaluation mode, with the config that the shapes imply; and its card, without the sha256. The
        card has the file's name, because nothing in the file describes its training.

    Raises:
        UsageError: the file is damaged or holds something else, or a tensor is missing, unknown or of another shape;
            the message names the first such tensor.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in _read(path).items()}
    network = network or _recognise(tensors, path)
    if network not in LAYOUTS:
        raise UsageError(f"no checkpoints of a network {network!r} are known: choose one of {', '.join(LAYOUTS)}")
    layout, names, title = LAYOUTS[network], _names(network), NETWORKS[network].title
    if layout.unused:
        tensors = {name: tensor for name, tensor in tensors.items() if layout.unused not in name}
    for problem, differing in (("lacks the", names - set(tensors)), ("has an unknown", set(tensors) - names)):
        if differing:
            raise UsageError(f"{path}, recognised as a checkpoint of {title}, {problem} tensor {min(differing)}")
    config, shapes = _implied_config(network, tensors, path)
    loaded = {}
    for ours, shape in shapes.items():
        theirs = layout.theirs(ours)
        tensor = tensors[theirs]
        expected = shape.squeeze(2) if tensor.ndim == shape.ndim - 1 else shape  # 2-D kernels in the toolbox
        if tensor.shape != expected.shape or tensor.is_floating_point() != expected.is_floating_point():
            raise UsageError(
                f"{path}: the tensor {theirs} is {_describe(tensor)}, but {title} expects {_describe(expected)}"
            )
        loaded[ours] = tensor.reshape(shape.shape)
    built = NETWORKS[network].build(config)
    built.load_state_dict(loaded, strict=True)
    return built.eval(), _card(network, built, path)


def _implied_config(
    network: str, tensors: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the config that the shapes of the tensors imply, and the meta tensors of a network of that config."""
    import torch

    try:
        config = LAYOUTS[network].config({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        with torch.device("meta"):  # no memory is allocated, because a damaged file may imply any size
            return config, NETWORKS[network].build(config).state_dict()
    except (IndexError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"{path} has the tensors of {NETWORKS[network].title}, but no such network can be built with their shapes"
        ) from error


def _card(network: str, built: Any, path: Path) -> ModelCard:
    """Return the card of a loaded network: the input on which the toolbox trains it."""
    size = getattr(built.config, "size", FRAME_SIZE)
    return ModelCard(
        name=path.stem,
        network=network,
        config=asdict(built.config),
        multiple=built.multiple,
        frames=LAYOUTS[network].frames,
        size=size,
        margin=MARGIN,
        fps=FPS,
        normalisation=built.normalisation,
        training_data=f"see the authors of {path.name}",
        protocol="as released",
        scores={},
        licence="as released",
        output=LAYOUTS[network].output,
    )


def _read(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about the file: the error below is one line
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many classes, depending on the damage, with messages of many lines
        raise UsageError(f"{path} is damaged, or not a file of tensors that torch wrote: get the file again") from error
    if not (
        isinstance(found, Mapping)
        and found
        and all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items())
    ):
        raise UsageError(f"{path} holds no tensors by name: give the state dict of one of {_titles()}")
    return dict(found)


def _recognise(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Return the network whose tensor names differ least from these, provided that more of the names are shared."""
    differing = {network: len(_names(network) ^ set(tensors)) for network in LAYOUTS}
    least = min(differing.values())
    likely = [network for network, number in differing.items() if number == least]
    if least >= len(_names(likely[0]) & set(tensors)):
        raise UsageError(f"{path} is not a checkpoint of a known network: expected one of {_titles()}")
    if len(likely) > 1:
        named = [network for network in likely if _letters(network) in _letters(path.stem)]
        if len(named) != 1:
            raise UsageError(
                f"{path} may be of {' or '.join(likely)}, whose tensors have the same names: put one of these into the "
                "name of the file"
            )
        likely = named
    return likely[0]


def _names(network: str) -> set[str]:
    """Return the toolbox's names of a network's tensors; they do not depend on the config."""
    import torch

    with torch.device("meta"):
        return {LAYOUTS[network].theirs(ours) for ours in NETWORKS[network].build().state_dict()}


def _titles() -> str:
    return ", ".join(NETWORKS[network].title for network in LAYOUTS)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"

"""Files of trained weights: safetensors with a model card. Those in `data` come with the package and have names.

A file holds the tensors that inference needs, in float32. It is loaded only if the name, shape and sha256 of every
tensor match its card.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write
from facepulse.errors import UsageError, require_extra
from facepulse.inference.model_card import METADATA_KEY, ModelCard
from facepulse.inference.registry import ALIASES, NETWORKS

if TYPE_CHECKING:
    from torch import nn

Tensors = Mapping[str, NDArray[Any]]

SHIPPED = Path(__file__).with_name("data")  # weights that come with the package
SUFFIX = ".safetensors"
CHECKPOINT_SUFFIXES = (".pth", ".pt")  # of files that torch wrote, which have no card
LOAD_PACKAGES = ("torch", "safetensors")
EXPORT_PACKAGES = (*LOAD_PACKAGES, "onnx", "onnxscript")
TRAIN_PACKAGES = (*LOAD_PACKAGES, "msgspec", "yaml")
MAXIMUM_HEADER = 100_000_000  # bytes, as the format allows


def shipped_weights() -> list[str]:
    """List the names of the weights that come with the package, `architecture.tag`, for `load_model`."""
    return sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}"))


def shipped_name(name: str) -> str | None:
    """Return the name of `shipped_weights()` for a name, or for an architecture's name that of its default weights.

    Returns:
        None if no weights that come with the package have this name.
    """
    name = ALIASES.get(name, name)
    return name if name in shipped_weights() else None


def exported(name: str) -> Path:
    """Return the path of the ONNX file of one of `shipped_weights()`."""
    return SHIPPED / f"{name}.onnx"


def find_weights(name_or_path: str | Path) -> Path:
    """Find the file of weights for a name or a path.

    Raises:
        UsageError: it is neither the name of weights that come with the package nor a file.
    """
    if name := shipped_name(str(name_or_path)):
        return SHIPPED / f"{name}{SUFFIX}"
    if os.path.isfile(name_or_path):  # unlike Path.is_file, also returns False for a name that is too long
        return Path(name_or_path)
    known = ", ".join(shipped_weights()) or "none in this installation"
    raise UsageError(f"no weights are called {str(name_or_path)!r}: give a {SUFFIX} file, or a name ({known})")


def load_model(name_or_path: str | Path) -> nn.Module:
    """Build a trained network from its weights.

    Args:
        name_or_path: a name of `facepulse.list_models("weights")`, an architecture's name for its default weights, a
            file that `save_model` wrote, or a checkpoint of rPPG-Toolbox (.pth) for one of the networks of
            `facepulse.inference.toolbox`.

    Returns:
        The network on the CPU, in evaluation mode: frames of 0..255 (B, 3, T, H, W) in, waveforms (B, T) out. Its
        attribute `card` is its model card, by which `facepulse.measure` runs it.

    Raises:
        UsageError: there are no such weights, the file is damaged, or it does not fit the network named by its card;
            the message names the first tensor that differs. Or torch or safetensors is not installed.
    """
    network, card = load_with_card(name_or_path)
    cast(Any, network).card = card
    return network


def load_with_card(name_or_path: str | Path) -> tuple[nn.Module, ModelCard]:
    """Build a trained network as `load_model` does, and return it with its card.

    The card of a checkpoint is made of what is known of the toolbox's training.

    Raises:
        UsageError: as `load_model` does.
    """
    path = find_weights(name_or_path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        require_train_extra("loading a checkpoint", ["torch"])
        from facepulse.inference.toolbox import load_checkpoint

        network, card = load_checkpoint(path)
        return network, replace(card, sha256=digest(_for_inference(network)))
    card = card_of(_read_header(path).get("__metadata__"), path)
    require_train_extra("loading a network", LOAD_PACKAGES)
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is damaged ({error}): get the file again") from error
    return build(card, tensors, path), card


def save_model(model: nn.Module, card: ModelCard, path: str | Path) -> ModelCard:
    """Write a network's weights and its card into one file; if writing fails, nothing is left behind.

    Args:
        model: the network that the card describes.
        card: its `sha256` is filled in.
        path: ends in .safetensors.

    Returns:
        The card as written.

    Raises:
        UsageError: the card does not describe the network, so that it could not be loaded again; or the file cannot be
            written.
    """
    require_train_extra("saving a network", LOAD_PACKAGES)
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f"cannot write weights to {path}: give a name that ends in {SUFFIX}")
    tensors = _for_inference(model)
    card = replace(card, sha256=digest(tensors))
    built = build(card, tensors, path)
    # Fields that change no tensor, such as a temporal shift or a weight in a sum, are compared as well.
    if type(built) is not type(model) or built.config != model.config:
        raise UsageError(f"{path}: the card's config is {card.config}, but the network's is {model.config}")
    card = replace(card, config=asdict(cast(Any, model.config)))  # every field, so that no default can change later
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt", METADATA_KEY: card.to_json()}))
    return card


def read_card(name_or_path: str | Path) -> ModelCard:
    """Read the card of a file of weights, without torch and without reading the tensors.

    Args:
        name_or_path: a name of `facepulse.list_models("weights")`, an architecture's name for its default weights, or a
            file that `save_model` wrote.

    Raises:
        UsageError: there are no such weights, or they have no card.
    """
    path = find_weights(name_or_path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        raise UsageError(f"{path} has no card: load_with_card makes one from what is known of such checkpoints")
    return card_of(_read_header(path).get("__metadata__"), path)


def read_parameter_count(name_or_path: str | Path) -> int:
    """Count the parameters in a file of weights, without torch and without reading the tensors.

    Args:
        name_or_path: as in `read_card`.

    Raises:
        UsageError: there are no such weights, or the file is not of safetensors.
    """
    tensors = _read_header(find_weights(name_or_path))
    statistics = ("running_mean", "running_var")  # of batch normalisation: not parameters
    return sum(
        math.prod(tensor["shape"])
        for name, tensor in tensors.items()
        if name != "__metadata__" and not name.endswith(statistics)
    )


def card_of(metadata: object, path: Path) -> ModelCard:
    """Parse the card in a file's metadata.

    Args:
        metadata: names to texts.
        path: of the file, used in error messages.

    Raises:
        UsageError: there is none, or it is not valid.
    """
    if not isinstance(metadata, Mapping) or METADATA_KEY not in metadata:
        raise UsageError(f"{path} has no model card: give a file that facepulse wrote")
    try:
        return ModelCard.from_json(str(metadata[METADATA_KEY]))
    except RecursionError:
        raise UsageError(
            f"{path}: its card cannot be parsed; get a file that this version of facepulse wrote"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}; get a file that this version of facepulse wrote") from error


def build(card: ModelCard, tensors: Tensors, path: Path) -> nn.Module:
    """Build the network that a card describes, with these tensors.

    Args:
        card: names the network and its config.
        tensors: name to array, in any order, as in the file.
        path: of the file, used in error messages.

    Returns:
        The network in evaluation mode.

    Raises:
        UsageError: the network is unknown, a tensor differs from the network's, or their sha256 from the card's.
    """
    import torch

    if card.network not in NETWORKS:
        raise UsageError(f"{path} is for a network {card.network!r}: this version has {', '.join(NETWORKS)}")
    try:
        network = NETWORKS[card.network].build(card.config)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: the card's config does not fit {card.network}: {error}") from error
    if network.multiple != card.multiple:
        raise UsageError(f"{path}: the card's multiple is {card.multiple}, but {card.network}'s is {network.multiple}")
    state = network.state_dict()
    for name, expected in state.items():
        if _is_for_inference(name):
            found = tensors.get(name)
            if found is None:
                raise UsageError(f"{path} lacks the tensor {name}, of shape {tuple(expected.shape)}")
            if found.shape != tuple(expected.shape) or found.dtype != np.float32:
                raise UsageError(
                    f"{path}: the tensor {name} is {found.dtype} of shape {found.shape}, "
                    f"but {card.network} expects float32 of shape {tuple(expected.shape)}"
                )
    for name in tensors:
        if name not in state:
            raise UsageError(f"{path} has a tensor {name}, which {card.network} does not have")
    if digest(tensors) != card.sha256:
        raise UsageError(f"{path} is damaged, the sha256 of its tensors is not the card's: get the file again")
    # Not strict, because a file holds only the tensors for inference; all of these have just been compared.
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in tensors.items()}, strict=False)
    return network.eval()


def digest(tensors: Tensors) -> str:
    """Compute the sha256 of tensors, independent of their order: of name, type, shape and bytes of each, by name.

    Args:
        tensors: name to array.
    """
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        hashed.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()


def require_train_extra(purpose: str, packages: Sequence[str] = TRAIN_PACKAGES) -> None:
    """Check that packages of the extra `train` are installed.

    Args:
        purpose: what they are needed for.
        packages: those that are used, as they are imported.

    Raises:
        UsageError: a package is missing.
    """
    require_extra("train", packages, purpose)


def _read_header(path: Path) -> dict[str, Any]:
    """Read the header of a safetensors file: tensors by name, and the metadata."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= MAXIMUM_HEADER else None
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): give a {SUFFIX} file") from error
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise UsageError(f"{path} is not a safetensors file: give one that facepulse wrote")
    return header


def _for_inference(model: nn.Module) -> dict[str, NDArray[Any]]:
    return {
        # Contiguous in the order of its axes, because safetensors writes memory as it is and stores no strides.
        name: tensor.detach().cpu().contiguous().numpy()
        for name, tensor in model.state_dict().items()
        if _is_for_inference(name)
    }


def _is_for_inference(name: str) -> bool:
    """Return False for batch normalisation's count of batches, which only training with cumulative averages reads."""
    return not name.endswith("num_batches_tracked")

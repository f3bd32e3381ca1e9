"""Files of trained weights: safetensors that carry their card. Those in this folder are known by name.

The tensors are those that inference needs, float32; a file is loaded only where name, shape and sha256 of every one of
them are what the card says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write
from facepulse._optional import require_extra
from facepulse.errors import UsageError
from facepulse.inference.model_card import METADATA_KEY, ModelCard

if TYPE_CHECKING:
    from torch import nn

Tensors = Mapping[str, NDArray[Any]]

SHIPPED = Path(__file__).with_name("data")  # weights that come with the package
SUFFIX = ".safetensors"
CHECKPOINT_SUFFIXES = (".pth", ".pt")  # of files that torch wrote; they carry no card
TRAIN_PACKAGES = ("torch", "safetensors", "onnx", "onnxscript", "msgspec", "yaml")
MAXIMUM_HEADER = 100_000_000  # bytes: what the format allows


def list_models() -> list[str]:
    """Names of the weights that come with the package, for `load_model`."""
    return sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}"))


def exported(name: str) -> Path:
    """The ONNX file of one of `list_models()`."""
    return SHIPPED / f"{name}.onnx"


def load_model(name_or_path: str | Path) -> nn.Module:
    """Rebuild a trained network from its weights.

    Args:
        name_or_path: one of `list_models()`, a file that `save_model` wrote, or a checkpoint of rPPG-Toolbox (.pth) for
            one of the networks of `facepulse.inference.toolbox`.

    Returns:
        The network on the processor, in evaluation mode: frames of 0..255 (B, 3, T, H, W) in, waveforms (B, T) out.

    Raises:
        UsageError: there are no such weights, the file is damaged, or it does not fit the network that its card names;
            the line names the first tensor that differs. Or torch is not installed.
    """
    path = find_weights(name_or_path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        require_train_extra("loading a checkpoint")
        from facepulse.inference.toolbox import load_checkpoint

        return load_checkpoint(path)
    card = read_card(path)
    require_train_extra("loading a network")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is damaged ({error}): get the file again") from error
    return build(card, tensors, path)


def load_with_card(name_or_path: str | Path) -> tuple[nn.Module, ModelCard]:
    """A trained network as `load_model` rebuilds it, and its card; that of a checkpoint says what is known of its kind.

    Raises:
        UsageError: as `load_model` does.
    """
    network, path = load_model(name_or_path), find_weights(name_or_path)
    if path.suffix not in CHECKPOINT_SUFFIXES:
        return network, read_card(path)
    from facepulse.inference.toolbox import card_for

    return network, replace(card_for(network, path), sha256=digest(_for_inference(network)))


def save_model(model: nn.Module, card: ModelCard, path: str | Path) -> ModelCard:
    """Write a network's weights and its card into one file, whole or not at all.

    Args:
        model: the network that the card describes.
        card: its `sha256` is filled in.
        path: ends in .safetensors.

    Returns:
        The card as written.

    Raises:
        UsageError: the network is not what the card says, so that it could not be loaded again; or the file cannot be
            written.
    """
    require_train_extra("saving a network")
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f"cannot write weights to {path}: give a name that ends in {SUFFIX}")
    tensors = _for_inference(model)
    card = replace(card, sha256=digest(tensors))
    built = build(card, tensors, path)
    # Names and shapes of the tensors do not show everything: a shift, or a weight in a sum, has none.
    if type(built) is not type(model) or built.config != model.config:
        raise UsageError(f"{path}: the card's config is {card.config}, but the network's is {model.config}")
    card = replace(card, config=asdict(cast(Any, model.config)))  # whole, so that no default is left to change
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt", METADATA_KEY: card.to_json()}))
    return card


def read_card(name_or_path: str | Path) -> ModelCard:
    """The card of a file of weights. It takes neither torch nor the tensors.

    Args:
        name_or_path: one of `list_models()`, or a file that `save_model` wrote.

    Raises:
        UsageError: there are no such weights, or they carry no card.
    """
    path = find_weights(name_or_path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        raise UsageError(f"{path} carries no card: load_with_card makes one of what is known of its kind")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= MAXIMUM_HEADER else None
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): give a {SUFFIX} file") from error
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise UsageError(f"{path} is no safetensors file: give one that facepulse wrote")
    return card_of(header.get("__metadata__"), path)


def card_of(metadata: object, path: Path) -> ModelCard:
    """The card among a file's metadata.

    Args:
        metadata: names to texts.
        path: of the file, for the blame.

    Raises:
        UsageError: there is none, or it is not valid.
    """
    if not isinstance(metadata, Mapping) or METADATA_KEY not in metadata:
        raise UsageError(f"{path} carries no card of facepulse: give a file that facepulse wrote")
    try:
        return ModelCard.from_json(str(metadata[METADATA_KEY]))
    except RecursionError:
        raise UsageError(f"{path}: its card is no card; get a file that this version of facepulse wrote") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}; get a file that this version of facepulse wrote") from error


def find_weights(name_or_path: str | Path) -> Path:
    """The file of weights that a name or a path stands for.

    Raises:
        UsageError: it is neither the name of weights that come with the package nor a file.
    """
    path = Path(name_or_path)
    if str(name_or_path) in list_models():
        return SHIPPED / f"{name_or_path}{SUFFIX}"
    if os.path.isfile(path):  # unlike Path.is_file, also answers for a name that is too long
        return path
    known = ", ".join(list_models()) or "none in this installation"
    raise UsageError(f"no weights are called {str(name_or_path)!r}: give a {SUFFIX} file, or a name ({known})")


def build(card: ModelCard, tensors: Tensors, path: Path) -> nn.Module:
    """The network that a card describes, with these tensors in it.

    Args:
        card: names the network and its configuration.
        tensors: name to array, in any order; as they are in the file.
        path: where they come from, for the blame.

    Returns:
        The network in evaluation mode.

    Raises:
        UsageError: the network is unknown, a tensor differs from what it wants, or their sha256 from the card's.
    """
    require_train_extra("building a network")
    import torch

    from facepulse.models import MODELS

    if card.network not in MODELS:
        raise UsageError(f"{path} is for a network {card.network!r}: this version has {', '.join(MODELS)}")
    network_class, config_class = MODELS[card.network]
    try:
        network = network_class(config_class(**card.config))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: the card's config does not fit {card.network}: {error}") from error
    if network.multiple != card.multiple:
        raise UsageError(f"{path}: the card's multiple is {card.multiple}, but {card.network}'s is {network.multiple}")
    for name, wanted in network.state_dict().items():
        if _is_for_inference(name):
            found = tensors.get(name)
            if found is None:
                raise UsageError(f"{path} lacks the tensor {name}, of shape {tuple(wanted.shape)}")
            if found.shape != tuple(wanted.shape) or found.dtype != np.float32:
                raise UsageError(
                    f"{path}: the tensor {name} is {found.dtype} of shape {found.shape}, "
                    f"but {card.network} wants float32 of shape {tuple(wanted.shape)}"
                )
    for name in tensors:
        if name not in network.state_dict():
            raise UsageError(f"{path} has a tensor {name}, which {card.network} does not")
    if digest(tensors) != card.sha256:
        raise UsageError(f"{path}: the sha256 of the tensors is not the card's, they were damaged: get the file again")
    # Not strict, because what is not for inference is not in the file; all else has just been compared.
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in tensors.items()}, strict=False)
    return network.eval()


def digest(tensors: Tensors) -> str:
    """sha256 of tensors, whatever their order: of name, type, shape and bytes of each, by name.

    Args:
        tensors: name to array.
    """
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        hashed.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()


def require_train_extra(purpose: str) -> None:
    """Make sure that what the extra `train` installs is there.

    Args:
        purpose: what it is needed for.

    Raises:
        UsageError: a package is missing.
    """
    require_extra("train", TRAIN_PACKAGES, purpose)


def _for_inference(model: nn.Module) -> dict[str, NDArray[Any]]:
    return {
        # In the order of its axes: the format knows no other, and writes memory as it lies.
        name: tensor.detach().cpu().contiguous().numpy()
        for name, tensor in model.state_dict().items()
        if _is_for_inference(name)
    }


def _is_for_inference(name: str) -> bool:
    """Batch normalisation counts its batches, and only a training that averages by that count ever reads it."""
    return not name.endswith("num_batches_tracked")

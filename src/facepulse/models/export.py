"""Export trained weights to one ONNX file for all engines: uint8 frames in, waveform out, with the card inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from onnx_ir import Value
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch import Tensor, nn
from torch.export import Dim

from facepulse._files import atomic_write, check_writable
from facepulse.errors import FacepulseError, UsageError
from facepulse.inference.engine import INPUT, NETWORK, OUTPUT, load_engine
from facepulse.inference.model_card import METADATA_KEY, MINIMUM_SIZE, ModelCard
from facepulse.inference.weights import load_with_card

TOLERANCE = 1e-4  # of the waveform's standard deviation


class FramesToWaveform(nn.Module):
    """A network with decoded frames as input: uint8 (B, T, H, W, 3) to float32 (B, T).

    Args:
        network: maps frames (B, 3, T, H, W) in 0..255 to waveforms, and normalises inside.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        setattr(self, NETWORK, network)

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the waveforms."""
        waveform: Tensor = getattr(self, NETWORK)(frames.permute(0, 4, 1, 2, 3))
        return waveform


def export(weights: str | Path, path: str | Path) -> float:
    """Write weights as ONNX, and keep the file only if OpenVINO computes the same from it as torch.

    The axes of batch, time, height and width stay dynamic. The tensors keep their names, so that torch can run the
    file, too.

    Args:
        weights: a name of `facepulse.list_models("weights")`, an architecture's name for its default weights, a file
            that `facepulse.inference.weights.save_model` wrote, or a checkpoint of rPPG-Toolbox (.pth).
        path: ends in .onnx.

    Returns:
        The largest difference between OpenVINO in float32 and torch on random frames, over the waveform's standard
        deviation.

    Raises:
        UsageError: the weights cannot be loaded, or the file cannot be written.
        FacepulseError: OpenVINO and torch differ by more than `TOLERANCE`.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UsageError(f"cannot export to {path}: give a name that ends in .onnx")
    check_writable(path)
    network, card = load_with_card(weights)
    module = FramesToWaveform(network).eval()
    with atomic_write(path) as temporary:
        _write(module, card, temporary)
        difference = _difference(module, card, temporary)
        if not difference <= TOLERANCE:  # also true for NaN
            raise FacepulseError(
                f"did not export {weights}: OpenVINO and torch differ by {difference:.1e} of the waveform's standard "
                f"deviation, expected at most {TOLERANCE:.0e}; try another version of either"
            )
    return difference


def _write(module: nn.Module, card: ModelCard, path: Path) -> None:
    steps = Dim("steps", min=2)
    shapes = {0: Dim("batch"), 1: card.multiple * steps, 2: Dim("height", min=MINIMUM_SIZE)}
    shapes[3] = Dim("width", min=MINIMUM_SIZE)
    # The size of a dynamic axis must differ from all constants of the network, hence these unusual sizes.
    example = torch.zeros(2, 4 * card.multiple, MINIMUM_SIZE + 12, MINIMUM_SIZE + 8, 3, dtype=torch.uint8)
    with _quiet():
        # Without optimisation, the graph keeps every tensor by name; engines fuse operations when they load it.
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            optimize=False,
            verbose=False,
            dynamic_shapes={"frames": shapes},
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # paths and lines of the source that was traced
        if node.op_type == "Conv" and len(node.inputs) == 3 and not _is_tensor(node.inputs[2]):
            node.resize_inputs(2)  # no bias: the exporter computes one of zeros, which OpenVINO does not accept
    RemoveUnusedNodesPass()(program.model)
    program.model.metadata_props[METADATA_KEY] = card.to_json()
    program.save(path)


def _is_tensor(value: Value | None) -> bool:
    """True if a value is one of the network's tensors and not computed."""
    return value is not None and value.is_initializer()


def _difference(module: nn.Module, card: ModelCard, path: Path) -> float:
    side = max(MINIMUM_SIZE, card.size // 2)  # half the card's size is faster, and differs from the example's
    frames = np.random.default_rng(0).integers(0, 256, (1, 6 * card.multiple, side, side, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = module(torch.from_numpy(frames)).numpy()
    found = load_engine(path, "openvino", precision="f32").backend(frames)
    return float(np.abs(found - expected).max() / expected.std())


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's warnings of libraries that are not needed and of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

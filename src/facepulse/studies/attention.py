"""Attention masks of a network over the face in a clip (the paper's figure 2(b))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facepulse._files import atomic_write
from facepulse.errors import UsageError
from facepulse.models.layers import SoftAttentionMask


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Attention mask of one level of a network, enlarged to the frames of a clip.

    Attributes:
        weights: (S, S) float32, mean over time at each pixel of the clip; the mean over a frame is 1.
        height: height of the mask before it was enlarged, pixels.
        width: width of the mask before it was enlarged, pixels.
    """

    weights: NDArray[np.float32]
    height: int
    width: int


def attention_maps(network: nn.Module, clip: NDArray[np.uint8]) -> list[AttentionMap]:
    """Compute the masks of a network, averaged over a clip, in the order of its forward pass.

    Args:
        network: network as in `NETWORKS`; it runs in evaluation mode and is returned to its previous mode.
        clip: (T, S, S, 3) RGB; frames beyond the last multiple of the network's `multiple` are dropped.

    Raises:
        UsageError: the network has no `SoftAttentionMask`.
        ValueError: the network does not accept the clip.
    """
    masks = [module for module in network.modules() if isinstance(module, SoftAttentionMask)]
    if not masks:
        raise UsageError(f"{type(network).__name__} has no attention masks to draw: its config leaves attention off")
    means: list[Tensor] = []
    hooks = [
        mask.register_forward_hook(lambda _, __, output: means.append(output[0].float().mean(1).cpu()))
        for mask in masks
    ]
    multiple: int = network.multiple  # type: ignore[assignment]  # part of the contract of every network
    # Copied, as the clip may be a read-only file. One shorter than a multiple is kept whole: the network refuses it.
    frames = torch.from_numpy(np.array(clip[: len(clip) // multiple * multiple or None])).permute(3, 0, 1, 2)[None]
    trained = network.training
    try:
        with torch.inference_mode():
            network.eval()(frames.to(next(network.parameters()).device))
    finally:
        network.train(trained)
        for hook in hooks:
            hook.remove()
    side: int | None = getattr(getattr(network, "config", None), "size", None)  # size to which the network resizes
    means = [2 * mean for mean in means]  # by equation 4 the mean of a mask is 1/2
    if side is None:
        return [_enlarge(mean, clip.shape[1:3], centered=False) for mean in means]
    return [_resize(_enlarge(mean, (side, side), centered=True), clip.shape[1:3]) for mean in means]


def _enlarge(mask: Tensor, size: tuple[int, ...], centered: bool) -> AttentionMap:
    """Enlarge a mask (1, height, width) by a power of two to the pixels of the frames.

    Rows and columns that the mask does not cover repeat the nearest one that it covers. They are the last ones, dropped
    by pooling, or, if `centered`, as many on each side, dropped by convolutions without padding.
    """
    height, width = mask.shape[1:]
    factors = [2 ** ((pixels // cells).bit_length() - 1) for pixels, cells in zip(size, (height, width), strict=True)]
    covered = height * factors[0], width * factors[1]
    enlarged = functional.interpolate(mask[None], covered, mode="bilinear", align_corners=False)
    rows, columns = size[0] - covered[0], size[1] - covered[1]
    above, left = (rows // 2, columns // 2) if centered else (0, 0)
    enlarged = functional.pad(enlarged, (left, columns - left, above, rows - above), mode="replicate")
    return AttentionMap(enlarged[0, 0].numpy(), height, width)


def _resize(attention: AttentionMap, size: tuple[int, ...]) -> AttentionMap:
    weights = torch.from_numpy(attention.weights)[None, None]
    weights = functional.interpolate(weights, (size[0], size[1]), mode="bilinear", align_corners=False)
    return AttentionMap(weights[0, 0].numpy(), attention.height, attention.width)


def plot_attention(network: nn.Module, clip: NDArray[np.uint8], path: Path) -> None:
    """Draw the mean frame of a clip, and each mask of a network over it, into one row of a PNG.

    Red marks weights above the mean, blue below; weights of 2 and above have the same colour.

    Args:
        network: network as of `attention_maps`.
        clip: (T, S, S, 3) RGB.
        path: path of the PNG; its folder is made if missing.

    Raises:
        UsageError: the network has no `SoftAttentionMask`, or the file cannot be written.
        ValueError: the network does not accept the clip.
    """
    maps = attention_maps(network, clip)
    face = clip.mean(0) / 255
    drawing = Figure(figsize=(2.4 * (1 + len(maps)) + 0.9, 2.7), layout="constrained")
    FigureCanvasAgg(drawing)
    first, *others = panels = drawing.subplots(1, 1 + len(maps))
    first.imshow(face)
    first.set_title("mean face", fontsize=10)
    for level, (axes, attention) in enumerate(zip(others, maps, strict=True), start=1):
        axes.imshow(face.mean(-1), cmap="gray", vmin=0, vmax=1)
        image = axes.imshow(attention.weights, cmap="coolwarm", vmin=0, vmax=2, alpha=0.6)  # grey at the mean, 1
        axes.set_title(f"level {level}: {attention.height}x{attention.width}", fontsize=10)
    for axes in panels:
        axes.set_axis_off()
    drawing.colorbar(image, ax=list(panels), label="weight, mean 1", extend="max", aspect=15, pad=0.01)
    with atomic_write(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=150)

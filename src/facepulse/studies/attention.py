"""Where a network looks: its attention masks over the face that it was shown (the paper's figure 2(b))."""

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
    """What one mask of a network does to a clip.

    Attributes:
        weights: (S, S) float32, mean over time at each pixel of the clip; 1 is the mean of a frame.
        height: of the mask before it was enlarged, pixels.
        width: likewise.
    """

    weights: NDArray[np.float32]
    height: int
    width: int


def attention_maps(network: nn.Module, clip: NDArray[np.uint8]) -> list[AttentionMap]:
    """The masks of a network, averaged over a clip, in the order in which it computes them.

    Args:
        network: as in `NETWORKS`; it is run in evaluation mode, and left in its own.
        clip: (T, S, S, 3) RGB; frames beyond the last multiple of the network's are left out.

    Raises:
        UsageError: the network has no `SoftAttentionMask`.
        ValueError: the network cannot read the clip.
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
    # A copy, as a clip may lie in a read-only file. One that is too short goes in whole, to be refused by the network.
    frames = torch.from_numpy(np.array(clip[: len(clip) // multiple * multiple or None])).permute(3, 0, 1, 2)[None]
    trained = network.training
    try:
        with torch.inference_mode():
            network.eval()(frames.to(next(network.parameters()).device))
    finally:
        network.train(trained)
        for hook in hooks:
            hook.remove()
    side: int | None = getattr(getattr(network, "config", None), "size", None)  # to which the network resizes frames
    means = [2 * mean for mean in means]  # a mask's own mean is a half, as equation 4 has it
    if side is None:
        return [_enlarged(mean, clip.shape[1:3], cut_evenly=False) for mean in means]
    return [_resized(_enlarged(mean, (side, side), cut_evenly=True), clip.shape[1:3]) for mean in means]


def _enlarged(mask: Tensor, size: tuple[int, ...], cut_evenly: bool) -> AttentionMap:
    """(1, height, width) to the pixels of the frames; rows without a mask repeat the nearest that has one.

    Those are the last ones, which halving left out, or, `cut_evenly`, as many on each side, where convolutions do not
    pad.
    """
    height, width = mask.shape[1:]
    halved = [2 ** ((whole // part).bit_length() - 1) for whole, part in zip(size, (height, width), strict=True)]
    seen = height * halved[0], width * halved[1]
    grown = functional.interpolate(mask[None], seen, mode="bilinear", align_corners=False)
    below, right = size[0] - seen[0], size[1] - seen[1]
    above, left = (below // 2, right // 2) if cut_evenly else (0, 0)
    grown = functional.pad(grown, (left, right - left, above, below - above), mode="replicate")
    return AttentionMap(grown[0, 0].numpy(), height, width)


def _resized(drawn: AttentionMap, size: tuple[int, ...]) -> AttentionMap:
    weights = torch.from_numpy(drawn.weights)[None, None]
    weights = functional.interpolate(weights, (size[0], size[1]), mode="bilinear", align_corners=False)
    return AttentionMap(weights[0, 0].numpy(), drawn.height, drawn.width)


def plot_attention(network: nn.Module, clip: NDArray[np.uint8], path: Path) -> None:
    """Draw the clip's mean face and, over it, each mask of the network into one row of a PNG.

    Red is looked at more than the average pixel, blue less; a weight of 2 and above looks the same.

    Args:
        network: as of `attention_maps`.
        clip: (T, S, S, 3) RGB.
        path: of the PNG; its folder is made if missing.

    Raises:
        UsageError: the network has no `SoftAttentionMask`, or the file cannot be written.
        ValueError: the network cannot read the clip.
    """
    maps = attention_maps(network, clip)
    face = clip.mean(0) / 255
    drawing = Figure(figsize=(2.4 * (1 + len(maps)) + 0.9, 2.7), layout="constrained")
    FigureCanvasAgg(drawing)
    first, *others = panels = drawing.subplots(1, 1 + len(maps))
    first.imshow(face)
    first.set_title("mean face", fontsize=10)
    for level, (axes, each) in enumerate(zip(others, maps, strict=True), start=1):
        axes.imshow(face.mean(-1), cmap="gray", vmin=0, vmax=1)
        image = axes.imshow(each.weights, cmap="coolwarm", vmin=0, vmax=2, alpha=0.6)  # a mean weight is neutral
        axes.set_title(f"level {level}: {each.height}x{each.width}", fontsize=10)
    for axes in panels:
        axes.set_axis_off()
    drawing.colorbar(image, ax=list(panels), label="weight, mean 1", extend="max", aspect=15, pad=0.01)
    with atomic_write(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=150)

"""Parameters and multiply-accumulates of every network, counted by shapes alone.

    python -m facepulse.models.figures

writes them into `inference/data/networks.csv`, from which `facepulse models` lists the networks without torch, and, in
a checkout of the repository, into the table of docs/models.md. To be run after a network was added or changed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from facepulse._files import atomic_write
from facepulse.inference.registry import FIGURES, NETWORKS, NetworkFigures
from facepulse.inference.toolbox import LAYOUTS

Config = Mapping[str, Any]  # of a network: the values that differ from its default
AS_DESIGNED: Config = MappingProxyType({})

FRAMES, SIZE = 160, 128  # of the clip for which multiply-accumulates are listed
PAGE = Path(__file__).parents[3] / "docs" / "models.md"
HEADS = ("network", "paper", "parameters", "GMACs", "frames", "normalisation, inside the network", "clip", "toolbox")


def on_meta(name: str, config: Config = AS_DESIGNED) -> Any:
    """Build a network without memory for its tensors, in evaluation mode.

    Args:
        name: key of `facepulse.inference.registry.NETWORKS`.
        config: values that differ from its default config.
    """
    with torch.device("meta"):
        return NETWORKS[name].build(config).eval()


def count_parameters(network: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def clip_length(name: str, frames: int, config: Config = AS_DESIGNED) -> int:
    """Round a number of frames up to a multiple that a network accepts."""
    multiple: int = on_meta(name, config).multiple
    return -(-frames // multiple) * multiple


def macs(name: str, frames: int, size: int, config: Config = AS_DESIGNED) -> int:
    """Count the multiply-accumulates for one clip by shapes alone; nothing is computed.

    Args:
        name: key of `facepulse.inference.registry.NETWORKS`.
        frames: length of the clip, a multiple of the network's.
        size: height and width in pixels.
        config: values that differ from its default config.

    Raises:
        ValueError: the network cannot read such a clip.
    """
    clip = torch.empty((1, 3, frames, size, size), dtype=torch.uint8, device="meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        on_meta(name, config)(clip)
    operations: int = counter.get_total_flops()
    return operations // 2  # a multiplication and an addition are two


def computed_figures(name: str) -> NetworkFigures:
    """Compute what `NetworkEntry.figures` reads from the file."""
    network = on_meta(name)
    return NetworkFigures(
        parameters=count_parameters(network),
        gmacs=round(macs(name, clip_length(name, FRAMES), SIZE) / 1e9, 1),
        multiple=network.multiple,
        size=getattr(network.config, "size", None),
    )


def to_csv() -> str:
    """Format the figures of all networks as `networks.csv` holds them."""
    text = io.StringIO()
    rows = csv.DictWriter(text, ["network", *NetworkFigures.__dataclass_fields__], lineterminator="\n")
    rows.writeheader()
    for name in NETWORKS:
        rows.writerow({"network": name, **asdict(computed_figures(name))})
    return text.getvalue()


def to_markdown() -> str:
    """Format the table of docs/models.md."""
    lines = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    for name, entry in NETWORKS.items():
        figures = computed_figures(name)
        link = f", [{entry.arxiv}](https://arxiv.org/abs/{entry.arxiv})" if entry.arxiv else ""
        cells = (
            f"`{name}`",
            f"{entry.title}, {entry.reference}{link}",
            f"{figures.parameters:,}",
            f"{figures.gmacs:.1f}",
            f"{figures.size} px" if figures.size else "any size from 32 px",
            on_meta(name).normalisation.removeprefix(f"{figures.size}x{figures.size} pixels; "),
            f"multiple of {figures.multiple}" if figures.multiple > 1 else "any length",
            LAYOUTS[name].output if name in LAYOUTS else "none",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Replace the table of networks in the text of docs/models.md."""
    return re.sub(r"(?m)^\| network \| paper .*\n(\|.*\n)+", lambda _: to_markdown(), page, count=1)


def main() -> None:
    """Write the figures and, in a checkout, the table."""
    texts = {FIGURES: to_csv()}
    if PAGE.is_file():
        texts[PAGE] = with_table(PAGE.read_text(encoding="utf-8"))
    for path, text in texts.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()

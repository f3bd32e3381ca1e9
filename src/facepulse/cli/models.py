"""The command models."""

from __future__ import annotations

import textwrap


def models() -> int:
    """List all methods: classical methods, weights that come with the package, and networks to train.

    Example: facepulse models
    """
    from facepulse.inference.listing import list_models
    from facepulse.inference.registry import ALIASES, NETWORKS
    from facepulse.inference.weights import read_card, read_parameter_count
    from facepulse.rppg.classical import CLASSICAL

    print("classical methods, from mean RGB traces: measure --method NAME")
    for name in list_models("classical"):
        method = CLASSICAL[name]
        print(f"  {name:6} {method.description:34} {method.reference}")
    if list_models("weights"):
        print("\nweights: measure --method NAME")
    for name in list_models("weights"):
        card = read_card(name)
        also = "".join(f", also called {alias}" for alias, weights in ALIASES.items() if weights == name)
        print(f"  {name}{also}: {read_parameter_count(name):,} parameters, architecture {card.network},")
        text = f"{card.frames} frames of {card.size} px, {card.licence}; trained on {card.training_data}"
        print(*textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6), sep="\n")
    print("\narchitectures to train, or with your own weights: measure --method FILE, .onnx (fast), .safetensors, .pth")
    print(f"  {'':13} {'parameters':>10}  {'GMACs*':>6}  {'size':8} {'clip':14} reference")
    for name in list_models("architecture"):
        entry, figures = NETWORKS[name], NETWORKS[name].figures
        size = f"{figures.size} px" if figures.size else "any size"
        clip = f"multiple of {figures.multiple}" if figures.multiple > 1 else "any length"
        paper = f"{entry.reference}, arXiv {entry.arxiv}" if entry.arxiv else entry.reference
        print(f"  {name:13} {figures.parameters:10,}  {figures.gmacs:6.1f}  {size:8} {clip:14} {paper}")
    print("  * for a clip of 160 frames of 128x128; all figures are of the default config, weights may have another")
    return 0

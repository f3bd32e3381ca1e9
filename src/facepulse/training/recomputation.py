"""Activation recomputation: blocks keep only their input and compute activations again for the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(network: nn.Module) -> None:
    """Drop the activations of every sequence of layers with a convolution, and compute them again for the gradient.

    Args:
        network: changed in place; its output and the names of its tensors remain the same.
    """
    for module in _blocks(network):
        module.forward = partial(checkpoint, module.forward, use_reentrant=False, context_fn=partial(_contexts, module))


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Iterate over the outermost sequences with a convolution."""
    for child in module.children():
        if isinstance(child, nn.Sequential) and any(isinstance(layer, nn.Conv3d) for layer in child.modules()):
            yield child
        else:
            yield from _blocks(child)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    return nullcontext(), _statistics_frozen(module)


@contextmanager
def _statistics_frozen(module: nn.Module) -> Iterator[None]:
    """Freeze running statistics, to which the first forward pass has already added the batch."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum

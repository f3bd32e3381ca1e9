"""Less memory for more time: blocks that keep what goes in, and compute the rest once more when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(network: nn.Module) -> None:
    """Make every sequence of layers with a convolution in it forget its insides until the gradient asks for them.

    Args:
        network: changed in place; what it computes, and the names of its tensors, stay as they are.
    """
    for module in _blocks(network):
        module.forward = partial(checkpoint, module.forward, use_reentrant=False, context_fn=partial(_contexts, module))


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost sequences with a convolution."""
    for child in module.children():
        if isinstance(child, nn.Sequential) and any(isinstance(layer, nn.Conv3d) for layer in child.modules()):
            yield child
        else:
            yield from _blocks(child)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    return nullcontext(), _statistics_kept(module)


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batch normalisation has counted the clips of the batch already: not twice."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum

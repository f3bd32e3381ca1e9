"""Recomputation: equal gradients with less memory."""

import copy

import pytest
import torch

from facepulse.models import PhysFSUNet, PhysFSUNetConfig
from facepulse.training.recomputation import recompute


def stored(network: torch.nn.Module, frames: torch.Tensor) -> int:
    """Return the bytes that a forward pass stores for the gradient."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(frames)
    return sum(kept.values())


@pytest.mark.slow
def test_gradients_and_statistics_are_equal_and_less_is_stored() -> None:
    torch.manual_seed(0)
    plain = PhysFSUNet(PhysFSUNetConfig(stem_width=4, width=8, head_width=4, dropout=0.0))
    frugal = copy.deepcopy(plain)
    recompute(frugal)
    frames = 255 * torch.rand(2, 3, 16, 36, 36)

    for network in (plain, frugal):
        network(frames).square().sum().backward()

    for (name, one), (_, other) in zip(plain.named_parameters(), frugal.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for (name, one), (_, other) in zip(plain.state_dict().items(), frugal.state_dict().items(), strict=True):
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(one, other, msg=name)
    assert stored(frugal, frames) < 0.6 * stored(plain, frames)

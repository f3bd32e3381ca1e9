"""Layers shared by the transformers, against loops in float64."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facepulse.models.transformers import TemporalDifferenceConv, repeat_time  # noqa: E402


def looped_temporal_difference(weight, x, theta):
    """``Σ w(n) x(p + n) - θ x(p) Σ w(n)``, the second sum over the frames before and after."""
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1), (1, 1)])
    out = np.zeros((x.shape[0], weight.shape[0], *x.shape[2:]))
    for b, c, t, i, j in itertools.product(*map(range, out.shape)):
        out[b, c, t, i, j] = (weight[c] * padded[b, :, t : t + 3, i : i + 3, j : j + 3]).sum()
        for channel, frame in itertools.product(range(x.shape[1]), (0, 2)):
            out[b, c, t, i, j] -= theta * weight[c, channel, frame].sum() * x[b, channel, t, i, j]
    return out


@pytest.mark.parametrize("theta", [0.0, 0.2, 0.7, 1.0])
def test_temporal_difference_convolution_equals_a_loop(theta):
    torch.manual_seed(0)
    layer, x = TemporalDifferenceConv(3, theta).double(), torch.rand(2, 3, 4, 3, 5, dtype=torch.float64)
    expected = looped_temporal_difference(layer.conv.weight.detach().numpy(), x.numpy(), theta)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_full_difference_of_constant_frames_is_zero():
    layer = TemporalDifferenceConv(2, theta=1.0).double()
    torch.nn.init.zeros_(layer.conv.weight.data[:, :, 1])  # the weights of the frame itself apply to no difference
    still = torch.rand(1, 2, 1, 1, 1, dtype=torch.float64).expand(-1, -1, 5, 5, 5)
    assert layer(still)[:, :, 1:-1, 1:-1, 1:-1].abs().max() < 1e-12
    assert layer(still + torch.arange(5)[:, None, None] ** 2)[:, :, 1:-1, 1:-1, 1:-1].abs().min() > 1e-3


def test_time_is_doubled_by_repeating_frames_before_a_convolution():
    layer = repeat_time(2, 3).double().eval()
    x = torch.rand(2, 2, 4, 3, 3, dtype=torch.float64)
    convolution, norm = layer[1], layer[2]
    padded = np.pad(np.repeat(x.numpy(), 2, axis=2), [(0, 0), (0, 0), (1, 1), (0, 0), (0, 0)])
    weight = convolution.weight.detach().numpy()[..., 0, 0]
    expected = sum(np.einsum("oc,bcthw->bothw", weight[..., k], padded[:, :, k : k + 8]) for k in range(3))
    expected = (expected + convolution.bias.detach().numpy().reshape(-1, 1, 1, 1)) / np.sqrt(1 + norm.eps)
    expected = np.where(expected > 0, expected, np.expm1(expected))
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)

"""Equations of physFSUNet (arXiv 2507.07795) against loops in float64."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from facepulse.models.layers import (  # noqa: E402
    DifferenceFusion,
    SoftAttentionMask,
    STASBlock,
    TemporalShift,
    UpsamplingDecoder,
    frame_differences,
)


@pytest.fixture
def features():
    return torch.rand(2, 3, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def ready(module):
    """The module in float64 and evaluation mode, with random batch statistics."""
    module = module.double().eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm3d):
            for tensor in (layer.running_mean, layer.running_var, layer.weight.data, layer.bias.data):
                tensor.uniform_(0.5, 1.5)
    return module


def looped_conv_block(block, x):
    """Convolution with zeros around, batch normalisation, ReLU, value by value."""
    conv, norm = block[0], block[1]
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
    depth, height, width = weight.shape[2:]
    padded = np.pad(x, [(0, 0), (0, 0), *[(size // 2,) * 2 for size in (depth, height, width)]])
    out = np.zeros((x.shape[0], weight.shape[0], *x.shape[2:]))
    for b, c, t, i, j in itertools.product(*map(range, out.shape)):
        value = (padded[b, :, t : t + depth, i : i + height, j : j + width] * weight[c]).sum() + bias[c]
        value = (value - mean[c]) / np.sqrt(variance[c] + norm.eps) * norm.weight[c].item() + norm.bias[c].item()
        out[b, c, t, i, j] = max(value, 0.0)
    return out


def looped_differences(x):
    """D'[-2], D'[-1], D'[1], D'[2] of each frame, frames beyond the ends repeating the end."""
    last = x.shape[2] - 1
    out = np.zeros((x.shape[0], 4 * x.shape[1], *x.shape[2:]))
    for t in range(x.shape[2]):
        five = [x[:, :, min(max(t + k, 0), last)] for k in (-2, -1, 0, 1, 2)]
        out[:, :, t] = np.concatenate([five[k + 1] - five[k] for k in range(4)], axis=1)
    return out


def looped_shift(x):
    out = np.zeros_like(x)
    third = x.shape[1] // 3
    for c, t in itertools.product(range(x.shape[1]), range(x.shape[2])):
        source = t - 1 if c < third else t + 1 if c < 2 * third else t
        if 0 <= source < x.shape[2]:
            out[:, c, t] = x[:, c, source]
    return out


def looped_mask(mask, x):
    """H W m / (2 ||m||₁), frame by frame."""
    weight, bias = mask.conv.weight.detach().numpy()[0, :, 0, 0, 0], mask.conv.bias.item()
    out = np.zeros((x.shape[0], 1, *x.shape[2:]))
    height, width = x.shape[3:]
    for b, t in itertools.product(range(x.shape[0]), range(x.shape[2])):
        m = np.zeros((height, width))
        for i, j in itertools.product(range(height), range(width)):
            m[i, j] = 1 / (1 + np.exp(-(weight @ x[b, :, t, i, j] + bias)))
        out[b, 0, t] = height * width * m / (2 * np.abs(m).sum())
    return out


def test_frame_differences_are_those_of_five_consecutive_frames(features):
    np.testing.assert_array_equal(frame_differences(features).numpy(), looped_differences(features.numpy()))


def test_constant_video_has_no_differences():
    frames = torch.rand(1, 3, 1, 4, 4).expand(-1, -1, 6, -1, -1)
    assert (frame_differences(frames) == 0).all()
    fusion = ready(DifferenceFusion(4))
    silent = fusion.stem12(torch.zeros(1, 12, 6, 4, 4, dtype=torch.float64))
    seen = []
    fusion.stem12.register_forward_hook(lambda _, __, output: seen.append(output))
    fusion(frames.double())
    torch.testing.assert_close(seen[0], silent, rtol=0, atol=0)


@pytest.mark.parametrize(("depth", "fusion_depth"), [(1, 1), (5, 3)])
def test_difference_fusion_is_equations_1_to_3(features, depth, fusion_depth):
    fusion = ready(DifferenceFusion(2, depth, fusion_depth, alpha=0.3, beta=0.9))
    x = features.numpy()
    i_diff = looped_conv_block(fusion.stem12, looped_differences(x))
    i_raw = looped_conv_block(fusion.stem11, x)
    expected = 0.3 * looped_conv_block(fusion.stem21, i_raw)
    expected += 0.9 * looped_conv_block(fusion.stem22, 0.3 * i_raw + 0.9 * i_diff)
    np.testing.assert_allclose(fusion(features).detach().numpy(), expected, rtol=1e-10)


def test_single_branches_of_the_fusion(features):
    raw, difference = ready(DifferenceFusion(2, mode="raw")), ready(DifferenceFusion(2, mode="difference"))
    x = features.numpy()
    expected = looped_conv_block(raw.stem21, looped_conv_block(raw.stem11, x))
    np.testing.assert_allclose(raw(features).detach().numpy(), expected, rtol=1e-10)
    expected = looped_conv_block(difference.stem22, looped_conv_block(difference.stem12, looped_differences(x)))
    np.testing.assert_allclose(difference(features).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("channels", [2, 3, 6, 32])
def test_shift_equals_a_loop(channels):
    x = torch.rand(2, channels, 5, 2, 3)
    np.testing.assert_array_equal(TemporalShift()(x).numpy(), looped_shift(x.numpy()))


def test_shift_moves_thirds_by_one_frame_forward_backward_and_not_at_all():
    x = torch.zeros(1, 3, 7, 1, 1)
    x[:, :, 3] = 1
    shifted = TemporalShift()(x)
    assert shifted.sum() == 3
    assert [int(shifted[0, c].argmax()) for c in range(3)] == [4, 2, 3]
    ends = TemporalShift()(torch.ones(1, 3, 7, 1, 1))
    assert (ends[0, 0, 0], ends[0, 1, -1]) == (0, 0)
    assert not list(TemporalShift().parameters())


def test_mask_is_equation_4_and_sums_to_half_the_pixels_in_each_frame(features):
    mask = SoftAttentionMask(3).double()
    values = mask(10 * features).detach()
    np.testing.assert_allclose(values.numpy(), looped_mask(mask, 10 * features.numpy()), rtol=1e-10)
    torch.testing.assert_close(values.sum((3, 4)), torch.full((2, 1, 5), 4 * 6 / 2, dtype=torch.float64))


@pytest.mark.parametrize("attention", ["output", "input", "off"])
@pytest.mark.parametrize("shift", [True, False])
def test_block_multiplies_shifted_convolutions_by_the_mask(features, attention, shift):
    block = ready(STASBlock((3, 4, 6), shift, attention=attention, pooling=None))
    moved = looped_shift if shift else np.copy
    middle = looped_conv_block(block.conv1, moved(features.numpy()))
    expected = looped_conv_block(block.conv2, moved(middle))
    if attention != "off":
        expected *= looped_mask(block.mask, middle if attention == "input" else expected)
    np.testing.assert_allclose(block(features).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("pooling", "shape"), [("S", (2, 6, 5, 2, 3)), ("ST", (2, 6, 2, 2, 3)), (None, (2, 6, 5, 4, 6))]
)
def test_block_reduces_time_and_space_by_its_pool(features, pooling, shape):
    assert STASBlock((3, 4, 6), pooling=pooling).double()(features).shape == shape


def test_dropout_acts_only_in_training():
    pool = STASBlock((3, 4, 6), dropout=0.5).pool
    ones = torch.ones(1, 6, 8, 16, 16)
    assert (pool(ones) == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (pool.eval()(ones) == 1).all()


def test_decoder_doubles_time_at_each_stage_and_returns_one_value_per_frame():
    features, skip = torch.rand(2, 6, 5, 2, 3), torch.rand(2, 4, 10, 2, 3)
    assert UpsamplingDecoder(6, stages=0)(features).shape == (2, 5)
    assert UpsamplingDecoder(6, stages=2)(features).shape == (2, 20)
    assert UpsamplingDecoder(6, stages=1, head_width=0, skip_channels=[4])(features, [skip]).shape == (2, 10)


def test_layers_can_be_combined_and_trained():
    network = nn.Sequential(
        DifferenceFusion(6, in_channels=1),
        TemporalShift(),
        nn.Conv3d(6, 8, 1),
        STASBlock((8, 9, 10)),
        UpsamplingDecoder(10, stages=1, head_width=4),
    )
    network(torch.rand(2, 1, 6, 8, 8)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())

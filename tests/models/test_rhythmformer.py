"""RhythmFormer: stem and sparse attention against loops, regions and time scales, export, and its config."""

import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from facepulse.inference.engine import load_engine  # noqa: E402
from facepulse.inference.model_card import ModelCard  # noqa: E402
from facepulse.inference.weights import load_model, save_model  # noqa: E402
from facepulse.models import RhythmFormer, RhythmFormerConfig  # noqa: E402
from facepulse.models.export import export  # noqa: E402
from facepulse.models.rhythmformer import (  # noqa: E402
    Block,
    FusionStem,
    PeriodicSparseAttention,
    TemporalPeriodicTransformer,
)

TINY = {"size": 64, "width": 8, "heads": 2, "depth": 1, "topk": 20}


def random_frames(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def ready(module):
    """The module in float64 and evaluation mode, with random batch statistics."""
    module = module.double().eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm3d):
            for tensor in (layer.running_mean, layer.running_var, layer.weight.data, layer.bias.data):
                tensor.uniform_(0.5, 1.5)
    return module


def looped_layer(layer, frame, stride):
    """Convolution of one frame (C, H, W), batch normalisation and ReLU, value by value."""
    conv, norm = layer[0], layer[1]
    weight = conv.weight.detach().numpy()[:, :, 0]
    side = weight.shape[-1]
    padded = np.pad(frame, [(0, 0), *[(side // 2, side // 2)] * 2])
    out = np.zeros((weight.shape[0], frame.shape[1] // stride, frame.shape[2] // stride))
    for c, i, j in itertools.product(*map(range, out.shape)):
        seen = padded[:, stride * i : stride * i + side, stride * j : stride * j + side]
        value = (seen * weight[c]).sum() + conv.bias[c].item() - norm.running_mean[c].item()
        value = value / np.sqrt(norm.running_var[c].item() + norm.eps) * norm.weight[c].item() + norm.bias[c].item()
        out[c, i, j] = max(value, 0.0)
    return out


def looped_maximum(frame):
    """Maximum of the 3x3 pixels around every second pixel."""
    padded = np.pad(frame, [(0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    out = np.zeros((frame.shape[0], frame.shape[1] // 2, frame.shape[2] // 2))
    for c, i, j in itertools.product(*map(range, out.shape)):
        out[c, i, j] = padded[c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max()
    return out


def test_stem_mixes_raw_frames_into_one_branch_only():
    torch.manual_seed(0)
    stem = ready(FusionStem(2, alpha=0.3, beta=0.9))
    clip = torch.randn(1, 3, 4, 8, 12, dtype=torch.float64)
    frames = clip[0].transpose(0, 1).numpy()
    expected = []
    for t in range(4):
        five = [frames[min(max(t + k, 0), 3)] for k in (-2, -1, 0, 1, 2)]
        steps = np.concatenate([five[k + 1] - five[k] for k in range(4)])
        raw = looped_maximum(looped_layer(stem.stem11, frames[t], 2))
        difference = looped_maximum(looped_layer(stem.stem12, steps, 2))
        mixed = looped_layer(stem.stem21, 0.3 * raw + 0.9 * difference, 1)
        expected.append(0.3 * mixed + 0.9 * looped_layer(stem.stem22, difference, 1))
    found = stem(clip).detach()[0].transpose(0, 1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def looped_attention(layer, x):
    """For each region, find the most similar ones; each of its features attends to all of theirs, per head."""
    query, key, value = (part(x).detach().numpy() for part in (layer.proj_q, layer.proj_k, layer.proj_v))
    width, extents = x.shape[1], layer.region
    starts = [range(0, size, extent) for size, extent in zip(x.shape[2:], extents, strict=True)]
    regions = [
        list(itertools.product(*(range(start, start + extent) for start, extent in zip(corner, extents, strict=True))))
        for corner in itertools.product(*starts)
    ]
    out = np.zeros_like(value)
    size = width // layer.heads
    for b in range(x.shape[0]):
        mean_query, mean_key = (
            np.array([np.mean([part[b, :, *place] for place in places], axis=0) for places in regions])
            for part in (query, key)
        )
        for number, places in enumerate(regions):
            alike = sorted(range(len(regions)), key=lambda other, to=mean_query[number]: -to @ mean_key[other])
            seen = [place for other in alike[: layer.topk] for place in regions[other]]
            for place, head in itertools.product(places, range(layer.heads)):
                own = slice(head * size, (head + 1) * size)
                scores = np.array([query[b, own, *place] @ key[b, own, *other] for other in seen]) / np.sqrt(width)
                shares = np.exp(scores) / np.exp(scores).sum()
                for share, other in zip(shares, seen, strict=True):
                    out[b, own, *place] += share * value[b, own, *other]
    placed = functional.conv3d(layer.proj_v(x), layer.lepe.weight, layer.lepe.bias, padding=1, groups=width)
    weight = layer.output_linear.weight.detach()[:, :, 0, 0, 0]
    mixed = torch.einsum("oc,bcthw->bothw", weight, torch.from_numpy(out) + placed.detach())
    return (mixed + layer.output_linear.bias.detach().reshape(-1, 1, 1, 1)).numpy()


@pytest.mark.parametrize("region", [(2, 2, 2), (1, 1, 2), (1, 2, 1)], ids=str)
@pytest.mark.parametrize("topk", [1, 3, 100])
def test_sparse_attention_equals_a_loop(region, topk):
    torch.manual_seed(0)
    layer = ready(PeriodicSparseAttention(width=4, heads=2, region=region, topk=topk, theta=0.2))
    x = torch.randn(2, 4, 4, 4, 2, dtype=torch.float64)
    np.testing.assert_allclose(layer(x).detach().numpy(), looped_attention(layer, x), rtol=1e-9, atol=1e-12)


def test_region_attends_to_regions_of_the_same_phase():
    layer = PeriodicSparseAttention(width=2, heads=1, region=(1, 1, 1), topk=4, theta=0.2)
    phase = 2 * torch.pi * torch.arange(24) / 6
    rhythm = torch.stack([torch.cos(phase), torch.sin(phase)], dim=1)[None, :, None]  # four periods of six frames
    routes = layer.routes(rhythm, rhythm).sort().values
    assert routes[0].tolist() == [[t % 6 + 6 * period for period in range(4)] for t in range(24)]


def test_regions_are_sixteenths_of_a_frame_over_four_frames():
    assert [Block(RhythmFormerConfig(), scale).attn.region for scale in (2, 4, 8)] == [(2, 2, 2), (1, 2, 2), (1, 2, 2)]
    numbers = []
    for stage, scale in enumerate((2, 4, 8)):
        layer = Block(RhythmFormerConfig(), scale).attn
        features = torch.zeros(1, 64, 160 // scale, 8, 8)
        numbers.append(layer._regions(features).shape[1])
        assert len(RhythmFormer().stages[stage].downsample_layers) == stage + 1
    assert numbers == [640, 640, 320]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_time_scale_returns_the_number_of_frames_of_its_input(scale):
    stage = TemporalPeriodicTransformer(RhythmFormerConfig(**TINY), scale).eval()
    lengths = []
    stage.blocks[0].register_forward_hook(lambda _, given, __: lengths.append(given[0].shape[2]))
    assert stage(torch.rand(1, 8, 16, 4, 4)).shape == (1, 8, 16, 4, 4)
    assert lengths == [16 // scale]


@pytest.mark.parametrize(("stages", "multiple"), [(1, 4), (2, 4), (3, 8)])
def test_multiple_follows_from_the_stages(stages, multiple):
    network = RhythmFormer(RhythmFormerConfig(**(TINY | {"stages": stages}))).eval()
    assert network.multiple == multiple
    assert network(random_frames(1, 3, multiple, 64, 64)).shape == (1, multiple)
    with pytest.raises(ValueError, match=f"frames must hold a multiple of {multiple} frames"):
        network(random_frames(1, 3, multiple + 2, 64, 64))


def with_statistics_of(network, frames):
    """The network in evaluation mode with the batch statistics of these frames, without which all regions are alike."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(frames)
    return network.eval()


# With four heads and regions of four features, OpenVINO once confused the two axes.
@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [TINY, {"size": 128, "width": 64, "heads": 4, "stages": 2, "depth": 1, "topk": 30}], ids=str
)
def test_exported_network_accepts_clips_with_fewer_and_with_more_regions_than_it_attends_to(config, tmp_path: Path):
    torch.manual_seed(0)
    network = with_statistics_of(RhythmFormer(RhythmFormerConfig(**config)), random_frames(2, 3, 16, 64, 64, seed=1))
    card = ModelCard(
        name="tiny",
        network="rhythmformer",
        config=config,
        multiple=network.multiple,
        frames=32,
        size=64,
        margin=0.0,
        fps=30.0,
        normalisation=network.normalisation,
        training_data="none",
        protocol="none",
        scores={},
        licence="Apache-2.0",
    )
    save_model(network, card, tmp_path / "x.safetensors")
    assert load_model(tmp_path / "x.safetensors").config == network.config
    assert export(tmp_path / "x.safetensors", tmp_path / "x.onnx") < 1e-4
    # From 16 regions, on the third time scale of the first clip, to 160.
    for engine, shape in itertools.product(
        ("openvino", "onnxruntime", "torch"), [(1, 8, 64, 64, 3), (3, 16, 45, 33, 3), (1, 40, 64, 64, 3)]
    ):
        frames = random_frames(*shape)
        with torch.inference_mode():
            expected = network(frames.permute(0, 4, 1, 2, 3)).numpy()
        found = load_engine(tmp_path / "x.onnx", engine, precision="f32").backend(frames.numpy())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.std(), err_msg=f"{engine} {shape}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 72}, "size must be a multiple of 64 pixels, not 72"),
        ({"size": 0}, "size must be a multiple of 64 pixels, not 0"),
        ({"heads": 5}, "width must be a multiple of heads, not 64 for 5 heads"),
        ({"topk": 0}, "topk must be at least 1, not 0"),
        ({"expansion": 0.0}, "expansion must leave a hidden channel, not 0 of 64"),
        ({"stages": 3.0}, "stages must be of type int"),
    ],
)
def test_config_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        RhythmFormerConfig(**fields)

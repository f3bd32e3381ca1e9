"""physFSUNet: number of parameters, ablations, config, and that it can be trained."""

import dataclasses
import math

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from facepulse.inference.registry import NETWORKS  # noqa: E402
from facepulse.models import PhysFSUNet, PhysFSUNetConfig  # noqa: E402
from facepulse.training.losses import negative_pearson  # noqa: E402

TINY = PhysFSUNetConfig(stem_width=6, width=12, head_width=8)


def parameters(**fields):
    return sum(parameter.numel() for parameter in PhysFSUNet(PhysFSUNetConfig(**fields)).parameters())


def macs(network, *shape):
    """Multiply-accumulates of all convolutions for uint8 frames of this shape, counted by hooks on the meta device."""
    counted = 0

    def count(layer, inputs, output):
        nonlocal counted
        uses = inputs[0] if isinstance(layer, nn.ConvTranspose3d) else output
        counted += uses.shape[0] * uses.shape[2:].numel() * layer.weight.numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv3d | nn.ConvTranspose3d):
            layer.register_forward_hook(count)
    network.to("meta")(torch.empty(shape, dtype=torch.uint8, device="meta"))
    return counted


def random_frames(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_parameters_and_multiply_accumulates_of_the_designs():
    figures = NETWORKS["physfsunet"].figures
    assert parameters() == figures.parameters  # F2
    assert parameters(head_width=0) == 812_229  # F1
    assert parameters(head_width=0, skips=True) == 828_997  # F7
    assert macs(PhysFSUNet(), 1, 3, 160, 128, 128) == pytest.approx(1e9 * figures.gmacs, rel=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"input": "raw"},
        {"input": "difference"},
        {"shift": False},
        {"attention": "off"},
        {"attention": "input"},
        {"stem_depth": 5, "fusion_depth": 3},
        {"conv_depth": 1},
        {"pooling": "ST-S-S-ST", "skips": True},
        {"pooling": "S-S-S-S"},
        {"skips": True},
        {"head_width": 0},
    ],
    ids=str,
)
def test_every_option_runs_and_trains(fields):
    network = PhysFSUNet(dataclasses.replace(TINY, **fields))
    waveform = network(random_frames(2, 3, 16, 36, 45))
    assert waveform.shape == (2, 16)
    waveform.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_ablations_of_tables_iv_to_vi_change_the_parameters_that_they_name():
    assert parameters(shift=False) == parameters()  # the shift has no parameters
    assert parameters(attention="off") == parameters() - 4 * 65
    assert parameters(input="raw") == parameters() - 9_696 - 9_312
    assert parameters(input="difference") == parameters() - 2_496 - 9_312


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": "diff"}, "input must be one of fusion, raw, difference, not 'diff'"),
        ({"attention": True}, "attention must be one of output, input, off, not True"),
        ({"pooling": "S-ST-ST"}, "pooling must name four pools, .* not 'S-ST-ST'"),
        ({"pooling": "S-ST-T-S"}, "each S or ST"),
        ({"conv_depth": 2}, "conv_depth must be a positive odd number of frames, not 2"),
        ({"width": 1}, "width at least 2"),
        ({"dropout": 1.0}, "dropout must be a probability below 1, not 1"),
    ],
)
def test_config_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PhysFSUNetConfig(**fields)


def pulsing_clips(clips=4, time=48, size=32, fps=30.0):
    """Noisy faces with a pulse of 0.8 grey levels under light that drifts by ten, and the pulses."""
    generator = torch.Generator().manual_seed(3)
    seconds = torch.arange(time) / fps
    bpm = torch.tensor([55.0, 75.0, 95.0, 120.0])[:clips, None]
    pulse = torch.sin(2 * math.pi * (bpm / 60 * seconds + torch.rand(clips, 1, generator=generator)))
    drift = 10 * torch.sin(2 * math.pi * (0.1 * seconds + torch.rand(clips, 1, generator=generator)))
    face = torch.zeros(size, size)
    face[4:-4, 8:-8] = 1
    colour = torch.tensor([0.4, 0.8, 0.5]).reshape(1, 3, 1, 1, 1)
    change = drift[:, None, :, None, None] + pulse[:, None, :, None, None] * face * colour
    noise = 2 * torch.randn(clips, 3, time, size, size, generator=generator)
    return (60 + 80 * face + change + noise).round().clamp(0, 255).to(torch.uint8), pulse


@pytest.mark.slow
def test_small_network_overfits_four_clips():
    torch.manual_seed(0)
    frames, pulse = pulsing_clips()
    network = PhysFSUNet(dataclasses.replace(TINY, dropout=0.0))
    steps = 40
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        negative_pearson(network(frames), pulse).backward()
        optimizer.step()
        schedule.step()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.momentum = 1.0  # forty steps are too few for running statistics to converge
    with torch.no_grad():
        network(frames)
        assert 1 - negative_pearson(network.eval()(frames), pulse) > 0.95

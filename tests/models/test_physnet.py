"""PhysNet: released weights, and the modules of physFSUNet as options."""

import math

import pytest

torch = pytest.importorskip("torch")

from facepulse.models import PhysNet, PhysNetConfig  # noqa: E402
from facepulse.rppg.protocols import PROTOCOLS  # noqa: E402
from facepulse.rppg.spectrum import heart_rate  # noqa: E402


@pytest.mark.parametrize(
    ("config", "extra"),
    [
        (PhysNetConfig(fusion=True), 4_848 + 2 * (16 * 16 * 9 + 3 * 16)),  # stem12, stem21, stem22
        (PhysNetConfig(shift=True), 0),
        (PhysNetConfig(attention=True), 4 * 65),
        (PhysNetConfig(fusion=True, shift=True, attention=True), 4_848 + 2 * (16 * 16 * 9 + 3 * 16) + 4 * 65),
    ],
    ids=str,
)
def test_each_module_is_an_option_of_the_config(config, extra):
    torch.manual_seed(0)
    network, plain = PhysNet(config), PhysNet()
    assert sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in plain.parameters()) == extra
    frames = torch.randint(0, 128, (2, 3, 16, 36, 36), dtype=torch.uint8)
    waveform = network(frames)
    assert waveform.shape == (2, 16)
    waveform.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    plain.load_state_dict(network.state_dict(), strict=False)
    if not config.fusion:
        assert not torch.allclose(plain.eval()(frames), network.eval()(frames))  # the same weights, another network


@pytest.mark.slow
@pytest.mark.parametrize("bpm", [55, 72, 95, 120])
def test_released_weights_measure_a_face_with_a_pulse(shared_data, bpm):
    network = PhysNet().eval()
    path = shared_data / "toolbox_weights" / "UBFC-rPPG_PhysNet_DiffNormalized.pth"
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    seconds = torch.arange(128) / 30
    beat = torch.sin(2 * math.pi * bpm / 60 * seconds).reshape(1, 1, -1, 1, 1)
    colour = torch.tensor([150.0, 110.0, 90.0]).reshape(1, 3, 1, 1, 1)
    strength = torch.tensor([0.005, 0.01, 0.006]).reshape(1, 3, 1, 1, 1)
    face = torch.zeros(72, 72)
    face[10:-10, 16:-16] = 1
    noise = torch.randn(1, 3, 128, 72, 72, generator=torch.Generator().manual_seed(0))
    frames = (40 * (1 - face) + colour * face * (1 + strength * beat) + noise).clamp(0, 255)
    with torch.no_grad():
        waveform = network(frames)[0]
    assert heart_rate(waveform.numpy(), 30, PROTOCOLS["facepulse"]) == pytest.approx(bpm, abs=1)

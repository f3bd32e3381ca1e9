"""PhysFormer: the toolbox's names and size, its attention against loops, and the contract of networks."""

import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facepulse.inference.engine import load_engine  # noqa: E402
from facepulse.inference.model_card import ModelCard  # noqa: E402
from facepulse.inference.weights import load_model, save_model  # noqa: E402
from facepulse.models import PhysFormer, PhysFormerConfig  # noqa: E402
from facepulse.models.export import export  # noqa: E402
from facepulse.models.physformer import Block, TemporalDifferenceAttention  # noqa: E402

TINY = {"size": 64, "width": 8, "hidden": 12, "heads": 2, "depth": 1}


def random_frames(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def batch_norm(name, channels):
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def toolbox_layout():
    """Name and shape of every tensor in a PhysFormer checkpoint of rPPG-Toolbox."""
    shapes = {}
    for i, (before, after, kernel) in enumerate([(3, 24, (1, 5, 5)), (24, 48, (3, 3, 3)), (48, 96, (3, 3, 3))]):
        shapes |= {f"Stem{i}.0.weight": (after, before, *kernel), f"Stem{i}.0.bias": (after,)}
        shapes |= batch_norm(f"Stem{i}.1", after)
    shapes |= {"patch_embedding.weight": (96, 96, 4, 4, 4), "patch_embedding.bias": (96,)}
    for group, i in itertools.product((1, 2, 3), range(4)):
        block = f"transformer{group}.blocks.{i}"
        for part in ("q", "k"):
            shapes |= {f"{block}.attn.proj_{part}.0.conv.weight": (96, 96, 3, 3, 3)}
            shapes |= batch_norm(f"{block}.attn.proj_{part}.1", 96)
        shapes |= {f"{block}.attn.proj_v.0.weight": (96, 96, 1, 1, 1)}
        shapes |= {f"{block}.proj.weight": (96, 96), f"{block}.proj.bias": (96,)}
        shapes |= {f"{block}.{norm}.{part}": (96,) for norm in ("norm1", "norm2") for part in ("weight", "bias")}
        shapes |= {f"{block}.pwff.fc1.0.weight": (144, 96, 1, 1, 1), **batch_norm(f"{block}.pwff.fc1.1", 144)}
        shapes |= {f"{block}.pwff.STConv.0.weight": (144, 1, 3, 3, 3), **batch_norm(f"{block}.pwff.STConv.1", 144)}
        shapes |= {f"{block}.pwff.fc2.0.weight": (96, 144, 1, 1, 1), **batch_norm(f"{block}.pwff.fc2.1", 96)}
    for name, after in (("upsample", 96), ("upsample2", 48)):
        shapes |= {f"{name}.1.weight": (after, 96, 3, 1, 1), f"{name}.1.bias": (after,)}
        shapes |= batch_norm(f"{name}.2", after)
    return shapes | {"ConvBlockLast.weight": (1, 48, 1), "ConvBlockLast.bias": (1,)}


def test_a_state_dict_of_the_toolbox_loads_as_it_is():
    layout = toolbox_layout()
    assert len(layout) == 483
    state = {name: torch.rand(shape) if shape else torch.tensor(7) for name, shape in layout.items()}
    network = PhysFormer()
    network.load_state_dict(state, strict=True)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert sum(parameter.numel() for parameter in network.parameters()) == 7_380_865


def test_a_checkpoint_is_recognised(tmp_path: Path):
    state = {name: torch.rand(shape) if shape else torch.tensor(7) for name, shape in toolbox_layout().items()}
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "x.pth")
    loaded = load_model(tmp_path / "x.pth")
    assert isinstance(loaded, PhysFormer)
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def test_attention_is_the_loop():
    torch.manual_seed(0)
    layer = TemporalDifferenceAttention(width=6, heads=2, theta=0.7, temperature=2.0).double().eval()
    x = torch.randn(2, 6, 3, 2, 2, dtype=torch.float64)
    query, key, value = (part(x).detach().flatten(2).numpy() for part in (layer.proj_q, layer.proj_k, layer.proj_v))
    expected = np.zeros((2, 6, 12))
    for b, head, i in itertools.product(range(2), range(2), range(12)):
        own = slice(3 * head, 3 * head + 3)
        scores = np.exp([query[b, own, i] @ key[b, own, j] / 2.0 for j in range(12)])
        for j in range(12):
            expected[b, own, i] += scores[j] / scores.sum() * value[b, own, j]
    np.testing.assert_allclose(layer(x).detach().flatten(2).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_a_block_adds_attention_and_then_feed_forward_to_what_it_reads():
    torch.manual_seed(0)
    block = Block(PhysFormerConfig(**TINY)).double().eval()
    tubes = torch.randn(2, 3, 2, 2, 8, dtype=torch.float64)

    def normalised(x):
        centred = x - x.mean(-1, keepdim=True)
        return (centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()).permute(0, 4, 1, 2, 3)

    attended = block.attn(normalised(tubes)).permute(0, 2, 3, 4, 1) @ block.proj.weight.T + block.proj.bias
    expected = tubes + attended
    expected = expected + block.pwff(normalised(expected)).permute(0, 2, 3, 4, 1)
    torch.testing.assert_close(block(tubes), expected)


def test_dropout_acts_in_training_alone():
    block, tubes = Block(PhysFormerConfig(**TINY, dropout=0.5)), torch.randn(1, 2, 2, 2, 8)
    assert not torch.equal(block(tubes), block(tubes))
    block.eval()
    assert torch.equal(block(tubes), block(tubes))


@pytest.mark.parametrize(("time", "height", "width"), [(4, 32, 32), (20, 45, 33), (8, 128, 128)])
def test_any_size_from_32_and_any_multiple_of_four_frames(time, height, width):
    network = PhysFormer(PhysFormerConfig(**TINY)).eval()
    waveform = network(random_frames(2, 3, time, height, width))
    assert waveform.shape == (2, time)
    assert waveform.dtype == torch.float32


def test_the_toolbox_cuts_40x4x4_tubes():
    network, lengths = PhysFormer(PhysFormerConfig(width=8, heads=2, depth=1)).eval(), []
    network.transformer1.register_forward_hook(lambda _, given, __: lengths.append(given[0].shape))
    with torch.no_grad():
        network(random_frames(1, 3, 160, 72, 72))
    assert lengths == [(1, 40, 4, 4, 8)]


def test_clips_do_not_touch_each_other():
    network = PhysFormer(PhysFormerConfig(**TINY)).eval()
    frames = random_frames(3, 3, 12, 40, 40)
    torch.testing.assert_close(network(frames)[:1], network(frames[:1]))


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = PhysFormer(PhysFormerConfig(**TINY))
    network(random_frames(2, 3, 16, 64, 64)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    assert network.transformer1.blocks[0].attn.proj_q[0].conv.weight.grad.abs().max() > 0


@pytest.mark.slow
def test_exported_it_reads_batches_of_clips_of_any_length_and_size_alike(tmp_path: Path):
    torch.manual_seed(0)
    network = PhysFormer(PhysFormerConfig(**TINY)).eval()
    card = ModelCard(
        name="tiny",
        network="physformer",
        config=TINY,
        multiple=network.multiple,
        frames=16,
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
    for engine, shape in itertools.product(
        ("openvino", "onnxruntime", "torch"), [(1, 8, 32, 32, 3), (3, 20, 45, 33, 3)]
    ):
        frames = random_frames(*shape)
        with torch.inference_mode():
            expected = network(frames.permute(0, 4, 1, 2, 3)).numpy()
        found = load_engine(tmp_path / "x.onnx", engine, precision="f32").backend(frames.numpy())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.std(), err_msg=f"{engine} {shape}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 80}, "size must be a multiple of 32 pixels, not 80"),
        ({"width": 95}, "width must be a multiple of 4 and of heads, not 95 for 4 heads"),
        ({"heads": 5}, "not 96 for 5 heads"),
        ({"heads": 0}, "hidden, heads and depth must be at least 1, not 144, 0 and 4"),
        ({"temperature": 0.0}, "temperature must be positive, not 0"),
        ({"dropout": 1.0}, "dropout must be a probability below 1, not 1"),
        ({"depth": 4.0}, "depth must be of type int"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PhysFormerConfig(**fields)

"""PhysFormer: attention and blocks against loops, tubes, and its config."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facepulse.models import PhysFormer, PhysFormerConfig  # noqa: E402
from facepulse.models.physformer import Block, TemporalDifferenceAttention  # noqa: E402

TINY = {"size": 64, "width": 8, "hidden": 12, "heads": 2, "depth": 1}


def random_frames(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_attention_equals_a_loop():
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


def test_block_adds_attention_and_then_feed_forward_to_its_input():
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


def test_dropout_acts_only_in_training():
    block, tubes = Block(PhysFormerConfig(**TINY, dropout=0.5)), torch.randn(1, 2, 2, 2, 8)
    assert not torch.equal(block(tubes), block(tubes))
    block.eval()
    assert torch.equal(block(tubes), block(tubes))


@pytest.mark.slow
def test_160_frames_give_40x4x4_tubes():
    network, lengths = PhysFormer(PhysFormerConfig(width=8, heads=2, depth=1)).eval(), []
    network.transformer1.register_forward_hook(lambda _, given, __: lengths.append(given[0].shape))
    with torch.no_grad():
        network(random_frames(1, 3, 160, 72, 72))
    assert lengths == [(1, 40, 4, 4, 8)]


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
def test_config_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PhysFormerConfig(**fields)

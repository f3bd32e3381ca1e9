"""Attention masks of networks, averaged over clips and drawn over a face."""

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from facepulse.errors import UsageError  # noqa: E402
from facepulse.models import DeepPhys, DeepPhysConfig, PhysFSUNet, PhysFSUNetConfig, PhysNet, PhysNetConfig  # noqa: E402
from facepulse.models.layers import SoftAttentionMask  # noqa: E402
from facepulse.studies.attention import attention_maps, plot_attention  # noqa: E402

TINY = {"stem_width": 6, "width": 12, "head_width": 8}


def clip(frames: int = 8, size: int = 36) -> np.ndarray:
    """Bright rectangle in the middle of a dark, noisy background."""
    rng = np.random.default_rng(0)
    frames_rgb = rng.integers(0, 40, (frames, size, size, 3), dtype=np.uint8)
    frames_rgb[:, 8:28, 10:26] += np.array([170, 130, 110], np.uint8)
    return frames_rgb


class BrightnessAttention(nn.Module):
    """Network whose only mask weights bright pixels, at a quarter of the size of the frames."""

    multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.mask = SoftAttentionMask(3)
        nn.init.constant_(self.mask.conv.weight, 0.05)
        nn.init.constant_(self.mask.conv.bias, -15.0)

    def forward(self, frames):
        return self.mask(nn.functional.avg_pool3d(frames.float(), (1, 4, 4))).mean((1, 3, 4))


def test_each_mask_becomes_a_map_of_mean_one_at_the_size_of_the_clip() -> None:
    network = PhysFSUNet(PhysFSUNetConfig(**TINY))
    maps = attention_maps(network, clip())
    assert [(each.height, each.width) for each in maps] == [(18, 18), (9, 9), (4, 4), (2, 2)]
    for each in maps:
        assert each.weights.shape == (36, 36)
        assert each.weights.min() > 0
        assert each.weights.mean() == pytest.approx(1.0, abs=0.02)
    assert network.training, "the mode of the network has changed"
    assert not any(module._forward_hooks for module in network.modules())


def test_map_is_highest_at_the_attended_pixels() -> None:
    bright = np.zeros((4, 34, 34, 3), np.uint8)
    bright[:, 4:8, 20:28] = 255
    (attention,) = attention_maps(BrightnessAttention().eval(), bright)
    assert (attention.height, attention.width) == (8, 8)
    where = np.argwhere(attention.weights > 0.5 * attention.weights.max())
    assert where.min(0) == pytest.approx([4, 20], abs=1)
    assert where.max(0) == pytest.approx([7, 27], abs=1)
    assert attention.weights.mean() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("scale", [1, 2])
def test_map_of_a_network_that_resizes_frames_is_highest_at_the_attended_pixels(scale: int) -> None:
    network = DeepPhys(DeepPhysConfig(width=4, hidden=4))
    for block in network.appearance:
        for conv in (block.conv1, block.conv2):
            nn.init.zeros_(conv.bias)
            nn.init.zeros_(conv.weight)
            conv.weight.data[:, :, 0, 1, 1] = 1 / conv.in_channels  # passes its input through
    for mask in network.masks:
        nn.init.constant_(mask.conv.weight, 5.0 / mask.conv.in_channels)
        nn.init.constant_(mask.conv.bias, -3.0)
    for top, left in ((8, 40), (56, 4)):
        patch = np.zeros((4, 72 * scale, 72 * scale, 3), np.uint8)
        patch[:, top * scale : (top + 8) * scale, left * scale : (left + 8) * scale] = 255
        maps = attention_maps(network, patch)
        assert [(each.height, each.width) for each in maps] == [(70, 70), (33, 33)]
        for each in maps:
            assert each.weights.shape == patch.shape[1:3]
            where = np.argwhere(each.weights > 0.5 * each.weights.max()).mean(0)
            assert where == pytest.approx([(top + 3.5) * scale, (left + 3.5) * scale], abs=0.7 * scale)


def test_map_is_the_mean_over_time() -> None:
    moving = np.zeros((4, 32, 32, 3), np.uint8)
    moving[:2, 4:8, 4:8] = 255
    moving[2:, 4:8, 24:28] = 255
    (attention,) = attention_maps(BrightnessAttention().eval(), moving)
    np.testing.assert_allclose(attention.weights, attention.weights[:, ::-1], rtol=1e-4)
    # Frames beyond the last multiple are dropped.
    (longer,) = attention_maps(BrightnessAttention().eval(), np.concatenate([moving, moving[:1]]))
    np.testing.assert_array_equal(longer.weights, attention.weights)


def test_figure_has_one_row_with_panels_for_the_mean_frame_and_for_each_mask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "attention.png"
    plot_attention(PhysNet(PhysNetConfig(attention=True)), clip(), path)
    image = cv2.imread(str(path))
    height, width, _ = image.shape
    assert width / height == pytest.approx((2.4 * 5 + 0.9) / 2.7, rel=0.01)
    drawn = (image < 255).any((0, 2))  # columns that are not white
    edges = np.flatnonzero(np.diff(drawn.astype(int), prepend=0, append=0))
    widths = edges[1::2] - edges[::2]
    assert np.count_nonzero(widths > height / 2) == 5, "expected a face and four masks, beside the narrow colour bar"
    assert [entry.name for entry in path.parent.iterdir()] == ["attention.png"]


@pytest.mark.parametrize("network", [PhysNet(), PhysFSUNet(PhysFSUNetConfig(**TINY, attention="off"))])
def test_network_without_masks_is_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{type(network).__name__} has no attention masks"):
        plot_attention(network, clip(), tmp_path / "attention.png")
    assert not list(tmp_path.iterdir())


def test_clip_that_the_network_does_not_accept_is_refused_and_leaves_no_hook() -> None:
    network = PhysFSUNet(PhysFSUNetConfig(**TINY))
    for wrong, message in ((clip(3), "multiple of 4 frames"), (clip()[:, 4:, 4:][:, :31, :31], "at least 32x32")):
        with pytest.raises(ValueError, match=message):
            attention_maps(network, wrong)
        assert network.training
        assert not any(module._forward_hooks for module in network.modules())

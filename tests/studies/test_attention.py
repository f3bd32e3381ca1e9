"""Where a network looks, drawn over a face."""

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
    """A face in the middle of darkness, and noise."""
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 40, (frames, size, size, 3), dtype=np.uint8)
    shown[:, 8:28, 10:26] += np.array([170, 130, 110], np.uint8)
    return shown


class Looks(nn.Module):
    """Weighs what is bright, at a quarter of the size."""

    multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.mask = SoftAttentionMask(3)
        nn.init.constant_(self.mask.conv.weight, 0.05)
        nn.init.constant_(self.mask.conv.bias, -15.0)

    def forward(self, frames):
        return self.mask(nn.functional.avg_pool3d(frames.float(), (1, 4, 4))).mean((1, 3, 4))


def test_each_mask_of_a_network_is_a_map_of_mean_one_at_the_clips_size() -> None:
    network = PhysFSUNet(PhysFSUNetConfig(**TINY))
    maps = attention_maps(network, clip())
    assert [(each.height, each.width) for each in maps] == [(18, 18), (9, 9), (4, 4), (2, 2)]
    for each in maps:
        assert each.weights.shape == (36, 36)
        assert each.weights.min() > 0
        assert each.weights.mean() == pytest.approx(1.0, abs=0.02)
    assert network.training, "left in its own mode"
    assert not any(module._forward_hooks for module in network.modules())


def test_a_map_lies_where_the_network_looks() -> None:
    bright = np.zeros((4, 34, 34, 3), np.uint8)
    bright[:, 4:8, 20:28] = 255
    (seen,) = attention_maps(Looks().eval(), bright)
    assert (seen.height, seen.width) == (8, 8)
    where = np.argwhere(seen.weights > 0.5 * seen.weights.max())
    assert where.min(0) == pytest.approx([4, 20], abs=1)
    assert where.max(0) == pytest.approx([7, 27], abs=1)
    assert seen.weights.mean() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_map_lies_where_a_network_of_one_frame_size_looks(scale: int) -> None:
    network = DeepPhys(DeepPhysConfig(width=4, hidden=4))
    for part in network.appearance:
        for conv in (part.conv1, part.conv2):
            nn.init.zeros_(conv.bias)
            nn.init.zeros_(conv.weight)
            conv.weight.data[:, :, 0, 1, 1] = 1 / conv.in_channels  # hands its input on, pixel by pixel
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


def test_a_map_is_the_mean_over_time() -> None:
    moving = np.zeros((4, 32, 32, 3), np.uint8)
    moving[:2, 4:8, 4:8] = 255
    moving[2:, 4:8, 24:28] = 255
    (seen,) = attention_maps(Looks().eval(), moving)
    np.testing.assert_allclose(seen.weights, seen.weights[:, ::-1], rtol=1e-4)
    # Frames beyond the last multiple are left out.
    (longer,) = attention_maps(Looks().eval(), np.concatenate([moving, moving[:1]]))
    np.testing.assert_array_equal(longer.weights, seen.weights)


def test_the_picture_is_one_row_with_a_panel_for_the_face_and_for_each_mask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "attention.png"
    plot_attention(PhysNet(PhysNetConfig(attention=True)), clip(), path)
    picture = cv2.imread(str(path))
    height, width, _ = picture.shape
    assert width / height == pytest.approx((2.4 * 5 + 0.9) / 2.7, rel=0.01)
    drawn = (picture < 255).any((0, 2))  # a column with anything in it
    edges = np.flatnonzero(np.diff(drawn.astype(int), prepend=0, append=0))
    widths = edges[1::2] - edges[::2]
    assert np.count_nonzero(widths > height / 2) == 5, "a face and four masks, beside a narrow bar of colours"
    assert [entry.name for entry in path.parent.iterdir()] == ["attention.png"]


@pytest.mark.parametrize("network", [PhysNet(), PhysFSUNet(PhysFSUNetConfig(**TINY, attention="off"))])
def test_a_network_without_masks_is_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{type(network).__name__} has no attention masks"):
        plot_attention(network, clip(), tmp_path / "attention.png")
    assert not list(tmp_path.iterdir())


def test_a_clip_that_the_network_cannot_read_is_refused_and_leaves_no_hook() -> None:
    network = PhysFSUNet(PhysFSUNetConfig(**TINY))
    for wrong, message in ((clip(3), "multiple of 4 frames"), (clip()[:, 4:, 4:][:, :31, :31], "at least 32x32")):
        with pytest.raises(ValueError, match=message):
            attention_maps(network, wrong)
        assert network.training
        assert not any(module._forward_hooks for module in network.modules())

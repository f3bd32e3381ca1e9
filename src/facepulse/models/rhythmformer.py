"""RhythmFormer (Zou et al., arXiv 2402.12788): sparse attention between similar regions of a clip.

Each region of a clip attends only to the forty most similar ones, which for a pulse are those of the same phase:
bi-level routing (Zhu et al., BiFormer, CVPR 2023) over time, on three time scales in sequence.

Layers are named as in rPPG-Toolbox. Its released weights hold one more layer per attention, `qkv_linear`, on which no
output depends: 74,880 parameters. It would get no gradient and is left out here, which gives the 3.25M parameters of
the paper; `facepulse.inference.toolbox` skips it when such weights are loaded.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepulse.models.config import check_types
from facepulse.models.frames import check_frames, resize, standardise_together
from facepulse.models.layers import conv_block, frame_differences
from facepulse.models.transformers import TemporalDifferenceConv, repeat_time

GRID = 4  # regions along height and along width
STRIDE = 16  # pixels of a frame per feature


@dataclass(frozen=True)
class RhythmFormerConfig:
    """Config of RhythmFormer; the default is the paper's.

    Attributes:
        size: frames are resized to this height and width. A region is a quarter of the height by a quarter of the
            width, in features of 16 pixels, so that the size is a multiple of 64.
        width: channels of the features, a multiple of `heads`.
        heads: of the attention.
        stages: time scales; the i-th halves time i times.
        depth: blocks in each stage.
        expansion: hidden channels of the feed-forward layers over `width`.
        theta: weight of the temporal difference in queries and keys.
        topk: number of regions to which each region attends; all if a clip has fewer.
        alpha: weight of the raw branch and of the mixed branch in the fusion stem.
        beta: weight of the difference branch in the fusion stem.
    """

    size: int = 128
    width: int = 64
    heads: int = 4
    stages: int = 3
    depth: int = 2
    expansion: float = 1.5
    theta: float = 0.2
    topk: int = 40
    alpha: float = 0.5
    beta: float = 0.5

    def __post_init__(self) -> None:
        """Check all values; no network can be built with others."""
        check_types(self)
        if self.size < GRID * STRIDE or self.size % (GRID * STRIDE):
            raise ValueError(f"size must be a multiple of {GRID * STRIDE} pixels, not {self.size}")
        for name in ("heads", "stages", "depth", "topk"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.width < 1 or self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, not {self.width} for {self.heads} heads")
        if self.expansion * self.width < 1:
            raise ValueError(f"expansion must leave a hidden channel, not {self.expansion:g} of {self.width}")


class RhythmFormer(nn.Module):
    """RhythmFormer.

    Args:
        config: see `RhythmFormerConfig`.

    Attributes:
        config: as given.
        multiple: the number of frames must be a multiple of this.
        normalisation: of the frames inside the network, in words.
    """

    def __init__(self, config: RhythmFormerConfig = RhythmFormerConfig()) -> None:
        super().__init__()
        self.config = config
        self.normalisation = f"{config.size}x{config.size} pixels; each clip to zero mean and unit variance"
        scales = [2 ** (i + 1) for i in range(config.stages)]
        self.multiple = max(4, scales[-1])  # regions of the first scale have two of its halved frames
        self.Fusion_Stem = FusionStem(config.width, config.alpha, config.beta)
        self.patch_embedding = nn.Conv3d(config.width, config.width, (1, 4, 4), stride=(1, 4, 4))
        self.stages = nn.ModuleList(TemporalPeriodicTransformer(config, scale) for scale in scales)
        self.ConvBlockLast = nn.Conv1d(config.width, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the waveform of each clip.

        Args:
            frames: (B, 3, T, H, W) RGB in 0..255, any dtype; T a multiple of `multiple`, H and W at least 32, best
                `config.size`.

        Returns:
            (B, T) float32 blood volume pulse, arbitrary unit and offset.

        Raises:
            ValueError: `frames` is of another shape or range.
        """
        check_frames(frames, self.multiple)
        x = self.Fusion_Stem(standardise_together(resize(frames, self.config.size)))
        x = self.patch_embedding(x)
        for stage in self.stages:
            x = stage(x)
        waveform: Tensor = self.ConvBlockLast(x.mean((3, 4)))
        return waveform.squeeze(1).float()


class FusionStem(nn.Module):
    """Fusion of frames and their differences at a quarter of the size: the paper's fusion stem.

    ``D = stem12(differences)``, ``R = stem11(frames)``, ``α stem21(α R + β D) + β stem22(D)``; all per frame.

    Args:
        width: channels of the output.
        alpha: weight of the raw branch.
        beta: weight of the difference branch.
    """

    def __init__(self, width: int, alpha: float = 0.5, beta: float = 0.5) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.stem11 = _to_a_quarter(3, width)
        self.stem12 = _to_a_quarter(12, width)
        self.stem21 = conv_block(width, width, (1, 3, 3))
        self.stem22 = conv_block(width, width, (1, 3, 3))

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, 3, T, H, W) to (B, width, T, H/4, W/4)."""
        difference = self.stem12(frame_differences(frames))
        mixed = self.alpha * self.stem11(frames) + self.beta * difference
        fused: Tensor = self.alpha * self.stem21(mixed) + self.beta * self.stem22(difference)
        return fused


class TemporalPeriodicTransformer(nn.Module):
    """Blocks of attention on one time scale: time is halved to that scale and doubled again afterwards.

    Args:
        config: of the network.
        scale: number of frames per feature, a power of two.
    """

    def __init__(self, config: RhythmFormerConfig, scale: int) -> None:
        super().__init__()
        halvings = scale.bit_length() - 1
        self.downsample_layers = nn.ModuleList(_halve_time(config.width) for _ in range(halvings))
        self.blocks = nn.ModuleList(Block(config, scale) for _ in range(config.depth))
        self.upsample_layers = nn.ModuleList(repeat_time(config.width, config.width) for _ in range(halvings))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to the same shape; T a multiple of the scale."""
        for layer in (*self.downsample_layers, *self.blocks, *self.upsample_layers):
            x = layer(x)
        return x


class Block(nn.Module):
    """Sparse attention, then convolutional feed-forward, each with a residual connection."""

    def __init__(self, config: RhythmFormerConfig, scale: int) -> None:
        super().__init__()
        width, hidden = config.width, int(config.expansion * config.width)
        # Features of 2x2 pixels over four frames of the clip, or as close to four as the scale permits.
        side = config.size // STRIDE // GRID
        region = (max(4 // scale, 1), side, side)
        self.norm1 = nn.BatchNorm3d(width)
        self.attn = PeriodicSparseAttention(width, config.heads, region, config.topk, config.theta)
        self.norm2 = nn.BatchNorm3d(width)
        self.mlp = nn.Sequential(
            nn.Conv3d(width, hidden, 1),
            nn.BatchNorm3d(hidden),
            nn.GELU(),
            nn.Conv3d(hidden, hidden, 3, padding=1),
            nn.BatchNorm3d(hidden),
            nn.GELU(),
            nn.Conv3d(hidden, width, 1),
            nn.BatchNorm3d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to the same shape."""
        x = x + self.attn(self.norm1(x))
        fed: Tensor = self.mlp(self.norm2(x))
        return x + fed


class PeriodicSparseAttention(nn.Module):
    """Attention of the features in a region to those in the most similar regions of the whole clip.

    Regions are compared by the scalar product of their mean query and mean key, over all heads, without gradient; then
    each head computes ``softmax(Q Kᵀ / √width) V``. Positions enter by a depthwise convolution of the values.

    Args:
        width: channels of the features.
        heads: contiguous groups of channels.
        region: its size in time, height and width; the sizes of the features must be multiples of it.
        topk: number of regions to attend to; all if there are fewer.
        theta: of the temporal difference convolutions that give queries and keys.
    """

    def __init__(self, width: int, heads: int, region: tuple[int, int, int], topk: int, theta: float) -> None:
        super().__init__()
        self.heads, self.region, self.topk = heads, region, topk
        self.proj_q = nn.Sequential(TemporalDifferenceConv(width, theta), nn.BatchNorm3d(width))
        self.proj_k = nn.Sequential(TemporalDifferenceConv(width, theta), nn.BatchNorm3d(width))
        self.proj_v = nn.Sequential(nn.Conv3d(width, width, 1, bias=False))
        self.lepe = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.output_linear = nn.Conv3d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to the same shape."""
        values = self.proj_v(x)
        query, key, value = (self._regions(projected) for projected in (self.proj_q(x), self.proj_k(x), values))
        routes = self.routes(query, key)
        clip = torch.arange(x.shape[0], device=x.device)[:, None, None]  # a region attends within its own clip
        query = self._split(query)
        key, value = (self._split(regions[clip, routes].flatten(2, 3)) for regions in (key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, scale=x.shape[1] ** -0.5)
        output: Tensor = self.output_linear(self._features(self._joined(attended), x) + self.lepe(values))
        return output

    def routes(self, query: Tensor, key: Tensor) -> Tensor:
        """Select the regions to which each region attends.

        Args:
            query: (B, regions, features of a region, width).
            key: likewise.

        Returns:
            (B, regions, topk) indices of regions, in no particular order.
        """
        similarity = query.detach().mean(2) @ key.detach().mean(2).transpose(1, 2)
        # A minimum that stays in a captured graph, because the number of regions is known only when it runs.
        most = torch.sym_min(self.topk, similarity.shape[2])  # type: ignore[no-untyped-call]
        return similarity.topk(most).indices

    def _regions(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to (B, regions, features of a region, width)."""
        (t, h, w), (rt, rh, rw) = self._grid(x), self.region
        x = x.reshape(*x.shape[:2], t, rt, h, rh, w, rw)
        return x.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)

    def _features(self, regions: Tensor, like: Tensor) -> Tensor:
        """Map (B, regions, features of a region, width) to the shape of `like`, (B, width, T, H, W)."""
        x = regions.reshape(like.shape[0], *self._grid(like), *self.region, like.shape[1])
        return x.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(like.shape)

    def _grid(self, x: Tensor) -> tuple[int, ...]:
        """Compute the number of regions along time, height and width."""
        return tuple(size // extent for size, extent in zip(x.shape[2:], self.region, strict=True))

    def _split(self, regions: Tensor) -> Tensor:
        """Map (B, regions, features, width) to (B heads, regions, features, width / heads).

        Heads come first, because OpenVINO 2026.4 confuses two neighbouring axes of heads and features of the same size.
        """
        batch, number, features, width = regions.shape
        x = regions.reshape(batch, number, features, self.heads, width // self.heads)
        return x.permute(0, 3, 1, 2, 4).flatten(0, 1)

    def _joined(self, heads: Tensor) -> Tensor:
        """Invert `_split`."""
        number, features, width = heads.shape[1:]
        x = heads.reshape(-1, self.heads, number, features, width)
        return x.permute(0, 2, 3, 1, 4).flatten(3)


def _to_a_quarter(in_channels: int, width: int) -> nn.Sequential:
    """Build a 5x5 convolution of stride 2, batch normalisation, ReLU and a 3x3 maximum of stride 2, all per frame."""
    return nn.Sequential(
        nn.Conv3d(in_channels, width, (1, 5, 5), stride=(1, 2, 2), padding=(0, 2, 2)),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
    )


def _halve_time(width: int) -> nn.Sequential:
    """Build batch normalisation and a convolution that halves time."""
    return nn.Sequential(nn.BatchNorm3d(width), nn.Conv3d(width, width, (2, 1, 1), stride=(2, 1, 1)))

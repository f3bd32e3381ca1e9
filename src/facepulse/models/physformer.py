"""PhysFormer (Yu et al., CVPR 2022): attention between tubes of a clip, with temporal differences in queries and keys.

Layers are named as in rPPG-Toolbox, so that its released weights load with ``strict=True``. These were trained on
differences of the reference and predict the derivative of the BVP, with the same heart rate.

There is no position embedding, so that a clip may have any length; a depthwise convolution distinguishes neighbouring
tubes. Paper and toolbox have 4x4 tubes per frame, and weights trained with this number are of little use with another:
therefore frames are resized to that size first.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from facepulse.models.config import check_types
from facepulse.models.frames import check_frames, normalised_difference, resize
from facepulse.models.layers import conv_block, max_pool
from facepulse.models.transformers import TemporalDifferenceConv, repeat_time

TUBE = 32  # pixels, height and width of a tube


@dataclass(frozen=True)
class PhysFormerConfig:
    """Config of PhysFormer; the default is the paper's, with the toolbox's dropout.

    Attributes:
        size: frames are resized to this height and width, a multiple of the 32 pixels of a tube.
        width: channels of a tube, a multiple of four and of `heads`; the stem has a quarter, then half of it.
        hidden: channels inside the feed-forward layers.
        heads: of the attention.
        depth: blocks in each of the three groups.
        theta: weight of the temporal difference in queries and keys.
        temperature: the paper's τ, by which scores are divided before the softmax, whatever the width of a head: the
            higher, the more uniform the attention.
        dropout: probability, applied to the output of attention and feed-forward.
    """

    size: int = 128
    width: int = 96
    hidden: int = 144
    heads: int = 4
    depth: int = 4
    theta: float = 0.7
    temperature: float = 2.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Check all values; no network can be built with others."""
        check_types(self)
        if self.size < TUBE or self.size % TUBE:
            raise ValueError(f"size must be a multiple of {TUBE} pixels, not {self.size}")
        if min(self.hidden, self.heads, self.depth) < 1:
            raise ValueError(
                f"hidden, heads and depth must be at least 1, not {self.hidden}, {self.heads} and {self.depth}"
            )
        if self.width < 4 or self.width % 4 or self.width % self.heads:
            raise ValueError(f"width must be a multiple of 4 and of heads, not {self.width} for {self.heads} heads")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, not {self.temperature:g}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, not {self.dropout:g}")


class PhysFormer(nn.Module):
    """PhysFormer.

    Args:
        config: see `PhysFormerConfig`.

    Attributes:
        config: as given.
        multiple: the number of frames must be a multiple of this, the length of a tube.
        normalisation: of the frames inside the network, in words.
    """

    multiple = 4

    def __init__(self, config: PhysFormerConfig = PhysFormerConfig()) -> None:
        super().__init__()
        self.config = config
        self.normalisation = (
            f"{config.size}x{config.size} pixels; differences of neighbouring frames over their sum, to unit variance "
            "in a clip"
        )
        width = config.width
        self.Stem0 = nn.Sequential(*conv_block(3, width // 4, (1, 5, 5)), max_pool("S"))
        self.Stem1 = nn.Sequential(*conv_block(width // 4, width // 2, (3, 3, 3)), max_pool("S"))
        self.Stem2 = nn.Sequential(*conv_block(width // 2, width, (3, 3, 3)), max_pool("S"))
        self.patch_embedding = nn.Conv3d(width, width, 4, stride=4)
        self.transformer1 = Transformer(config)
        self.transformer2 = Transformer(config)
        self.transformer3 = Transformer(config)
        self.upsample = repeat_time(width, width)
        self.upsample2 = repeat_time(width, width // 2)
        self.ConvBlockLast = nn.Conv1d(width // 2, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the waveform of each clip.

        Args:
            frames: (B, 3, T, H, W) RGB in 0..255, any dtype; T a multiple of 4, H and W at least 32, best
                `config.size`.

        Returns:
            (B, T) float32 blood volume pulse, arbitrary unit and offset.

        Raises:
            ValueError: `frames` is of another shape or range.
        """
        check_frames(frames, self.multiple)
        x = normalised_difference(resize(frames, self.config.size))
        x = self.Stem2(self.Stem1(self.Stem0(x)))
        tubes = self.patch_embedding(x).movedim(1, -1)
        tubes = self.transformer3(self.transformer2(self.transformer1(tubes)))
        x = self.upsample2(self.upsample(tubes.movedim(-1, 1)))
        waveform: Tensor = self.ConvBlockLast(x.mean((3, 4)))
        return waveform.squeeze(1).float()


class Transformer(nn.Module):
    """Group of blocks, one of three."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))

    def forward(self, tubes: Tensor) -> Tensor:
        """Map (B, T, H, W, width) to the same shape."""
        for block in self.blocks:
            tubes = block(tubes)
        return tubes


class Block(nn.Module):
    """Temporal difference transformer block: attention, then feed-forward, each with a residual connection."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = TemporalDifferenceAttention(config.width, config.heads, config.theta, config.temperature)
        self.proj = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.pwff = SpatioTemporalFeedForward(config.width, config.hidden)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, tubes: Tensor) -> Tensor:
        """Map (B, T, H, W, width) to the same shape."""
        attended = self.attn(self.norm1(tubes).movedim(-1, 1)).movedim(1, -1)
        tubes = tubes + self.drop(self.proj(attended))
        fed = self.pwff(self.norm2(tubes).movedim(-1, 1)).movedim(1, -1)
        result: Tensor = tubes + self.drop(fed)
        return result


class TemporalDifferenceAttention(nn.Module):
    """Multi-head self-attention of all tubes, with temporal difference convolutions for queries and keys.

    Args:
        width: channels of a tube.
        heads: contiguous groups of channels.
        theta: of the temporal difference convolutions.
        temperature: τ; ``softmax(Q Kᵀ / τ) V``.
    """

    def __init__(self, width: int, heads: int, theta: float, temperature: float) -> None:
        super().__init__()
        self.heads, self.temperature = heads, temperature
        self.proj_q = nn.Sequential(TemporalDifferenceConv(width, theta), nn.BatchNorm3d(width))
        self.proj_k = nn.Sequential(TemporalDifferenceConv(width, theta), nn.BatchNorm3d(width))
        self.proj_v = nn.Sequential(nn.Conv3d(width, width, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to the same shape."""
        query, key, value = (self._heads(projection(x)) for projection in (self.proj_q, self.proj_k, self.proj_v))
        attended = functional.scaled_dot_product_attention(query, key, value, scale=1 / self.temperature)
        return attended.transpose(2, 3).reshape(x.shape)

    def _heads(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to (B, heads, T H W, width / heads)."""
        batch, width = x.shape[:2]
        return x.reshape(batch, self.heads, width // self.heads, -1).transpose(2, 3)


class SpatioTemporalFeedForward(nn.Module):
    """Feed-forward layers with a depthwise 3x3x3 convolution over neighbouring tubes between them.

    Args:
        width: channels of a tube.
        hidden: channels inside.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(nn.Conv3d(width, hidden, 1, bias=False), nn.BatchNorm3d(hidden), nn.ELU())
        self.STConv = nn.Sequential(
            nn.Conv3d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.BatchNorm3d(hidden), nn.ELU()
        )
        self.fc2 = nn.Sequential(nn.Conv3d(hidden, width, 1, bias=False), nn.BatchNorm3d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T, H, W) to the same shape."""
        fed: Tensor = self.fc2(self.STConv(self.fc1(x)))
        return fed

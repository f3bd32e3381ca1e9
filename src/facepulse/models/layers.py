"""Building blocks of physFSUNet, usable in any network on (B, C, T, H, W).

Source: physFSUNet (arXiv 2507.07795), section II; for what it does not specify, the code that it cites. No layer
converts a size to a Python number, so that every axis of an exported graph stays dynamic.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

InputMode: TypeAlias = Literal["fusion", "raw", "difference"]
AttentionSource: TypeAlias = Literal["output", "input", "off"]
Pooling: TypeAlias = Literal["S", "ST"]


def conv_block(in_channels: int, out_channels: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    """Build a convolution that keeps T, H and W, batch normalisation and ReLU; `kernel` is (T, H, W), all odd."""
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def max_pool(pooling: Pooling) -> nn.MaxPool3d:
    """Build a pool that halves height and width ("S"), or time as well ("ST"); an odd last row is dropped."""
    return nn.MaxPool3d((2, 2, 2) if pooling == "ST" else (1, 2, 2))


def double_time(channels: int) -> nn.Sequential:
    """Build a transposed convolution that doubles T (kernel 4, stride 2), batch normalisation, ELU; as in PhysNet."""
    return nn.Sequential(
        nn.ConvTranspose3d(channels, channels, (4, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0)),
        nn.BatchNorm3d(channels),
        nn.ELU(),
    )


def frame_differences(frames: Tensor) -> Tensor:
    """Compute the four differences between consecutive frames of t-2..t+2; the first and last frames are repeated.

    Source: section II-B; order and replication as in RhythmFormer's Fusion Stem, which the paper builds on.

    Args:
        frames: (B, C, T, H, W).

    Returns:
        (B, 4C, T, H, W): x[t-1]-x[t-2], x[t]-x[t-1], x[t+1]-x[t], x[t+2]-x[t+1].
    """
    steps = frames[:, :, 1:] - frames[:, :, :-1]
    steps = functional.pad(steps, (0, 0, 0, 0, 2, 2))  # differences beyond the ends are zero, as end frames repeat
    return torch.cat([steps[:, :, :-3], steps[:, :, 1:-2], steps[:, :, 2:-1], steps[:, :, 3:]], dim=1)


class DifferenceFusion(nn.Module):
    """Differential frame fusion: raw frames and their differences in one stem (equations 1-3).

    ``I_diff = stem12(differences)``, ``I_raw = stem11(frames)``,
    ``I_stem = α stem21(I_raw) + β stem22(α I_raw + β I_diff)``.

    Args:
        width: channels of the output.
        depth: length in frames of the 5x5 kernels of stem11 and stem12.
        fusion_depth: length in frames of the 3x3 kernels of stem21 and stem22.
        mode: "fusion"; "raw" is stem21(stem11(frames)) only, "difference" is stem22(stem12(differences)) only.
        alpha: weight of the raw branch.
        beta: weight of the difference branch.
        in_channels: channels of a frame.
    """

    def __init__(
        self,
        width: int,
        depth: int = 1,
        fusion_depth: int = 1,
        mode: InputMode = "fusion",
        alpha: float = 0.5,
        beta: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.mode, self.alpha, self.beta = mode, alpha, beta
        if mode != "difference":
            self.stem11 = conv_block(in_channels, width, (depth, 5, 5))
            self.stem21 = conv_block(width, width, (fusion_depth, 3, 3))
        if mode != "raw":
            self.stem12 = conv_block(4 * in_channels, width, (depth, 5, 5))
            self.stem22 = conv_block(width, width, (fusion_depth, 3, 3))

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, in_channels, T, H, W) to (B, width, T, H, W)."""
        fused: Tensor
        if self.mode == "raw":
            fused = self.stem21(self.stem11(frames))
        elif self.mode == "difference":
            fused = self.stem22(self.stem12(frame_differences(frames)))
        else:
            raw = self.stem11(frames)
            difference = self.stem12(frame_differences(frames))
            fused = self.alpha * self.stem21(raw)
            fused = fused + self.beta * self.stem22(self.alpha * raw + self.beta * difference)
        return fused


class TemporalShift(nn.Module):
    """Shift one third of the channels to the frame after, one third to the frame before; no parameters.

    "Forward" is later in time: ``out[t] = x[t - 1]``. Zeros enter at the ends, as in EfficientPhys, and the whole clip
    is one segment. The last third, with the remainder if C is not a multiple of three, is not shifted. Source: section
    II-C, figure 2(a).
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to the same shape."""
        third = features.shape[1] // 3
        forward = functional.pad(features[:, :third, :-1], (0, 0, 0, 0, 1, 0))
        backward = functional.pad(features[:, third : 2 * third, 1:], (0, 0, 0, 0, 0, 1))
        return torch.cat([forward, backward, features[:, 2 * third :]], dim=1)


class SoftAttentionMask(nn.Module):
    """Attention over pixels: ``H W m / (2 ||m||₁)`` in each frame, ``m = sigmoid(conv1x1(features))`` (equation 4).

    The mask sums to H W / 2 in each frame, so that it redistributes weight among pixels without changing the total.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, T, H, W) to the mask (B, 1, T, H, W)."""
        mask = torch.sigmoid(self.conv(features))
        return 0.5 * mask / mask.mean((3, 4), keepdim=True)  # the mean is ||m||₁ / (H W)


class STASBlock(nn.Module):
    """Spatio-temporal attention shift: two shifted convolutions, attention, pooling, dropout (section II-C).

    Args:
        channels: of the input, between the two convolutions, and of the output.
        shift: shift channels in time before each convolution.
        depth: length in frames of the 3x3 kernels.
        attention: compute the mask from the second convolution's output, or from its input as equation 4 is printed.
        pooling: None is no pooling and no dropout.
        dropout: probability of dropping a value after pooling.
    """

    def __init__(
        self,
        channels: tuple[int, int, int],
        shift: bool = True,
        depth: int = 3,
        attention: AttentionSource = "output",
        pooling: Pooling | None = "ST",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        first, middle, last = channels
        kernel = (depth, 3, 3)
        self.shift = TemporalShift() if shift else nn.Identity()
        self.conv1 = conv_block(first, middle, kernel)
        self.conv2 = conv_block(middle, last, kernel)
        self.attention = attention
        if attention != "off":
            self.mask = SoftAttentionMask(middle if attention == "input" else last)
        self.pool = nn.Sequential(max_pool(pooling), nn.Dropout(dropout)) if pooling else nn.Identity()

    def features(self, x: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to the attended features before pooling, (B, last, T, H, W), as for a skip connection."""
        middle = self.conv1(self.shift(x))
        output: Tensor = self.conv2(self.shift(middle))
        if self.attention == "off":
            return output
        attended: Tensor = output * self.mask(middle if self.attention == "input" else output)
        return attended

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, first, T, H, W) to (B, last, T or T/2, H/2, W/2)."""
        pooled: Tensor = self.pool(self.features(x))
        return pooled


class UpsamplingDecoder(nn.Module):
    """Upsampling decoder: stages that double time, a mean over space, a perceptron per frame (section II-A).

    Args:
        channels: of the input.
        stages: number of times that time is doubled.
        head_width: hidden units of the perceptron; 0 for one linear layer.
        skip_channels: channels of the skip connection joined after each stage; empty for none.
    """

    def __init__(
        self, channels: int, stages: int = 2, head_width: int = 256, skip_channels: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(double_time(channels) for _ in range(stages))
        self.joins = nn.ModuleList(conv_block(channels + skip, channels, (1, 1, 1)) for skip in skip_channels)
        self.head: nn.Module = nn.Conv1d(channels, 1, 1)
        if head_width:
            self.head = nn.Sequential(nn.Conv1d(channels, head_width, 1), nn.ELU(), nn.Conv1d(head_width, 1, 1))

    def forward(self, features: Tensor, skips: Sequence[Tensor] = ()) -> Tensor:
        """Decode.

        Args:
            features: (B, channels, T, H, W).
            skips: for each stage, (B, skip_channels, T', H, W) with the number of frames after that stage.

        Returns:
            Waveform (B, T 2^stages).
        """
        for i, stage in enumerate(self.stages):
            features = stage(features)
            if skips:
                features = self.joins[i](torch.cat([features, skips[i]], dim=1))
        waveform: Tensor = self.head(features.mean((3, 4)))
        return waveform.squeeze(1)

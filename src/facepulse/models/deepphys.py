"""DeepPhys (Chen and McDuff, ECCV 2018) and TS-CAN (Liu et al., NeurIPS 2020), with the sizes of rPPG-Toolbox.

A motion branch processes normalised differences of neighbouring frames; an appearance branch processes the frames
themselves and computes attention masks for the motion branch. TS-CAN adds a temporal shift to the motion branch, by
which it includes neighbouring frames. The output is one value per frame; trained on differences of the reference, as in
the toolbox, it is the derivative of the BVP, with the same heart rate.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepulse.inference.model_card import MINIMUM_SIZE
from facepulse.models.config import check_types
from facepulse.models.frames import check_frames, normalised_difference, resize, standardise_together
from facepulse.models.layers import SoftAttentionMask


@dataclass(frozen=True)
class DeepPhysConfig:
    """Sizes of DeepPhys; the defaults are the toolbox's.

    Attributes:
        size: side in pixels of the frames that the dense layer accepts; others are resized to it inside. The toolbox
            has 72, physFSUNet's table VIII 128, the paper 36.
        width: channels of the first two convolutions of a branch; the last two have twice as many.
        hidden: units of the dense layer.
        dropout: probability after each pool.
        dense_dropout: probability after the dense layer.
    """

    size: int = 72
    width: int = 32
    hidden: int = 128
    dropout: float = 0.25
    dense_dropout: float = 0.5

    def __post_init__(self) -> None:
        """Check all values; no network can be built with others."""
        check_types(self)
        if self.size < MINIMUM_SIZE:
            raise ValueError(f"size must be at least {MINIMUM_SIZE} pixels, not {self.size}")
        if self.width < 1 or self.hidden < 1:
            raise ValueError(f"width and hidden must be at least 1, not {self.width} and {self.hidden}")
        for name in ("dropout", "dense_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be a probability below 1, not {getattr(self, name):g}")


@dataclass(frozen=True)
class TSCANConfig(DeepPhysConfig):
    """Sizes of TS-CAN.

    Attributes:
        segment: length in frames of the segments within which the temporal shift moves ("frame depth" in the toolbox).
    """

    segment: int = 10

    def __post_init__(self) -> None:
        """Check all values; no network can be built with others."""
        super().__post_init__()
        if self.segment < 2:
            raise ValueError(f"segment must be at least 2 frames, not {self.segment}")


class SegmentShift(nn.Module):
    """Shift one third of the channels to the frame before, one third to the frame after; no parameters.

    Zeros enter at the ends of each segment. The last third, with the remainder if C is not a multiple of three, is not
    shifted. Source: TS-CAN, with the segments and the order of the thirds with which the toolbox's weights were
    trained. In physFSUNet's `TemporalShift` the thirds move in the opposite direction, and the whole clip is one
    segment.

    Args:
        frames: length of a segment.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, T, H, W), T a multiple of `frames`, to the same shape."""
        third = features.shape[1] // 3
        segments = torch.unflatten(features, 2, (-1, self.frames))
        after = functional.pad(segments[:, :third, :, 1:], (0, 0, 0, 0, 0, 1))
        before = functional.pad(segments[:, third : 2 * third, :, :-1], (0, 0, 0, 0, 1, 0))
        return torch.cat([after, before, segments[:, 2 * third :]], dim=1).flatten(2, 3)


def frame_convolutions(in_channels: int, out_channels: int, shift: nn.Module) -> nn.Sequential:
    """Build two 3x3 convolutions of each frame with tanh, `shift` before each; the second has no padding."""
    return nn.Sequential(
        OrderedDict(
            shift1=shift,
            conv1=nn.Conv3d(in_channels, out_channels, (1, 3, 3), padding=(0, 1, 1)),
            tanh1=nn.Tanh(),
            shift2=shift,
            conv2=nn.Conv3d(out_channels, out_channels, (1, 3, 3)),
            tanh2=nn.Tanh(),
        )
    )


def frame_pool(config: DeepPhysConfig) -> nn.Sequential:
    """Halve height and width by averaging; dropout."""
    return nn.Sequential(nn.AvgPool3d((1, 2, 2)), nn.Dropout(config.dropout))


class FrameHead(nn.Module):
    """Dense layers that map all features of a frame to one value.

    Args:
        config: its `size` determines the number of features.
    """

    def __init__(self, config: DeepPhysConfig) -> None:
        super().__init__()
        side = ((config.size - 2) // 2 - 2) // 2  # two convolutions without padding, two pools
        self.dense1 = nn.Linear(2 * config.width * side * side, config.hidden)
        self.dropout = nn.Dropout(config.dense_dropout)
        self.dense2 = nn.Linear(config.hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to (B, T)."""
        hidden = torch.tanh(self.dense1(features.transpose(1, 2).flatten(2)))
        waveform: Tensor = self.dense2(self.dropout(hidden))
        return waveform.squeeze(2)


class DeepPhys(nn.Module):
    """DeepPhys.

    Args:
        config: see `DeepPhysConfig`.

    Attributes:
        config: as given.
        multiple: the number of frames must be a multiple of this.
        normalisation: of the frames inside the network, in words.
    """

    def __init__(self, config: DeepPhysConfig = DeepPhysConfig()) -> None:
        super().__init__()
        self.config = config
        self.multiple = config.segment if isinstance(config, TSCANConfig) else 1
        self.normalisation = (
            f"{config.size}x{config.size} pixels; differences of neighbouring frames over their sum, to unit variance "
            "in a clip, and beside them each clip to zero mean and unit variance"
        )
        shift = SegmentShift(config.segment) if isinstance(config, TSCANConfig) else nn.Identity()
        channels = [(3, config.width), (config.width, 2 * config.width)]
        self.motion = nn.ModuleList(frame_convolutions(*sizes, shift) for sizes in channels)
        self.appearance = nn.ModuleList(frame_convolutions(*sizes, nn.Identity()) for sizes in channels)
        self.masks = nn.ModuleList(SoftAttentionMask(last) for _, last in channels)
        self.pool = frame_pool(config)
        self.head = FrameHead(config)

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the waveform of each clip.

        Args:
            frames: (B, 3, T, H, W) RGB in 0..255, any dtype; T a multiple of `multiple`, H and W at least 32, best
                `config.size`.

        Returns:
            (B, T) float32, the BVP or its derivative, depending on the training; arbitrary unit and offset.

        Raises:
            ValueError: `frames` is of another shape or range.
        """
        check_frames(frames, self.multiple)
        frames = resize(frames, self.config.size)
        motion, appearance = normalised_difference(frames), standardise_together(frames)
        for motion_layers, appearance_layers, mask in zip(self.motion, self.appearance, self.masks, strict=True):
            features = appearance_layers(appearance)
            motion, appearance = self.pool(motion_layers(motion) * mask(features)), self.pool(features)
        waveform: Tensor = self.head(motion)
        return waveform.float()


class TSCAN(DeepPhys):
    """TS-CAN: `DeepPhys` with a temporal shift before each motion convolution, and as many parameters.

    Args:
        config: see `TSCANConfig`.
    """

    def __init__(self, config: TSCANConfig = TSCANConfig()) -> None:
        super().__init__(config)

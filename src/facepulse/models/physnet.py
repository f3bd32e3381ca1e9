"""PhysNet (Yu et al., 2019) as in rPPG-Toolbox, with physFSUNet's modules as options.

Layers are named as in the toolbox, so that its released weights load with ``strict=True``. These were trained on
differences of the reference and predict the derivative of the BVP, with the same heart rate.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from facepulse.models.config import check_types
from facepulse.models.frames import check_frames, normalised_difference, standardise
from facepulse.models.layers import (
    DifferenceFusion,
    SoftAttentionMask,
    TemporalShift,
    conv_block,
    double_time,
    max_pool,
)


@dataclass(frozen=True)
class PhysNetConfig:
    """Config with the modules that physFSUNet's paper adds to other networks; without them it is PhysNet itself.

    Attributes:
        fusion: difference fusion of standardised frames as the first layer, instead of a convolution of normalised
            differences.
        shift: temporal shift before each 3x3x3 convolution.
        attention: soft attention mask after each pair of 3x3x3 convolutions.
    """

    fusion: bool = False
    shift: bool = False
    attention: bool = False

    def __post_init__(self) -> None:
        """Check the types of all values."""
        check_types(self)


class PhysNet(nn.Module):
    """PhysNet.

    Args:
        config: see `PhysNetConfig`.

    Attributes:
        config: as given.
        multiple: the number of frames must be a multiple of this.
        normalisation: of the frames inside the network, in words.
    """

    def __init__(self, config: PhysNetConfig = PhysNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.multiple = 4
        self.normalisation = (
            "each colour of a clip to zero mean and unit variance"
            if config.fusion
            else "differences of neighbouring frames over their sum, to unit variance in a clip"
        )
        self.ConvBlock1 = DifferenceFusion(16) if config.fusion else conv_block(3, 16, (1, 5, 5))
        self.ConvBlock2 = conv_block(16, 32, (3, 3, 3))
        self.ConvBlock3 = conv_block(32, 64, (3, 3, 3))
        for i in range(4, 10):
            self.add_module(f"ConvBlock{i}", conv_block(64, 64, (3, 3, 3)))
        self.upsample = double_time(64)
        self.upsample2 = double_time(64)
        self.ConvBlock10 = nn.Conv3d(64, 1, 1)
        self.spatial, self.spatiotemporal = max_pool("S"), max_pool("ST")
        self.shift = TemporalShift() if config.shift else nn.Identity()
        self.masks = nn.ModuleList(SoftAttentionMask(64) for _ in range(4 if config.attention else 0))

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the waveform of each clip.

        Args:
            frames: (B, 3, T, H, W) RGB in 0..255, any dtype; T a multiple of 4, H and W at least 32.

        Returns:
            (B, T) float32 blood volume pulse, arbitrary unit and offset.

        Raises:
            ValueError: `frames` is of another shape or range.
        """
        check_frames(frames, self.multiple)
        x = standardise(frames) if self.config.fusion else normalised_difference(frames)
        x = self.spatial(self.ConvBlock1(x))
        x = self.spatiotemporal(self._pair(x, 0))
        x = self.spatiotemporal(self._pair(x, 1))
        x = self.spatial(self._pair(x, 2))
        x = self.upsample2(self.upsample(self._pair(x, 3)))
        waveform: Tensor = self.ConvBlock10(x.mean((3, 4), keepdim=True))
        return waveform.squeeze((1, 3, 4)).float()

    def _pair(self, x: Tensor, level: int) -> Tensor:
        """Apply two convolutions, with temporal shift and attention if the config has them."""
        for i in (2 * level + 2, 2 * level + 3):
            x = self.get_submodule(f"ConvBlock{i}")(self.shift(x))
        return x * self.masks[level](x) if self.config.attention else x

"""physFSUNet: difference fusion, shifted and attended 3-D convolutions, upsampling decoder (arXiv 2507.07795).

The paper publishes no code and does not specify widths. The default is the most plausible design that fits its
figures; the number of parameters is close to the paper's 831K and not equal to it. Every open choice is a field of
`PhysFSUNetConfig`.
"""

from dataclasses import dataclass
from typing import get_args

from torch import Tensor, nn
from torch.nn import functional

from facepulse.models.config import check_types
from facepulse.models.frames import check_frames, standardise
from facepulse.models.layers import (
    AttentionSource,
    DifferenceFusion,
    InputMode,
    Pooling,
    STASBlock,
    UpsamplingDecoder,
    max_pool,
)


@dataclass(frozen=True)
class PhysFSUNetConfig:
    """Config with every choice that the paper leaves open, and the ablations of its tables IV to VI.

    Attributes:
        input: "fusion" is the paper's stem; "raw" and "difference" are the other rows of table IV.
        stem_width: channels of the stem. The paper's 3375 MB of memory, on the 24 GB card used for training, imply 24
            to 32 at full resolution; 64 (as in RhythmFormer, which strides) would not fit.
        stem_depth: length in frames of the stem's "5x5" kernels; 1, because 5 would cost eight times the network.
        fusion_depth: length in frames of the stem's "3x3" kernels.
        alpha: weight of raw frames in equation 3; the paper gives none, RhythmFormer has 0.5.
        beta: weight of differences in equation 3, likewise.
        width: channels of the encoder; its first convolution has half, as in PhysNet, whose pooling the paper cites.
        conv_depth: length in frames of the encoder's 3x3 kernels: 3 by "3D convolution layers", 1 by "two-
            dimensional kernel" beside equation 4.
        shift: temporal shift before each encoder convolution; off is table V's ablation.
        attention: mask from a convolution's "output" as in EfficientPhys' code, from its "input" as in equation 4, or
            "off", table VI's ablation.
        pooling: four max-pools, after the stem and the first three blocks: S halves space, ST space and time. For each
            ST the decoder has one stage that doubles time.
        dropout: probability after each pooled block; the paper has dropout without a rate, rPPG-Toolbox's is 0.2.
        head_width: hidden units of the "MLP classifier"; 0 is PhysNet's single linear layer.
        skips: concatenate the features before each ST pool, averaged to the decoder's size, at the stage of the decoder
            with their frame rate, as in a U-Net; the paper's name suggests it, its text does not describe it.
    """

    input: InputMode = "fusion"
    stem_width: int = 32
    stem_depth: int = 1
    fusion_depth: int = 1
    alpha: float = 0.5
    beta: float = 0.5
    width: int = 64
    conv_depth: int = 3
    shift: bool = True
    attention: AttentionSource = "output"
    pooling: str = "S-ST-ST-S"
    dropout: float = 0.2
    head_width: int = 256
    skips: bool = False

    def __post_init__(self) -> None:
        """Check all values; no network can be built with others."""
        for name, allowed in (("input", get_args(InputMode)), ("attention", get_args(AttentionSource))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        check_types(self)
        if len(self.pools) != 4 or not set(self.pools) <= set(get_args(Pooling)):
            raise ValueError(f"pooling must name four pools, each S or ST, as in 'S-ST-ST-S', not {self.pooling!r}")
        for name in ("stem_depth", "fusion_depth", "conv_depth"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be a positive odd number of frames, not {getattr(self, name)}")
        if self.stem_width < 1 or self.width < 2 or self.head_width < 0:
            raise ValueError(
                "stem_width must be at least 1, width at least 2 and head_width at least 0, "
                f"not {self.stem_width}, {self.width} and {self.head_width}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, not {self.dropout:g}")

    @property
    def pools(self) -> tuple[Pooling, ...]:
        """Pooling as one entry per pool."""
        return tuple(self.pooling.split("-"))  # type: ignore[arg-type]  # checked above


class PhysFSUNet(nn.Module):
    """physFSUNet.

    Args:
        config: see `PhysFSUNetConfig`.

    Attributes:
        config: as given.
        multiple: the number of frames must be a multiple of this, 2 to the number of ST pools.
        normalisation: of the frames inside the network, in words.
    """

    normalisation = "each colour of a clip to zero mean and unit variance"

    def __init__(self, config: PhysFSUNetConfig = PhysFSUNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2 ** config.pools.count("ST")
        width = config.width
        self.stem = DifferenceFusion(
            config.stem_width, config.stem_depth, config.fusion_depth, config.input, config.alpha, config.beta
        )
        self.pool = max_pool(config.pools[0])
        channels = [(config.stem_width, width // 2, width), *[(width, width, width)] * 3]
        self.blocks = nn.ModuleList(
            STASBlock(sizes, config.shift, config.conv_depth, config.attention, pooling, config.dropout)
            for sizes, pooling in zip(channels, (*config.pools[1:], None), strict=True)
        )
        before_pools = [config.stem_width, width, width, width]
        skip_channels = [size for size, pool in zip(before_pools, config.pools, strict=True) if pool == "ST"][::-1]
        self.decoder = UpsamplingDecoder(
            width, config.pools.count("ST"), config.head_width, skip_channels if config.skips else ()
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the waveform of each clip.

        Args:
            frames: (B, 3, T, H, W) RGB in 0..255, any dtype; T a multiple of `multiple`, H and W at least 32.

        Returns:
            (B, T) float32 blood volume pulse, arbitrary unit and offset.

        Raises:
            ValueError: `frames` is of another shape or range.
        """
        check_frames(frames, self.multiple)
        features: Tensor = self.stem(standardise(frames))
        skips: list[Tensor] = []
        pool: nn.Module = self.pool
        for i, block in enumerate(self.blocks):
            assert isinstance(block, STASBlock)  # a ModuleList has no type of its own
            if self.config.skips and self.config.pools[i] == "ST":
                # The decoder has a sixteenth of the frame's size: average over the factor of the remaining pools.
                skips.insert(0, functional.avg_pool3d(features, (1, 16 >> i, 16 >> i)))
            features = pool(
                features
            )  # on its own line, to free the features before a pool, which take most of the memory
            features, pool = block.features(features), block.pool
        waveform: Tensor = self.decoder(features, skips)
        return waveform.float()

"""EfficientPhys, convolutional (Liu et al., WACV 2023; arXiv 2110.04447), with the sizes of rPPG-Toolbox.

TS-CAN without its appearance branch: a trained layer normalises the frames, and the attention masks are computed from
the motion features. The output is one value per frame; trained on differences of the reference, as in the toolbox, it
is the derivative of the BVP, with the same heart rate. The toolbox computes differences across the clips of a batch, so
that a clip's last frames depend on the next clip; here the last difference of each clip is zero.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from facepulse.models.deepphys import FrameHead, SegmentShift, TSCANConfig, frame_convolutions, frame_pool
from facepulse.models.frames import check_frames, resize, standardised_difference
from facepulse.models.layers import SoftAttentionMask


@dataclass(frozen=True)
class EfficientPhysConfig(TSCANConfig):
    """Sizes of EfficientPhys, the same as those of TS-CAN."""


class EfficientPhys(nn.Module):
    """EfficientPhys.

    Args:
        config: see `TSCANConfig`.

    Attributes:
        config: as given.
        multiple: the number of frames must be a multiple of this.
        normalisation: of the frames inside the network, in words.
    """

    def __init__(self, config: EfficientPhysConfig = EfficientPhysConfig()) -> None:
        super().__init__()
        self.config = config
        self.multiple = config.segment
        self.normalisation = (
            f"{config.size}x{config.size} pixels; each clip to zero mean and unit variance; differences of "
            "neighbouring frames"
        )
        channels = [(3, config.width), (config.width, 2 * config.width)]
        self.batch_norm = nn.BatchNorm3d(3)
        self.motion = nn.ModuleList(frame_convolutions(*sizes, SegmentShift(config.segment)) for sizes in channels)
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
        motion = self.batch_norm(standardised_difference(resize(frames, self.config.size)))
        for layers, mask in zip(self.motion, self.masks, strict=True):
            features = layers(motion)
            motion = self.pool(features * mask(features))
        waveform: Tensor = self.head(motion)
        return waveform.float()

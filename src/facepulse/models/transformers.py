"""What PhysFormer and RhythmFormer share: a convolution that sees change over time, and a way to double time."""

from torch import Tensor, nn
from torch.nn import functional


class TemporalDifferenceConv(nn.Module):
    """3x3x3 convolution without bias, less what it would see if nothing changed in the frames before and after.

    ``y(p) = Σ w(n) x(p + n) - θ x(p) Σ w(n)``; the second sum runs over the frames before and after alone. So it is
    between a plain convolution (θ = 0) and one of differences to the pixel in the middle (θ = 1). Source: temporal
    central difference convolution (Yu et al., AutoHR, 2020), as used for queries and keys in PhysFormer.

    Args:
        channels: of input and output.
        theta: weight of the difference, θ.
    """

    def __init__(self, channels: int, theta: float) -> None:
        super().__init__()
        self.theta = theta
        self.conv = nn.Conv3d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T, H, W) to the same shape."""
        weight = self.conv.weight
        unchanged = (weight[:, :, 0] + weight[:, :, 2]).sum((2, 3))[..., None, None, None]
        # What is subtracted looks at one pixel, so it belongs to the middle of the kernel: one convolution does both.
        return functional.conv3d(x, weight - functional.pad(self.theta * unchanged, (1, 1, 1, 1, 1, 1)), padding=1)


def repeat_time(in_channels: int, out_channels: int) -> nn.Sequential:
    """Every frame twice, a convolution over three frames, batch normalisation, ELU: T doubled."""
    return nn.Sequential(
        nn.Upsample(scale_factor=(2, 1, 1)),
        nn.Conv3d(in_channels, out_channels, (3, 1, 1), padding=(1, 0, 0)),
        nn.BatchNorm3d(out_channels),
        nn.ELU(),
    )

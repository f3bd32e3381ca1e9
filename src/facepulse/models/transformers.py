"""Layers shared by PhysFormer and RhythmFormer: temporal difference convolution and doubling of time."""

from torch import Tensor, nn
from torch.nn import functional


class TemporalDifferenceConv(nn.Module):
    """3x3x3 convolution without bias, minus θ times its response to a constant before and after.

    ``y(p) = Σ w(n) x(p + n) - θ x(p) Σ w(n)``; the second sum runs over the frames before and after only. θ = 0 is a
    plain convolution; with θ = 1 the weights of these frames apply to differences from the central pixel. Source:
    temporal central difference convolution (Yu et al., AutoHR, 2020), as used for queries and keys in PhysFormer.

    Args:
        channels: of input and output.
        theta: weight of the difference, θ.
    """

    def __init__(self, channels: int, theta: float) -> None:
        super().__init__()
        self.theta = theta
        self.conv = nn.Conv3d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, T, H, W) to the same shape."""
        weight = self.conv.weight
        unchanged = (weight[:, :, 0] + weight[:, :, 2]).sum((2, 3))[..., None, None, None]
        # The subtracted term involves one pixel only, so it is part of the kernel's centre: one convolution suffices.
        return functional.conv3d(x, weight - functional.pad(self.theta * unchanged, (1, 1, 1, 1, 1, 1)), padding=1)


def repeat_time(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build layers that double T: repeated frames, a convolution over three frames, batch normalisation, ELU."""
    return nn.Sequential(
        nn.Upsample(scale_factor=(2, 1, 1)),
        nn.Conv3d(in_channels, out_channels, (3, 1, 1), padding=(1, 0, 0)),
        nn.BatchNorm3d(out_channels),
        nn.ELU(),
    )

"""Checks, normalisation and resizing of frames in 0..255.

The normalisation is part of each network's forward pass, and therefore of the exported graph, so that callers need not
apply it.
"""

import torch
from torch import Tensor

from facepulse.inference.model_card import MINIMUM_SIZE


def check_frames(frames: Tensor, multiple: int) -> None:
    """Check that frames have the shape and range that networks expect.

    Nothing is checked while a graph is captured (export, `torch.compile`), when sizes are symbols and values unknown.
    The values of uint8 frames are in range by their type.

    Args:
        frames: expected to be (B, 3, T, H, W) in 0..255.
        multiple: T must be a multiple of this.

    Raises:
        ValueError: `frames` is of another shape or range.
    """
    if torch.compiler.is_compiling():
        return
    if frames.ndim != 5:
        raise ValueError(f"frames must have five axes (B, 3, T, H, W), not {frames.ndim}: shape {tuple(frames.shape)}")
    _, channels, time, height, width = frames.shape
    if channels != 3:
        raise ValueError(f"frames must have 3 colour channels on axis 1, not {channels}: shape {tuple(frames.shape)}")
    if time < multiple or time % multiple:
        raise ValueError(f"frames must hold a multiple of {multiple} frames, at least {multiple}, not T = {time}")
    if min(height, width) < MINIMUM_SIZE:
        raise ValueError(f"frames must be at least {MINIMUM_SIZE}x{MINIMUM_SIZE} pixels, not {height}x{width}")
    if frames.dtype == torch.uint8:
        return
    if frames.is_complex():
        raise ValueError(f"frames must be real numbers in 0..255, not {frames.dtype}")
    if bool(frames.isnan().any()):
        raise ValueError("frames must be finite numbers in 0..255, but hold NaN")
    if not bool(((frames >= 0) & (frames <= 255)).all()):
        low, high = float(frames.min()), float(frames.max())
        raise ValueError(f"frames must lie in 0..255, as decoded and not normalised, but span {low:g} to {high:g}")


def standardise(frames: Tensor) -> Tensor:
    """Scale each clip and colour channel to zero mean and unit variance.

    The papers do not specify it; the toolbox's "Standardized" uses one mean and variance for the three colours of a
    clip. Per colour, exposure, gain and white balance cancel. The statistics are of the clip, not of the training set,
    so that each window of a live stream is normalised by itself, as in training.

    Args:
        frames: (B, 3, T, H, W) in 0..255, any dtype.

    Returns:
        (B, 3, T, H, W) float32.
    """
    values = frames.float()
    values = values - _clip_mean(values)
    # At least one squared grey level, so that the rounding noise of a clip without contrast is not amplified.
    return values * torch.rsqrt(_clip_mean(values.square()) + 1.0)


def standardise_together(frames: Tensor) -> Tensor:
    """Scale each clip to zero mean and unit variance, the three colours together: the toolbox's "Standardized".

    The toolbox uses the mean and variance of the whole video; here they are of the clip, as in `standardise`.

    Args:
        frames: (B, 3, T, H, W) in 0..255, any dtype.

    Returns:
        (B, 3, T, H, W) float32.
    """
    values = frames.float()
    values = values - _clip_mean(values).mean(1, keepdim=True)
    return values * torch.rsqrt(_clip_mean(values.square()).mean(1, keepdim=True) + 1.0)  # as in `standardise`


def standardised_difference(frames: Tensor) -> Tensor:
    """Compute ``y[t+1] - y[t]`` of standardised frames (`standardise_together`); the last frame is zero.

    Source: EfficientPhys (arXiv 2110.04447), whose first layer computes differences of standardised frames.

    Args:
        frames: (B, 3, T, H, W) in 0..255, any dtype.

    Returns:
        (B, 3, T, H, W) float32.
    """
    values = standardise_together(frames)
    return torch.nn.functional.pad(values[:, :, 1:] - values[:, :, :-1], (0, 0, 0, 0, 0, 1))


def normalised_difference(frames: Tensor) -> Tensor:
    """Compute ``(x[t+1] - x[t]) / (x[t+1] + x[t])`` over its standard deviation in the clip; the last frame is zero.

    Source: the toolbox's "DiffNormalized", after Chen and McDuff, DeepPhys (2018).

    Args:
        frames: (B, 3, T, H, W) in 0..255, any dtype.

    Returns:
        (B, 3, T, H, W) float32; zeros if the clip is constant.
    """
    values = frames.float()
    later, earlier = values[:, :, 1:], values[:, :, :-1]
    ratio = (later - earlier) / (later + earlier + 1e-7)
    centred = ratio - _clip_mean(ratio).mean(1, keepdim=True)
    variance = _clip_mean(centred.square()).mean(1, keepdim=True)
    return torch.nn.functional.pad(ratio * torch.rsqrt(variance + 1e-12), (0, 0, 0, 0, 0, 1))


def resize(frames: Tensor, size: int) -> Tensor:
    """Resize frames bilinearly to ``size`` x ``size`` pixels, for networks of one size.

    Frames of that size are returned as they are. Reduced to less than half, bilinear interpolation skips pixels, so
    crops should be prepared at the network's size, resized by area.

    Args:
        frames: (B, 3, T, H, W) of any dtype.
        size: in pixels.

    Returns:
        (B, 3, T, size, size) float32.
    """
    if frames.shape[-2:] == (size, size) and not torch.compiler.is_compiling():  # a graph is captured for every size
        return frames.float()
    images = frames.float().flatten(1, 2)
    resized = torch.nn.functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    return torch.unflatten(resized, 1, (3, -1))


def _clip_mean(values: Tensor) -> Tensor:
    """Mean over time and space, (B, C, 1, 1, 1); over each frame first, because engines may sum in float32."""
    return values.mean((3, 4), keepdim=True).mean(2, keepdim=True)

"""Checkpoints as rPPG-Toolbox stores them, and what its layer tables compute from them, frame by frame.

Names, shapes and layers are those of the tables alone; nothing is shared with the networks that are tested.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]
FEATURES = {36: 3136, 72: 16384, 96: 30976, 128: 57600}  # of a frame before the dense layer, by its size


def shapes(network: str, size: int = 72) -> dict[str, tuple[int, ...]]:
    """Every tensor of "deepphys", "ts-can" or "efficientphys"."""
    kernels = {"conv1": (32, 3, 3, 3), "conv2": (32, 32, 3, 3), "conv3": (64, 32, 3, 3), "conv4": (64, 64, 3, 3)}
    weights: dict[str, tuple[int, ...]] = {f"motion_{name}": shape for name, shape in kernels.items()}
    if network != "efficientphys":
        weights |= {f"apperance_{name}": shape for name, shape in kernels.items()}
    weights |= {"apperance_att_conv1": (1, 32, 1, 1), "apperance_att_conv2": (1, 64, 1, 1)}
    weights |= {"final_dense_1": (128, FEATURES[size]), "final_dense_2": (1, 128)}
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in weights.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    if network == "efficientphys":
        found |= {f"batch_norm.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")}
        found["batch_norm.num_batches_tracked"] = ()
    return found


def state(network: str, size: int = 72) -> State:
    """Random weights that leave a signal alive through all layers."""
    generator = torch.Generator().manual_seed(0)
    made: State = {}
    for name, shape in shapes(network, size).items():
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(3720)
        elif name.endswith("running_var"):
            made[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            inputs = max(1, torch.Size(shape[1:]).numel())
            made[name] = torch.randn(shape, generator=generator) / inputs**0.5
    return made


def waveform(network: str, weights: State, frames: Tensor) -> Tensor:
    """One clip (T, 3, size, size) in 0..255 to (T,), in float64."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    frames = frames.double()
    standardised = (frames - frames.mean()) / frames.std(correction=0)
    if network == "efficientphys":
        steps = torch.cat([standardised[1:], standardised[-1:]]) - standardised
        norm = [w[f"batch_norm.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        motion, appearance = functional.batch_norm(steps, *norm), None
    else:
        ratio = (frames[1:] - frames[:-1]) / (frames[1:] + frames[:-1] + 1e-7)
        motion = torch.cat([ratio / ratio.std(correction=0), torch.zeros_like(frames[:1])])
        appearance = standardised
    for level, (first, second) in enumerate(((1, 2), (3, 4)), 1):
        motion = _convolved(w, f"motion_conv{first}", _shifted(network, motion), padding=1)
        motion = _convolved(w, f"motion_conv{second}", _shifted(network, motion), padding=0)
        looked = motion
        if appearance is not None:
            appearance = _convolved(w, f"apperance_conv{first}", appearance, padding=1)
            looked = appearance = _convolved(w, f"apperance_conv{second}", appearance, padding=0)
            appearance = functional.avg_pool2d(appearance, 2)
        mask = torch.sigmoid(
            functional.conv2d(looked, w[f"apperance_att_conv{level}.weight"], w[f"apperance_att_conv{level}.bias"])
        )
        mask = mask / mask.sum((2, 3), keepdim=True) * mask.shape[2] * mask.shape[3] * 0.5
        motion = functional.avg_pool2d(motion * mask, 2)
    hidden = torch.tanh(functional.linear(motion.flatten(1), w["final_dense_1.weight"], w["final_dense_1.bias"]))
    return functional.linear(hidden, w["final_dense_2.weight"], w["final_dense_2.bias"])[:, 0]


def _convolved(w: State, name: str, x: Tensor, **options: Any) -> Tensor:
    return torch.tanh(functional.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options))


def _shifted(network: str, x: Tensor) -> Tensor:
    """First third of the channels from t + 1, second from t - 1, zeros beyond each segment of ten frames."""
    if network == "deepphys":
        return x
    third, shifted = x.shape[1] // 3, x.clone()
    for t in range(len(x)):
        shifted[t, :third] = x[t + 1, :third] if t % 10 != 9 else 0
        shifted[t, third : 2 * third] = x[t - 1, third : 2 * third] if t % 10 != 0 else 0
    return shifted

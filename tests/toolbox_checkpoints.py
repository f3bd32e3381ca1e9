"""Checkpoints as rPPG-Toolbox stores them, and a computation from its layer tables, frame by frame.

Names, shapes and layers are taken from the tables only; nothing is shared with the networks under test.
"""

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
FEATURES = {36: 3136, 72: 16384, 96: 30976, 128: 57600}  # of a frame before the dense layer, by its size
FRAME_NETWORKS = ("deepphys", "ts-can", "efficientphys")  # whose dense layer fits one size of frames


def shapes(network: str, size: int = 72) -> Shapes:
    """Name and shape of every tensor of a network; `size` matters only for `FRAME_NETWORKS`."""
    return {"physnet": _physnet, "physformer": _physformer, "rhythmformer": _rhythmformer}.get(
        network, lambda: _frame_network(network, size)
    )()


def _convolution(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _batch_norm(name: str, channels: int) -> Shapes:
    vectors: Shapes = {f"{name}.{tensor}": (channels,) for tensor in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def _frame_network(network: str, size: int) -> Shapes:
    kernels = {"conv1": (32, 3, 3, 3), "conv2": (32, 32, 3, 3), "conv3": (64, 32, 3, 3), "conv4": (64, 64, 3, 3)}
    weights: Shapes = {f"motion_{name}": shape for name, shape in kernels.items()}
    if network != "efficientphys":
        weights |= {f"apperance_{name}": shape for name, shape in kernels.items()}
    weights |= {"apperance_att_conv1": (1, 32, 1, 1), "apperance_att_conv2": (1, 64, 1, 1)}
    weights |= {"final_dense_1": (128, FEATURES[size]), "final_dense_2": (1, 128)}
    found: Shapes = {}
    for name, shape in weights.items():
        found |= _convolution(name, *shape)
    return found | (_batch_norm("batch_norm", 3) if network == "efficientphys" else {})


def _physnet() -> Shapes:
    found: Shapes = {}
    blocks = [(3, 16, (1, 5, 5)), (16, 32, (3, 3, 3)), (32, 64, (3, 3, 3)), *[(64, 64, (3, 3, 3))] * 6]
    for number, (before, after, kernel) in enumerate(blocks, 1):
        found |= _convolution(f"ConvBlock{number}.0", after, before, *kernel)
        found |= _batch_norm(f"ConvBlock{number}.1", after)
    for name in ("upsample", "upsample2"):
        found |= _convolution(f"{name}.0", 64, 64, 4, 1, 1) | _batch_norm(f"{name}.1", 64)
    return found | _convolution("ConvBlock10", 1, 64, 1, 1, 1)


def _physformer() -> Shapes:
    found: Shapes = {}
    for i, (before, after, kernel) in enumerate([(3, 24, (1, 5, 5)), (24, 48, (3, 3, 3)), (48, 96, (3, 3, 3))]):
        found |= _convolution(f"Stem{i}.0", after, before, *kernel) | _batch_norm(f"Stem{i}.1", after)
    found |= _convolution("patch_embedding", 96, 96, 4, 4, 4)
    for group, i in itertools.product((1, 2, 3), range(4)):
        block = f"transformer{group}.blocks.{i}"
        for projection in ("proj_q", "proj_k"):
            found |= {f"{block}.attn.{projection}.0.conv.weight": (96, 96, 3, 3, 3)}
            found |= _batch_norm(f"{block}.attn.{projection}.1", 96)
        found |= {f"{block}.attn.proj_v.0.weight": (96, 96, 1, 1, 1)} | _convolution(f"{block}.proj", 96, 96)
        found |= {f"{block}.{norm}.{tensor}": (96,) for norm in ("norm1", "norm2") for tensor in ("weight", "bias")}
        found |= {f"{block}.pwff.fc1.0.weight": (144, 96, 1, 1, 1)} | _batch_norm(f"{block}.pwff.fc1.1", 144)
        found |= {f"{block}.pwff.STConv.0.weight": (144, 1, 3, 3, 3)} | _batch_norm(f"{block}.pwff.STConv.1", 144)
        found |= {f"{block}.pwff.fc2.0.weight": (96, 144, 1, 1, 1)} | _batch_norm(f"{block}.pwff.fc2.1", 96)
    for name, after in (("upsample", 96), ("upsample2", 48)):
        found |= _convolution(f"{name}.1", after, 96, 3, 1, 1) | _batch_norm(f"{name}.2", after)
    return found | _convolution("ConvBlockLast", 1, 48, 1)


def _rhythmformer() -> Shapes:
    found: Shapes = {}
    for stem, before, kernel in (("stem11", 3, 5), ("stem12", 12, 5), ("stem21", 64, 3), ("stem22", 64, 3)):
        found |= _convolution(f"Fusion_Stem.{stem}.0", 64, before, kernel, kernel)
        found |= _batch_norm(f"Fusion_Stem.{stem}.1", 64)
    found |= _convolution("patch_embedding", 64, 64, 1, 4, 4)
    for stage in range(3):
        for i in range(stage + 1):
            down, up = f"stages.{stage}.downsample_layers.{i}", f"stages.{stage}.upsample_layers.{i}"
            found |= _batch_norm(f"{down}.0", 64) | _convolution(f"{down}.1", 64, 64, 2, 1, 1)
            found |= _convolution(f"{up}.1", 64, 64, 3, 1, 1) | _batch_norm(f"{up}.2", 64)
        for i in range(2):
            block = f"stages.{stage}.blocks.{i}"
            found |= _batch_norm(f"{block}.norm1", 64) | _batch_norm(f"{block}.norm2", 64)
            for projection in ("proj_q", "proj_k"):
                found |= {f"{block}.attn.{projection}.0.conv.weight": (64, 64, 3, 3, 3)}
                found |= _batch_norm(f"{block}.attn.{projection}.1", 64)
            found |= {f"{block}.attn.proj_v.0.weight": (64, 64, 1, 1, 1)}
            found |= _convolution(f"{block}.attn.lepe", 64, 1, 3, 3, 3)
            found |= _convolution(f"{block}.attn.output_linear", 64, 64, 1, 1, 1)
            found |= _convolution(f"{block}.attn.qkv_linear", 192, 64, 1, 1, 1)
            found |= _convolution(f"{block}.mlp.0", 96, 64, 1, 1, 1) | _batch_norm(f"{block}.mlp.1", 96)
            found |= _convolution(f"{block}.mlp.3", 96, 96, 3, 3, 3) | _batch_norm(f"{block}.mlp.4", 96)
            found |= _convolution(f"{block}.mlp.6", 64, 96, 1, 1, 1) | _batch_norm(f"{block}.mlp.7", 64)
    return found | _convolution("ConvBlockLast", 1, 64, 1)


def state(network: str, size: int = 72) -> State:
    """Random weights with which a signal passes through all layers."""
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
    """Map one clip (T, 3, size, size) in 0..255 to (T,), in float64."""
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
        seen = motion
        if appearance is not None:
            appearance = _convolved(w, f"apperance_conv{first}", appearance, padding=1)
            seen = appearance = _convolved(w, f"apperance_conv{second}", appearance, padding=0)
            appearance = functional.avg_pool2d(appearance, 2)
        mask = torch.sigmoid(
            functional.conv2d(seen, w[f"apperance_att_conv{level}.weight"], w[f"apperance_att_conv{level}.bias"])
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

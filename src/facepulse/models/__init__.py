"""Networks that read a pulse from a face clip; the only part of the package, with the losses, that needs torch.

Every network keeps one contract, so that training, export and measuring treat them alike:

* ``Network(config=NetworkConfig())``; the config is a frozen dataclass whose ``dataclasses.asdict`` is plain JSON and
  whose constructor takes that JSON back: ``NetworkConfig(**json.loads(text))``.
* ``network.config`` is that config, and the clip length must be a multiple of ``network.multiple`` frames.
* ``network.normalisation`` says in words what happens to frames inside.
* ``network(frames)``: frames (B, 3, T, H, W), RGB in 0..255 of any dtype, H and W at least 32; returns the waveform
  (B, T), float32, in an arbitrary unit. Normalisation is inside, and so is resizing where an architecture fixes the
  size of frames: such a network has the field ``size`` in its config.
* Clips of a batch do not touch each other in ``eval()`` mode.

``MODELS`` maps a name to its network and config: ``network, config = MODELS["physfsunet"]``.
"""

from typing import Any, NamedTuple

from torch import nn

from facepulse.models.deepphys import TSCAN, DeepPhys, DeepPhysConfig, TSCANConfig
from facepulse.models.efficientphys import EfficientPhys, EfficientPhysConfig
from facepulse.models.physformer import PhysFormer, PhysFormerConfig
from facepulse.models.physfsunet import PhysFSUNet, PhysFSUNetConfig
from facepulse.models.physnet import PhysNet, PhysNetConfig
from facepulse.models.rhythmformer import RhythmFormer, RhythmFormerConfig


class Model(NamedTuple):
    """One entry of `MODELS`: the network's class and its config's class."""

    network: type[nn.Module]
    config: type[Any]


MODELS: dict[str, Model] = {
    "physfsunet": Model(PhysFSUNet, PhysFSUNetConfig),
    "physnet": Model(PhysNet, PhysNetConfig),
    "physformer": Model(PhysFormer, PhysFormerConfig),
    "rhythmformer": Model(RhythmFormer, RhythmFormerConfig),
    "deepphys": Model(DeepPhys, DeepPhysConfig),
    "ts-can": Model(TSCAN, TSCANConfig),
    "efficientphys": Model(EfficientPhys, EfficientPhysConfig),
}

__all__ = [
    "MODELS",
    "TSCAN",
    "DeepPhys",
    "DeepPhysConfig",
    "EfficientPhys",
    "EfficientPhysConfig",
    "Model",
    "PhysFSUNet",
    "PhysFSUNetConfig",
    "PhysFormer",
    "PhysFormerConfig",
    "PhysNet",
    "PhysNetConfig",
    "RhythmFormer",
    "RhythmFormerConfig",
    "TSCANConfig",
]

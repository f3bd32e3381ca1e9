"""Networks that predict a BVP waveform from a face clip, one module each; registered in `facepulse.inference.registry`.

Every network keeps one contract, so that training, export and measurement treat all of them alike:

* ``Network(config=NetworkConfig())``; the config is a frozen dataclass, named as the network with "Config" appended,
  whose ``dataclasses.asdict`` is plain JSON and whose constructor accepts that JSON:
  ``NetworkConfig(**json.loads(text))``.
* ``network.config`` is that config, and the length of a clip must be a multiple of ``network.multiple`` frames.
* ``network.normalisation`` describes in words how frames are normalised inside.
* ``network(frames)``: frames (B, 3, T, H, W), RGB in 0..255 of any dtype, H and W at least 32; returns the waveform
  (B, T), float32, in an arbitrary unit. Normalisation is inside, and so is resizing if an architecture fixes the size
  of frames: such a network has the field ``size`` in its config.
* Clips of a batch do not affect each other in ``eval()`` mode.

The classes of all registered networks can be imported from here; their modules, and torch, are imported only then.
"""

from typing import Any

from facepulse.inference.registry import NETWORKS


def __getattr__(name: str) -> Any:
    """Import the class of a registered network or of its config."""
    for entry in NETWORKS.values():
        if name in (entry.cls, f"{entry.cls}Config"):
            classes = entry.load()
            return classes.network if name == entry.cls else classes.config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for entry in NETWORKS.values() for name in (entry.cls, f"{entry.cls}Config"))

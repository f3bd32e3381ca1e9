"""Registry of networks, one row each. Reading it imports no torch; the class of a network is imported on request."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from facepulse.errors import FacepulseError

if TYPE_CHECKING:
    from torch import nn

MODELS_PACKAGE: Final = "facepulse.models"
FIGURES: Final = Path(__file__).with_name("data") / "networks.csv"
"""Figures computed from the networks; written by `python -m facepulse.models.figures`."""

DEFAULT: Final = "physfsunet.sim36"
"""Name of the shipped weights that measure a video unless another method is named."""

ALIASES: Final[dict[str, str]] = {"physfsunet": DEFAULT}
"""Name of an architecture to the shipped weights that it stands for, wherever weights are named."""


class NetworkClasses(NamedTuple):
    """Classes of a network and of its config."""

    network: type[nn.Module]
    config: type[Any]


@dataclass(frozen=True)
class NetworkFigures:
    """Figures of a network with its default config, as computed by `facepulse.models.figures`.

    Attributes:
        parameters: number of trainable parameters.
        gmacs: billions of multiply-accumulates for a clip of 160 frames of 128x128 pixels.
        multiple: the length of a clip must be a multiple of this number of frames.
        size: height and width in pixels to which frames are resized inside; None if the network takes any size.
    """

    parameters: int
    gmacs: float
    multiple: int
    size: int | None


@dataclass(frozen=True)
class NetworkEntry:
    """One row of the registry.

    Attributes:
        name: key in `NETWORKS`, as users type it.
        module: module of `facepulse.models` that defines the network.
        cls: class of the network; its config is the class of that name with "Config" appended, in the same module.
        title: the network's name as its authors spell it.
        reference: authors, venue and year.
        arxiv: number of the paper on arXiv; empty if it is not there.
    """

    name: str
    module: str
    cls: str
    title: str
    reference: str
    arxiv: str = ""

    def load(self) -> NetworkClasses:
        """Import the network's module, and with it torch."""
        module = import_module(f"{MODELS_PACKAGE}.{self.module}")
        return NetworkClasses(getattr(module, self.cls), getattr(module, f"{self.cls}Config"))

    def build(self, config: Mapping[str, Any] | None = None) -> nn.Module:
        """Build the network with random weights.

        Args:
            config: values for the fields of its config; those not named keep their default.

        Raises:
            TypeError: the config has no field of such a name.
            ValueError: no network can be built with such values.
        """
        classes = self.load()
        return classes.network(classes.config(**(config or {})))

    @property
    def figures(self) -> NetworkFigures:
        """Computed figures of the default config, read without torch.

        Raises:
            FacepulseError: they have not been computed.
        """
        try:
            return _figures()[self.name]
        except KeyError:
            raise FacepulseError(
                f"{FIGURES} has no row for {self.name}: run `python -m facepulse.models.figures`"
            ) from None


NETWORKS: dict[str, NetworkEntry] = {
    entry.name: entry
    for entry in (
        NetworkEntry("physfsunet", "physfsunet", "PhysFSUNet", "physFSUNet", "Cen, Fu and Hong, 2025", "2507.07795"),
        NetworkEntry("physnet", "physnet", "PhysNet", "PhysNet", "Yu et al., BMVC 2019", "1905.02419"),
        NetworkEntry("deepphys", "deepphys", "DeepPhys", "DeepPhys", "Chen and McDuff, ECCV 2018", "1805.07888"),
        NetworkEntry("ts-can", "deepphys", "TSCAN", "TS-CAN", "Liu et al., NeurIPS 2020", "2006.03790"),
        NetworkEntry(
            "efficientphys", "efficientphys", "EfficientPhys", "EfficientPhys", "Liu et al., WACV 2023", "2110.04447"
        ),
        NetworkEntry("physformer", "physformer", "PhysFormer", "PhysFormer", "Yu et al., CVPR 2022", "2111.12082"),
        NetworkEntry("rhythmformer", "rhythmformer", "RhythmFormer", "RhythmFormer", "Zou et al., 2024", "2402.12788"),
    )
}


@cache
def _figures() -> dict[str, NetworkFigures]:
    with FIGURES.open(encoding="utf-8", newline="") as file:
        return {
            row["network"]: NetworkFigures(
                int(row["parameters"]),
                float(row["gmacs"]),
                int(row["multiple"]),
                int(row["size"]) if row["size"] else None,
            )
            for row in csv.DictReader(file)
        }

"""The networks that can be trained and measured with, as facts: to list them takes no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkFacts:
    """What is to be known of a network before anything is trained.

    Attributes:
        title: how its authors spell it.
        parameters: of the default config.
        gmacs: billions of multiply-accumulates for a clip of 160 frames of 128x128.
        frames: how it wants frames; it makes that inside.
        reference: authors, venue and year.
    """

    title: str
    parameters: int
    gmacs: float
    frames: str
    reference: str


DEFAULT = "physfsunet"  # name of the weights that come with the package, and read a video unless another is asked for

NETWORKS: dict[str, NetworkFacts] = {
    "physfsunet": NetworkFacts("physFSUNet", 829_061, 155.3, "raw and differences, any size", "arXiv 2507.07795, 2025"),
    "physnet": NetworkFacts("PhysNet", 768_577, 69.5, "differences, any size", "Yu et al., BMVC 2019"),
    "deepphys": NetworkFacts("DeepPhys", 2_228_643, 36.3, "raw and differences, 72 px", "Chen and McDuff, ECCV 2018"),
    "ts-can": NetworkFacts("TS-CAN", 2_228_643, 36.3, "raw and differences, 72 px", "Liu et al., NeurIPS 2020"),
    "efficientphys": NetworkFacts("EfficientPhys", 2_163_081, 18.3, "differences, 72 px", "Liu et al., WACV 2023"),
    "physformer": NetworkFacts("PhysFormer", 7_380_865, 51.1, "differences, 128 px", "Yu et al., CVPR 2022"),
    "rhythmformer": NetworkFacts(
        "RhythmFormer", 3_251_137, 38.7, "raw and differences, 128 px", "Zou et al., arXiv 2402.12788, 2024"
    ),
}
"""Key in `facepulse.models.MODELS` to its facts."""

"""What each table trains and what it tests on: the paper's tables as data, one line a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facepulse.datasets.splits import FILTERS
from facepulse.inference.registry import NETWORKS

Where = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Recordings:
    """Part of a dataset.

    Attributes:
        label: as tables print it.
        dataset: key of `facepulse.datasets.DATASETS`.
        split: of `facepulse.datasets.splits.SPLITS`.
        subset: of the split.
        where: attribute to wanted values.
        validation: the split has a subset by which the best weights are chosen; without, the last are taken.
    """

    label: str
    dataset: str
    split: str = "all"
    subset: str = "test"
    where: Where = field(default_factory=dict, hash=False)
    validation: bool = False

    def __str__(self) -> str:
        """What it is, in words."""
        filters = ", ".join(f"{key} {'/'.join(values)}" for key, values in self.where.items())
        subset = "all of it" if self.split == "all" else f"{self.subset} of {self.split}"
        return f"{self.label} ({subset}{f'; {filters}' if filters else ''})"


@dataclass(frozen=True)
class Arm:
    """A row of a table: a network, what it learns from, and what it is tested on.

    Attributes:
        label: what the row is called.
        train: None for a classical method.
        test: what it is tested on.
        network: key of `facepulse.inference.registry.NETWORKS`, or a classical method.
        config: of the network, over the recipe's.
        loss: settings over the recipe's.
        variant: as the published row is called that it repeats; empty for the network as it is.
    """

    label: str
    train: Recordings | None
    test: Recordings
    network: str = "physfsunet"
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    loss: Mapping[str, Any] = field(default_factory=dict, hash=False)
    variant: str = ""

    @property
    def run(self) -> str:
        """Name of its training, the same for all arms that train alike."""
        assert self.train is not None
        pieces = [self.network, *_said(self.config), *_said(self.loss), "on", self.train.label]
        if self.train.validation is False:
            pieces.append(self.train.split)
        return re.sub(r"[^\w.]+", "-", " ".join(pieces)).strip("-").lower()


@dataclass(frozen=True)
class Study:
    """A table.

    Attributes:
        name: what `facepulse study` calls it.
        title: what it is.
        arms: its rows.
        compared: rows are also set beside the first one, as a difference.
    """

    name: str
    title: str
    arms: tuple[Arm, ...]
    compared: bool = False

    @property
    def datasets(self) -> list[str]:
        """Keys of the datasets that it takes."""
        parts = [part for arm in self.arms for part in (arm.train, arm.test) if part is not None]
        return list(dict.fromkeys(part.dataset for part in parts))


BASELINES = ("POS", "CHROM", "GREEN")
PURE = Recordings("PURE", "pure", "80-20", "train", validation=True)
UBFC = Recordings("UBFC-rPPG", "ubfc-rppg", "80-20", "train", validation=True)
MMPD_EASY = Recordings("MMPD subset", "mmpd", "80-20", "train", FILTERS["mmpd-simple"], validation=True)
ALL_UBFC = Recordings("UBFC-rPPG", "ubfc-rppg")
ALL_MMPD = Recordings("MMPD", "mmpd")
# Within a dataset. PURE and UBFC-rPPG are split in two by the field, so that the last weights have to do.
WITHIN = (
    (Recordings("PURE", "pure", "pure-60-40", "train"), Recordings("PURE", "pure", "pure-60-40")),
    (Recordings("UBFC-rPPG", "ubfc-rppg", "ubfc-30-12", "train"), Recordings("UBFC-rPPG", "ubfc-rppg", "ubfc-30-12")),
    (
        Recordings("MMPD", "mmpd", "mmpd-7-1-2", "train", validation=True),
        Recordings("MMPD", "mmpd", "mmpd-7-1-2"),
    ),
)


def _rows(*pairs: tuple[Recordings, Recordings]) -> tuple[Arm, ...]:
    """All classical methods on each test set, and all networks on each pair."""
    tests = list(dict.fromkeys(test.label for _, test in pairs))
    first = {label: next(test for _, test in pairs if test.label == label) for label in tests}
    return (
        *(Arm(method, None, first[label], network=method) for label in tests for method in BASELINES),
        *(
            Arm(entry.title, train, test, network=network)
            for train, test in pairs
            for network, entry in NETWORKS.items()
        ),
    )


def _ablation(*variants: tuple[str, str, Mapping[str, Any], Mapping[str, Any]]) -> tuple[Arm, ...]:
    """Variants of physFSUNet, all trained on PURE and tested on MMPD, as in the paper; the first is the paper's own."""
    return tuple(
        Arm(label, PURE, ALL_MMPD, config=config, loss=loss, variant=variant)
        for label, variant, config, loss in variants
    )


STUDIES = {
    study.name: study
    for study in (
        Study("table1", "Within a dataset (Table I)", _rows(*WITHIN)),
        Study("table2", "From PURE and from UBFC-rPPG to MMPD (Table II)", _rows((PURE, ALL_MMPD), (UBFC, ALL_MMPD))),
        Study(
            "table3",
            "From PURE and from a subset of MMPD to UBFC-rPPG (Table III)",
            _rows((PURE, ALL_UBFC), (MMPD_EASY, ALL_UBFC)),
        ),
        Study(
            "ablation-fusion",
            "What goes in: fusion, raw frames, differences (Table IV)",
            _ablation(
                ("fusion", "", {}, {}),
                ("raw frames", "raw frames", {"input": "raw"}, {}),
                ("differences", "difference frames", {"input": "difference"}, {}),
            ),
            compared=True,
        ),
        Study(
            "ablation-tsm",
            "Temporal shift (Table V)",
            _ablation(("with shift", "", {}, {}), ("without shift", "without temporal shift", {"shift": False}, {})),
            compared=True,
        ),
        Study(
            "ablation-attention",
            "Attention (Table VI)",
            _ablation(
                ("with attention", "", {}, {}), ("without attention", "without attention", {"attention": "off"}, {})
            ),
            compared=True,
        ),
        Study(
            "ablation-loss",
            "Loss (Table VII), and what the heart-rate loss gives",
            _ablation(
                ("hybrid", "", {}, {}),
                ("hybrid without heart-rate loss", "no heart-rate loss", {}, {"heart_rate": False}),
                ("hybrid as coded by others", "as coded", {}, {"as_published_code": True}),
                ("negative Pearson", "negative Pearson loss", {}, {"name": "negative-pearson"}),
                ("MSE", "MSE loss", {}, {"name": "mse"}),
            ),
            compared=True,
        ),
    )
}


def _said(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key} {value}" for key, value in settings.items()]

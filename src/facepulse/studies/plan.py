"""The paper's tables as data: a line per row, with its training and test recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facepulse.datasets.splits import FILTERS
from facepulse.inference.registry import NETWORKS

Filter = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class DataSelection:
    """Recordings of one dataset.

    Attributes:
        label: name in tables.
        dataset: key of `facepulse.datasets.DATASETS`.
        split: key of `facepulse.datasets.splits.SPLITS`.
        subset: subset of the split.
        where: values to keep, by attribute.
        validation: True if the split has a validation subset, on which the best epoch is chosen; otherwise the weights
            of the last epoch are used.
    """

    label: str
    dataset: str
    split: str = "all"
    subset: str = "test"
    where: Filter = field(default_factory=dict, hash=False)
    validation: bool = False

    def __str__(self) -> str:
        """Label, subset and filter; also a component of the names of result files."""
        filters = ", ".join(f"{key} {'/'.join(values)}" for key, values in self.where.items())
        subset = "all of it" if self.split == "all" else f"{self.subset} of {self.split}"
        return f"{self.label} ({subset}{f'; {filters}' if filters else ''})"


@dataclass(frozen=True)
class Experiment:
    """Row of a table: a network or classical method with its training and test recordings.

    Attributes:
        label: name of the row.
        train: training recordings; None for a classical method.
        test: test recordings.
        network: key of `facepulse.inference.registry.NETWORKS`, or the name of a classical method.
        config: config of the network, overriding that of the recipe.
        loss: settings of the loss, overriding those of the recipe.
        variant: variant under which the paper published this row; empty for the unmodified network.
    """

    label: str
    train: DataSelection | None
    test: DataSelection
    network: str = "physfsunet"
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    loss: Mapping[str, Any] = field(default_factory=dict, hash=False)
    variant: str = ""

    @property
    def run(self) -> str:
        """Name of the training run, shared by all experiments with the same training."""
        assert self.train is not None
        overrides = [f"{key} {value}" for settings in (self.config, self.loss) for key, value in settings.items()]
        words = [self.network, *overrides, "on", self.train.label]
        if not self.train.validation:
            words.append(self.train.split)
        return re.sub(r"[^\w.]+", "-", " ".join(words)).strip("-").lower()


@dataclass(frozen=True)
class Trial:
    """One experiment with one seed.

    Attributes:
        experiment: row of the table.
        seed: seed of the training; None for a classical method.
    """

    experiment: Experiment
    seed: int | None

    @property
    def name(self) -> str:
        """Name of the weights or method under test; trials with the same name share their training."""
        return self.experiment.network.lower() if self.seed is None else f"{self.experiment.run}/seed{self.seed}"


def trials_of(experiments: Sequence[Experiment], seeds: int) -> list[Trial]:
    """Combine each experiment with the seeds 0 to `seeds` - 1, and each classical method with none."""
    return [
        Trial(experiment, seed)
        for experiment in experiments
        for seed in ([None] if experiment.train is None else range(seeds))
    ]


@dataclass(frozen=True)
class Study:
    """One table of the paper.

    Attributes:
        name: argument of `facepulse study`.
        title: heading of the table.
        experiments: rows.
        compared: True if the table also shows the difference of each row from the first.
    """

    name: str
    title: str
    experiments: tuple[Experiment, ...]
    compared: bool = False

    @property
    def datasets(self) -> list[str]:
        """Keys of the datasets that the study needs."""
        selections = [selection for row in self.experiments for selection in (row.train, row.test) if selection]
        return list(dict.fromkeys(selection.dataset for selection in selections))


BASELINES = ("POS", "CHROM", "GREEN")
PURE = DataSelection("PURE", "pure", "80-20", "train", validation=True)
UBFC = DataSelection("UBFC-rPPG", "ubfc-rppg", "80-20", "train", validation=True)
MMPD_EASY = DataSelection("MMPD subset", "mmpd", "80-20", "train", FILTERS["mmpd-simple"], validation=True)
ALL_UBFC = DataSelection("UBFC-rPPG", "ubfc-rppg")
ALL_MMPD = DataSelection("MMPD", "mmpd")
# The usual splits of PURE and UBFC-rPPG have no validation subset, hence the weights of the last epoch are tested.
WITHIN = (
    (DataSelection("PURE", "pure", "pure-60-40", "train"), DataSelection("PURE", "pure", "pure-60-40")),
    (
        DataSelection("UBFC-rPPG", "ubfc-rppg", "ubfc-30-12", "train"),
        DataSelection("UBFC-rPPG", "ubfc-rppg", "ubfc-30-12"),
    ),
    (
        DataSelection("MMPD", "mmpd", "mmpd-7-1-2", "train", validation=True),
        DataSelection("MMPD", "mmpd", "mmpd-7-1-2"),
    ),
)


def _rows(*pairs: tuple[DataSelection, DataSelection]) -> tuple[Experiment, ...]:
    """Combine the classical methods with each test set, and all networks with each pair of training and test set."""
    tests: dict[str, DataSelection] = {}
    for _, test in pairs:
        tests.setdefault(test.label, test)
    return (
        *(Experiment(method, None, test, network=method) for test in tests.values() for method in BASELINES),
        *(
            Experiment(entry.title, train, test, network=network)
            for train, test in pairs
            for network, entry in NETWORKS.items()
        ),
    )


def _ablation(*variants: tuple[str, str, Mapping[str, Any], Mapping[str, Any]]) -> tuple[Experiment, ...]:
    """Variants of physFSUNet, trained on PURE and tested on MMPD as in the paper; the first is the unmodified one.

    Args:
        variants: label, published variant, config and loss settings of each row.
    """
    return tuple(
        Experiment(label, PURE, ALL_MMPD, config=config, loss=loss, variant=variant)
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
            "Network input: fusion, raw frames, differences (Table IV)",
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
            "Loss (Table VII), with and without its heart-rate term",
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
"""Studies that fill a table, by name."""

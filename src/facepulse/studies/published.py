"""Published figures for the tables that a study repeats: physFSUNet and the methods that it is compared with.

Of physFSUNet's paper (arXiv 2507.07795) only the text was available, not tables I to VIII. A figure of physFSUNet is
therefore a number if the text states it, a bound if the text ranks it among known rows, and None otherwise. Rows of
other methods come from the papers from which the text takes "most data for the comparison methods"; the two figures
that the text quotes, 8.98 and 13.94 bpm, are in these papers. It is unknown which of these rows the tables print.

The 13.94 bpm of PhysNet from PURE to MMPD, on which the "45.6 % improvement over PhysNet" rests, is doubtful: the row
in RhythmMamba's table is identical to that of TS-CAN in every column and most likely belongs to TS-CAN alone.
rPPG-Toolbox reports 13.93 for TS-CAN and 13.21 for PhysNet. Compared with 13.21, the improvement is 42.6 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

# A number, a bound or an estimate in words ("< 0.89", "about 8.5"), or None if the figure is unknown.
Figure: TypeAlias = float | str | None


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """Published errors of one network with one training set and one test set.

    Attributes:
        network: name as its authors spell it.
        trained_on: dataset; None for methods without training.
        tested_on: dataset.
        mae: mean absolute error of heart rate, bpm.
        rmse: root mean square error of heart rate, bpm.
        mape: mean absolute percentage error of heart rate, %.
        pearson: correlation of estimated and true heart rates.
        source: publication and table or section of the figures.
        variant: in an ablation, the component that is removed or replaced; empty for the unmodified network.
        note: remarks on the comparison; may be empty.
    """

    network: str
    trained_on: str | None
    tested_on: str
    mae: Figure
    rmse: Figure = None
    mape: Figure = None
    pearson: Figure = None
    source: str
    variant: str = ""
    note: str = ""

    @property
    def publication(self) -> str:
        """Short name of the source."""
        return self.source.partition(",")[0]


@dataclass(frozen=True, kw_only=True)
class PublishedCost(PublishedRow):
    """Row of table VIII: computational cost of a network and its error.

    Attributes:
        parameters: number of parameters.
        mmacs: millions of multiply-accumulates per frame of 128x128 pixels, in clips of 30 s.
        memory_mb: memory as printed; the paper does not define it.
    """

    parameters: float
    mmacs: float | None = None
    memory_mb: Figure = None


@dataclass(frozen=True)
class PublishedTable:
    """One of the paper's tables, as far as it is known.

    Attributes:
        number: number in the paper.
        title: subject of the comparison.
        protocol: data, splits and heart-rate estimation, in words.
        rows: rows; those of physFSUNet come first.
    """

    number: str
    title: str
    protocol: str
    rows: tuple[PublishedRow, ...]

    def find(self, network: str, trained_on: str | None, tested_on: str) -> tuple[PublishedRow, ...]:
        """Find the rows of a network, training set and test set: several if sources differ, or in an ablation.

        Args:
            network: name, in any spelling that differs in case and punctuation only, such as a key of `NETWORKS`.
            trained_on: dataset, likewise; None for methods without training.
            tested_on: dataset, likewise.
        """
        wanted = tuple(map(plain_name, (network, trained_on, tested_on)))
        return tuple(
            row for row in self.rows if tuple(map(plain_name, (row.network, row.trained_on, row.tested_on))) == wanted
        )


def plain_name(name: str | None) -> str:
    """Reduce a name to lower-case letters and digits, so that `TS-CAN` equals `tscan`; None to an empty string."""
    return "".join(letter for letter in (name or "").casefold() if letter.isalnum())


PAPER = "physFSUNet, arXiv 2507.07795"
MAMBA = "RhythmMamba, arXiv 2404.06483v2 (AAAI 2025)"
TOOLBOX = "rPPG-Toolbox, NeurIPS 2023, table 2"
ISSUE = "rPPG-Toolbox on GitHub, issue"

WITHIN = (
    "trained and tested within one dataset: PURE 60 % for training and 40 % for testing; UBFC-rPPG the first 30 "
    "recordings and the last 12; MMPD, all of it, 7:1:2 for training, validation and testing; one heart rate per "
    "recording, second-order Butterworth band-pass and Welch spectrum"
)
ACROSS = (
    "as in rPPG-Toolbox: 80 % of the training set for training and 20 % for choosing the epoch; all of the test set; "
    "one heart rate per recording, second-order Butterworth band-pass and Welch spectrum, 45 to 150 bpm"
)
SUBSET = "MMPD subset"  # LIGHT 1, 2 and 3, MOTION 1, EXERCISE 2, SKIN_COLOR 3
ABLATION = f"trained on PURE, tested on MMPD; {ACROSS}"

COPIED = "identical to TS-CAN's row in every column, so most likely not PhysNet's; rPPG-Toolbox reports 13.21"
NOT_IN_TABLE_I = "not in the paper's table I, whose text ranks physFSUNet second, behind RhythmFormer"
OWN_RUN = "a user's run; the paper's own rows with this training set are not published elsewhere"


def _rows(
    source: str, trained_on: str | None, tested_on: str, figures: Mapping[str, tuple[Figure, ...]], note: str = ""
) -> tuple[PublishedRow, ...]:
    """Rows of one source; `figures` are MAE, RMSE, MAPE and Pearson's r of each network."""
    return tuple(
        PublishedRow(
            network=network,
            trained_on=trained_on,
            tested_on=tested_on,
            mae=mae,
            rmse=rmse,
            mape=mape,
            pearson=pearson,
            source=source,
            note=note,
        )
        for network, (mae, rmse, mape, pearson) in figures.items()
    )


def _own(
    trained_on: str, tested_on: str, mae: Figure, *others: Figure, section: str, variant: str = "", note: str = ""
) -> PublishedRow:
    """Row of physFSUNet: MAE and, if known, RMSE, MAPE and Pearson's r."""
    rmse, mape, pearson = others or (None, None, None)
    return PublishedRow(
        network="physFSUNet",
        trained_on=trained_on,
        tested_on=tested_on,
        mae=mae,
        rmse=rmse,
        mape=mape,
        pearson=pearson,
        source=f"{PAPER}, section {section}",
        variant=variant,
        note=note,
    )


LOST = "printed in table I, which was not available; the text states only that all networks do well here"

TABLE_I = PublishedTable(
    "I",
    "within PURE, UBFC-rPPG and MMPD",
    WITHIN,
    (
        _own("PURE", "PURE", None, section="III-C", note=LOST),
        _own("UBFC-rPPG", "UBFC-rPPG", None, section="III-C", note=LOST),
        _own("MMPD", "MMPD", 3.67, 9.39, 4.42, 0.79, section="III-C"),
        *_rows(
            f"{MAMBA}, table 1",
            "PURE",
            "PURE",
            {
                "HR-CNN": (1.84, 2.37, None, 0.98),
                "DeepPhys": (0.83, 1.54, None, 0.99),
                "PhysNet": (2.10, 2.60, None, 0.99),
                "TS-CAN": (2.48, 9.01, None, 0.92),
                "Gideon": (2.30, 2.90, None, 0.99),
                "Dual-GAN": (0.82, 1.31, None, 0.99),
                "PhysFormer": (1.10, 1.75, None, 0.99),
                "TFA-PFE": (1.44, 2.50, None, None),
                "Li et al.": (0.64, 1.16, None, 0.99),
                "Yue et al.": (1.23, 2.01, None, 0.99),
                "Contrast-Phys+": (0.48, 0.98, None, 0.99),
                "RhythmFormer": (0.27, 0.47, None, 0.99),
                "RhythmMamba": (0.23, 0.34, None, 0.99),
            },
        ),
        *_rows(
            f"{MAMBA}, table 1",
            "UBFC-rPPG",
            "UBFC-rPPG",
            {
                "HR-CNN": (4.90, 5.89, None, 0.64),
                "DeepPhys": (6.27, 10.82, None, 0.65),
                "PhysNet": (2.95, 3.67, None, 0.97),
                "TS-CAN": (1.70, 2.72, None, 0.99),
                "Gideon": (1.85, 4.28, None, 0.93),
                "Dual-GAN": (0.44, 0.67, None, 0.99),
                "PhysFormer": (0.50, 0.71, None, 0.99),
                "EfficientPhys": (1.14, 1.81, None, 0.99),
                "TFA-PFE": (0.76, 1.62, None, None),
                "Li et al.": (0.48, 0.64, None, 0.99),
                "Yue et al.": (0.58, 0.94, None, 0.99),
                "Contrast-Phys+": (0.21, 0.80, None, 0.99),
                "RhythmFormer": (0.50, 0.78, None, 0.99),
                "RhythmMamba": (0.50, 0.75, None, 0.99),
            },
        ),
        *_rows(
            f"{MAMBA}, table 1",
            "MMPD",
            "MMPD",
            {
                "DeepPhys": (22.27, 28.92, None, -0.03),
                "PhysNet": (4.80, 11.80, None, 0.60),
                "TS-CAN": (9.71, 17.22, None, 0.44),
                "PhysFormer": (11.99, 18.41, None, 0.18),
                "EfficientPhys": (13.47, 21.32, None, 0.21),
                "RhythmFormer": (3.07, 6.81, None, 0.86),
            },
        ),
        *_rows(f"{MAMBA}, table 1", "MMPD", "MMPD", {"RhythmMamba": (3.16, 7.27, 3.37, 0.84)}, NOT_IN_TABLE_I),
    ),
)

FIRST_IN_THREE = "bounds: first in RMSE and MAPE and second in Pearson's r of a table with RhythmFormer's row"
FIRST_BUT_FOR_PEARSON = "bounds: first in all but Pearson's r, second there, of a table with RhythmFormer's row"

TABLE_II = PublishedTable(
    "II",
    "from PURE and from UBFC-rPPG to MMPD",
    ACROSS,
    (
        _own("PURE", "MMPD", 7.58, "< 14.85", "< 11.11", "< 0.51", section="III-D", note=FIRST_IN_THREE),
        _own(
            "UBFC-rPPG", "MMPD", "< 9.08", "< 15.07", "< 11.17", "< 0.53", section="III-D", note=FIRST_BUT_FOR_PEARSON
        ),
        *_rows(
            f"{MAMBA}, table 2",
            "PURE",
            "MMPD",
            {
                "DeepPhys": (16.92, 24.61, 18.54, 0.05),
                "TS-CAN": (13.94, 21.61, 15.15, 0.20),
                "PhysFormer": (14.57, 20.71, 16.73, 0.15),
                "EfficientPhys": (14.03, 21.62, 15.32, 0.17),
                "Spiking-PhysFormer": (14.57, None, 16.55, 0.14),
                "RhythmFormer": (8.98, 14.85, 11.11, 0.51),
                "RhythmMamba": (10.44, 16.70, 12.25, 0.36),
            },
        ),
        *_rows(f"{MAMBA}, table 2", "PURE", "MMPD", {"PhysNet": (13.94, 21.61, 15.15, 0.20)}, COPIED),
        *_rows(TOOLBOX, "PURE", "MMPD", {"PhysNet": (13.21, None, 14.73, None)}),
        *_rows(
            f"{MAMBA}, table 2",
            "UBFC-rPPG",
            "MMPD",
            {
                "DeepPhys": (17.50, 25.00, 19.27, 0.06),
                "PhysNet": (9.47, 16.01, 11.11, 0.31),
                "TS-CAN": (14.01, 21.04, 15.48, 0.24),
                "PhysFormer": (12.10, 17.79, 15.41, 0.17),
                "EfficientPhys": (13.78, 22.25, 15.15, 0.09),
                "Spiking-PhysFormer": (14.15, None, 16.22, 0.15),
                "RhythmFormer": (9.08, 15.07, 11.17, 0.53),
                "RhythmMamba": (10.63, 17.14, 12.14, 0.34),
            },
        ),
        *_rows(TOOLBOX, "UBFC-rPPG", "MMPD", {"PhysNet": (10.23, None, 12.46, None)}),
        *_rows(
            f"{MAMBA}, table 2",
            None,
            "MMPD",
            {
                "GREEN": (21.68, 27.69, 24.39, -0.01),
                "ICA": (18.60, 24.30, 20.88, 0.01),
                "CHROM": (13.66, 18.76, 16.00, 0.08),
                "LGI": (17.08, 23.32, 18.98, 0.04),
                "PBV": (17.95, 23.58, 20.18, 0.09),
                "POS": (12.36, 17.71, 14.43, 0.18),
                "OMIT": (17.02, 23.23, 18.89, 0.04),
            },
        ),
    ),
)

FIRST_IN_ALL = "bounds: first in all four figures of a table with RhythmFormer's row"
FIRST_UNKNOWN = "first in all four figures, among rows that are not published elsewhere"

TABLE_III = PublishedTable(
    "III",
    "from PURE and from a subset of MMPD to UBFC-rPPG",
    f"{ACROSS}; the subset of MMPD has LIGHT 1, 2 and 3, MOTION 1, EXERCISE 2 and SKIN_COLOR 3",
    (
        _own("PURE", "UBFC-rPPG", "< 0.89", "< 1.83", "< 0.97", ">= 0.99", section="III-D", note=FIRST_IN_ALL),
        _own(SUBSET, "UBFC-rPPG", None, section="III-D", note=FIRST_UNKNOWN),
        *_rows(
            f"{MAMBA}, table 2",
            "PURE",
            "UBFC-rPPG",
            {
                "DeepPhys": (1.21, 2.90, 1.42, 0.99),
                "PhysNet": (0.98, 2.48, 1.12, 0.99),
                "TS-CAN": (1.30, 2.87, 1.50, 0.99),
                "PhysFormer": (1.44, 3.77, 1.66, 0.98),
                "EfficientPhys": (2.07, 6.32, 2.10, 0.94),
                "Spiking-PhysFormer": (2.80, None, 2.81, 0.95),
                "RhythmFormer": (0.89, 1.83, 0.97, 0.99),
                "RhythmMamba": (0.95, 1.83, 1.04, 0.99),
            },
        ),
        *_rows(TOOLBOX, "PURE", "UBFC-rPPG", {"PhysNet": (1.63, None, 1.68, None)}),
        *_rows(f"{ISSUE} 149", SUBSET, "UBFC-rPPG", {"TS-CAN": (18.11, 28.37, 16.86, 0.34)}, OWN_RUN),
        *_rows(
            f"{ISSUE} 211",
            SUBSET,
            "UBFC-rPPG",
            {
                "TS-CAN": (7.97, 16.05, 7.62, 0.716),
                "DeepPhys": (33.04, 39.70, 31.15, 0.19),
                "EfficientPhys": (15.11, 26.03, 14.19, 0.36),
            },
            OWN_RUN,
        ),
        *_rows(
            f"{MAMBA}, table 2",
            None,
            "UBFC-rPPG",
            {
                "GREEN": (19.73, 31.00, 18.72, 0.37),
                "ICA": (16.00, 25.65, 15.35, 0.44),
                "CHROM": (4.06, 8.83, 3.84, 0.89),
                "LGI": (15.80, 28.55, 14.70, 0.36),
                "PBV": (15.90, 26.40, 15.17, 0.48),
                "POS": (4.08, 7.72, 3.93, 0.92),
                "OMIT": (16.99, 29.54, 15.91, 0.34),
            },
        ),
    ),
)


def _ablation(number: str, title: str, variants: Mapping[str, tuple[str, str]]) -> PublishedTable:
    """Ablation of physFSUNet from PURE to MMPD; `variants` are MAE in words and the statement of the text."""
    rows = [_own("PURE", "MMPD", 7.58, section="III-E")]
    for variant, (mae, statement) in variants.items():
        note = f"derived: the text states {statement} than 7.58"
        rows.append(_own("PURE", "MMPD", mae, section="III-E", variant=variant, note=note))
    return PublishedTable(number, title, ABLATION, tuple(rows))


TABLE_IV = _ablation(
    "IV",
    "difference fusion",
    {
        "raw frames": ("about 18.5", "nearly 11 worse"),
        "difference frames": ("about 11.6", "4 worse"),
    },
)
TABLE_V = _ablation("V", "temporal shift", {"without temporal shift": ("about 8.5", "nearly 1 worse")})
TABLE_VI = _ablation("VI", "attention", {"without attention": ("about 9.5", "nearly 2 worse")})
TABLE_VII = _ablation(
    "VII",
    "loss",
    {
        "MSE loss": ("8.6 to 9.6", "1 to 2 worse"),
        "negative Pearson loss": ("8.6 to 9.6", "1 to 2 worse"),
    },
)


def _cost(
    network: str,
    mae: float,
    parameters: float,
    mmacs: float | None = None,
    memory_mb: Figure = None,
    *,
    source: str,
    note: str = "",
) -> PublishedCost:
    return PublishedCost(
        network=network,
        trained_on="PURE",
        tested_on="MMPD",
        mae=mae,
        parameters=parameters,
        mmacs=mmacs,
        memory_mb=memory_mb,
        source=source,
        note=note,
    )


COPIED_COSTS = f"{MAMBA}, tables 2 (MAE) and 5"
BOTH = f"{PAPER}, section III-F; MAE and multiply-accumulates: {COPIED_COSTS}"

TABLE_VIII = PublishedTable(
    "VIII",
    "cost and error from PURE to MMPD",
    f"errors: {ACROSS}; multiply-accumulates: a frame of 128x128 pixels, in clips of 30 s; memory: not defined",
    (
        _cost("physFSUNet", 7.58, 831_000, None, 3375.0, source=f"{PAPER}, section III-F"),
        _cost("PhysNet", 13.94, 769_000, 438.24, source=BOTH, note=f"its MAE is {COPIED}"),
        _cost("RhythmFormer", 8.98, 3_250_000, 240.55, "about 1000", source=BOTH),
        _cost("PhysFormer", 14.57, 7_380_000, 316.29, "about 1000", source=BOTH),
        _cost(
            "DeepPhys",
            16.92,
            7_500_000,
            744.45,
            "> 4500",
            source=BOTH,
            note="the upper end of the paper's range of parameters; 1.98 million, to which the multiply-accumulates "
            "belong, with a pool of 4x4 before the dense layer",
        ),
        _cost("TS-CAN", 13.94, 1_980_000, 744.45, source=COPIED_COSTS),
        _cost(
            "EfficientPhys",
            14.03,
            1_910_000,
            373.72,
            "> 4500",
            source=BOTH,
            note="7.44 million without the pool of 4x4 before the dense layer, more likely what the paper ran",
        ),
        _cost("RhythmMamba", 10.44, 1_070_000, 80.90, source=COPIED_COSTS),
    ),
)

TABLES: dict[str, PublishedTable] = {
    "table1": TABLE_I,
    "table2": TABLE_II,
    "table3": TABLE_III,
    "ablation-fusion": TABLE_IV,
    "ablation-tsm": TABLE_V,
    "ablation-attention": TABLE_VI,
    "ablation-loss": TABLE_VII,
    "cost": TABLE_VIII,
}

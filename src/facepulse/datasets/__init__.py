"""Datasets with reference signals: one module per dataset describes its files, and one row here registers it."""

from facepulse.datasets.cohface import COHFACE
from facepulse.datasets.folder import FOLDER
from facepulse.datasets.ibvp import IBVP
from facepulse.datasets.mcd_rppg import MCD_RPPG
from facepulse.datasets.mmpd import MMPD, MMPD_CORRECTED
from facepulse.datasets.pure import PURE
from facepulse.datasets.recording import Dataset, DatasetError, Labels, Recording, Signal
from facepulse.datasets.scamps import SCAMPS
from facepulse.datasets.simulated import SIMULATED
from facepulse.datasets.ubfc_phys import UBFC_PHYS
from facepulse.datasets.ubfc_rppg import UBFC_RPPG

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        PURE,
        UBFC_RPPG,
        MMPD,
        MMPD_CORRECTED,
        MCD_RPPG,
        UBFC_PHYS,
        SCAMPS,
        IBVP,
        COHFACE,
        SIMULATED,
        FOLDER,
    )
}

__all__ = ["DATASETS", "Dataset", "DatasetError", "Labels", "Recording", "Signal"]

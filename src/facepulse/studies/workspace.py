"""Folders of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facepulse.datasets.cache import PreparedRecording, folder_name, open_cache
from facepulse.errors import UsageError
from facepulse.studies.plan import Trial


@dataclass(frozen=True)
class Workspace:
    """Folders that a study reads and writes.

    Attributes:
        data: folder of the datasets, each in a folder of its own name.
        out: folder of all outputs: `cache`, `runs`, `scores` and the tables.
    """

    data: Path
    out: Path

    @property
    def cache(self) -> Path:
        """Folder of the prepared recordings."""
        return self.out / "cache"

    def dataset_root(self, dataset: str) -> Path:
        """Find the folder of a dataset; case and underscores in its name do not matter.

        Raises:
            UsageError: there is no such folder.
        """
        if self.data.is_dir():
            for path in sorted(self.data.iterdir()):
                if path.is_dir() and path.name.lower().replace("_", "-") == dataset:
                    return path
        raise UsageError(f"{self.data} has no folder {dataset}: put that dataset there, or link it")

    def recordings(self, dataset: str) -> list[PreparedRecording]:
        """Open the prepared recordings of a dataset.

        Raises:
            UsageError: the dataset has not been prepared.
        """
        return open_cache(self.cache / dataset)

    def is_prepared(self, dataset: str) -> bool:
        """Return True if there are prepared recordings of a dataset."""
        return (self.cache / dataset).is_dir()

    def is_simulated(self, dataset: str) -> bool:
        """Return True if any prepared recording of a dataset is simulated."""
        return any(recording.simulated for recording in self.recordings(dataset))

    def run_folder(self, trial: Trial) -> Path:
        """Folder of the training of a trial."""
        return self.out / "runs" / trial.name

    def result_file(self, trial: Trial) -> Path:
        """File of the test results of a trial."""
        test = folder_name(str(trial.experiment.test))
        return self.out / "scores" / f"{folder_name(trial.name)}-on-{test}.json"

"""Training and validation recordings of a run."""

from __future__ import annotations

from facepulse.datasets.cache import PreparedRecording, open_cache
from facepulse.errors import UsageError
from facepulse.evaluation.run import choose
from facepulse.training.settings import Cache, Data

Groups = list[list[PreparedRecording]]  # recordings of a group are of one dataset, prepared with the same settings


class RunData:
    """Recordings of a run.

    Args:
        data: data section of the settings.

    Attributes:
        train: one group per entry of `data.caches`.
        validation: one group per entry of `data.validation`.

    Raises:
        UsageError: there are no training data, or a subject is in training and in validation.
        DatasetError: a cache cannot be read, or no recording of it is left after filtering.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self.train: Groups = [_recordings(cache) for cache in data.caches]
        self.validation: Groups = [_recordings(cache) for cache in data.validation]
        if not self.train and not data.simulated:
            raise UsageError("there are no training data: name prepared data in data.caches, or data.simulated")
        _check_subjects(self.train, self.validation)

    @property
    def hashes(self) -> dict[str, dict[str, str]]:
        """Hash of the arrays of each recording, for training and validation."""
        return {
            subset: {f"{each.dataset}/{each.name}": each.sha256 for group in groups for each in group}
            for subset, groups in (("train", self.train), ("validation", self.validation))
        }

    def __str__(self) -> str:
        """Describe the training recordings in words."""
        sources = [
            f"{len(group)} recordings of {len({each.subject for each in group})} people of {group[0].dataset}"
            f"{' (simulated)' if any(each.simulated for each in group) else ''}"
            for group in self.train
        ]
        sources += [
            f"simulated in memory: preset {simulated.preset}, seed {simulated.seed}, {simulated.clips} clips per epoch"
            for simulated in self._data.simulated
        ]
        return "; ".join(sources)


def _recordings(cache: Cache) -> list[PreparedRecording]:
    subset = "test" if cache.split == "all" else cache.subset  # the only subset of `all`
    recordings, _ = choose(open_cache(cache.path), cache.split, subset, cache.where)
    return recordings


def _check_subjects(train: Groups, other: Groups) -> None:
    """Check that no subject is in training and in validation."""
    trained_on = {(recording.dataset, recording.subject) for group in train for recording in group}
    for group in other:
        for recording in group:
            if (recording.dataset, recording.subject) in trained_on:
                raise UsageError(
                    f"subject {recording.subject} of {recording.dataset} is in training and in validation: give "
                    "data.caches and data.validation two subsets of one split"
                )

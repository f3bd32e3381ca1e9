"""Who is learnt from and who chooses the weights: the recordings that a run's settings stand for."""

from __future__ import annotations

from facepulse.datasets.cache import PreparedRecording, open_cache
from facepulse.errors import UsageError
from facepulse.evaluation.run import choose
from facepulse.training.settings import Cache, Data

Groups = list[list[PreparedRecording]]  # those of a group are of one dataset, prepared in one way


class RunData:
    """The recordings of a run.

    Args:
        data: names them.

    Attributes:
        train: a group for each of `data.caches`.
        validation: a group for each of `data.validation`.

    Raises:
        UsageError: there is nothing to learn from, or somebody is in training and in validation.
        DatasetError: a cache cannot be read, or nothing of it is left.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self.train: Groups = [_recordings(cache) for cache in data.caches]
        self.validation: Groups = [_recordings(cache) for cache in data.validation]
        if not self.train and not data.simulated:
            raise UsageError("there is nothing to learn from: name prepared data in data.caches, or data.simulated")
        _check_people(self.train, self.validation)

    @property
    def hashes(self) -> dict[str, dict[str, str]]:
        """Recording to the hash of its arrays, for training and validation."""
        return {
            subset: {f"{each.dataset}/{each.name}": each.sha256 for group in groups for each in group}
            for subset, groups in (("train", self.train), ("validation", self.validation))
        }

    def __str__(self) -> str:
        """What is learnt from, in words."""
        learnt = [
            f"{len(group)} recordings of {len({each.subject for each in group})} people of {group[0].dataset}"
            f"{' (simulated)' if any(each.simulated for each in group) else ''}"
            for group in self.train
        ]
        learnt += [
            f"simulated in memory: preset {simulated.preset}, seed {simulated.seed}, {simulated.clips} clips an epoch"
            for simulated in self._data.simulated
        ]
        return "; ".join(learnt)


def _recordings(cache: Cache) -> list[PreparedRecording]:
    subset = "test" if cache.split == "all" else cache.subset  # the one subset that `all` has
    recordings, _ = choose(open_cache(cache.path), cache.split, subset, cache.where)
    return recordings


def _check_people(train: Groups, other: Groups) -> None:
    """Nobody may be on two sides."""
    seen = {(recording.dataset, recording.subject) for group in train for recording in group}
    for group in other:
        for recording in group:
            if (recording.dataset, recording.subject) in seen:
                raise UsageError(
                    f"subject {recording.subject} of {recording.dataset} is in training and in validation: give "
                    "data.caches and data.validation two parts of one split"
                )

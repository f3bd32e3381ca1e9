"""Who is learnt from and who is tested on: named splits, by person, the same on every machine.

A split never depends on the order in which a disk lists its files, and nobody is on two sides of it. The fixed ones are
those of the field; where the field only says "the first 30", the list is written down here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from facepulse.datasets.recording import Attribute, natural_sort_key
from facepulse.errors import UsageError


class Labelled(Protocol):
    """What a split looks at: prepared or not."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102


class Described(Labelled, Protocol):
    """What a filter looks at."""

    @property
    def attributes(self) -> Mapping[str, Attribute]: ...  # noqa: D102


Item = TypeVar("Item", bound=Labelled)
AnyDescribed = TypeVar("AnyDescribed", bound=Described)


@dataclass(frozen=True)
class Split(Generic[Item]):
    """Recordings in parts that share no person.

    Attributes:
        name: as in `SPLITS`, with the number of the fold where there are several: `5-fold/2`.
        subsets: `train`, `validation` and `test`, where the split has them; recordings in natural order of names.
    """

    name: str
    subsets: dict[str, list[Item]]

    def names(self) -> dict[str, list[str]]:
        """Names of the recordings of each subset: what is printed, and saved with every result."""
        return {subset: [recording.name for recording in recordings] for subset, recordings in self.subsets.items()}


Shares = Mapping[str, float]
UBFC_TEST = frozenset(f"subject{n}" for n in (38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49))

# Shares of people, in natural order of their names; a border lies at int(share x people), as in rPPG-Toolbox.
_BY_SHARE: dict[str, Shares] = {
    "pure-60-40": {"train": 0.6, "test": 0.4},  # of its ten, 1 to 6 (35 recordings) and 7 to 10 (24)
    "mmpd-7-1-2": {"train": 0.7, "validation": 0.1, "test": 0.2},  # of 33: 1 to 23, 24 to 26, 27 to 33
    "80-20": {"train": 0.8, "validation": 0.2},  # of a set that is not tested on
    "70-10-20": {"train": 0.7, "validation": 0.1, "test": 0.2},
}
# UBFC-rPPG has one recording a person. The field says "first 30, last 12" of a list that it does not sort: this is the
# order of the numbers. (RhythmFormer's, sorted as text, tests on 41 to 49, 5, 8 and 9.)
_BY_LIST: dict[str, Collection[str]] = {"ubfc-30-12": UBFC_TEST}
_FOLDS: dict[str, int | None] = {"5-fold": 5, "10-fold": 10, "leave-one-out": None}

SPLITS: tuple[str, ...] = ("all", *_BY_SHARE, *_BY_LIST, *_FOLDS)

# The subset of MMPD that the paper (and rPPG-Toolbox's configuration) trains on: 50 recordings of 17 people.
FILTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "mmpd-simple": {
        "light": ("LED-low", "LED-high", "Incandescent"),
        "motion": ("Stationary",),
        "exercise": ("False",),
        "skin_color": ("3",),
    },
}


def split(recordings: Sequence[Item], name: str) -> dict[str, list[Item]]:
    """The parts of a split that has one fold only.

    Raises:
        UsageError: there is no such split, it has several folds (see `folds`), or there are too few people for it.
    """
    if name in _FOLDS:
        raise UsageError(f"the split {name} has several folds: choose another, or ask for its folds")
    [only] = folds(recordings, name)
    return only.subsets


def folds(recordings: Sequence[Item], name: str) -> list[Split[Item]]:
    """All folds of a split: one for most, one a person for `leave-one-out`.

    Args:
        recordings: of which datasets ever; people are told apart by `subject`.
        name: one of `SPLITS`.

    Raises:
        UsageError: there is no such split, or there are too few people for it.
    """
    people = sorted({recording.subject for recording in recordings}, key=natural_sort_key)
    if name == "all":
        return [_by_people(recordings, name, {"test": people})]
    if name in _BY_LIST:
        listed = [person for person in people if person in _BY_LIST[name]]
        others = [person for person in people if person not in _BY_LIST[name]]
        return [_by_people(recordings, name, {"train": others, "test": listed})]
    if name in _BY_SHARE:
        return [_by_people(recordings, name, _shared(people, _BY_SHARE[name]))]
    if name in _FOLDS:
        count = _FOLDS[name] or len(people)
        if len(people) < max(count, 2):
            raise UsageError(f"the split {name} takes at least {max(count, 2)} people, but there are {len(people)}")
        # Every count-th person, so that folds differ by one person at most.
        return [
            _by_people(
                recordings,
                f"{name}/{fold + 1}",
                {"train": [p for i, p in enumerate(people) if i % count != fold], "test": people[fold::count]},
            )
            for fold in range(count)
        ]
    raise UsageError(f"no split is called {name!r}: choose one of {', '.join(SPLITS)}")


def filter_by_attributes(
    recordings: Iterable[AnyDescribed], wanted: Mapping[str, Collection[str]]
) -> list[AnyDescribed]:
    """The recordings whose attributes have one of the wanted values each.

    Args:
        recordings: to choose from.
        wanted: attribute to values, as text: `{"light": ("LED-low",), "exercise": ("False",), "skin_color": ("3",)}`.

    Raises:
        UsageError: no recording has such an attribute, or such a value of it; the message names those that there are.
    """
    recordings = list(recordings)
    for attribute, values in wanted.items():
        there = sorted(
            {str(r.attributes[attribute]) for r in recordings if attribute in r.attributes}, key=natural_sort_key
        )
        if not there:
            known = sorted({key for recording in recordings for key in recording.attributes})
            raise UsageError(f"no recording has an attribute {attribute!r}: there are {', '.join(known) or 'none'}")
        for value in values:
            if value not in there:
                raise UsageError(f"no recording has {attribute}={value}: there are {', '.join(there)}")
    return [
        recording
        for recording in recordings
        if all(str(recording.attributes.get(attribute)) in values for attribute, values in wanted.items())
    ]


def _shared(people: Sequence[str], shares: Shares) -> dict[str, list[str]]:
    subsets: dict[str, list[str]] = {}
    reached = 0.0
    for subset, share in shares.items():
        # Sums like 0.7 + 0.1 end a hair below the border that is meant.
        begin, reached = reached, reached + share
        subsets[subset] = list(people[int(begin * len(people) + 1e-9) : int(reached * len(people) + 1e-9)])
    return subsets


def _by_people(recordings: Sequence[Item], name: str, people: Mapping[str, Sequence[str]]) -> Split[Item]:
    ordered = sorted(recordings, key=lambda recording: natural_sort_key(recording.name))
    subsets = {subset: [each for each in ordered if each.subject in set(names)] for subset, names in people.items()}
    if empty := [subset for subset, members in subsets.items() if not members]:
        count = len({recording.subject for recording in recordings})
        raise UsageError(f"the split {name} leaves nobody in {' and '.join(empty)}: there are {count} people")
    return Split(name, subsets)

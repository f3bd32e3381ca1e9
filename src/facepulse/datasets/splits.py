"""Named splits of recordings into training, validation and test subsets that share no subject.

Splits do not depend on the order in which a disk lists its files. The fixed ones are those of the field; if the field
defines one by counts alone ("the first 30"), its subjects are listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from facepulse.datasets.recording import Attribute, natural_sort_key
from facepulse.errors import UsageError


class HasSubject(Protocol):
    """A recording that can be split by subject, prepared or not."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102


class HasAttributes(Protocol):
    """A recording that can be filtered by its attributes."""

    @property
    def attributes(self) -> Mapping[str, Attribute]: ...  # noqa: D102


AnyRecording = TypeVar("AnyRecording", bound=HasSubject)
AnyAttributed = TypeVar("AnyAttributed", bound=HasAttributes)


@dataclass(frozen=True)
class Split(Generic[AnyRecording]):
    """Subsets of recordings that share no subject.

    Attributes:
        name: one of `SPLITS`, with the number of the fold if there are several: `5-fold/2`.
        subsets: `train`, `validation` and `test`, as far as the split has them; recordings in natural order of names.
    """

    name: str
    subsets: dict[str, list[AnyRecording]]

    def recording_names(self) -> dict[str, list[str]]:
        """Return the names of the recordings of each subset, which are saved with every result."""
        return {subset: [recording.name for recording in recordings] for subset, recordings in self.subsets.items()}


SubjectSubsets = dict[str, list[str]]  # subset to its subjects


def _all_tested(subjects: Sequence[str]) -> list[SubjectSubsets]:
    return [{"test": list(subjects)}]


def _by_fraction(fractions: Mapping[str, float], subjects: Sequence[str]) -> list[SubjectSubsets]:
    """Cut the list of subjects at int(fraction x subjects), as rPPG-Toolbox does."""
    subsets: SubjectSubsets = {}
    end = 0.0
    for subset, fraction in fractions.items():
        begin, end = end, end + fraction
        # A sum such as 0.7 + 0.1 is slightly below the decimal fraction.
        subsets[subset] = list(subjects[int(begin * len(subjects) + 1e-9) : int(end * len(subjects) + 1e-9)])
    return [subsets]


def _by_list(tested: Collection[str], subjects: Sequence[str]) -> list[SubjectSubsets]:
    return [
        {
            "train": [subject for subject in subjects if subject not in tested],
            "test": [subject for subject in subjects if subject in tested],
        }
    ]


def _in_folds(count: int | None, subjects: Sequence[str]) -> list[SubjectSubsets]:
    """Test on every count-th subject in turn, so that folds differ by one subject at most; None for one per subject."""
    count = count or len(subjects)
    return [
        {
            "train": [subject for index, subject in enumerate(subjects) if index % count != fold],
            "test": list(subjects[fold::count]),
        }
        for fold in range(count)
    ]


# UBFC-rPPG has one recording per subject. The field uses "the first 30 and the last 12" of a list that it does not
# sort; this is the order of the numbers. (Sorted as text, RhythmFormer tests on 41 to 49, 5, 8 and 9.)
UBFC_TEST = frozenset(f"subject{number}" for number in (38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49))

# Functions from the subjects, in natural order, to the subsets of each fold.
_SPLITS: dict[str, Callable[[Sequence[str]], list[SubjectSubsets]]] = {
    "all": _all_tested,
    # of ten subjects: 1 to 6 (35 recordings) and 7 to 10 (24)
    "pure-60-40": partial(_by_fraction, {"train": 0.6, "test": 0.4}),
    # of 33 subjects: 1 to 23, 24 to 26, 27 to 33
    "mmpd-7-1-2": partial(_by_fraction, {"train": 0.7, "validation": 0.1, "test": 0.2}),
    "80-20": partial(_by_fraction, {"train": 0.8, "validation": 0.2}),  # of a dataset that is not tested on
    "70-10-20": partial(_by_fraction, {"train": 0.7, "validation": 0.1, "test": 0.2}),
    "ubfc-30-12": partial(_by_list, UBFC_TEST),
    "5-fold": partial(_in_folds, 5),
    "10-fold": partial(_in_folds, 10),
    "leave-one-out": partial(_in_folds, None),
}

_MINIMUM_SUBJECTS = {"5-fold": 5, "10-fold": 10, "leave-one-out": 2}

SPLITS: tuple[str, ...] = tuple(_SPLITS)

# The subset of MMPD that the paper (and rPPG-Toolbox's configuration) trains on: 50 recordings of 17 subjects.
FILTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "mmpd-simple": {
        "light": ("LED-low", "LED-high", "Incandescent"),
        "motion": ("Stationary",),
        "exercise": ("False",),
        "skin_color": ("3",),
    },
}


def folds(recordings: Sequence[AnyRecording], name: str) -> list[Split[AnyRecording]]:
    """Compute all folds of a split: one for most, one per subject for `leave-one-out`.

    Args:
        recordings: of any datasets; recordings of equal `subject` stay together.
        name: one of `SPLITS`.

    Raises:
        UsageError: there is no such split, or there are too few subjects for it.
    """
    if name not in _SPLITS:
        raise UsageError(f"no split is called {name!r}: choose one of {', '.join(SPLITS)}")
    subjects = sorted({recording.subject for recording in recordings}, key=natural_sort_key)
    if len(subjects) < (minimum := _MINIMUM_SUBJECTS.get(name, 1)):
        raise UsageError(f"the split {name} needs at least {minimum} subjects, but there are {len(subjects)}")
    found = _SPLITS[name](subjects)
    if len(found) == 1:
        return [_split(recordings, name, found[0])]
    return [_split(recordings, f"{name}/{number}", subsets) for number, subsets in enumerate(found, start=1)]


def filter_by_attributes(
    recordings: Iterable[AnyAttributed], allowed: Mapping[str, Collection[str]]
) -> list[AnyAttributed]:
    """Select the recordings whose attributes have allowed values.

    Args:
        recordings: to choose from.
        allowed: attribute to values, as text: `{"light": ("LED-low",), "exercise": ("False",), "skin_color": ("3",)}`.

    Raises:
        UsageError: no recording has such an attribute, or such a value of it; the message lists the existing ones.
    """
    recordings = list(recordings)
    for attribute, values in allowed.items():
        _check_filter(recordings, attribute, values)
    return [
        recording
        for recording in recordings
        if all(str(recording.attributes.get(attribute)) in values for attribute, values in allowed.items())
    ]


def _check_filter(recordings: Sequence[HasAttributes], attribute: str, values: Collection[str]) -> None:
    found = {str(recording.attributes[attribute]) for recording in recordings if attribute in recording.attributes}
    if not found:
        attributes = sorted({key for recording in recordings for key in recording.attributes})
        raise UsageError(f"no recording has an attribute {attribute!r}: there are {', '.join(attributes) or 'none'}")
    for value in values:
        if value not in found:
            existing = ", ".join(sorted(found, key=natural_sort_key))
            raise UsageError(f"no recording has {attribute}={value}: there are {existing}")


def _split(recordings: Sequence[AnyRecording], name: str, subsets: SubjectSubsets) -> Split[AnyRecording]:
    ordered = sorted(recordings, key=lambda recording: natural_sort_key(recording.name))
    members = {
        subset: [recording for recording in ordered if recording.subject in subjects]
        for subset, subjects in ((subset, set(subjects)) for subset, subjects in subsets.items())
    }
    if empty := [subset for subset, chosen in members.items() if not chosen]:
        count = len({recording.subject for recording in recordings})
        raise UsageError(f"the split {name} leaves no subject for {' and '.join(empty)}: there are {count} subjects")
    return Split(name, members)

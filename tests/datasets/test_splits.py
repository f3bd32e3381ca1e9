from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepulse.datasets.splits import FILTERS, SPLITS, filter_by_attributes, folds
from facepulse.errors import UsageError


@dataclass(frozen=True)
class Entry:
    name: str
    subject: str
    attributes: dict = field(default_factory=dict)


PURE = [Entry(f"{s:02d}-{n:02d}", f"{s:02d}") for s in range(1, 11) for n in range(1, 7) if (s, n) != (6, 2)]
UBFC = [Entry(f"subject{n}", f"subject{n}") for n in (1, 3, 4, 5, 8, *range(9, 19), 20, *range(22, 28), *range(30, 50))]
MMPD = [Entry(f"subject{s}/p{s}_{n}", f"subject{s}") for s in range(1, 34) for n in range(20)]


def subjects(recordings):
    return {recording.subject for recording in recordings}


def only_fold(recordings, name):
    [fold] = folds(recordings, name)
    assert fold.name == name
    return fold.subsets


def test_pure_60_40_trains_on_the_first_six_subjects():
    subsets = only_fold(PURE, "pure-60-40")
    assert subjects(subsets["train"]) == {f"{n:02d}" for n in range(1, 7)}
    assert [len(subsets["train"]), len(subsets["test"])] == [35, 24]


def test_ubfc_30_12_tests_on_the_last_twelve_subjects_by_number():
    subsets = only_fold(UBFC[::-1], "ubfc-30-12")
    assert [recording.name for recording in subsets["test"]] == [f"subject{n}" for n in range(38, 50)]
    assert len(subsets["train"]) == 30


def test_mmpd_7_1_2_cuts_33_subjects_at_23_and_26():
    subsets = only_fold(MMPD, "mmpd-7-1-2")
    assert subjects(subsets["train"]) == {f"subject{n}" for n in range(1, 24)}
    assert subjects(subsets["validation"]) == {f"subject{n}" for n in range(24, 27)}
    assert subjects(subsets["test"]) == {f"subject{n}" for n in range(27, 34)}


def test_80_20_validates_on_a_fifth():
    subsets = only_fold(UBFC, "80-20")
    assert [len(subsets["train"]), len(subsets["validation"])] == [33, 9]


def test_leave_one_out_tests_on_each_subject_once():
    all_folds = folds(PURE, "leave-one-out")
    assert [subjects(fold.subsets["test"]) for fold in all_folds] == [{f"{n:02d}"} for n in range(1, 11)]
    assert [fold.name for fold in all_folds][:2] == ["leave-one-out/1", "leave-one-out/2"]


@given(st.sampled_from([name for name in SPLITS if name != "ubfc-30-12"]), st.integers(10, 40), st.randoms())
def test_subsets_share_no_subject_are_complete_and_do_not_depend_on_order(name, count, random):
    recordings = [Entry(f"s{n}-{take}", f"s{n}") for n in range(count) for take in range(2)]
    shuffled = recordings.copy()
    random.shuffle(shuffled)
    for fold, again in zip(folds(recordings, name), folds(shuffled, name), strict=True):
        subsets = list(fold.subsets.values())
        assert sum(len(subjects(subset)) for subset in subsets) == len(set().union(*map(subjects, subsets))) == count
        assert sum(map(len, subsets)) == len(recordings)
        assert fold.recording_names() == again.recording_names()


@given(st.integers(5, 40))
def test_folds_test_on_each_subject_exactly_once(count):
    recordings = [Entry(f"s{n}", f"s{n}") for n in range(count)]
    tested = [recording.name for fold in folds(recordings, "5-fold") for recording in fold.subsets["test"]]
    assert sorted(tested) == sorted(recording.name for recording in recordings)


def test_filter_mmpd_simple_selects_the_subset_of_the_paper():
    lights = ["LED-low", "LED-high", "Incandescent", "Nature"]
    recordings = [
        Entry(
            f"p_{light}_{motion}_{tone}_{exercise}",
            "s",
            {"light": light, "motion": motion, "skin_color": tone, "exercise": exercise},
        )
        for light in lights
        for motion in ("Stationary", "Walking")
        for tone in (3, 4)
        for exercise in (True, False)
    ]
    chosen = filter_by_attributes(recordings, FILTERS["mmpd-simple"])
    assert [recording.name for recording in chosen] == [f"p_{light}_Stationary_3_False" for light in lights[:3]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: folds(PURE, "70-30"), "no split is called '70-30'"),
        (lambda: folds(PURE[:6], "pure-60-40"), "leaves no subject for train"),
        (lambda: folds(PURE[:6], "leave-one-out"), "at least 2 subjects"),
        (lambda: folds(PURE, "ubfc-30-12"), "leaves no subject for test"),
        (
            lambda: filter_by_attributes(PURE, {"light": ("LED-low",)}),
            "no recording has an attribute 'light': there are none",
        ),
        (
            lambda: filter_by_attributes([Entry("a", "a", {"light": "Nature"})], {"light": ("LED",)}),
            "there are Nature",
        ),
    ],
)
def test_impossible_splits_and_filters_are_usage_errors_in_one_line(call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

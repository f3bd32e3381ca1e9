from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepulse.datasets.splits import FILTERS, SPLITS, filter_by_attributes, folds, split
from facepulse.errors import UsageError


@dataclass(frozen=True)
class Entry:
    name: str
    subject: str
    attributes: dict = field(default_factory=dict)


PURE = [Entry(f"{s:02d}-{n:02d}", f"{s:02d}") for s in range(1, 11) for n in range(1, 7) if (s, n) != (6, 2)]
UBFC = [Entry(f"subject{n}", f"subject{n}") for n in (1, 3, 4, 5, 8, *range(9, 19), 20, *range(22, 28), *range(30, 50))]
MMPD = [Entry(f"subject{s}/p{s}_{n}", f"subject{s}") for s in range(1, 34) for n in range(20)]


def people(part):
    return {entry.subject for entry in part}


def test_pure_trains_on_its_first_six_people():
    parts = split(PURE, "pure-60-40")
    assert people(parts["train"]) == {f"{n:02d}" for n in range(1, 7)}
    assert [len(parts["train"]), len(parts["test"])] == [35, 24]


def test_ubfc_tests_on_the_last_twelve_by_number():
    parts = split(UBFC[::-1], "ubfc-30-12")
    assert [entry.name for entry in parts["test"]] == [f"subject{n}" for n in range(38, 50)]
    assert len(parts["train"]) == 30


def test_mmpd_is_split_seven_to_one_to_two():
    parts = split(MMPD, "mmpd-7-1-2")
    assert people(parts["train"]) == {f"subject{n}" for n in range(1, 24)}
    assert people(parts["validation"]) == {f"subject{n}" for n in range(24, 27)}
    assert people(parts["test"]) == {f"subject{n}" for n in range(27, 34)}


def test_a_fifth_validates():
    parts = split(UBFC, "80-20")
    assert [len(parts["train"]), len(parts["validation"])] == [33, 9]


def test_leaving_one_out_tests_everybody_once():
    all_folds = folds(PURE, "leave-one-out")
    assert [people(fold.subsets["test"]) for fold in all_folds] == [{f"{n:02d}"} for n in range(1, 11)]
    assert [fold.name for fold in all_folds][:2] == ["leave-one-out/1", "leave-one-out/2"]


@given(st.sampled_from([name for name in SPLITS if name != "ubfc-30-12"]), st.integers(10, 40), st.randoms())
def test_nobody_is_on_two_sides_nobody_is_lost_and_order_does_not_matter(name, count, random):
    entries = [Entry(f"s{n}-{take}", f"s{n}") for n in range(count) for take in range(2)]
    shuffled = entries.copy()
    random.shuffle(shuffled)
    for fold, again in zip(folds(entries, name), folds(shuffled, name), strict=True):
        parts = list(fold.subsets.values())
        assert sum(len(people(part)) for part in parts) == len(set().union(*map(people, parts))) == count
        assert sum(map(len, parts)) == len(entries)
        assert fold.names() == again.names()


@given(st.integers(5, 40))
def test_folds_test_everybody_exactly_once(count):
    entries = [Entry(f"s{n}", f"s{n}") for n in range(count)]
    tested = [entry.name for fold in folds(entries, "5-fold") for entry in fold.subsets["test"]]
    assert sorted(tested) == sorted(entry.name for entry in entries)


def test_the_papers_subset_of_mmpd():
    lights = ["LED-low", "LED-high", "Incandescent", "Nature"]
    entries = [
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
    chosen = filter_by_attributes(entries, FILTERS["mmpd-simple"])
    assert [entry.name for entry in chosen] == [f"p_{light}_Stationary_3_False" for light in lights[:3]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: split(PURE, "70-30"), "no split is called '70-30'"),
        (lambda: split(PURE, "5-fold"), "several folds"),
        (lambda: split(PURE[:6], "pure-60-40"), "leaves nobody in train"),
        (lambda: folds(PURE[:6], "leave-one-out"), "at least 2 people"),
        (lambda: split(PURE, "ubfc-30-12"), "leaves nobody in test"),
        (
            lambda: filter_by_attributes(PURE, {"light": ("LED-low",)}),
            "no recording has an attribute 'light': there are none",
        ),
        (lambda: filter_by_attributes([Entry("a", "a", {"light": "Nature"})], {"light": ("LED",)}), "there are Nature"),
    ],
)
def test_what_cannot_be_split_is_said_in_one_line(call, says):
    with pytest.raises(UsageError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)

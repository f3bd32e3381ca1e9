"""Metrics against plain loops, textbook cases and rPPG-Toolbox's values for one network on UBFC-rPPG."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.evaluation.metrics import Statistic, bland_altman, heart_rate_errors, macc, mean, pearson
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import filtered, heart_rate, snr_db
from shared_data import SHARED_DATA

UBFC = SHARED_DATA / "ubfc_deepphys"
BAND = {"toolbox": "0.6-3.3", "toolbox-2023": "0.75-2.5"}
needs_ubfc = pytest.mark.skipif(not UBFC.is_dir(), reason=f"sample data {UBFC} is absent")


@pytest.fixture(scope="module")
def subjects():
    """Estimated waveform, reference waveform and published values per subject."""
    signals = np.load(UBFC / "signals.npz")
    with (UBFC / "per_subject.csv").open() as file:
        rows = {row["subject"]: row for row in csv.DictReader(file)}
    assert len(rows) == 42
    # Integrated in float32 as the toolbox does: in float64, SNR differs in the fifth digit.
    return {
        name: (*(np.cumsum(signals[f"{name}/{key}"].ravel()) for key in ("predictions", "labels")), row)
        for name, row in rows.items()
    }


@needs_ubfc
@pytest.mark.parametrize("name", BAND)
def test_values_of_every_subject_equal_the_toolbox(subjects, name):
    protocol = PROTOCOLS[name]
    for subject, (estimate, reference, row) in subjects.items():
        reference_bpm = heart_rate(reference, 30, protocol)
        measured = {
            "gt_hr": reference_bpm,
            "pred_hr": heart_rate(estimate, 30, protocol),
            "snr_db": snr_db(estimate, 30, reference_bpm, protocol),
            "macc": macc(filtered(estimate, 30, protocol), filtered(reference, 30, protocol)),
        }
        published = {key: float(row[f"{key}_{BAND[name]}"]) for key in measured}
        assert measured == pytest.approx(published, abs=1e-6), subject


@needs_ubfc
@pytest.mark.parametrize(
    ("name", "mae", "rmse", "mape", "r", "snr", "cross"),
    [
        (
            "toolbox",
            (2.657645, 1.673712),
            (11.167727, 10.779076),
            (2.625305, 1.522412),
            (0.831351, 0.087872),
            (0.325691, 0.577986),
            (0.815343, 0.014513),
        ),
        (
            "toolbox-2023",
            (0.983538, 0.379226),
            (2.647161, 1.904029),
            (1.125493, 0.449712),
            (0.989925, 0.022388),
            (0.637894, 0.600294),
            (0.838744, 0.013631),
        ),
    ],
)
def test_summary_and_standard_errors_equal_the_toolbox(subjects, name, mae, rmse, mape, r, snr, cross):
    protocol = PROTOCOLS[name]
    pairs = [(heart_rate(label, 30, protocol), heart_rate(x, 30, protocol)) for x, label, _ in subjects.values()]
    snrs = [snr_db(x, 30, bpm, protocol) for (x, _, _), (bpm, _) in zip(subjects.values(), pairs, strict=True)]
    maccs = [macc(filtered(x, 30, protocol), filtered(y, 30, protocol)) for x, y, _ in subjects.values()]
    errors = heart_rate_errors(*zip(*pairs, strict=True))
    assert errors.n == 42
    for estimate, expected in (
        (errors.mae, mae),
        (errors.rmse, rmse),
        (errors.mape, mape),
        (errors.pearson, r),
        (mean(snrs), snr),
        (mean(maccs), cross),
    ):
        assert (estimate.value, estimate.standard_error) == pytest.approx(expected, abs=1e-6)


@needs_ubfc
def test_errors_under_the_protocol_of_the_paper(subjects):
    protocol = PROTOCOLS["paper"]
    errors = heart_rate_errors(
        [heart_rate(label, 30, protocol) for _, label, _ in subjects.values()],
        [heart_rate(x, 30, protocol) for x, _, _ in subjects.values()],
    )
    values = (errors.mae.value, errors.rmse.value, errors.mape.value, errors.pearson.value)
    assert values == pytest.approx((1.5302, 4.6569, 1.6030, 0.9653), abs=5e-5)


@pytest.mark.slow
@needs_ubfc
@pytest.mark.parametrize(
    ("name", "seconds", "tails", "n", "values"),
    [
        ("toolbox-2023", 5, True, 556, (2.4407, 9.4155)),
        ("toolbox-2023", 10, True, 279, (1.5247, 7.4563, 1.4839, 0.9100)),
        ("toolbox-2023", 20, True, 159, (1.2714, 4.2168)),
        ("toolbox-2023", 30, True, 117, (1.5174, 5.5373)),
        ("toolbox-2023", 10, False, 240, (1.5088, 7.6318)),
        ("toolbox-2023", 20, False, 120, (1.1572, 3.2846)),
        ("toolbox-2023", 30, False, 78, (1.7353, 6.2212)),
        ("toolbox", 10, True, 279, (1.6633, 7.5654)),
    ],
)
def test_errors_of_windows_equal_the_toolbox(subjects, name, seconds, tails, n, values):
    protocol = PROTOCOLS[name]
    length = 30 * seconds
    windows = [
        (label[start : start + length], x[start : start + length])
        for x, label, _ in subjects.values()
        for start in range(0, len(x), length)
        if len(x) - start >= (9 if tails else length)
    ]
    errors = heart_rate_errors(
        *zip(*[(heart_rate(y, 30, protocol), heart_rate(x, 30, protocol)) for y, x in windows], strict=True)
    )
    assert errors.n == n
    found = (errors.mae.value, errors.rmse.value, errors.mape.value, errors.pearson.value)
    assert found[: len(values)] == pytest.approx(values, abs=5.1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(3, 200))
def test_macc_equals_a_plain_loop(seed, length):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, length))
    loop = max(abs(np.corrcoef(a, np.roll(b, lag))[0, 1]) for lag in range(length - 1))
    assert macc(a, b) == pytest.approx(loop, abs=1e-12)


def test_macc_ignores_delay_sign_and_scale():
    t = np.arange(300) / 30
    waveform = np.sin(2 * np.pi * 1.2 * t) + 0.3 * np.sin(2 * np.pi * 2.4 * t)
    assert macc(waveform, -3 * np.roll(waveform, 7) + 5) == pytest.approx(1)
    assert macc(waveform, np.ones(300)) == 0


def test_errors_equal_a_calculation_by_hand():
    errors = heart_rate_errors([60, 80, 100], [63, 76, 100])
    assert errors.mae.value == pytest.approx(7 / 3)
    assert errors.mae.standard_error == pytest.approx(np.std([3, 4, 0]) / 3**0.5)
    assert errors.rmse.value == pytest.approx((25 / 3) ** 0.5)
    assert errors.rmse.standard_error == pytest.approx((np.std([9, 16, 0]) / 3**0.5) ** 0.5)
    assert errors.mape.value == pytest.approx(10 / 3)
    assert str(errors.mae) == "2.33 ± 0.98"


def test_too_few_entries_give_none_instead_of_nan():
    one = heart_rate_errors([60], [62])
    assert one.mae == Statistic(2, None)
    assert one.rmse == Statistic(2, None)
    assert one.pearson is None
    assert heart_rate_errors([60, 70], [60, 71]).pearson.standard_error is None
    assert pearson([1, 1, 1], [1, 2, 3]) is None
    assert "±" in str(one.mae)


def test_limits_of_agreement_equal_a_calculation_by_hand():
    limits = bland_altman([60, 70, 80, 90], [61, 73, 79, 93])  # differences 1, 3, -1, 3
    deviation = (((1 - 1.5) ** 2 + (3 - 1.5) ** 2 + (-1 - 1.5) ** 2 + (3 - 1.5) ** 2) / 3) ** 0.5
    assert limits.bias == pytest.approx(1.5)
    assert (limits.low, limits.high) == pytest.approx((1.5 - 1.96 * deviation, 1.5 + 1.96 * deviation))
    assert bland_altman([60], [61]) is None


def people(rng, count, entries):
    """Values around 0 that are correlated within a person, and the person of each."""
    values = rng.normal(0, 2, (count, 1)) + rng.normal(0, 1, (count, entries))
    return values.ravel(), [f"p{person}" for person in range(count) for _ in range(entries)]


def test_interval_over_subjects_has_the_nominal_coverage():
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in (mean(*people(rng, 30, 6)).interval for _ in range(400))]
    assert 0.89 < np.mean(covered) < 0.97


@pytest.mark.slow
def test_interval_over_entries_is_too_narrow():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        values, _ = people(rng, 30, 6)
        low, high = mean(values, [str(entry) for entry in range(len(values))]).interval
        covered.append(low <= 0 <= high)
    assert np.mean(covered) < 0.75


def test_repeated_recordings_of_the_same_people_do_not_shrink_the_interval():
    rng = np.random.default_rng(1)
    reference = rng.uniform(50, 120, 12)
    estimate = reference + rng.normal(0, 6, 12)
    who = [f"p{person}" for person in range(12)]
    once, thrice = (
        heart_rate_errors(reference, estimate, who),
        heart_rate_errors(np.tile(reference, 3), np.tile(estimate, 3), who * 3),
    )
    for figure in ("mae", "rmse", "mape", "pearson"):
        assert getattr(thrice, figure).interval == pytest.approx(getattr(once, figure).interval)
        assert getattr(thrice, figure).standard_error < getattr(once, figure).standard_error


@pytest.mark.slow
def test_intervals_equal_a_plain_bootstrap_and_are_reproducible():
    rng = np.random.default_rng(2)
    reference = rng.uniform(50, 120, 40)
    estimate = reference + rng.normal(0, 8, 40)
    who = np.array([f"p{person}" for person in rng.integers(0, 15, 40)])
    errors = heart_rate_errors(reference, estimate, list(who))
    assert errors == heart_rate_errors(reference, estimate, list(who))
    names = np.unique(who)
    plain = []
    for _ in range(4000):
        drawn = np.concatenate([np.flatnonzero(who == name) for name in rng.choice(names, len(names))])
        again = heart_rate_errors(reference[drawn], estimate[drawn])
        plain.append([again.mae.value, again.rmse.value, again.mape.value, again.pearson.value])
    expected = np.percentile(plain, (2.5, 97.5), axis=0)
    found = np.transpose([e.interval for e in (errors.mae, errors.rmse, errors.mape, errors.pearson)])
    assert found == pytest.approx(expected, rel=0.05)


def test_two_subjects_give_no_interval():
    assert mean([1, 2, 3, 4], ["a", "a", "b", "b"]).interval is None
    assert mean([1, 2, 3, 4], ["a", "a", "b", "c"]).interval is not None
    assert mean([1, 2, 3, 4]).interval is None
    assert str(mean([1, 2, 3], ["a", "b", "c"])) == "2.00 ± 0.47 [1.00, 3.00]"


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: heart_rate_errors([60, 70], [60]), "reference_bpm holds 2 values and estimated_bpm 1"),
        (lambda: heart_rate_errors([60, 70], [60, float("nan")]), "estimated_bpm holds NaN"),
        (lambda: heart_rate_errors([], []), "reference_bpm must be"),
        (lambda: heart_rate_errors([0, 70], [60, 70]), "reference_bpm must be above zero"),
        (lambda: macc([1, 2], [1, 2, 3]), "a holds 2 values and b 3"),
        (lambda: macc(np.ones((2, 2)), [1, 2]), "a must be a one-dimensional"),
        (lambda: mean([float("inf")]), "values holds NaN or infinity"),
        (lambda: mean([1.0, 2.0], ["a"]), "there are 2 entries, but 1 subjects"),
        (lambda: bland_altman([60, 70], [60]), "reference_bpm holds 2 values and estimated_bpm 1"),
    ],
)
def test_wrong_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()

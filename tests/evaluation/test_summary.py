"""Summaries of heart rates, on hand-made rows."""

from dataclasses import replace

import pytest

from facepulse.evaluation import metrics
from facepulse.evaluation.summary import Row, confidence, coverage_curve, format_summary, reliability, summarise

ROW = Row(
    recording="1",
    subject="1",
    attributes={},
    start_s=0.0,
    end_s=10.0,
    reference="ppg",
    reference_bpm=60.0,
    bpm=60.0,
    error=0.0,
    snr_db=3.0,
    macc=0.9,
    quality=0.5,
    own_snr_db=2.0,
    shown=None,
    method="POS",
)


def rows(errors, qualities=None, subjects=None):
    return [
        replace(
            ROW,
            bpm=60.0 + error,
            error=error,
            quality=None if qualities is None else qualities[number],
            own_snr_db=-abs(error),
            subject=str(number) if subjects is None else subjects[number],
        )
        for number, error in enumerate(errors)
    ]


def test_summary_holds_every_metric() -> None:
    varied = [
        replace(row, reference_bpm=50.0 + 10 * n, bpm=50.0 + 10 * n + row.error)
        for n, row in enumerate(rows([0, 4, 8, -6]))
    ]
    summary = summarise(varied)
    assert (summary.n, summary.subjects) == (4, 4)
    assert summary.mae == metrics.mean([0, 4, 8, 6], ["0", "1", "2", "3"])
    assert summary.mae.interval is not None
    assert summary.within_5_bpm.value == 50.0
    assert summary.snr_db.value == 3.0
    assert summary.macc.value == pytest.approx(0.9)
    assert summary.agreement == metrics.bland_altman([50, 60, 70, 80], [50, 64, 78, 74])
    assert format_summary(summary)["MAE, bpm"] == str(summary.mae)


def test_rows_without_a_reference_are_skipped() -> None:
    unknown = replace(ROW, reference=None, reference_bpm=None, error=None, snr_db=None, macc=None)
    assert summarise([unknown]) is None
    assert summarise([unknown, *rows([3])]).n == 1
    assert coverage_curve([unknown]) == []
    assert reliability([unknown]) == []


def test_only_macc_is_unknown_if_the_reference_is_a_heart_rate() -> None:
    summary = summarise([replace(row, reference="bpm", macc=None) for row in rows([1, 2, 3])])
    assert summary.macc is None
    assert format_summary(summary)["MACC"] == "unknown"
    assert summary.mae.value == 2.0


def test_single_row_has_a_summary_without_agreement_and_correlation() -> None:
    summary = summarise(rows([3]))
    assert summary.agreement is None
    assert summary.pearson is None
    assert format_summary(summary)["bias, bpm"] == "unknown"


def test_rows_of_the_lowest_quality_are_rejected_first() -> None:
    errors = [0, 1, 2, 3, 4, 5, 6, 7, 8, 29]
    qualities = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.1]
    curve = coverage_curve(reversed(rows(errors, qualities)))
    assert [point.percent for point in curve] == list(range(100, 0, -10))
    assert [point.n for point in curve] == list(range(10, 0, -1))
    assert [point.threshold for point in curve] == qualities[::-1]
    assert [point.mae for point in curve] == pytest.approx([sum(errors[:n]) / n for n in range(10, 0, -1)])
    assert curve[0].within_5_bpm == pytest.approx(60.0)


def test_rows_without_quality_are_rejected_by_their_own_snr() -> None:
    without = rows([9, 0, 3])
    assert confidence(without) == "own_snr_db"
    assert confidence(rows([1], [0.5])) == "quality"
    curve = coverage_curve(without)
    assert (curve[-1].mae, curve[-1].threshold) == (0.0, 0.0)
    assert reliability(without) == []


def test_reliability_is_the_fraction_within_5_bpm_in_each_tenth_of_quality() -> None:
    bins = reliability(rows([0, 9, -5, 5.1, 0], [0.91, 1.0, 0.55, 0.58, 0.0]))
    assert [(entry.low, entry.high, entry.n) for entry in bins] == [(0.0, 0.1, 1), (0.5, 0.6, 2), (0.9, 1.0, 2)]
    assert [entry.within_5_bpm for entry in bins] == [1.0, 0.5, 0.5]
    assert [entry.quality for entry in bins] == pytest.approx([0.0, 0.565, 0.955])


def test_row_as_plain_values_has_six_decimals() -> None:
    values = replace(ROW, bpm=61.23456789, macc=None).to_dict()
    assert values["bpm"] == 61.234568
    assert values["macc"] is None


def test_shown_heart_rates_are_summarised_apart() -> None:
    entries = [
        replace(row, shown=shown) for row, shown in zip(rows([1, 9, 3, 30]), [True, True, True, False], strict=True)
    ]
    shown = summarise(entries).shown
    assert (shown.n, shown.percent.value) == (3, 75.0)
    assert shown.mae.value == pytest.approx(13 / 3)
    assert shown.within_5_bpm.value == pytest.approx(200 / 3)
    assert format_summary(summarise(entries))["shown, %"].startswith("75.00 ± ")


def test_no_heart_rate_may_be_shown() -> None:
    summary = summarise([replace(row, shown=False) for row in rows([1, 9])])
    assert (summary.shown.n, summary.shown.mae, summary.shown.within_5_bpm) == (0, None, None)
    assert format_summary(summary)["MAE of shown, bpm"] == "none shown"


def test_rates_from_a_waveform_alone_are_neither_shown_nor_withheld() -> None:
    summary = summarise(rows([1, 9]))
    assert summary.shown is None
    assert not any("shown" in name for name in format_summary(summary))

"""HTML page of an evaluation: it parses, holds the values, loads nothing and escapes every name."""

from dataclasses import replace
from pathlib import Path

import pytest

from facepulse.datasets.cache import open_cache
from facepulse.evaluation.report import conditions, to_html
from facepulse.evaluation.result import Evaluation, Failure
from facepulse.evaluation.run import evaluate
from facepulse.evaluation.summary import format_summary
from parsed_page import Page
from small_cache import FOUR, SmallRecording, write_cache

EVIL = "<b>x</b>&\"'$^_$"


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    wrong = SmallRecording("11-a", "11", 80.0, reference_bpm=95.0, attributes={"light": EVIL, "skin_color": 3})
    return evaluate(
        "POS", open_cache(write_cache(tmp_path_factory.mktemp("cache"), [*FOUR, wrong], dataset="simulated"))
    )


@pytest.mark.slow
def test_report_holds_tables_and_figures(evaluation: Evaluation) -> None:
    page = Page(to_html(evaluation))
    text = " ".join(page.text)
    for summary in evaluation.summaries.values():
        for figure in format_summary(summary).values():
            assert figure in text
    for condition in conditions(evaluation).values():
        assert condition in text
    assert "Not a medical device" in text
    assert "simulated recordings" in text
    assert "11-a: 80.0 bpm, reference 95.0 bpm" in text
    assert [value for name, value in page.attributes if name == "class"].count("note") == 1
    # Two figures for recordings and two for windows, two of quality, and the waveforms of the four worst.
    assert page.tags.count("svg") == 10


def test_report_loads_nothing(evaluation: Evaluation) -> None:
    text = to_html(evaluation)
    page = Page(text)
    for name, value in page.attributes:
        if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
            assert value.startswith("#"), (name, value)
        elif not name.startswith("xmlns"):
            assert "//" not in (value or ""), (name, value)
    assert not {"script", "link", "iframe", "object", "img", "image"} & set(page.tags)
    assert "@import" not in text
    assert "url(http" not in text


@pytest.mark.slow
def test_names_are_escaped(evaluation: Evaluation) -> None:
    rows = tuple(replace(row, recording=EVIL, subject=EVIL) for row in evaluation.recordings)
    windows = tuple(replace(row, recording=EVIL, subject=EVIL) for row in evaluation.windows)
    evil = replace(
        evaluation,
        model=EVIL,
        dataset=EVIL,
        recordings=rows,
        windows=windows,
        failed=(Failure(EVIL, EVIL, EVIL),),
        traces={EVIL: next(iter(evaluation.traces.values()))},
        sha256={EVIL: ""},
    )
    page = Page(to_html(evil))
    assert "b" not in page.tags
    assert sum(EVIL in text for text in page.text) > 10


def test_report_without_references_has_no_errors_and_of_failures_only_their_reasons(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    silent = [SmallRecording(f"{n}", f"{n}", reference_bpm=None, attributes={"light": n}) for n in range(3)]
    page = Page(to_html(evaluate("POS", open_cache(write_cache(tmp_path, silent)))))
    assert "No recording has a reference" in " ".join(page.text)
    assert "svg" not in page.tags
    failed = replace(evaluation, recordings=(), windows=(), failed=(Failure("1", "1", "gone"),), traces={})
    assert "gone" in Page(to_html(failed)).text


@pytest.mark.slow
def test_plot_shows_the_estimate_only_if_the_reference_is_a_heart_rate(tmp_path: Path) -> None:
    page = Page(
        to_html(evaluate("POS", open_cache(write_cache(tmp_path, [SmallRecording("1", "1", device_bpm=60.0)]))))
    )
    assert "estimate" in page.text
    assert page.text.count("reference") == 1, "in the terms, not in a legend"

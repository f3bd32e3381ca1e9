"""The page of an evaluation: it parses, holds the figures, fetches nothing and believes no name."""

from dataclasses import replace
from pathlib import Path

import pytest

from facepulse.datasets.cache import open_cache
from facepulse.evaluation.report import report
from facepulse.evaluation.result import Evaluation, Failure
from facepulse.evaluation.run import evaluate
from facepulse.evaluation.summary import figures
from parsed_page import Page
from small_cache import FOUR, SmallRecording, write_cache

EVIL = "<b>x</b>&\"'$^_$"


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    wrong = SmallRecording("11-a", "11", 80.0, reference_bpm=95.0, attributes={"light": EVIL, "skin_color": 3})
    return evaluate(
        "POS", open_cache(write_cache(tmp_path_factory.mktemp("cache"), [*FOUR, wrong], dataset="simulated"))
    )


def test_a_report_holds_tables_and_figures(evaluation: Evaluation) -> None:
    page = Page(report(evaluation))
    said = " ".join(page.text)
    for summary in evaluation.summaries.values():
        for figure in figures(summary).values():
            assert figure in said
    for term in evaluation.terms.values():
        assert term in said
    assert "Not a medical device" in said
    assert "simulated recordings" in said
    assert "11-a: 80.0 bpm, reference 95.0 bpm" in said
    assert [value for name, value in page.attributes if name == "class"].count("note") == 1
    # Two figures for recordings and two for windows, two of quality, and the waveforms of the four worst.
    assert page.tags.count("svg") == 10


def test_a_report_fetches_nothing(evaluation: Evaluation) -> None:
    text = report(evaluation)
    page = Page(text)
    for name, value in page.attributes:
        if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
            assert value.startswith("#"), (name, value)
        elif not name.startswith("xmlns"):
            assert "//" not in (value or ""), (name, value)
    assert not {"script", "link", "iframe", "object", "img", "image"} & set(page.tags)
    assert "@import" not in text
    assert "url(http" not in text


def test_names_are_text_and_not_tags(evaluation: Evaluation) -> None:
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
    page = Page(report(evil))
    assert "b" not in page.tags
    assert sum(EVIL in text for text in page.text) > 10


def test_a_report_without_references_has_no_errors_and_one_of_failures_alone_has_nothing_else(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    silent = [SmallRecording(f"{n}", f"{n}", reference_bpm=None, attributes={"light": n}) for n in range(3)]
    page = Page(report(evaluate("POS", open_cache(write_cache(tmp_path, silent)))))
    assert "No recording has a reference" in " ".join(page.text)
    assert "svg" not in page.tags
    failed = replace(evaluation, recordings=(), windows=(), failed=(Failure("1", "1", "gone"),), traces={})
    assert "gone" in Page(report(failed)).text


def test_the_waveform_of_a_reference_that_is_only_a_heart_rate_is_the_estimate_alone(tmp_path: Path) -> None:
    page = Page(report(evaluate("POS", open_cache(write_cache(tmp_path, [SmallRecording("1", "1", device_bpm=60.0)])))))
    assert "estimate" in page.text
    assert page.text.count("reference") == 1, "among the terms, and in no legend"

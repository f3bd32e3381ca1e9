"""What networks cost: counted as published, measured in processes of their own, drawn beside what others printed."""

import sys

import pytest

torch = pytest.importorskip("torch")

from facepulse.inference.registry import NETWORKS  # noqa: E402
from facepulse.models.figures import macs  # noqa: E402
from facepulse.studies import cost  # noqa: E402
from facepulse.studies.cost import Cost, cost_figure, costs  # noqa: E402
from parsed_page import Page  # noqa: E402


def of_this_study(network: str, parameters: int) -> Cost:
    return Cost(network, parameters, 10**9, 160, 128, 100.0, 3, 1, 500.0, "2.8")


@pytest.mark.slow
def test_a_network_is_measured_in_a_process_of_its_own() -> None:
    network = next(iter(NETWORKS))
    ballast = bytearray(b"x") * 2**29  # would be in the peak of a process that starts with its parent's
    (small,) = costs(3, 32, runs=1, networks=[network])
    (large,) = costs(30, 64, runs=2, networks=[network])
    assert len(ballast) == 2**29
    built = NETWORKS[network].build()
    assert small.network == network
    assert small.parameters == sum(parameter.numel() for parameter in built.parameters())
    assert small.frames == built.multiple
    assert (large.size, large.runs, large.threads, large.torch) == (64, 2, 1, torch.__version__)
    assert large.macs == macs(network, large.frames, 64)
    assert 0 < small.milliseconds < large.milliseconds
    if sys.platform == "linux":
        assert 4 * small.parameters / 2**20 < small.peak_mb < large.peak_mb < 512
    else:
        assert small.peak_mb is None


def test_a_clip_that_no_network_reads_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(ValueError, match="at least 32x32 pixels, not 31x31"):
        costs(4, 31)
    with pytest.raises(ValueError, match="not T = 0"):
        costs(0, 32)


def test_a_measurement_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    done = cost.subprocess.CompletedProcess([], -9, "", "one line\nout of memory\n")
    monkeypatch.setattr(cost.subprocess, "run", lambda *_, **__: done)
    name = next(iter(NETWORKS))
    with pytest.raises(RuntimeError, match=f"measuring {name} ended with exit code -9: out of memory"):
        costs(4, 32, networks=[name])


def test_the_figure_shows_what_was_measured_and_what_was_printed_apart() -> None:
    measured = [of_this_study("physfsunet", 800_000), of_this_study("physnet", 750_000)]
    text = cost_figure(measured, {"physfsunet": 6.5, "physnet": None}, "simulated people")
    page = Page(text)
    assert "this study, simulated people" in page.text
    assert "published, from PURE to MMPD" in page.text
    assert {"physfsunet", "physFSUNet", "PhysNet", "RhythmFormer"} <= set(page.text)
    assert "physnet" not in page.text
    caption = page.text[-1]
    assert "not measured here" in caption
    assert "TS-CAN" in caption
    assert caption.endswith("Without an error, and so without a dot: physnet.")


def test_the_figure_without_any_error_is_of_published_ones_alone() -> None:
    page = Page(cost_figure([of_this_study("physnet", 750_000)], {}, "simulated people"))
    assert "published, from PURE to MMPD" in page.text
    assert not any("this study" in text for text in page.text)

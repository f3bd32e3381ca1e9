"""Cost of networks: counted, measured in separate processes, and drawn beside published figures."""

import sys

import pytest

torch = pytest.importorskip("torch")

from facepulse.inference.registry import NETWORKS  # noqa: E402
from facepulse.models.figures import macs  # noqa: E402
from facepulse.studies import cost  # noqa: E402
from facepulse.studies.cost import Cost, costs  # noqa: E402
from facepulse.studies.cost_table import cost_figure  # noqa: E402
from parsed_page import Page  # noqa: E402


def measured(network: str, parameters: int) -> Cost:
    return Cost(network, parameters, 10**9, 160, 128, 100.0, 3, 1, 500.0, "2.8")


@pytest.mark.slow
def test_network_is_measured_in_a_separate_process() -> None:
    network = next(iter(NETWORKS))
    ballast = bytearray(b"x") * 2**29  # would raise the peak if it included the parent process
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


def test_clip_that_no_network_accepts_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(ValueError, match="at least 32x32 pixels, not 31x31"):
        costs(4, 31)
    with pytest.raises(ValueError, match="not T = 0"):
        costs(0, 32)


def test_failed_measurement_raises_with_its_last_error_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done = cost.subprocess.CompletedProcess([], -9, "", "one line\nout of memory\n")
    monkeypatch.setattr(cost.subprocess, "run", lambda *_, **__: done)
    name = next(iter(NETWORKS))
    with pytest.raises(RuntimeError, match=f"measuring {name} ended with exit code -9: out of memory"):
        costs(4, 32, networks=[name])


def test_figure_separates_measured_and_published_networks() -> None:
    costs = [measured("physfsunet", 800_000), measured("physnet", 750_000)]
    text = cost_figure(costs, {"physfsunet": 6.5, "physnet": None}, "simulated people")
    page = Page(text)
    assert "this study, simulated people" in page.text
    assert "published, from PURE to MMPD" in page.text
    assert {"physfsunet", "physFSUNet", "PhysNet", "RhythmFormer"} <= set(page.text)
    assert "physnet" not in page.text
    caption = page.text[-1]
    assert "Hollow markers are published figures" in caption
    assert "TS-CAN" in caption
    assert caption.endswith("Not drawn, for lack of an error: physnet.")


def test_figure_without_measured_errors_has_published_ones_only() -> None:
    page = Page(cost_figure([measured("physnet", 750_000)], {}, "simulated people"))
    assert "published, from PURE to MMPD" in page.text
    assert not any("this study" in text for text in page.text)

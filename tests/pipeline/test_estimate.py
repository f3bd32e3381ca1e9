"""The choice among the candidates of a heart rate."""

from types import SimpleNamespace

import pytest

from facepulse.pipeline.estimate import choose


def candidate(
    name: str, quality: float, *, coincides: bool = False, without_penalty: float | None = None
) -> SimpleNamespace:
    """Create a stand-in for a `Candidate`, named by source and key-frame rhythm: 'network kept', 'regions removed'."""
    source, rhythm = name.split()
    evidence = SimpleNamespace(
        quality=quality,
        quality_without_penalty=quality if without_penalty is None else without_penalty,
        coincides=coincides,
    )
    return SimpleNamespace(
        name=name, fused=source == "network", cleaned=rhythm == "removed", overall=evidence, reported=evidence
    )


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([candidate("regions kept", 0.1)], "regions kept"),
        ([candidate("regions kept", 0.95), candidate("regions removed", 0.2)], "regions removed"),
        ([candidate("regions kept", 0.95, coincides=True), candidate("regions removed", 0.2)], "regions kept"),
        ([candidate("regions kept", 0.8, coincides=True), candidate("regions removed", 0.8)], "regions removed"),
        (
            [candidate("regions kept", 0.1, coincides=True, without_penalty=0.9), candidate("regions removed", 0.2)],
            "regions kept",
        ),
        (
            [candidate("regions kept", 0.1, coincides=True, without_penalty=0.9), candidate("regions removed", 0.75)],
            "regions removed",
        ),
        ([candidate("network kept", 0.7), candidate("regions kept", 0.99)], "network kept"),
        ([candidate("network kept", 0.3), candidate("regions kept", 0.95)], "regions kept"),
        ([candidate("network kept", 0.3), candidate("regions kept", 0.85)], "network kept"),
    ],
)
def test_choice_by_source_key_frame_rhythm_and_quality(candidates: list, chosen: str) -> None:
    assert choose(candidates, 0.7).name == chosen
    assert choose(candidates[::-1], 0.7).name == chosen, "the order of the candidates is irrelevant"


def test_regions_replace_a_network_only_above_the_required_quality() -> None:
    candidates = [candidate("network kept", 0.3), candidate("regions kept", 0.95)]
    assert choose(candidates, 0.98).name == "network kept"  # type: ignore[arg-type]


@pytest.mark.parametrize("quality", [0.0, 0.3, 0.9])
def test_regions_never_replace_a_network_without_a_fallback(quality: float) -> None:
    candidates = [candidate("network kept", quality), candidate("regions kept", 0.95)]
    for order in (candidates, candidates[::-1]):
        assert choose(order, 0.7, fallback=None).name == "network kept"  # type: ignore[arg-type]
        assert choose(order[:1], 0.7, fallback=None).name == order[0].name  # type: ignore[arg-type]

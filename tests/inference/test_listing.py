"""Names of models by kind."""

import pytest

import facepulse
from facepulse.inference.registry import DEFAULT, NETWORKS
from facepulse.inference.weights import shipped_weights
from facepulse.rppg.classical import CLASSICAL


def test_names_of_each_kind_and_of_all() -> None:
    kinds = {"classical": list(CLASSICAL), "weights": shipped_weights(), "architecture": list(NETWORKS)}
    for kind, names in kinds.items():
        assert facepulse.list_models(kind) == names
    assert facepulse.list_models() == [name for names in kinds.values() for name in names]
    assert DEFAULT in facepulse.list_models("weights")


def test_unknown_kind_is_refused_with_all_kinds() -> None:
    with pytest.raises(facepulse.UsageError, match=r"'network'.* classical, weights, architecture$"):
        facepulse.list_models("network")

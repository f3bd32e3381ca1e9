import pytest

pytest.importorskip("torch")

from facepulse.models import PhysFSUNetConfig, PhysNetConfig


@pytest.mark.parametrize(
    ("config", "values", "words"),
    [
        (PhysFSUNetConfig, {"shift": "off"}, "shift must be of type bool, not 'off'"),
        (PhysFSUNetConfig, {"alpha": None}, "alpha must be of type float, not None"),
        (PhysFSUNetConfig, {"beta": float("inf")}, "beta must be of type float"),
        (PhysFSUNetConfig, {"pooling": 5}, "pooling must be of type str"),
        (PhysFSUNetConfig, {"width": 64.0}, "width must be of type int"),
        (PhysNetConfig, {"fusion": 1}, "fusion must be of type bool, not 1"),
    ],
)
def test_value_of_another_type_is_refused(config, values, words) -> None:
    with pytest.raises(ValueError, match=words):
        config(**values)


def test_integers_are_accepted_for_floats() -> None:
    assert PhysFSUNetConfig(alpha=1).alpha == 1

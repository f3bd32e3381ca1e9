import json
from dataclasses import asdict, replace

import pytest

from facepulse.inference.model_card import MINIMUM_SIZE, ModelCard

CARD = ModelCard(
    name="physfsunet",
    network="physfsunet",
    config={"stem_width": 32, "shift": True, "pooling": "S-ST-ST-S"},
    multiple=4,
    frames=160,
    size=72,
    margin=0.5,
    fps=30.0,
    normalisation="each clip and colour to zero mean and unit variance",
    training_data="2,400 simulated faces – none of a person",
    protocol="facepulse, windows of 10 s",
    scores={"MAE (bpm)": 1.5},
    licence="Apache-2.0",
    sha256="0f" * 32,
)


def test_json_round_trip() -> None:
    text = CARD.to_json()
    assert len(text.splitlines()) == 1
    assert ModelCard.from_json(text) == CARD


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("licence", None),
        ("config", [1]),
        ("multiple", 0),
        ("frames", 4),  # half of it is not a multiple of four
        ("frames", 160.0),
        ("frames", True),
        ("size", MINIMUM_SIZE - 1),
        ("margin", -0.1),
        ("fps", float("nan")),
        ("fps", 0),
        ("scores", {"MAE (bpm)": float("inf")}),
        ("scores", {"MAE (bpm)": "low"}),
        ("output", "integral"),
        ("sha256", "abc"),
        ("sha256", None),
    ],
)
def test_error_names_the_field_and_its_value(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"the card's {field} is .*: expected ") as error:
        replace(CARD, **{field: value})
    assert repr(value) in str(error.value)


def test_missing_and_unknown_fields_are_errors() -> None:
    entries = asdict(CARD)
    with pytest.raises(ValueError, match="lacks fps"):
        ModelCard.from_json(json.dumps({name: value for name, value in entries.items() if name != "fps"}))
    with pytest.raises(ValueError, match="unknown colour"):
        ModelCard.from_json(json.dumps({**entries, "colour": "BGR"}))


@pytest.mark.parametrize("text", ["", "[]", "{", "3"])
def test_text_that_is_not_a_card_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ModelCard.from_json(text)

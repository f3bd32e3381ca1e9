"""Advice for each obstacle, the most severe first."""

import numpy as np
import pytest

from facepulse.faces.tracking import Box
from facepulse.pipeline import advice as messages
from facepulse.pipeline.advice import advice

SKIN = np.tile([180.0, 140.0, 120.0], (300, 1))
NEAR = Box(100, 100, 150, 150)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [messages.STEADY]),
        ({"rgb": SKIN * 0.3}, [messages.DARK]),
        ({"rgb": SKIN * 0 + 245}, [messages.BRIGHT]),
        ({"boxes": [Box(100, 100, 60, 60)]}, [messages.FAR]),
        ({"boxes": [Box(60, 100, 150, 150), NEAR]}, [messages.MOVING]),
        ({"boxes": [Box(90, 100, 150, 150), NEAR]}, [messages.STEADY]),
        ({"fps": 8.0}, [messages.FEW_FRAMES]),
        (
            {"rgb": SKIN * 0.2, "boxes": [Box(0, 0, 60, 60), Box(90, 0, 60, 60)]},
            [messages.MOVING, messages.DARK, messages.FAR],
        ),
    ],
)
def test_each_obstacle_has_its_advice(change: dict, expected: list[str]) -> None:
    assert advice(**{"rgb": SKIN, "boxes": [NEAR], "fps": 30.0, **change}) == expected

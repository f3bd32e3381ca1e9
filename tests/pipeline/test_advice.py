"""What to do better, in words: each only where it is so, the worst first."""

import numpy as np
import pytest

from facepulse.faces.tracking import Box
from facepulse.pipeline import advice as words
from facepulse.pipeline.advice import advice

SKIN = np.tile([180.0, 140.0, 120.0], (300, 1))
NEAR = Box(100, 100, 150, 150)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, [words.STEADY]),
        ({"rgb": SKIN * 0.3}, [words.DARK]),
        ({"rgb": SKIN * 0 + 245}, [words.BRIGHT]),
        ({"boxes": [Box(100, 100, 60, 60)]}, [words.FAR]),
        ({"boxes": [Box(60, 100, 150, 150), NEAR]}, [words.MOVING]),
        ({"boxes": [Box(90, 100, 150, 150), NEAR]}, [words.STEADY]),
        ({"fps": 8.0}, [words.FEW_FRAMES]),
        ({"rgb": SKIN * 0.2, "boxes": [Box(0, 0, 60, 60), Box(90, 0, 60, 60)]}, [words.MOVING, words.DARK, words.FAR]),
    ],
)
def test_each_obstacle_has_its_words(change: dict, said: list[str]) -> None:
    assert advice(**{"rgb": SKIN, "boxes": [NEAR], "fps": 30.0, **change}) == said

"""Looks have the proportions of MMPD."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.simulate.figure import HAIR_THICKNESS
from facepulse.simulate.head import draw_identity
from facepulse.simulate.look import draw_look
from simulated_people import needs_heads

pytestmark = needs_heads


def test_looks_have_the_proportions_of_mmpd():
    one = draw_identity("train", 1, (3,))
    people = [replace(one, number=n, gender=gender) for n in range(1000) for gender in ("male", "female")]
    looks = [draw_look(identity) for identity in people]
    assert looks[:10] == [draw_look(identity) for identity in people[:10]]
    assert {look.hair for look in looks} == set(HAIR_THICKNESS)
    assert np.mean([look.glasses for look in looks]) == pytest.approx(0.30, abs=0.05)
    assert np.mean([look.covers_forehead for look in looks]) == pytest.approx(0.24, abs=0.06)
    assert np.mean([look.makeup for look in looks]) == pytest.approx(0.12, abs=0.03)
    men, women = looks[::2], looks[1::2]
    assert not any(look.makeup for look in men)
    assert not any(look.beard for look in women)
    assert 0.4 < np.mean([look.beard > 0 for look in men]) < 0.7

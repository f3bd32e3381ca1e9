"""People wear what MMPD counts."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.simulate.figure import HAIR_THICKNESS
from facepulse.simulate.head import draw_identity
from facepulse.simulate.look import draw_look
from simulated_people import needs_heads

pytestmark = needs_heads


def test_people_wear_what_mmpd_counts():
    one = draw_identity("train", 1, (3,))
    people = [replace(one, number=n, gender=gender) for n in range(1000) for gender in ("male", "female")]
    looks = [draw_look(someone) for someone in people]
    assert looks[:10] == [draw_look(someone) for someone in people[:10]]
    assert {look.hair for look in looks} == set(HAIR_THICKNESS)
    assert np.mean([look.glasses for look in looks]) == pytest.approx(0.30, abs=0.05)
    assert np.mean([look.covers_forehead for look in looks]) == pytest.approx(0.24, abs=0.06)
    assert np.mean([look.makeup for look in looks]) == pytest.approx(0.12, abs=0.03)
    men = [look for look in looks[::2] if look.makeup], [look for look in looks[::2] if look.beard > 0]
    women = [look for look in looks[1::2] if look.makeup], [look for look in looks[1::2] if look.beard > 0]
    assert not men[0]
    assert not women[1]
    assert 0.4 < len(men[1]) / 1000 < 0.7

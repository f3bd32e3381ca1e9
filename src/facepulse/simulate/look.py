"""Look of a person in all their recordings: hair, beard, cap, glasses and make-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facepulse.simulate.head import Identity


@dataclass(frozen=True)
class Look:
    """Hair, beard, glasses and make-up of a person.

    Attributes:
        hair: style, a key of `figure.HAIR_THICKNESS`.
        beard: cover of the region of the beard, 0 to 1.
        glasses: True if the person wears glasses.
        makeup: True if the person wears foundation and lipstick.
    """

    hair: str
    beard: float
    glasses: bool
    makeup: bool

    @property
    def covers_forehead(self) -> bool:
        """True if hair or a cap covers part of the forehead (attribute "hair cover" of MMPD)."""
        return self.hair in ("fringe", "cap")


def draw_look(identity: Identity, *, caps: bool = True) -> Look:
    """Draw the look of a person, which is the same in all their recordings.

    Args:
        identity: the person.
        caps: False leaves caps out.
    """
    rng = identity.rng(1)
    male = identity.gender == "male"
    # Proportions of MMPD: glasses 30 %, hair over the forehead 24 %, make-up 12 % (all of them women).
    styles = {
        "bald": 0.08 if male and identity.years > 28 else 0.0,
        "short": 0.45 if male else 0.08,
        "full": 0.25 if male else 0.14,
        "curly": 0.3 * identity.ancestry[0] + 0.05,
        "long": 0.04 if male else 0.45,
        "fringe": 0.10 if male else 0.22,
        "cap": (0.08 if male else 0.03) if caps else 0.0,
    }
    weights = np.array(list(styles.values()))
    style = str(rng.choice(list(styles), p=weights / weights.sum()))
    beard = 0.0
    if male:
        beard = float(rng.choice([0.0, rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.92)], p=[0.45, 0.35, 0.2]))
    return Look(style, beard, bool(rng.random() < 0.3), bool(not male and rng.random() < 0.24))

"""What a person wears in all their recordings: hair, beard, cap, glasses, make-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facepulse.simulate.head import Identity

HAIR_STYLES = ("bald", "short", "full", "curly", "long", "fringe", "cap")


@dataclass(frozen=True)
class Look:
    """How a person wears hair, face and clothes; drawn once a person.

    Attributes:
        hair: one of `HAIR_STYLES`.
        beard: cover of the beard's region, 0 to 1.
        glasses: whether they wear some.
        makeup: foundation and lipstick.
    """

    hair: str
    beard: float
    glasses: bool
    makeup: bool

    @property
    def covers_forehead(self) -> bool:
        """What MMPD calls hair cover: less of the forehead is seen than usual."""
        return self.hair in ("fringe", "cap")


def draw_look(identity: Identity, *, caps: bool = True) -> Look:
    """The look of a person: the same in all their recordings.

    Args:
        identity: who.
        caps: whether some wear one.
    """
    rng = identity.rng(1)
    male = identity.gender == "male"
    # Shares as MMPD counts them: glasses 30 %, hair over the forehead 24 %, make-up 12 % (all of them women).
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

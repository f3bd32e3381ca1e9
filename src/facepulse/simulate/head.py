"""Identity of a person (gender, age, ancestry, build and shape of the face), and the mesh of their head.

People are drawn from ranges of the parameters of MakeHuman (see `assets.py`); no person is in two splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32
from facepulse.simulate.assets import METRES, HeadAssets, head_assets

Gender = Literal["male", "female"]

SPLITS = ("train", "validation", "test")

YOUNG_YEARS, OLD_YEARS = 25.0, 90.0  # ages of the shapes `young` and `old` of MakeHuman
OPPOSITES = (
    ("incr", "decr"),
    ("up", "down"),
    ("out", "in"),
    ("forward", "backward"),
    ("convex", "concave"),
    ("uncompress", "compress"),
)
HEAD_OUTLINES = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
# Standard deviation of a local shape relative to its full range, which is a caricature; larger values look deformed.
SPREAD, ASYMMETRY = 0.18, 0.05
# Position of the eyes of the average head in decimetres, the reference of all positions on it.
EYES_Y, EYES_Z = 7.47, 1.24
# Shapes that are no traits of a face, because they move the whole head, or a feature to one side.
NO_TRAITS = ("head-trans", "neck-trans", "head-angle", "mouth-trans-out", "nose-trans-out", "head-back")


@dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
        split: one of `SPLITS`.
        number: number of the person within the split.
        gender: spelt as in MMPD.
        years: age.
        ancestry: weights of the african, asian and caucasian shape, sum 1.
        fitzpatrick: skin type 1 to 6.
        muscle: 0..1.
        weight: 0..1.
        traits: weights of the local shapes by name, 0..1.
    """

    split: str
    number: int
    gender: Gender
    years: float
    ancestry: tuple[float, float, float]
    fitzpatrick: int
    muscle: float
    weight: float
    traits: dict[str, float]

    def rng(self, purpose: int) -> np.random.Generator:
        """Return a generator that depends on the person and a purpose only, and so is equal in all recordings."""
        return np.random.default_rng([SPLITS.index(self.split), self.number, purpose])


@dataclass(frozen=True)
class HeadMesh:
    """Mesh of the head, neck and shoulders of a person.

    Attributes:
        vertices: float32 (V, 3) metres; x to the right of the image, y up, z towards the camera. The origin is inside
            the head, level with the bridge of the nose.
        faces: int32 (F, 3).
        parts: uint8 (F,), index into `assets.PARTS`.
        uv: float32 (F, 3, 2).
        actions: float32 (A, V, 3) offsets in metres of each facial action in full.
        action_names: names of the facial actions.
        template: float32 (V, 3), position of each vertex on a head of average shape in decimetres, by which features
            are located on any head.
        pivot: float32 (3,), centre of rotation of the head: the joint of skull and neck.
        eyes: float32 (2, 3), centre of the right (of the person) and the left eye.
    """

    vertices: Floats32
    faces: NDArray[np.int32]
    parts: NDArray[np.uint8]
    uv: Floats32
    actions: Floats32
    action_names: tuple[str, ...]
    template: Floats32
    pivot: Floats32
    eyes: Floats32


def draw_identity(split: str, number: int, types: tuple[int, ...]) -> Identity:
    """Draw the person with a number.

    Args:
        split: one of `SPLITS`.
        number: from 0; the same number gives the same person.
        types: Fitzpatrick types to draw from; a type that occurs twice is twice as probable.

    Raises:
        ValueError: the split is unknown.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    rng = np.random.default_rng([SPLITS.index(split), number, 0])
    fitzpatrick = int(rng.choice(types))
    gender: Gender = "male" if rng.random() < 0.5 else "female"
    # Ancestry and skin type are only loosely related: types 1 and 2 are mostly of European ancestry, 3 and 4 of any, 5
    # and 6 mostly of African or South Asian ancestry (for which MakeHuman has no shape).
    concentration = {
        1: (0.2, 0.3, 6.0),
        2: (0.3, 1.0, 6.0),
        3: (0.5, 3.0, 3.0),
        4: (1.0, 3.0, 2.0),
        5: (3.0, 1.0, 2.0),
        6: (6.0, 0.5, 0.5),
    }[fitzpatrick]
    african, asian, caucasian = rng.dirichlet(concentration)
    names = [str(name) for name in head_assets().local_names]
    return Identity(
        split=split,
        number=number,
        gender=gender,
        years=float(
            np.clip(rng.gamma(4.0, 5.0) + 17.0, 18.0, 75.0)
        ),  # mostly students and staff, as in the real datasets
        ancestry=(float(african), float(asian), float(caucasian)),
        fitzpatrick=fitzpatrick,
        muscle=float(rng.beta(4, 4)),
        weight=float(rng.beta(4, 4)),
        traits=_draw_traits(names, rng),
    )


def _draw_traits(names: list[str], rng: np.random.Generator) -> dict[str, float]:
    """Draw the weights of the local shapes: opposites exclude each other, and faces are nearly symmetric."""
    traits: dict[str, float] = {}
    amounts: dict[str, float] = {}
    for name in names:
        positive, negative = _opposites(name)
        if name.startswith("asym") or not negative or name != positive or any(word in name for word in NO_TRAITS):
            continue
        feature = name.removeprefix("l-").removeprefix("r-")
        if feature not in amounts:
            # The size of the skull varies least: a standard deviation of 4 % of head height and breadth (ISO 7250).
            spread = 0.4 * SPREAD if name.startswith("head-scale") else SPREAD
            amounts[feature] = float(np.clip(rng.normal(0.0, spread), -0.6, 0.6))
        amount = amounts[feature] + (float(rng.normal(0.0, ASYMMETRY)) if name != feature else 0.0)
        traits[positive if amount > 0 else negative] = abs(amount)
    outline = str(rng.choice(HEAD_OUTLINES))
    traits[f"head-{outline}"] = float(rng.uniform(0.0, 0.6))
    for name in names:
        if name.startswith("asym"):
            traits[name] = float(max(rng.normal(0.0, 0.12), 0.0))
    return {name: weight for name, weight in traits.items() if name in names}


def _opposites(name: str) -> tuple[str, str]:
    """Names of the pair of opposite shapes to which a name belongs; the second is empty if there is no opposite."""
    stem, _, end = name.rpartition("-")
    for positive, negative in OPPOSITES:
        if end in (positive, negative):
            return f"{stem}-{positive}", f"{stem}-{negative}"
    return name, ""


def head_mesh(identity: Identity) -> HeadMesh:
    """Build the mesh of a person at rest."""
    assets = head_assets()
    shapes = _sum(_macro_weights(identity, assets), assets.macro)
    shapes += _sum(np.array([identity.traits.get(str(name), 0.0) for name in assets.local_names]), assets.local)
    offsets = shapes.reshape(-1, 3)
    count = len(assets.vertices)
    joints = assets.joints + offsets[count:]
    neck, head, left_eye, right_eye, _ = joints
    # The chin of the average head is 0.95 dm below its eyes, the crown 1.15 dm above them: the origin is between.
    origin = np.array([head[0], (left_eye[1] + right_eye[1]) / 2, head[2]], np.float32)
    return HeadMesh(
        vertices=((assets.vertices + offsets[:count] - origin) * METRES).astype(np.float32),
        faces=assets.faces,
        parts=assets.parts,
        uv=assets.uv,
        actions=_actions(),
        action_names=tuple(str(name) for name in assets.action_names),
        template=average_head(),
        pivot=((0.35 * neck + 0.65 * head - origin) * METRES).astype(np.float32),
        eyes=((np.stack([right_eye, left_eye]) - origin) * METRES).astype(np.float32),
    )


@lru_cache(maxsize=1)
def average_head() -> Floats32:
    """Position of each vertex on a head of average shape, (V, 3) decimetres; see `atlas` for its landmarks."""
    assets = head_assets()
    weights = [
        _macro_weights(Identity("train", 0, gender, YOUNG_YEARS, (1 / 3, 1 / 3, 1 / 3), 3, 0.5, 0.5, {}), assets)
        for gender in ("male", "female")
    ]
    offsets = _sum(np.mean(weights, axis=0), assets.macro).reshape(-1, 3)
    count = len(assets.vertices)
    eyes = (assets.joints + offsets[count:])[2:4].mean(axis=0)
    return np.asarray(
        assets.vertices + offsets[:count] + np.array([0.0, EYES_Y - eyes[1], EYES_Z - eyes[2]]), np.float32
    )


@lru_cache(maxsize=1)
def _actions() -> Floats32:
    """Offsets in metres of each facial action, (A, V, 3), equal on all heads."""
    assets = head_assets()
    return np.asarray(assets.action[:, : len(assets.vertices)].astype(np.float32) * np.float32(METRES))


def _sum(weights: Floats | Floats32, shapes: NDArray[np.float16]) -> Floats32:
    """Weighted sum of shapes (N, ...), flat; shapes of weight 0, which are most of them, are not read."""
    used = np.flatnonzero(weights)
    return np.asarray(weights[used].astype(np.float32) @ shapes[used].reshape(len(used), -1).astype(np.float32))


def _macro_weights(identity: Identity, assets: HeadAssets) -> Floats32:
    """Weight of each shape: product of the weights of the words of its name (age, gender, ancestry, build)."""
    old = float(np.clip((identity.years - YOUNG_YEARS) / (OLD_YEARS - YOUNG_YEARS), 0.0, 1.0))
    african, asian, caucasian = identity.ancestry
    words = {
        "african": african,
        "asian": asian,
        "caucasian": caucasian,
        "universal": 1.0,
        identity.gender: 1.0,
        "young": 1.0 - old,
        "old": old,
    }
    for name, amount in (("muscle", identity.muscle), ("weight", identity.weight)):
        words[f"min{name}"] = max(1.0 - 2.0 * amount, 0.0)
        words[f"max{name}"] = max(2.0 * amount - 1.0, 0.0)
        words[f"average{name}"] = 1.0 - abs(2.0 * amount - 1.0)
    weights = [np.prod([words.get(word, 0.0) for word in str(name).split("-")]) for name in assets.macro_names]
    return np.array(weights, np.float32)

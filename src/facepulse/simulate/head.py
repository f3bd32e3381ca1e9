"""Whose head it is: sex, age, ancestry, build and the shape of a face, and the mesh that follows from them.

People are drawn from ranges of MakeHuman's own parameters (see `assets.py`); each split has people of its own.
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

YOUNG_YEARS, OLD_YEARS = 25.0, 90.0  # the ages that MakeHuman's shapes `young` and `old` stand for
OPPOSITES = (
    ("incr", "decr"),
    ("up", "down"),
    ("out", "in"),
    ("forward", "backward"),
    ("convex", "concave"),
    ("uncompress", "compress"),
)
HEAD_OUTLINES = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
# Standard deviation of a local change, of its full range. MakeHuman's full range is a caricature; wider looks deformed.
SPREAD, ASYMMETRY = 0.18, 0.05
# Where the eyes of the average head lie, in decimetres: all places on it are counted from there.
EYES_Y, EYES_Z = 7.47, 1.24
# What moves the whole head, or a feature to one side, is no trait of a face.
NO_TRAITS = ("head-trans", "neck-trans", "head-angle", "mouth-trans-out", "nose-trans-out", "head-back")


@dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
        split: whose people they belong to; see `SPLITS`.
        number: within the split.
        gender: as MMPD writes it.
        years: of age.
        ancestry: shares of african, asian and caucasian shape, sum 1.
        fitzpatrick: skin type 1 to 6.
        muscle: 0..1.
        weight: 0..1.
        traits: weights of the local changes by name, 0..1.
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
        """Random numbers that belong to the person, and are the same in every recording of them."""
        return np.random.default_rng([SPLITS.index(self.split), self.number, purpose])


@dataclass(frozen=True)
class HeadMesh:
    """A person's head, neck and shoulders.

    Attributes:
        vertices: float32 (V, 3) metres; x to the right of the picture, y up, z towards the camera. The origin lies
            inside the head, level with the bridge of the nose.
        faces: int32 (F, 3).
        parts: uint8 (F,), index into `assets.PARTS`.
        uv: float32 (F, 3, 2).
        actions: float32 (A, V, 3) offsets in metres of each facial action in full.
        action_names: of them.
        template: float32 (V, 3), where each vertex lies on a head of average shape, in decimetres: by it, features are
            found on any head.
        pivot: float32 (3,), about which the head turns: where skull and neck meet.
        eyes: float32 (2, 3), middle of the right (of the person) and the left eye.
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
    """The person of a number.

    Args:
        split: one of `SPLITS`.
        number: from 0; the same number is the same person.
        types: Fitzpatrick types to choose from, each as often as it stands there.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    rng = np.random.default_rng([SPLITS.index(split), number, 0])
    fitzpatrick = int(rng.choice(types))
    gender: Gender = "male" if rng.random() < 0.5 else "female"
    # Which shapes go with which type is loose in the world, and loose here: types 1 and 2 are mostly of European
    # ancestry, 3 and 4 of any, 5 and 6 mostly of African or South Asian ancestry (no shape of its own there).
    lean = {
        1: (0.2, 0.3, 6.0),
        2: (0.3, 1.0, 6.0),
        3: (0.5, 3.0, 3.0),
        4: (1.0, 3.0, 2.0),
        5: (3.0, 1.0, 2.0),
        6: (6.0, 0.5, 0.5),
    }[fitzpatrick]
    african, asian, caucasian = rng.dirichlet(lean)
    names = [str(name) for name in head_assets().local_names]
    return Identity(
        split=split,
        number=number,
        gender=gender,
        years=float(np.clip(rng.gamma(4.0, 5.0) + 17.0, 18.0, 75.0)),  # students and staff mostly, as in the real sets
        ancestry=(float(african), float(asian), float(caucasian)),
        fitzpatrick=fitzpatrick,
        muscle=float(rng.beta(4, 4)),
        weight=float(rng.beta(4, 4)),
        traits=_draw_traits(names, rng),
    )


def _draw_traits(names: list[str], rng: np.random.Generator) -> dict[str, float]:
    """Weights of the local changes: opposites exclude each other, and both sides of a face are nearly alike."""
    traits: dict[str, float] = {}
    amounts: dict[str, float] = {}
    for name in names:
        positive, negative = _opposites(name)
        if name.startswith("asym") or not negative or name != positive or any(part in name for part in NO_TRAITS):
            continue
        both_sides = name.removeprefix("l-").removeprefix("r-")
        if both_sides not in amounts:
            # The skull's own size varies least: a standard deviation of 4 % of head height and breadth (ISO 7250).
            spread = 0.4 * SPREAD if name.startswith("head-scale") else SPREAD
            amounts[both_sides] = float(np.clip(rng.normal(0.0, spread), -0.6, 0.6))
        amount = amounts[both_sides] + (float(rng.normal(0.0, ASYMMETRY)) if name != both_sides else 0.0)
        traits[positive if amount > 0 else negative] = abs(amount)
    outline = str(rng.choice(HEAD_OUTLINES))
    traits[f"head-{outline}"] = float(rng.uniform(0.0, 0.6))
    for name in names:
        if name.startswith("asym"):
            traits[name] = float(max(rng.normal(0.0, 0.12), 0.0))
    return {name: weight for name, weight in traits.items() if name in names}


def _opposites(name: str) -> tuple[str, str]:
    """The two ends of the change that a name belongs to; the second is empty where there is only one."""
    stem, _, end = name.rpartition("-")
    for positive, negative in OPPOSITES:
        if end in (positive, negative):
            return f"{stem}-{positive}", f"{stem}-{negative}"
    return name, ""


def head_mesh(identity: Identity) -> HeadMesh:
    """The mesh of a person at rest."""
    assets = head_assets()
    shapes = _sum(_macro_weights(identity, assets), assets.macro)
    shapes += _sum(np.array([identity.traits.get(str(name), 0.0) for name in assets.local_names]), assets.local)
    offsets = shapes.reshape(-1, 3)
    count = len(assets.vertices)
    joints = assets.joints + offsets[count:]
    neck, head, left_eye, right_eye, _ = joints
    # The chin of the average head is 0.95 dm below its eyes, the crown 1.15 above: the origin is between.
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
    """Where each vertex lies on a head of average shape, (V, 3) decimetres: see `appearance` for its landmarks."""
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
    """Offsets in metres of each facial action, the same on every head: (A, V, 3)."""
    assets = head_assets()
    return np.asarray(assets.action[:, : len(assets.vertices)].astype(np.float32) * np.float32(METRES))


def _sum(weights: Floats | Floats32, shapes: NDArray[np.float16]) -> Floats32:
    """Shapes (N, ...) by their weights (N,), flat; most weigh nothing, and are not even read."""
    some = np.flatnonzero(weights)
    return np.asarray(weights[some].astype(np.float32) @ shapes[some].reshape(len(some), -1).astype(np.float32))


def _macro_weights(identity: Identity, assets: HeadAssets) -> Floats32:
    """Each shape weighs by the product of how near the person is to each word of its name."""
    old = float(np.clip((identity.years - YOUNG_YEARS) / (OLD_YEARS - YOUNG_YEARS), 0.0, 1.0))
    african, asian, caucasian = identity.ancestry
    near = {
        "african": african,
        "asian": asian,
        "caucasian": caucasian,
        "universal": 1.0,
        identity.gender: 1.0,
        "young": 1.0 - old,
        "old": old,
    }
    for name, amount in (("muscle", identity.muscle), ("weight", identity.weight)):
        near[f"min{name}"] = max(1.0 - 2.0 * amount, 0.0)
        near[f"max{name}"] = max(2.0 * amount - 1.0, 0.0)
        near[f"average{name}"] = 1.0 - abs(2.0 * amount - 1.0)
    weights = [np.prod([near.get(word, 0.0) for word in str(name).split("-")]) for name in assets.macro_names]
    return np.array(weights, np.float32)

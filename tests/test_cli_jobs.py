"""Several videos at a time: real processes, which are interrupted and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from facepulse import cli
from facepulse.cli import workers
from facepulse.cli.video_job import video_jobs

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


@pytest.fixture(scope="module")
def faces(face_video) -> list[Path]:
    return [face_video(bpm, 6.0, width=200, height=160) for bpm in (66.0, 90.0)]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command in a process group of its own, as a shell does; all of it is killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "facepulse", "measure", *map(str, arguments), "--method", "POS"]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": heed_ctrl_c, **options}
        started.append(subprocess.Popen(command, cwd=tmp_path, text=True, start_new_session=True, **options))
        return started[-1]

    yield call
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def heed_ctrl_c() -> None:
    """Reset the handling of SIGINT, which background jobs ignore, the tests perhaps among them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(process: "subprocess.Popen[str]") -> list[int]:
    """The worker processes, without multiprocessing's resource tracker."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def sources(path: Path) -> list[str]:
    """The sources of all lines of a file, each of which has to be complete."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line)["source"] for line in text.splitlines()]


@pytest.mark.slow
def test_output_is_that_of_one_after_another(start: Start, faces: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    copies = [tmp_path / folder / "face.mp4" for folder in "ab"]
    for copy, face in zip(copies, faces, strict=True):
        copy.parent.mkdir()
        copy.write_bytes(face.read_bytes())
    videos = [faces[0], "missing.mp4", *copies, "empty.mp4", faces[1]]
    done = {}
    for jobs in (1, 2):
        process = start(*videos, "--json", "out.json", "--csv", "csv", "--plot", "plots", "--jobs", jobs)
        text = process.communicate()
        files = sorted(path for folder in ("csv", "plots") for path in (tmp_path / folder).iterdir())
        written = {path.name: path.read_bytes() for path in (tmp_path / "out.json", *files)}
        done[jobs] = (process.returncode, text, written)
        for path in files:
            path.unlink()
    code, (out, err), written = done[2]
    assert done[1] == done[2]
    assert code == 3
    assert [line.split(":")[0] for line in out.splitlines() if " bpm, quality" in line] == [
        *(str(faces[0]), *map(str, copies), str(faces[1]))
    ]
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["missing.mp4", "empty.mp4"]
    assert {"face.png", "face-2.png", "face.windows.csv", "face-2.waveform.csv"} <= written.keys()


@linux
@pytest.mark.slow
def test_killed_run_keeps_what_was_finished(start: Start, faces: list[Path], tmp_path: Path) -> None:
    process = start(*faces * 50, "--json", "out.json", "--jobs", 2)
    wait_until((tmp_path / "out.json").exists)
    wait_until(lambda: len(sources(tmp_path / "out.json")) >= 3)
    at_work = children(process)
    process.kill()
    process.wait()
    assert 3 <= len(sources(tmp_path / "out.json")) < 100
    assert len(at_work) == 2
    wait_until(lambda: not any(map(is_running, at_work)))
    assert process.communicate()[1] == ""


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "to_group", "code", "message"),
    [
        (signal.SIGINT, True, 130, "facepulse: interrupted\n"),
        (signal.SIGTERM, True, 143, ""),
        (signal.SIGTERM, False, 143, ""),
    ],
    ids=["ctrl-c", "terminated", "terminated alone"],
)
def test_stopped_run_ends_its_workers_and_keeps_what_was_finished(
    start: Start, faces: list[Path], tmp_path: Path, sent: int, to_group: bool, code: int, message: str
) -> None:
    process = start(*faces * 50, "--json", "out.json", "--jobs", 2)
    wait_until((tmp_path / "out.json").exists)
    at_work = children(process)
    if to_group:
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    assert process.communicate()[1] == message
    assert process.returncode == code
    assert not any(map(is_running, at_work))
    assert set(sources(tmp_path / "out.json")) <= set(map(str, faces))
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@linux
@pytest.mark.slow
def test_stopped_while_its_workers_start_ends_without_a_traceback(start: Start, faces: list[Path]) -> None:
    process = start(*faces * 5, "--jobs", 2)
    wait_until(lambda: len(children(process)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate() == ("", "facepulse: interrupted\n")
    assert process.returncode == 130


@linux
@pytest.mark.slow
def test_killed_worker_is_one_line_for_its_video(start: Start, faces: list[Path], tmp_path: Path) -> None:
    process = start(*faces * 4, "--json", "out.json", "--jobs", 2)
    wait_until((tmp_path / "out.json").exists)
    os.kill(children(process)[0], signal.SIGKILL)
    out, err = process.communicate()
    rows = [json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()]
    assert [row["source"] for row in rows] == list(map(str, faces * 4))
    [killed] = [row for row in rows if "error" in row]
    assert process.returncode == killed["exit_code"] == 1
    assert err.splitlines() == [f"facepulse: {killed['error']}"]
    assert err.startswith(f"facepulse: {killed['source']}: the process that measured it was killed")
    assert len([line for line in out.splitlines() if " bpm, quality" in line]) == 7


def test_wrong_method_is_an_error_before_any_process_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "get_context", None)
    with pytest.raises(SystemExit) as stopped:
        cli.main(
            ["measure", "a.mp4", "b.mp4", "--jobs", "2", "--method", "magic", "--json", str(tmp_path / "out.json")]
        )
    assert stopped.value.code == 2
    assert "no method is called 'magic'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_progress_over_videos_is_shown_on_a_terminal_only(start: Start, faces: list[Path], tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    with (tmp_path / "out.json").open("wb") as out:
        process = start(*faces * 4, "--json", "-", "--jobs", 2, stdout=out, stderr=theirs)
        os.close(theirs)
        shown = b""
        while process.poll() is None or shown == b"":
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end was closed
                break
        process.wait()
    os.close(ours)
    assert b"measuring" in shown
    assert b"8.0 videos" in shown
    assert sources(tmp_path / "out.json") == list(map(str, faces * 4))


def test_files_of_all_videos_and_faces_have_different_names(tmp_path: Path) -> None:
    (tmp_path / "x.images").mkdir()
    videos = ["a/x.mp4", "b/x.mov", "x.face1.mp4", "x", "y.mp4", tmp_path / "x.images"]
    assert [job.name for job in video_jobs(list(map(str, videos)))] == [
        *("x", "x-2", "x.face1-2", "x-3", "y", "x.images")
    ]

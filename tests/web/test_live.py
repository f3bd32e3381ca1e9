"""`facepulse live` as a process: it prints the address of the page, serves it, and ends when it is interrupted."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from facepulse import cli
from video_servers import http_server, whole_file


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the process and return it with the first line that it prints."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from facepulse.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "live", "--no-browser", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.slow
def test_address_is_printed_and_interruption_ends_without_output() -> None:
    with running() as (process, line):
        address = line.split()[4]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert b"facepulse" in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
        assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_address_for_other_computers_has_a_token() -> None:
    with running("--host", "0.0.0.0") as (_, line):
        assert "/?token=" in line.split()[4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--camera", "face.mp4"], "face.mp4: a camera is a number from 0, or an address that begins with rtsp://"),
        (["--method", "nonsense"], "no method is called 'nonsense'"),
        (["--camera", "97"], "cannot open camera 97: check that it is plugged in"),
        (["--port", "70000"], "65535"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_bad_input_has_one_line(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "facepulse", "live", "--no-browser", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert words in line


def test_readings_of_a_camera_at_an_address_are_printed(face_video, capsys) -> None:
    with http_server(whole_file(face_video(75.0, 5.0))) as served, pytest.raises(SystemExit) as exit_:
        cli.main(["live", "--method", "POS", "--camera", served])
    assert exit_.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "    0.0 s  collecting, 0 s"
    assert len(lines) >= 4


def test_address_that_cannot_be_opened_is_one_line(capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["live", "--camera", "rtsp://user:secret@127.0.0.1:1/camera"])
    assert exit_.value.code == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("facepulse: rtsp://127.0.0.1:1/camera: cannot be opened (")


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("facepulse.errors.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        cli.main(["live"])
    assert (
        "the live page needs fastapi, uvicorn, websockets: pip install '.[web]' in the checkout of facepulse"
        in capsys.readouterr().err
    )

"""`facepulse live` as a process: it prints the address of the page, serves it, and ends when it is interrupted."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from facepulse import cli


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
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("[")]  # of OpenCV
    assert words in line


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("facepulse._optional.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        cli.main(["live"])
    assert (
        "the live page needs fastapi, uvicorn, websockets: pip install '.[web]' in the checkout of facepulse"
        in capsys.readouterr().err
    )

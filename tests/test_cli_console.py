"""What the package logs, on a terminal and in other programs."""

import logging
import subprocess
import sys

import pytest

import facepulse
from facepulse.cli.console import log_to_console, problems_only

part = logging.getLogger("facepulse.part.of_it")


def test_package_is_silent_unless_logging_is_configured() -> None:
    code = (
        "import logging, facepulse\n"
        "logging.getLogger('facepulse.training').warning('unseen')\n"
        "logging.basicConfig(level=logging.INFO, format='%(name)s: %(message)s')\n"
        "logging.getLogger('facepulse.training').info('seen')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "facepulse.training: seen\n")


def test_progress_goes_to_standard_output_and_problems_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_console():
        part.info("  epoch 1: 50 % done")
        part.debug("a detail")
        part.warning("left out \n a recording")
        part.error("caf\udce9.mp4 failed")
    part.error("unseen")
    output = capsys.readouterr()
    assert output.out == "  epoch 1: 50 % done\n"
    assert output.err == "facepulse: left out a recording\nfacepulse: caf\ufffd.mp4 failed\n"


def test_progress_of_a_part_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_console(), problems_only("facepulse.part"):
        part.info("unseen")
        logging.getLogger("facepulse.other").info("seen")
        part.error("seen")
    assert capsys.readouterr() == ("seen\n", "facepulse: seen\n")


def test_configuration_of_other_programs_is_restored(caplog: pytest.LogCaptureFixture) -> None:
    with log_to_console():
        part.error("printed")
    part.error("logged")
    assert caplog.messages == ["logged"]
    assert [type(handler) for handler in logging.getLogger(facepulse.__name__).handlers] == [logging.NullHandler]

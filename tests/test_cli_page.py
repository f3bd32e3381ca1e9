"""docs/cli.md against the code: commands, exit codes and fields of JSON."""

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import facepulse
from facepulse import cli, errors
from facepulse.cli import COMMANDS, console
from facepulse.evaluation.run import evaluate
from facepulse.measurement import Measurement, Window
from facepulse.rppg.hrv import Hrv

PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")


def first_column(heading: str) -> list[str]:
    """Code in the first column of the table that follows a heading or sentence."""
    table = PAGE.partition(heading)[2].partition("\n|")[2].partition("\n\n")[0]
    return [cell.strip("` ") for cell in re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)][1:]


def measurement() -> Measurement:
    """Measurement with values that JSON rounds, or that have a rule for null."""
    zeros = np.zeros(3)
    return Measurement(
        **dict.fromkeys(("bpm", "estimate_bpm", "quality", "snr_db", "fps", "duration_s"), 1.23456),
        **dict.fromkeys(("beats_s", "times_s", "spectrum_bpm", "spectrum"), zeros),
        **{name: name for name in ("source", "method", "requested_method", "protocol")},
        reason=None,
        face=1,
        faces=2,
        box=(1.0, 2.0, 3.0, 4.0),
        parts=((0.0, 1.0),),
        windows=(Window(0.0, 1.0, None, 0.1, 61.0, "low_quality"),),
        hrv=Hrv(60.0, None, None, None, None, 9.0, 1.0, {"rmssd_ms": "too short"}),
        waveform=zeros.astype(np.float32),
        warnings=("a remark",),
        image=np.zeros((2, 2, 3), np.uint8),
    )


def test_commands_are_those_of_the_command_line() -> None:
    assert first_column("# Command line") == [command.__name__ for command in COMMANDS]


def test_fields_of_a_measurement_are_those_of_its_json() -> None:
    written = json.loads(measurement().to_json(waveform=True))
    assert first_column("## JSON of `measure`") == list(written)
    assert first_column("Fields of `hrv`:") == list(written["hrv"]) == [field.name for field in fields(Hrv)]
    for field in ("parts", "windows"):
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{field}` |")]
        assert re.findall(r"`(\w+)`", row.split("|")[2]) == list(written[field][0])


def test_fields_of_a_failure_are_those_of_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        facepulse.cli.main(["measure", str(tmp_path / "absent.mp4"), "--json", "-"])
    failure = json.loads(capsys.readouterr().out)
    assert first_column("An input that cannot be measured") == list(failure)
    assert failure["exit_code"] == stopped.value.code == errors.VideoError.exit_code


def test_exit_codes_are_those_of_the_errors_and_of_the_console() -> None:
    table = PAGE.partition("## Exit codes")[2].partition("\n\n`measure`")[0]
    codes = {int(code): names for code, names in re.findall(r"^\| (\d+) \|.*\|([^|]*)\|$", table, re.MULTILINE)}
    named = {value for name, value in vars(console).items() if name.startswith("EXIT_")}
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    raised = {kind for kind in kinds if issubclass(kind, errors.FacepulseError)} - {errors.FacepulseError}
    assert set(codes) == {0, errors.FacepulseError.exit_code} | named | {error.exit_code for error in raised}
    for error in raised:
        assert f"`{error.__name__}`" in codes[error.exit_code]


def test_options_have_the_names_of_the_arguments_of_python() -> None:
    functions = {"measure": facepulse.measure_faces, "live": facepulse.stream, "evaluate": evaluate}
    outputs = {"videos", "json", "csv", "plot", "waveform", "jobs", "data", "out"}
    cache = {"split", "subset", "where"}  # of the choice of recordings
    page = {"port", "host", "camera", "browser"}
    for command, function in functions.items():
        options = inspect.signature(getattr(cli, command)).parameters.keys() - outputs - cache - page
        assert options <= inspect.signature(function).parameters.keys(), command


def test_table_of_options_lists_options_of_the_commands() -> None:
    table = PAGE.partition("## Options and arguments of Python")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`--.*?) \| (.*?) \| (.*) \|$", table, re.MULTILINE)
    assert len(rows) > 10
    for options, commands, arguments in rows:
        for command in re.findall(r"`(\w+)`", commands):
            taken = inspect.signature(getattr(cli, command)).parameters
            for option in re.findall(r"--([\w-]+)", options):
                assert option.replace("-", "_") in taken, (command, option)
        assert "`" in arguments or "the same" in arguments

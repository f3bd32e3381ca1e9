"""docs/rppg.md: its blocks run and print what the page shows, on the trace to try and on real ones."""

import contextlib
import io
import re
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepulse import rppg

PAGE = (Path(__file__).parents[1] / "docs" / "rppg.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", PAGE, re.DOTALL)


def run(code: str, names: dict[str, Any]) -> str:
    """Run a block with the names of the blocks before it, and return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    return printed.getvalue()


def block_of(heading: str) -> str:
    """The first block of a section."""
    return re.findall(r"```python\n(.*?)```", PAGE.partition(f"\n## {heading}\n")[2], re.DOTALL)[0]


def test_blocks_print_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert len(BLOCKS) >= 9
    for code, expected in BLOCKS:
        assert run(code, names) == expected, code


def test_table_lists_every_function_with_its_arguments() -> None:
    rows = re.findall(r"^\| `([A-Za-z_]+)(\(.*?\))?` \|", PAGE, re.MULTILINE)
    functions = {name for name in rppg.__all__ if name.islower()}
    assert {name for name, _ in rows} == functions | {"CLASSICAL", "PROTOCOLS"}
    for name, arguments in rows:
        if name in functions:
            shown = [each.split("=")[0] for each in arguments.strip("()").split(", ")]
            positional = [
                each for each in signature(getattr(rppg, name)).parameters.values() if each.kind != each.KEYWORD_ONLY
            ]
            assert shown == [each.name for each in positional], name
            assert [("=" in each) for each in arguments.split(", ")] == [
                each.default is not each.empty for each in positional
            ]


@pytest.mark.parametrize(("name", "lowest", "highest"), [("PIC_0399", 65, 73), ("PIC_0400", 94, 99)])
def test_blocks_measure_a_real_face(
    name: str, lowest: float, highest: float, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, blue, green, red = np.loadtxt(shared_data / "face_rgb" / f"{name}.csv", delimiter=",").T[:4]
    monkeypatch.chdir(tmp_path)
    np.savetxt("trace.csv", np.column_stack([seconds, red, green, blue]), delimiter=",", header="time_s, r, g, b")
    names: dict[str, Any] = {"np": np}
    for heading in ("Read a trace", "Waveform, heart rate, SNR"):
        run(block_of(heading), names)
    assert names["fps"] == 50
    assert names["rgb"].shape == (len(seconds), 3)
    assert lowest <= names["bpm"] <= highest
    # No contact reference exists, but methods that cancel different disturbances agree in every window of 20 s.
    waveforms = [method(names["rgb"], 50) for method in (rppg.pos, rppg.chrom, rppg.omit)]
    windows = [slice(begin, begin + 1000) for begin in range(0, len(seconds) - 1000, 1000)]
    rates = np.array([[rppg.heart_rate(waveform[window], 50) for waveform in waveforms] for window in windows])
    assert len(rates) >= 13
    assert np.ptp(rates, axis=1).max() < 0.6
    assert (rates >= lowest - 1).all()
    assert (rates <= highest + 1).all()

"""Reference signals in text files: invalid samples and malformed files."""

from pathlib import Path

import numpy as np
import pytest

from facepulse.datasets import DatasetError
from facepulse.datasets.signals import as_signal, read_reference

HERE = Path("reference")


def test_invalid_or_unordered_samples_are_left_out_and_counted() -> None:
    notes: list[str] = []
    times = np.array([0.0, 1.0, 1.0, 2.0, np.nan, 1.5, 3.0, 4.0])
    values = np.array([0.0, 1.0, 9.0, 2.0, 9.0, 9.0, np.inf, 4.0])
    signal = as_signal(HERE, "ppg", times, values, notes)
    np.testing.assert_array_equal(signal.times, [0, 1, 2, 4])
    np.testing.assert_array_equal(signal.values, [0, 1, 2, 4])
    assert notes == [
        "ppg: samples without a number, left out: 2",
        "ppg: samples not later than the one before, left out: 2",
    ]


def test_reference_needs_two_samples_and_constant_values_are_noted() -> None:
    with pytest.raises(DatasetError, match="reference: a reference needs at least two samples of ppg, not 0"):
        as_signal(HERE, "ppg", np.empty(0), np.empty(0), [])
    notes: list[str] = []
    as_signal(HERE, "ppg", np.arange(3.0), np.full(3, 512.0), notes)
    assert notes == ["ppg: one value throughout, 512"]


def test_csv_may_have_either_signal_or_both_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("\ufeffbpm, note ,ppg,time_s\n72,x,1,0\n,y,2,0.5\n 75 ,,3,1.0\n", encoding="utf-8")
    ppg, bpm = read_reference(path, notes := [])
    np.testing.assert_array_equal(ppg.times, [0, 0.5, 1])
    np.testing.assert_array_equal(ppg.values, [1, 2, 3])
    np.testing.assert_array_equal(bpm.times, [0, 1])
    np.testing.assert_array_equal(bpm.values, [72, 75])
    assert notes == []
    path.write_text("time_s,bpm\n0,72\n1,73\n")
    assert read_reference(path, [])[0] is None
    path.write_text("time_s,ppg\n0,72\n1,73\n")
    assert read_reference(path, [])[1] is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its first line contains nothing; expected time_s and ppg or bpm"),
        (b"0,1\n1,2\n", "its first line contains 0, 1; expected time_s"),
        (b"time_s,pulse\n0,1\n", "its first line contains time_s, pulse"),
        (b"time_s,ppg\n0,1\n1,high\n", "line 3 contains 'high'; expected a number"),
        (b"time_s;ppg\n0;1\n", "its first line contains time_s;ppg; .* separated by commas"),
        (b"time_s,ppg\n0,01,1,5\n0,02,1,6\n", "line 2 has more cells than the first line: write 0.5, not 0,5"),
        (b'time_s,ppg\n"0,01","1,5"\n', "line 2 contains '0,01'; expected a number"),
        (b"time_s,ppg\n14:10:58.68,1\n", "line 2 contains '14:10:58.68'; expected a number"),
        (b"time_s,bpm\n0,1.2\n1,1.3\n2,1.25\n3,1.1\n", "bpm contains 1.1 to 1.3; .* 20 to 300: are they in Hz"),
        (b"time_s,bpm\n0,833\n1,845\n2,812\n3,790\n", "bpm contains 790 to 845; .* or intervals between beats"),
        (b"time_s,ppg\n0,1\n", "needs at least two samples of ppg"),
        (b"time_s,ppg\n", "needs at least two samples of ppg"),
        (b"\xff\xfe\x00", "is not a CSV file"),
    ],
)
def test_malformed_csv_is_an_error_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"f\.csv: .*{words}") as error:
        read_reference(path, [])
    assert "\n" not in str(error.value)


def test_heart_rate_of_a_device_that_finds_no_pulse_is_none(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("time_s,bpm,\n0,0,\n1,255,\n2,1,\n3,0,\n")
    assert read_reference(path, notes := []) == (None, None)
    assert notes == ["bpm: samples at which the device found no pulse, left out: 3"]


def test_clock_that_is_set_back_leaves_out_the_repeated_hour(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(0, 15, 0.1), np.arange(15, 20, 0.1) - 3600])
    np.savetxt(
        path := tmp_path / "f.csv", np.stack([times, np.sin(times)], 1), delimiter=",", header="time_s,ppg", comments=""
    )
    ppg, _ = read_reference(path, notes := [])
    assert len(ppg.times) == 150
    assert notes == ["ppg: samples not later than the one before, left out: 50"]

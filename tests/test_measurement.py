"""Measurement: JSON, CSV, data frames, summary, plot and notebook."""

import json
import re
import sys
from base64 import b64decode
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from facepulse.errors import UsageError
from facepulse.measurement import Measurement, Window
from facepulse.plot import WITHHELD_COLOR, to_html
from facepulse.rppg.hrv import Hrv

TIMES = np.concatenate([np.arange(0, 8, 1 / 30), np.arange(12, 20, 1 / 30)])


@pytest.fixture
def measurement() -> Measurement:
    return Measurement(
        source="some/face.mp4",
        method="POS",
        requested_method="POS",
        protocol="facepulse: ...",
        bpm=72.123456,
        estimate_bpm=72.123456,
        reason=None,
        quality=0.9321,
        snr_db=6.0,
        fps=29.97,
        duration_s=20.0,
        face=1,
        faces=1,
        box=(10.0, 20.0, 100.0, 100.0),
        parts=((0.0, 8.0), (12.0, 20.0)),
        windows=(Window(0.0, 8.0, 72.0, 0.9, 72.0, None), Window(12.0, 20.0, None, 0.2, 61.0, "low_quality")),
        hrv=Hrv(72.0, 31.4, None, None, None, 4.0, 0.98, {"sdnn_ms": "too short"}),
        beats_s=np.array([0.5, 1.3]),
        waveform=np.sin(2 * np.pi * 1.2 * TIMES).astype(np.float32),
        times_s=TIMES,
        spectrum_bpm=np.linspace(30, 270, 200),
        spectrum=np.linspace(0, 1, 200),
        warnings=("no face from 8.0 to 12.0 s",),
        image=np.zeros((240, 320, 3), np.uint8),
    )


def test_measurement_is_immutable(measurement: Measurement) -> None:
    with pytest.raises(FrozenInstanceError):
        measurement.bpm = 60.0  # type: ignore[misc]


def test_json_has_the_values_of_the_measurement(measurement: Measurement) -> None:
    plain = json.loads(measurement.to_json(waveform=True))
    assert plain == measurement.to_dict(waveform=True)
    assert plain["bpm"] == 72.12
    assert plain["windows"][1] == {
        "start_s": 12.0,
        "end_s": 20.0,
        "bpm": None,
        "quality": 0.2,
        "estimate_bpm": 61.0,
        "reason": "low_quality",
    }
    assert plain["hrv"]["rmssd_ms"] == 31.4
    assert plain["hrv"]["sdnn_ms"] is None
    assert len(plain["waveform"]) == len(plain["times_s"]) == len(TIMES)


def test_summary_contains_heart_rate_quality_and_warnings(measurement: Measurement) -> None:
    text = str(measurement)
    for text_part in ("72.1 bpm", "quality 0.93", "1 of 2 windows", "RMSSD 31 ms", "protocol", "no face from 8.0"):
        assert text_part in text
    assert "no reliable pulse" in str(replace(measurement, bpm=None))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "start"),
    [("plot.png", b"\x89PNG"), ("PLOT.JPG", b"\xff\xd8"), ("plot.svg", b"<?xml"), ("plot.pdf", b"%PDF")],
)
def test_plot_is_written_in_the_format_of_the_suffix(
    measurement: Measurement, tmp_path: Path, name: str, start: bytes
) -> None:
    figure = measurement.plot(str(tmp_path / name))
    assert isinstance(figure, Figure)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_figure_is_shown_by_notebooks_and_unknown_to_pyplot(measurement: Measurement) -> None:
    figure = measurement.plot()
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []
    assert {axes.get_title() for axes in figure.axes} >= {"face 1", "blood volume pulse"}


def test_dollar_signs_in_the_name_of_a_video_are_plain_text(measurement: Measurement) -> None:
    figure = replace(measurement, source=r"a $\no math$ b.mp4").plot()
    assert figure.get_suptitle().startswith(r"a $\no math$ b.mp4: 72.1 bpm")
    figure.to_png()


def test_figure_of_a_withheld_heart_rate_shows_the_best_guesses_in_grey(measurement: Measurement) -> None:
    window = Window(0.0, 8.0, None, 0.1, 61.0, "low_quality")
    withheld = replace(measurement, bpm=None, reason="low_quality", windows=(window,), beats_s=np.zeros(0))
    spectrum, windows = withheld.plot().axes[-2:]
    assert spectrum.lines[1].get_color() == windows.lines[0].get_color() == WITHHELD_COLOR
    assert list(windows.lines[0].get_ydata()) == [61.0, 61.0]
    nothing = replace(withheld, estimate_bpm=None, windows=(replace(window, estimate_bpm=None, reason="constant"),))
    spectrum, windows = nothing.plot().axes[-2:]
    assert (len(spectrum.lines), len(windows.lines), len(windows.patches)) == (1, 0, 1)


@pytest.mark.parametrize("name", ["plot", "plot.mp4", ".png", "", 5])
def test_path_of_no_plot_format_is_refused_before_anything_is_drawn(
    measurement: Measurement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: object
) -> None:
    monkeypatch.setattr("facepulse.plot.draw_measurement", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"cannot plot to .*: give a file name that ends with \.png, \.jpg, \.svg or"):
        measurement.plot(name)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_failed_plot_leaves_the_earlier_file(
    measurement: Measurement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(self: Figure, file: IO[bytes], **_: object) -> None:
        file.write(b"the beginning")
        raise OSError(28, "No space left on device")

    path = tmp_path / "plot.png"
    path.write_bytes(b"earlier")
    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(UsageError, match=r"cannot write .*plot\.png \(No space left on device\)"):
        measurement.plot(path)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_representation_is_one_short_line(measurement: Measurement) -> None:
    assert repr(measurement) == "<Measurement of 'some/face.mp4': 72.1 bpm, quality 0.93, POS>"
    withheld = replace(measurement, source="a.mp4", bpm=None, reason="low_quality", quality=0.31)
    guess = "withheld (low_quality), best guess 72.1 bpm"
    assert repr(withheld) == f"<Measurement of 'a.mp4': {guess}, quality 0.31, POS>"
    nothing = replace(withheld, estimate_bpm=None, reason="constant", quality=0.0)
    assert repr(nothing) == "<Measurement of 'a.mp4': no heart rate (constant), quality 0.00, POS>"
    assert [repr(window) for window in measurement.windows] == [
        "<Window 0.0-8.0 s: 72.0 bpm, quality 0.90>",
        "<Window 12.0-20.0 s: withheld (low_quality), best guess 61.0 bpm, quality 0.20>",
    ]
    repr(replace(measurement, source="two\nlines \udcff.mp4")).encode().index(b"two\\nlines \xef\xbf\xbd.mp4")


def test_notebook_shows_a_table_with_the_figure_and_escapes_all_text(measurement: Measurement) -> None:
    hostile = replace(
        measurement,
        source="<script>alert(1)</script>",
        method="<b>",
        hrv=None,
        bpm=None,
        reason="low_quality",
        warnings=("5 < 6 & 'quoted'",),
    )
    html = hostile._repr_html_()
    table, image = html.split("<img ")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in table
    assert "5 &lt; 6 &amp; &#x27;quoted&#x27;" in table
    assert "withheld (low_quality), best guess 72.1 bpm" in table
    assert set(re.findall(r"<(\w+)", html)) == {"div", "table", "tr", "th", "td", "img"}
    assert "variability" not in table
    [encoded] = re.findall(r'src="data:image/png;base64,([^"]+)"', image)
    assert b64decode(encoded).startswith(b"\x89PNG")
    assert "RMSSD 31 ms" in to_html(measurement, b"")


def test_data_frames_have_the_windows_and_the_waveform(measurement: Measurement) -> None:
    pytest.importorskip("pandas")
    windows = measurement.to_frame()
    assert list(windows.columns) == ["start_s", "end_s", "bpm", "quality", "estimate_bpm", "reason"]
    assert windows["bpm"].isna().tolist() == [False, True]
    assert windows["estimate_bpm"].tolist() == [72.0, 61.0]
    assert windows["reason"].isna().tolist() == [True, False]
    assert windows["reason"][1] == "low_quality"
    waveform = measurement.to_frame("waveform")
    np.testing.assert_array_equal(waveform["time_s"], measurement.times_s)
    np.testing.assert_array_equal(waveform["waveform"], measurement.waveform)
    withheld = replace(measurement, windows=measurement.windows[1:]).to_frame()
    assert withheld.dtypes["bpm"] == withheld.dtypes["estimate_bpm"] == np.float64
    assert len(replace(measurement, windows=()).to_frame()) == 0
    with pytest.raises(UsageError, match="'windows' or of the 'waveform', not of 'beats'"):
        measurement.to_frame("beats")  # type: ignore[arg-type]


def test_data_frame_without_pandas_says_how_to_install_it(
    measurement: Measurement, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    with pytest.raises(UsageError, match="needs pandas: pip install pandas"):
        measurement.to_frame()
    measurement.to_csv(tmp_path)


def test_tables_have_a_row_per_window_and_per_sample(measurement: Measurement, tmp_path: Path) -> None:
    windows, waveform = measurement.to_csv(tmp_path / "tables", "name")
    assert windows == tmp_path / "tables" / "name.windows.csv"
    assert windows.read_text().splitlines() == [
        "start_s,end_s,bpm,quality,estimate_bpm,reason",
        "0.0,8.0,72.0,0.9,72.0,",
        "12.0,20.0,,0.2,61.0,low_quality",
    ]
    header, first, *rest = waveform.read_text().splitlines()
    assert (header, first, len(rest)) == ("time_s,waveform", "0.00000,0.00000", len(TIMES) - 1)


def test_unwritable_outputs_are_refused(measurement: Measurement, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        measurement.plot(tmp_path / "file" / "plot.png")
    with pytest.raises(UsageError):
        measurement.to_csv(tmp_path / "file")

"""Measurement: JSON, CSV, summary and plot."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from facepulse.errors import UsageError
from facepulse.measurement import Measurement, Window
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
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("bpm", [72.0, None])
def test_plot_is_written_in_every_format(
    measurement: Measurement, tmp_path: Path, suffix: str, bpm: float | None
) -> None:
    path = replace(measurement, bpm=bpm).plot(tmp_path / f"plot{suffix}")
    assert path.stat().st_size > 5000
    assert list(tmp_path.iterdir()) == [path]


def test_plot_without_any_heart_rate_in_a_window(measurement: Measurement, tmp_path: Path) -> None:
    replace(measurement, windows=(Window(0.0, 8.0, None, 0.1, 61.0, "low_quality"),), beats_s=np.zeros(0)).plot(
        tmp_path / "plot.png"
    )


def test_unwritable_outputs_are_refused(measurement: Measurement, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        measurement.plot(tmp_path / "file" / "plot.png")
    with pytest.raises(UsageError):
        measurement.to_csv(tmp_path / "file")

"""Simulated recordings: frames and pulse, each with its own timestamps."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, pulse, read, rewrite_json, simulate, times_of
from facepulse.datasets import DatasetError
from stand_in_recording import StandInRecording


def test_frames_reference_and_attributes_are_those_simulated(tmp_path: Path) -> None:
    stand_in = StandInRecording(subject=7)
    folder = simulate("native", tmp_path, stand_in)
    [recording] = find("simulated", tmp_path)
    frames, labels, _ = read(recording)
    assert (recording.name, recording.subject) == (folder.name, "7")
    np.testing.assert_allclose(times_of(frames), stand_in.times, atol=1e-3)
    np.testing.assert_allclose(labels.ppg.times, stand_in.reference_times, atol=1e-6)
    np.testing.assert_allclose(labels.ppg.values, pulse(labels.ppg.times), atol=1e-6)
    np.testing.assert_allclose(labels.bpm.values, 72 + labels.bpm.times, atol=1e-3)
    assert labels.attributes == asdict(stand_in.attributes)
    assert labels.notes == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"subject": 1}', '{"subject": 1, "attributes": 2}'])
def test_damaged_description_is_an_error_of_its_recording_only(tmp_path: Path, content: str) -> None:
    folder = simulate("native", tmp_path)
    simulate("native", tmp_path, index=1)
    (folder / "recording.json").write_text(content)
    first, second = find("simulated", tmp_path)
    with pytest.raises(DatasetError, match=r"recording\.json: is damaged; expected JSON"):
        first.read_labels()
    assert second.read_labels().ppg is not None


def test_missing_reference_is_an_error(tmp_path: Path) -> None:
    folder = simulate("native", tmp_path)
    rewrite_json(folder / "recording.json", lambda about: about.pop("encoding"))  # not needed
    (folder / "ppg.csv").unlink()
    with pytest.raises(DatasetError, match=r"ppg\.csv: cannot be read \(No such file or directory\)"):
        find("simulated", tmp_path)[0].read_labels()

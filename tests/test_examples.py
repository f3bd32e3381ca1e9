"""The example scripts run."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_example_of_an_own_program_measures_a_file(face_video) -> None:
    command = [sys.executable, str(EXAMPLES / "own_program.py"), str(face_video(72.0, 12.0))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *_, last = done.stdout.splitlines()
    assert first == "  0.0 s: collecting"
    assert "72 bpm" in last or "71 bpm" in last or "73 bpm" in last
    assert len(done.stdout.splitlines()) >= 10

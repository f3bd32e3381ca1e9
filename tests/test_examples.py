"""The example scripts and the notebook run."""

import os
import re
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


@pytest.mark.slow
def test_notebook_measures_an_array_plots_it_and_evaluates_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "first_steps.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    assert nbformat.validate(notebook) is None

    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    folder = tmp_path / "run"
    folder.mkdir()
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()

    def text(code: str) -> str:
        """What the cell with this code prints or shows."""
        [cell] = [cell for cell in cells if code in cell.source]
        shown = (output.get("text") or output.data["text/plain"] for output in cell.outputs)
        return "".join(shown)

    assert "((450, 240, 320, 3), 30.0)" in text("cv2.VideoCapture")
    measured = re.match(r"array: (\S+) bpm, quality (\S+)\n", text("facepulse.measure(video"))
    assert measured is not None
    assert float(measured[1]) == pytest.approx(72, abs=0.5)
    assert float(measured[2]) > 0.9
    [plot] = [cell.outputs for cell in cells if "measured.plot()" in cell.source]
    assert len(plot[0].data["image/png"]) > 50_000
    rates = [
        float(bpm) for bpm in re.findall(r"^\S+ +(\S+) bpm, SNR", text("from facepulse.rppg import"), re.MULTILINE)
    ]
    assert rates == [pytest.approx(72, abs=1)] * 7
    assert re.search(r"^  MAE, bpm +0\.\d\d ", text("facepulse evaluate"), re.MULTILINE)
    rows = re.findall(r"^(\S+) +(\S+) bpm, reference +(\S+) bpm", text("csv.DictReader"), re.MULTILINE)
    assert [(name, float(true_bpm)) for name, _, true_bpm in rows] == [("ada", 58.0), ("ben", 76.0), ("cleo", 97.0)]
    assert [float(bpm) for _, bpm, _ in rows] == [pytest.approx(bpm, abs=0.5) for bpm in (58, 76, 97)]
    assert sorted(path.name for path in folder.iterdir()) == ["evaluation", "evaluations", "face.mp4", "people"]

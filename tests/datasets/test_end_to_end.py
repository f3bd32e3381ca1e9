"""Each dataset in its exact layout, with faces that have a pulse: search, preparation, evaluation."""

from pathlib import Path

import numpy as np
import pytest

import dataset_writers as writers
from facepulse.datasets import DATASETS
from facepulse.datasets.cache import open_cache
from facepulse.datasets.preparation import prepare
from facepulse.evaluation.report import to_text, write_report
from facepulse.evaluation.run import evaluate
from facepulse.simulate.layouts import LAYOUTS, store
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames
from facepulse.simulate.recording import make_recording
from simulated_people import needs_heads

SECONDS = 8.0


def painted(count: int, fps: float = 30.0) -> np.ndarray:
    """Painted face with the pulse of `dataset_writers.pulse`, 72 bpm."""
    face = PaintedFace(metronome(72.0, count / fps), height=0.8, strength=0.03, sway=0.001)
    return np.stack(list(paint_frames([face], np.arange(count) / fps, width=160, height=120, noise=1.0)))


def simulated(layout: str, root: Path) -> None:
    """Write the first recording of `facepulse simulate`, which has little motion and constant light in every layout."""
    root.mkdir()
    slot = LAYOUTS[layout].slot(0)
    recording = make_recording("calm", 5, 0, split="test", slot=slot, seconds=SECONDS)
    store(LAYOUTS[layout], recording, slot, root, {"simulated": True, "version": "1.2.3"}, lambda: None)
    (root / "simulated.json").write_text('{"simulated": true}')


FRAMES = round(30 * SECONDS)
WRITE = {
    "pure": lambda root: simulated("pure", root),
    "ubfc-rppg": lambda root: simulated("ubfc-rppg", root),
    "mmpd": lambda root: simulated("mmpd", root),
    "mmpd-corrected": lambda root: writers.write_mmpd(root, subject=24, count=FRAMES),
    "mcd-rppg": lambda root: writers.write_mcd_rppg(root, seconds=SECONDS),
    "ubfc-phys": lambda root: writers.write_ubfc_phys(root, tasks=("T1",), seconds=SECONDS),
    "scamps": lambda root: writers.write_scamps(root, frames=FRAMES),
    "ibvp": lambda root: writers.write_ibvp(root, frames=FRAMES),
    "cohface": lambda root: writers.write_cohface(root, seconds=SECONDS),
    "simulated": lambda root: simulated("native", root),
    "folder": lambda root: writers.write_folder(root, seconds=SECONDS),
}


def test_every_dataset_is_tested() -> None:
    assert set(WRITE) == set(DATASETS)


@needs_heads
@pytest.mark.slow
@pytest.mark.parametrize("dataset", WRITE)
def test_prepared_recordings_are_evaluated_within_three_bpm(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "images", painted)
    WRITE[dataset](tmp_path / "root")
    summary = prepare(dataset, tmp_path / "root", tmp_path / "cache", settings={"size": 72}, jobs=1)
    assert not summary.failed
    recordings = open_cache(tmp_path / "cache")
    assert len(recordings) == summary.newly_prepared >= 1
    is_simulated = dataset in ("pure", "ubfc-rppg", "mmpd", "simulated")
    assert all(recording.details["simulated"] == is_simulated for recording in recordings)
    evaluation = evaluate("POS", recordings, protocol="facepulse")
    assert not evaluation.failed
    errors = [abs(row["bpm"] - row["reference_bpm"]) for row in evaluation.to_dict()["recordings"]]
    assert max(errors) < 3.0
    assert ("simulated" in to_text(evaluation).lower()) == is_simulated
    for path in write_report(evaluation, tmp_path / "out"):
        assert path.stat().st_size > 100

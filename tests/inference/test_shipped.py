"""Weights that come with the package: their files, cards and heart rates."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import facepulse
from facepulse.inference.engine import load_engine
from facepulse.inference.model_card import ModelCard
from facepulse.inference.registry import DEFAULT, NETWORKS
from facepulse.inference.weights import exported, find_weights, load_model, read_card, shipped_weights
from facepulse.pipeline.methods import find_method
from facepulse.rppg.quality import QualityModel

ROOT = Path(__file__).parents[2]

every_model = pytest.mark.parametrize("name", shipped_weights())


def card_of(name: str) -> ModelCard:
    engine = find_method(name).engine
    assert engine is not None
    return engine.card


def test_default_weights_come_with_the_package() -> None:
    assert DEFAULT in shipped_weights()
    assert find_method(DEFAULT).name == DEFAULT
    assert find_method("physfsunet").name == DEFAULT
    assert read_card("physfsunet") == read_card(DEFAULT)


@every_model
def test_both_files_are_small_and_have_the_same_card(name: str) -> None:
    for path in (find_weights(name), exported(name)):
        assert path.stat().st_size < 5_000_000
    assert read_card(name) == card_of(name)


@every_model
def test_card_is_complete(name: str) -> None:
    card = read_card(name)
    assert card.name == name
    assert card.network in NETWORKS
    assert card.licence == "Apache-2.0"
    assert "simulated" in card.training_data
    assert "facepulse train" in card.training_data, "the command is stated"
    assert "simulated" in card.protocol
    assert card.quality_model.keys() == asdict(QualityModel(0, 0, 0, 0)).keys(), "its quality is calibrated"
    assert {"mae_bpm_calm", "mae_bpm_complex", "mae_bpm_unseen"} <= card.scores.keys()


@every_model
def test_engines_give_the_same_waveform(name: str, pulsating_clip) -> None:
    torch = pytest.importorskip("torch")
    card = read_card(name)
    frames, _ = pulsating_clip(72.0, card.frames, card.size)
    waveforms = [load_engine(exported(name), engine, "f32")(frames) for engine in ("openvino", "torch")]
    np.testing.assert_allclose(waveforms[0], waveforms[1], atol=2e-3)
    network = load_model(name)
    with torch.inference_mode():
        direct = network(torch.from_numpy(frames[None]).permute(0, 4, 1, 2, 3))[0].numpy()
    assert np.corrcoef(direct, waveforms[0])[0, 1] > 0.9999


def test_measuring_needs_no_torch(face_video) -> None:
    code = (
        "import sys, facepulse; m = facepulse.measure(sys.argv[1]); "
        "print([name for name in ('torch', 'safetensors', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(face_video())], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("bpm", [50.0, 72.0, 110.0, 150.0])
def test_painted_face_is_measured_by_default(face_video, bpm: float) -> None:
    assert facepulse.measure(face_video(bpm, 20.0)).bpm == pytest.approx(bpm, abs=2.0)


@pytest.mark.slow
def test_face_without_a_pulse_is_withheld_by_default(face_video) -> None:
    assert facepulse.measure(face_video(None, 20.0)).bpm is None


@pytest.mark.slow
def test_real_face_and_degraded_versions_are_measured(shared_data: Path, tmp_path: Path) -> None:
    video, found = shared_data / "evm_face" / "face.mp4", tmp_path / "found.json"
    script = ROOT / "benchmarks" / "real_face.py"
    command = [sys.executable, script, video, "--method", DEFAULT, "--json", found]
    subprocess.run(command, check=True, capture_output=True)
    for row in json.loads(found.read_text()):
        assert row["bpm"] == pytest.approx(52.7, abs=1.5), row["version"]
        assert row["windows"] == [pytest.approx(52.7, abs=3.0)] * 3, row["version"]
    result = facepulse.measure(video)
    assert result.method == DEFAULT
    assert result.quality > 0.8

"""Predictors on prepared crops: networks, and classical methods as run time and as the literature apply them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import facepulse
from face_crops import crops_of
from facepulse.datasets.cache import CacheSettings
from facepulse.errors import UsageError
from facepulse.evaluation import predictors
from facepulse.evaluation.predictors import ClassicalPredictor, NetworkPredictor, RegionPredictor, find_predictor
from facepulse.inference.engine import load_engine
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS

RUN_TIME, LITERATURE = PROTOCOLS["facepulse"], PROTOCOLS["toolbox"]
SETTINGS = CacheSettings(size=48, fps=30.0, margin=0.25)


@pytest.mark.slow
def test_classical_method_gives_the_same_result_on_crops_as_measure_on_the_video(face_video) -> None:
    video = face_video(84.0, 12.0)
    measured = facepulse.measure(video, method="POS", min_quality=0.0)
    predictor = find_predictor("pos", RUN_TIME)
    for size, margin in ((72, 0.0), (108, 0.25), (128, 0.25)):
        prediction = predictor.predict(crops_of(video, size, margin), CacheSettings(size=size, margin=margin))
        bpm, quality = prediction.heart_rate(30.0, RUN_TIME)
        assert bpm == pytest.approx(measured.bpm, abs=0.2)
        assert quality == pytest.approx(measured.quality, abs=0.05)


def test_classical_method_uses_the_mean_rgb_of_the_whole_crop_under_the_other_protocols(pulsating_clip) -> None:
    frames, _ = pulsating_clip(75, 300, 48)
    prediction = find_predictor("CHROM", LITERATURE).predict(frames, SETTINGS)
    assert prediction.regions is None
    assert prediction.waveform == pytest.approx(CLASSICAL["CHROM"].waveform(frames.mean(axis=(1, 2)), 30.0))
    assert prediction.heart_rate(30.0, LITERATURE)[1] is None


def test_pixels_outside_the_face_box_are_not_used(pulsating_clip) -> None:
    face, _ = pulsating_clip(75, 300, 32)
    crops, _ = pulsating_clip(120, 300, 48, 1)
    crops[:, 8:40, 8:40] = face
    bpm, quality = find_predictor("POS", RUN_TIME).predict(crops, SETTINGS).heart_rate(30.0, RUN_TIME)
    assert bpm == pytest.approx(75, abs=0.5)
    assert quality > 0.9


def test_waveform_does_not_depend_on_the_chunk_size(pulsating_clip, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = pulsating_clip(75, 300, 36)
    classical = [RegionPredictor(CLASSICAL["POS"]), ClassicalPredictor(CLASSICAL["POS"])]
    whole = [predictor.predict(frames, SETTINGS).waveform for predictor in classical]
    monkeypatch.setattr(predictors, "CHUNK", 77)
    for predictor, expected in zip(classical, whole, strict=True):
        assert predictor.predict(frames, SETTINGS).waveform == pytest.approx(expected, abs=1e-9)


def test_repeated_frame_has_zero_waveform_and_quality(pulsating_clip) -> None:
    frames, _ = pulsating_clip(75, 1, 36)
    prediction = find_predictor("POS", RUN_TIME).predict(np.repeat(frames, 300, axis=0), SETTINGS)
    assert not prediction.waveform.any()
    assert prediction.heart_rate(30.0, RUN_TIME)[1] == 0.0


@pytest.fixture
def networks(trained) -> list[NetworkPredictor]:
    found = [find_predictor(str(path), RUN_TIME) for path in (trained.weights, trained.onnx)]
    assert [predictor.engine.name for predictor in found] == ["torch", "openvino"]
    return found


@pytest.mark.slow
def test_weights_and_their_export_predict_the_same_waveform(networks, trained, pulsating_clip) -> None:
    frames, _ = pulsating_clip(75, 200, 32)
    settings = CacheSettings(size=32, margin=0.0)
    torch, onnx = (predictor.predict(frames, settings) for predictor in networks)
    assert torch.waveform == pytest.approx(onnx.waveform, abs=1e-3)
    assert onnx.waveform == pytest.approx(load_engine(trained.onnx, precision="f32")(frames), abs=1e-6)
    assert onnx.heart_rate(30.0, RUN_TIME) == (pytest.approx(75, abs=2), None)


@pytest.mark.slow
def test_crops_are_cut_and_resized_to_the_margin_and_size_of_the_network(networks, pulsating_clip) -> None:
    crops, _ = pulsating_clip(75, 100, 72)
    inside = np.stack([cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA) for f in crops[:, 12:60, 12:60]])
    for predictor in networks:
        expected = predictor.predict(inside, CacheSettings(size=32, margin=0.0)).waveform
        assert predictor.predict(crops, CacheSettings(size=72, margin=0.25)).waveform == pytest.approx(
            expected, abs=1e-6
        )


@pytest.mark.parametrize(
    ("settings", "card", "message"),
    [
        (CacheSettings(size=32, margin=0.0, fps=25.0), {}, "tiny takes crops at 30 fps, but they are at 25"),
        (CacheSettings(size=44, margin=0.25), {}, "of 32 px at margin 0, but they have 30 px there"),
        (CacheSettings(size=64, margin=0.0), {"margin": 0.25}, "with a margin of 0.25, but they have 0"),
    ],
)
def test_network_refuses_crops_of_another_rate_margin_or_smaller_size(networks, settings, card, message: str) -> None:
    for predictor in networks:
        engine = replace(predictor.engine, card=replace(predictor.engine.card, **card))
        with pytest.raises(UsageError, match=message):
            NetworkPredictor(engine).check(settings)


def test_unknown_names_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no method is called 'nonsense': choose one of GREEN, ICA"):
        find_predictor("nonsense", RUN_TIME)
    (tmp_path / "broken.onnx").write_bytes(b"no")
    for path in (tmp_path / "broken.onnx", tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(UsageError):
            find_predictor(str(path), RUN_TIME)

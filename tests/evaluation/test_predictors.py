"""Classical methods as run time and as the literature read them, and networks, on prepared crops."""

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


def test_a_classical_method_reads_crops_as_measure_reads_the_video(face_video) -> None:
    video = face_video(84.0, 12.0)
    measured = facepulse.measure(video, method="POS", min_quality=0.0)
    reader = find_predictor("pos", RUN_TIME)
    for size, margin in ((72, 0.0), (108, 0.25), (128, 0.25)):
        reading = reader.read(crops_of(video, size, margin), CacheSettings(size=size, margin=margin))
        bpm, quality = reading.heart_rate(30.0, RUN_TIME)
        assert bpm == pytest.approx(measured.bpm, abs=0.2)
        assert quality == pytest.approx(measured.quality, abs=0.05)


def test_under_the_other_protocols_a_classical_method_reads_the_mean_of_the_whole_crop(pulsating_clip) -> None:
    frames, _ = pulsating_clip(75, 300, 48)
    reading = find_predictor("CHROM", LITERATURE).read(frames, SETTINGS)
    assert reading.regions is None
    assert reading.waveform == pytest.approx(CLASSICAL["CHROM"].waveform(frames.mean(axis=(1, 2)), 30.0))
    assert reading.heart_rate(30.0, LITERATURE)[1] is None


def test_what_lies_beyond_the_face_box_is_not_read_as_skin(pulsating_clip) -> None:
    face, _ = pulsating_clip(75, 300, 32)
    crops, _ = pulsating_clip(120, 300, 48, 1)
    crops[:, 8:40, 8:40] = face
    bpm, quality = find_predictor("POS", RUN_TIME).read(crops, SETTINGS).heart_rate(30.0, RUN_TIME)
    assert bpm == pytest.approx(75, abs=0.5)
    assert quality > 0.9


def test_how_many_frames_are_read_at_a_time_does_not_matter(pulsating_clip, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = pulsating_clip(75, 300, 36)
    makers = [RegionPredictor(CLASSICAL["POS"]), ClassicalPredictor(CLASSICAL["POS"])]
    whole = [maker.read(frames, SETTINGS).waveform for maker in makers]
    monkeypatch.setattr(predictors, "CHUNK", 77)
    for maker, expected in zip(makers, whole, strict=True):
        assert maker.read(frames, SETTINGS).waveform == pytest.approx(expected, abs=1e-9)


def test_a_frozen_picture_has_no_pulse(pulsating_clip) -> None:
    frames, _ = pulsating_clip(75, 1, 36)
    reading = find_predictor("POS", RUN_TIME).read(np.repeat(frames, 300, axis=0), SETTINGS)
    assert not reading.waveform.any()
    assert reading.heart_rate(30.0, RUN_TIME)[1] == 0.0


@pytest.fixture
def networks(trained) -> list[NetworkPredictor]:
    found = [find_predictor(str(path), RUN_TIME) for path in (trained.weights, trained.onnx)]
    assert [reader.engine.name for reader in found] == ["torch", "openvino"]
    return found


def test_weights_and_their_export_read_the_same(networks, trained, pulsating_clip) -> None:
    frames, _ = pulsating_clip(75, 200, 32)
    settings = CacheSettings(size=32, margin=0.0)
    torch, onnx = (reader.read(frames, settings) for reader in networks)
    assert torch.waveform == pytest.approx(onnx.waveform, abs=1e-3)
    assert onnx.waveform == pytest.approx(load_engine(trained.onnx, precision="f32")(frames), abs=1e-6)
    assert onnx.heart_rate(30.0, RUN_TIME) == (pytest.approx(75, abs=2), None)


def test_a_network_gets_crops_of_its_own_margin_and_size(networks, pulsating_clip) -> None:
    crops, _ = pulsating_clip(75, 100, 72)
    inside = np.stack([cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA) for f in crops[:, 12:60, 12:60]])
    for reader in networks:
        expected = reader.read(inside, CacheSettings(size=32, margin=0.0)).waveform
        assert reader.read(crops, CacheSettings(size=72, margin=0.25)).waveform == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "card", "said"),
    [
        (CacheSettings(size=32, margin=0.0, fps=25.0), {}, "tiny reads crops at 30 fps, but they are at 25"),
        (CacheSettings(size=44, margin=0.25), {}, "of 32 px at margin 0, but they have 30 px there"),
        (CacheSettings(size=64, margin=0.0), {"margin": 0.25}, "with a margin of 0.25, but they have 0"),
    ],
)
def test_a_network_refuses_crops_that_it_was_not_made_for(networks, settings, card, said: str) -> None:
    for reader in networks:
        engine = replace(reader.engine, card=replace(reader.engine.card, **card))
        with pytest.raises(UsageError, match=said):
            NetworkPredictor(engine).check(settings)


def test_a_name_that_stands_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model is called 'nonsense': give a classical method \(GREEN, ICA"):
        find_predictor("nonsense", RUN_TIME)
    (tmp_path / "broken.onnx").write_bytes(b"no")
    for path in (tmp_path / "broken.onnx", tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(UsageError):
            find_predictor(str(path), RUN_TIME)

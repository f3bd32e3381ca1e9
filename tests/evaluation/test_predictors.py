"""Heart rates of methods on prepared recordings: by the estimator of `measure`, and from waveforms alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import facepulse
from facepulse.datasets.cache import CacheSettings, open_cache
from facepulse.datasets.preparation import prepare_videos
from facepulse.errors import UsageError
from facepulse.evaluation import predictors
from facepulse.evaluation.predictors import (
    check_crops,
    describe,
    estimator_prediction,
    network_crops,
    runs,
    waveform_prediction,
)
from facepulse.evaluation.run import evaluate
from facepulse.inference.engine import load_engine
from facepulse.pipeline.methods import Method, find_method
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from odd_videos import X264, encode, painted
from small_cache import SmallRecording, write_cache

TOOLBOX = PROTOCOLS["toolbox"]


@pytest.fixture(scope="module")
def prepared_video(face_video, tmp_path_factory):
    """A painted face at 84 bpm and its prepared recording; key frames recur at 60, groups of B frames at 225 bpm."""
    video = face_video(84.0, 12.0, fps=15.0, key_interval=15, options={"bf": "3", "b_strategy": "0"})
    root = tmp_path_factory.mktemp("one")
    (root / "videos").mkdir()
    (root / "videos" / "face.mp4").symlink_to(video)
    prepare_videos(root / "videos", root / "cache", jobs=1)
    [recording] = open_cache(root / "cache")
    return video, recording


@pytest.mark.slow
@pytest.mark.parametrize("method", ["POS", "CHROM", "physfsunet"])
def test_prepared_recording_gives_the_heart_rate_and_quality_of_measure(prepared_video, method) -> None:
    video, recording = prepared_video
    measured = facepulse.measure(video, method=method, min_quality=0.0)
    evaluation = evaluate(method, [recording], min_quality=0.0)
    [row] = evaluation.recordings
    assert len(recording.timing.key_times) == 12, "key frames are known, so that their rhythm is removed as in measure"
    assert 45 <= len(recording.timing.anchor_times) <= 60, "and one frame in four or less that is no B frame"
    # The traces of regions are the same; a network gets crops that were resized twice.
    tolerance = 0.1 if method == "physfsunet" else 1e-6
    assert row.bpm == pytest.approx(measured.bpm, abs=tolerance)
    assert row.quality == pytest.approx(measured.quality, abs=tolerance)
    assert (row.method, row.shown) == (measured.method, True)
    first, by_start = evaluation.windows[0], {round(window.start_s, 3): window for window in measured.windows}
    assert first.bpm == pytest.approx(by_start[0.0].bpm, abs=tolerance)
    assert first.quality == pytest.approx(by_start[0.0].quality, abs=tolerance)


@pytest.mark.slow
def test_times_that_do_not_increase_lower_the_quality_of_measure_and_evaluate_alike(tmp_path) -> None:
    numbers = np.arange(360)
    numbers[5::5] -= 1  # a fifth of the frames have the time of the one before
    (tmp_path / "videos").mkdir()
    video = encode(tmp_path / "videos" / "face.mkv", painted(seconds=12), numbers, options=X264 | {"bf": "0"})
    withheld = facepulse.measure(video, method="POS")
    assert (withheld.bpm, withheld.reason) == (None, "timestamps")
    assert withheld.estimate_bpm == pytest.approx(72, abs=1)
    assert withheld.quality == pytest.approx(0.6, abs=0.02)
    assert "state the frame rate (fps)" in withheld.warnings[0]
    assert facepulse.measure(video, method="POS", fps=30).bpm == pytest.approx(72, abs=1)
    prepare_videos(tmp_path / "videos", tmp_path / "cache", jobs=1)
    [row] = evaluate("POS", open_cache(tmp_path / "cache")).recordings
    assert (row.bpm, row.shown) == (pytest.approx(withheld.estimate_bpm), False)
    assert row.quality == pytest.approx(withheld.quality, abs=1e-4)


def test_waveform_alone_of_a_classical_method_is_of_the_mean_rgb_of_the_whole_crop(tmp_path) -> None:
    [recording] = open_cache(write_cache(tmp_path, [SmallRecording("a", "1")], size=48))
    prediction = waveform_prediction(find_method("CHROM"), recording, [slice(0, 360)], TOOLBOX)
    expected = CLASSICAL["CHROM"].waveform(recording.frames.mean(axis=(1, 2)), 30.0)
    assert prediction.waveforms[0] == pytest.approx(expected)
    rate = prediction.whole()
    assert (rate.quality, rate.shown, rate.method) == (None, None, "CHROM")


def test_waveform_does_not_depend_on_the_chunk_size(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    [recording] = open_cache(write_cache(tmp_path, [SmallRecording("a", "1", seconds=(6.0, 7.0))]))
    whole = predictors.mean_rgb_waveform(find_method("POS"), recording)
    monkeypatch.setattr(predictors, "CHUNK", 77)
    assert predictors.mean_rgb_waveform(find_method("POS"), recording) == pytest.approx(whole, abs=1e-9)


def test_constant_traces_are_withheld_with_zero_quality(tmp_path) -> None:
    [recording] = open_cache(write_cache(tmp_path, [SmallRecording("a", "1")]))
    recording.labels["rgb"][:] = recording.labels["rgb"][0]
    rate = estimator_prediction(find_method("POS"), recording, [slice(0, 360)], min_quality=0.5).whole()
    assert (rate.quality, rate.shown) == (0.0, False)


def test_a_gap_in_the_reference_divides_a_segment_and_segments_are_never_joined() -> None:
    assert runs(np.array([0, 0, 1, 1, 1, -1, 1])) == [slice(0, 2), slice(2, 5), slice(5, 6), slice(6, 7)]


@pytest.fixture
def networks(trained) -> list[Method]:
    found = [find_method(str(path), precision="f32") for path in (trained.weights, trained.onnx)]
    assert [method.engine.name for method in found] == ["torch", "openvino"]
    return found


@pytest.fixture
def recording(tmp_path):
    [recording] = open_cache(write_cache(tmp_path, [SmallRecording("a", "1", 75.0, seconds=(7.0,))], size=32))
    return recording


@pytest.mark.slow
def test_weights_and_their_export_predict_the_same_waveform(networks, trained, recording) -> None:
    torch, onnx = (waveform_prediction(method, recording, [slice(0, 210)], TOOLBOX) for method in networks)
    assert torch.waveforms[0] == pytest.approx(onnx.waveforms[0], abs=1e-3)
    expected = load_engine(trained.onnx, precision="f32")(recording.frames)
    assert onnx.waveforms[0] == pytest.approx(expected, abs=1e-6)
    assert onnx.whole().bpm == pytest.approx(75, abs=3.6)


@pytest.mark.slow
def test_crops_are_cut_and_resized_to_the_margin_and_size_of_the_network(networks, pulsating_clip) -> None:
    crops, _ = pulsating_clip(75, 10, 72)
    inside = np.stack([cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA) for f in crops[:, 12:60, 12:60]])
    for method in networks:
        assert np.array_equal(network_crops(method.engine, crops, CacheSettings(size=72, margin=0.25)), inside)
        assert network_crops(method.engine, inside, CacheSettings(size=32, margin=0.0)) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "card", "message"),
    [
        (CacheSettings(size=32, margin=0.0, fps=25.0), {}, "tiny takes crops at 30 fps, but they are at 25"),
        (CacheSettings(size=44, margin=0.25), {}, "of 32 px at margin 0, but they have 30 px there"),
        (CacheSettings(size=64, margin=0.0), {"margin": 0.25}, "with a margin of 0.25, but they have 0"),
    ],
)
def test_network_refuses_crops_of_another_rate_margin_or_smaller_size(networks, settings, card, message: str) -> None:
    for method in networks:
        engine = replace(method.engine, card=replace(method.engine.card, **card))
        with pytest.raises(UsageError, match=message):
            check_crops(replace(method, engine=engine), settings)


def test_description_names_the_input() -> None:
    assert describe(find_method("POS"), waveform_only=True) == "mean RGB of the whole crop"
    network = describe(find_method("physfsunet", precision="f32"), waveform_only=False)
    assert "36 px" in network
    assert network.endswith("by openvino in f32, and POS of four regions")

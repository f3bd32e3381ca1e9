"""Everything that stands for a method: names, files, engines, networks in torch, functions; and what is refused."""

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facepulse
from facepulse.errors import UsageError
from facepulse.inference.engine import Engine, load_engine, torch_engine
from facepulse.inference.model_card import ModelCard
from facepulse.pipeline.methods import Method, check_fallback, find_method
from facepulse.rppg.classical import CLASSICAL

FRAMES = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)


def green(rgb: np.ndarray, fps: float) -> np.ndarray:
    return -rgb[:, 1]


class Green:
    def __call__(self, rgb: np.ndarray, fps: float) -> np.ndarray:
        return -rgb[:, 1]


def card(**changes: Any) -> ModelCard:
    """Card of a network that exists in this test only."""
    text = dict.fromkeys(("normalisation", "training_data", "protocol", "licence"), "none")
    numbers: dict[str, Any] = {"multiple": 1, "frames": 64, "size": 32, "margin": 0.0, "fps": 30.0}
    return ModelCard(**{"name": "mine", "network": "mine", "config": {}, "scores": {}} | text | numbers | changes)


# --- names and files


@pytest.mark.parametrize("precision", ["auto", "f32"])
def test_classical_method_is_found_in_upper_or_lower_case(precision: Any) -> None:
    for name in ("chrom", "CHROM"):
        method = find_method(name, precision)
        assert (method.name, method.fps, method.engine) == ("CHROM", 30.0, None)
        assert method.classical is CLASSICAL["CHROM"]


def test_network_is_found_by_its_file_and_named_by_its_card(trained) -> None:
    for path, engine in ((trained.onnx, "openvino"), (trained.weights, "torch")):
        for given in (path, str(path)):
            method = find_method(given)
            assert method.engine is not None
            assert (method.name, method.fps, method.engine.name) == ("tiny", 30.0, engine)
            assert method.classical.name == "POS", "is fused with the network"


def test_network_is_computed_in_the_precision_that_is_asked_for(trained) -> None:
    for given in ("physfsunet", trained.onnx):
        method = find_method(given, precision="f32")
        assert method.engine is not None
        assert method.engine.precision == "f32"


def test_unknown_name_or_file_is_refused(tmp_path: Path) -> None:
    known = "GREEN, ICA, CHROM, POS, LGI, PBV, OMIT, physfsunet.sim36"
    for name in ("nonsense", "", str(tmp_path)):
        message = f"no method is called {name!r}: choose one of {known}, or give a .onnx, .safetensors or .pth file"
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            find_method(name)
    for name in ("missing.onnx", "missing.safetensors", Path("missing.pth")):
        with pytest.raises(UsageError, match=f"^there is no file {name}: give an exported network"):
            find_method(name)
    (tmp_path / "broken.onnx").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"cannot load .*broken.onnx as ONNX"):
        find_method(tmp_path / "broken.onnx")


@pytest.mark.parametrize("given", [None, 3, True, ["POS"], b"POS", np.zeros((300, 3))], ids=repr)
def test_object_that_is_no_method_is_refused(given: Any) -> None:
    with pytest.raises(UsageError) as refused:
        find_method(given)
    expected = r"a method cannot be .+: give a name, a file, a network or a function of an RGB trace and its rate"
    assert re.fullmatch(expected, str(refused.value))


def test_method_is_returned_as_it_is() -> None:
    method = Method(CLASSICAL["LGI"])
    assert find_method(method) is method


# --- functions


def test_function_is_a_classical_method_of_its_name() -> None:
    rgb = np.random.default_rng(0).normal(100, 1, (90, 3))
    names = {}
    for function in (green, Green(), lambda rgb, fps: -rgb[:, 1], partial(green), Green().__call__):
        method = find_method(function)
        assert (method.engine, method.fps) == (None, 30.0)
        np.testing.assert_array_equal(method.classical.waveform(rgb, 30.0), -rgb[:, 1])
        names[method.name] = function
    assert list(names) == ["green", "Green", "<lambda>", "partial", "__call__"]


@pytest.mark.parametrize("method", [lambda rgb, fps: CLASSICAL["POS"].function(rgb, fps), CLASSICAL["POS"].function])
def test_function_measures_as_the_listed_method_of_the_same_formula(face_video, method: Any) -> None:
    video = face_video(72.0, 12.0)
    ours, listed = facepulse.measure(video, method=method), facepulse.measure(video, method="POS")
    assert (ours.bpm, ours.quality, ours.windows, ours.hrv) == (listed.bpm, listed.quality, listed.windows, listed.hrv)
    assert ours.method == method.__name__


def test_function_measures_a_stream(face_video) -> None:
    *_, reading = facepulse.stream(face_video(72.0, 12.0), method=green)
    assert (reading.state, reading.method) == ("measured", "green")
    assert reading.bpm == pytest.approx(72, abs=2)


def test_invalid_result_of_a_function_ends_measure_and_stream_with_one_line(face_video) -> None:
    def empty(rgb: np.ndarray, fps: float) -> list[float]:
        return []

    message = r"^the waveform of the method empty is empty: give an array \(T,\)$"
    with pytest.raises(UsageError, match=message):
        facepulse.measure(face_video(72.0, 12.0), method=empty)
    with pytest.raises(UsageError, match=message):
        list(facepulse.stream(face_video(72.0, 12.0), method=empty))


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda rgb: rgb[:, 1], r"\(rgb\)"),
        (lambda: 0, r"\(\)"),
        (lambda rgb, fps, band: rgb[:, 1], r"\(rgb, fps, band\)"),
        (lambda *, rgb, fps: rgb[:, 1], r"\(\*, rgb, fps\)"),
    ],
)
def test_function_of_other_arguments_is_refused_before_the_video_is_read(function: Any, takes: str) -> None:
    message = rf"^the method <lambda> takes {takes}: expected two arguments, an RGB trace \(T, 3\) and its rate in Hz$"
    with pytest.raises(UsageError, match=message):
        facepulse.measure("missing.mp4", method=function)
    with pytest.raises(UsageError, match=message):
        facepulse.stream([], method=function)


def test_function_without_a_known_signature_is_refused_when_it_is_called() -> None:
    method = find_method(iter)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^the method iter failed on an RGB trace of shape .*: TypeError"):
        method.classical.waveform(np.ones((90, 3)), 30.0)


def test_class_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^the method Green is a class: give an object of it$"):
        find_method(Green)  # type: ignore[arg-type]


def test_methods_other_than_networks_in_torch_are_found_without_torch() -> None:
    code = (
        "import sys; from facepulse.pipeline.methods import find_method; find_method(lambda rgb, fps: rgb[:, 1]); "
        "find_method('POS'); find_method('physfsunet'); find_method(find_method('physfsunet').engine); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- engines and networks in torch


def test_engine_is_fused_with_pos(trained) -> None:
    engine = load_engine(trained.onnx, precision="f32")
    method = find_method(engine)
    assert method.engine is not None
    assert (method.name, method.classical.name, method.engine.name) == ("tiny", "POS", "openvino")
    np.testing.assert_array_equal(method.engine(FRAMES), engine(FRAMES))


def test_loaded_network_runs_as_its_file_does(trained) -> None:
    network = facepulse.load_model(trained.weights)
    assert network.card == trained.card
    method = find_method(network)
    assert method.engine is not None
    assert (method.name, method.engine.name, method.engine.card) == ("tiny", "torch", trained.card)
    np.testing.assert_allclose(method.engine(FRAMES), load_engine(trained.onnx, precision="f32")(FRAMES), atol=1e-3)


@pytest.mark.slow
def test_loaded_network_measures_as_the_shipped_weights(face_video) -> None:
    pytest.importorskip("torch")
    video = face_video(72.0, 12.0)
    loaded = facepulse.measure(video, method=facepulse.load_model("physfsunet"))
    shipped = facepulse.measure(video, method="physfsunet")
    assert loaded.method == shipped.method == "physfsunet.sim36"
    assert shipped.bpm is not None
    assert loaded.bpm == pytest.approx(shipped.bpm, abs=0.1)
    assert loaded.quality == pytest.approx(shipped.quality, abs=0.01)


def test_network_without_a_card_is_refused() -> None:
    torch = pytest.importorskip("torch")
    for given in (None, {"size": 36}):
        network = torch.nn.Identity()
        network.card = given
        expected = r"^the network Identity has no model card, .*: load it by facepulse.load_model, or set its attribute"
        with pytest.raises(UsageError, match=expected):
            find_method(network)
    with pytest.raises(UsageError, match=r"^the method Identity is a class: give an object of it$"):
        find_method(torch.nn.Identity)


@pytest.mark.slow
def test_network_of_ones_own_is_run_by_the_card_that_is_set(face_video) -> None:
    torch = pytest.importorskip("torch")

    class GreenNet(torch.nn.Module):  # without parameters
        def forward(self, frames: Any) -> Any:
            assert frames.shape[3:] == (40, 40)
            assert not self.training
            return -frames[:, 1].float().mean((2, 3))

    network = GreenNet()
    network.card = card(name="greennet", size=40)
    measured = facepulse.measure(face_video(72.0, 12.0), method=network, fallback=None)
    assert measured.method == "greennet"
    assert measured.bpm == pytest.approx(72, abs=1)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda clips: clips.mean((1, 3, 4))[:, :-1], r"returned shape \(1, 63\) for frames of shape .*, \(1, 64\)"),
        (
            lambda clips: clips.float().mean((1, 3, 4)) / 0,
            "returned NaN or infinite values: expected a finite",
        ),
        (lambda clips: clips.nothing, r"failed on frames of shape \(1, 64, 32, 32, 3\): AttributeError: 'Tensor' "),
    ],
)
def test_invalid_waveform_of_a_network_is_one_line_with_its_name(predict: Any, message: str) -> None:
    pytest.importorskip("torch")
    method = find_method(torch_engine(lambda clips: predict(clips.float()), card()))
    assert isinstance(method.engine, Engine)
    with pytest.raises(UsageError, match=f"^the network mine {message}"):
        method.engine(FRAMES)


def test_card_with_another_quality_model_is_refused(trained) -> None:
    engine = load_engine(trained.onnx)
    with pytest.raises(UsageError, match=r"^tiny: the card's quality_model is {'trust': 1.0}: expected intercept, "):
        find_method(replace(engine, card=replace(engine.card, quality_model={"trust": 1.0})))


# --- the method that may replace a network


@pytest.mark.parametrize("fallback", ["CHROM", "pos", "none", "", True, 0])
def test_other_fallback_is_refused_before_the_video_is_read(fallback: Any) -> None:
    message = f"^the fallback can be 'POS' or None, not {fallback!r}"
    with pytest.raises(UsageError, match=message):
        facepulse.measure("missing.mp4", fallback=fallback)
    with pytest.raises(UsageError, match=message):
        facepulse.measure_faces("missing.mp4", fallback=fallback)
    with pytest.raises(UsageError, match=message):
        facepulse.stream([], fallback=fallback)
    for accepted in ("POS", None):
        check_fallback(accepted)


@pytest.mark.slow
def test_network_of_low_quality_measures_unless_it_has_a_fallback(face_video) -> None:
    torch = pytest.importorskip("torch")
    phase = 2 * np.pi * 112.5 / 60 * np.arange(64) / 30

    class Wrong(torch.nn.Module):
        def forward(self, frames: Any) -> Any:
            return torch.from_numpy(np.sin(phase[: frames.shape[2]])).expand(len(frames), -1)

    network, video = Wrong(), face_video(72.0, 12.0, face={"strength": 0.08})
    network.card = card(name="wrong")
    replaced, kept = (facepulse.measure(video, method=network, fallback=fallback) for fallback in ("POS", None))
    assert (replaced.method, replaced.requested_method) == ("POS", "wrong")
    assert replaced.bpm == pytest.approx(72, abs=2)
    assert (kept.method, kept.bpm) == ("wrong", None)
    assert kept.estimate_bpm == pytest.approx(112.5, abs=1)


def test_fallback_has_no_effect_on_a_classical_method(face_video) -> None:
    video = face_video(72.0, 12.0)
    one, other = (facepulse.measure(video, method="CHROM", fallback=fallback) for fallback in ("POS", None))
    assert (one.method, one.bpm, one.quality) == (other.method, other.bpm, other.quality)

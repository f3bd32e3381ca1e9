import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import facepulse
from facepulse.errors import UsageError
from facepulse.inference import weights
from facepulse.inference.engine import load_engine
from facepulse.inference.model_card import METADATA_KEY
from facepulse.inference.registry import DEFAULT
from facepulse.inference.weights import digest, load_model, read_card, save_model

torch = pytest.importorskip("torch")
from safetensors.numpy import load_file, save_file  # noqa: E402


@pytest.mark.slow
def test_saved_network_is_loaded_unchanged(trained, pulsating_clip) -> None:
    clip, _ = pulsating_clip(72, 64)
    frames = torch.from_numpy(clip).permute(3, 0, 1, 2)[None]
    network = facepulse.load_model(trained.weights)
    assert not network.training
    with torch.inference_mode():
        assert torch.equal(network(frames), trained.network(frames))
    assert read_card(trained.weights) == trained.card
    assert trained.card.sha256 == digest(load_file(trained.weights))


def test_file_is_readable_by_others_and_no_other_file_is_left(trained) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(trained.weights.stat().st_mode) == 0o666 & ~umask
    assert {path.name for path in trained.weights.parent.iterdir()} == {"tiny.safetensors", "tiny.onnx"}


def test_card_is_read_without_torch(trained) -> None:
    code = (
        "import sys, facepulse, facepulse.cli, facepulse.inference.engine\n"
        "from facepulse.inference.weights import read_card\n"
        f"print(read_card({str(trained.weights)!r}).name, facepulse.list_models())\n"
        "heavy = {'torch', 'safetensors', 'onnx', 'onnxruntime', 'openvino'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "tiny"


def test_importing_facepulse_does_not_import_weights() -> None:
    code = "import sys, facepulse; assert 'facepulse.inference.weights' not in sys.modules; facepulse.nothing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "AttributeError: module 'facepulse' has no attribute 'nothing'" in done.stderr


@pytest.fixture
def names(trained) -> list[str]:
    return [name for name in trained.network.state_dict() if not name.endswith("num_batches_tracked")]


@pytest.mark.parametrize("change", ["missing", "shape", "type", "extra", "value"])
def test_error_names_the_first_tensor_that_differs(trained, names: list[str], tmp_path: Path, change: str) -> None:
    tensors = load_file(trained.weights)
    first, later = names[3], names[7]
    words = [first]
    if change == "missing":
        del tensors[first], tensors[later]
    elif change == "shape":
        tensors[first], tensors[later] = np.zeros((2, 3), np.float32), np.zeros(1, np.float32)
        words += ["(2, 3)", str(tuple(trained.network.state_dict()[first].shape))]
    elif change == "type":
        tensors[first] = tensors[first].astype(np.float64)
        words += ["float64", "float32"]
    elif change == "extra":
        tensors["something.else"] = np.zeros(3, np.float32)
        words = ["something.else"]
    else:
        tensors[first] = tensors[first] + np.float32(1e-6)
        words = ["sha256"]
    path = tmp_path / "changed.safetensors"
    # With a sha256 to match, so that it is the tensor that is refused; but for a changed value, of course.
    card = trained.card if change == "value" else replace(trained.card, sha256=digest(tensors))
    save_file(tensors, path, metadata={METADATA_KEY: card.to_json()})
    with pytest.raises(UsageError) as error:
        load_model(path)
    assert str(path) in str(error.value)
    assert all(word in str(error.value) for word in words)
    assert later not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "resnet"}, ["'resnet'", "physfsunet, physnet"]),
        ({"config": {"stem_width": 4, "colours": 3}}, ["config", "colours"]),
        ({"config": {"stem_width": -4}}, ["config", "stem_width"]),
        ({"config": {"stem_width": "wide"}}, ["config"]),
        ({"multiple": 8}, ["multiple is 8", "is 4"]),
        ({"config": {"stem_width": 5, "width": 12, "head_width": 8}}, ["stem.", "expects float32 of shape"]),
    ],
)
def test_network_that_its_card_does_not_describe_is_not_saved(trained, tmp_path: Path, changes, words) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(UsageError) as error:
        save_model(trained.network, replace(trained.card, **changes), path)
    assert all(word in str(error.value) for word in words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"shift": False}, {"alpha": 0.9}, {"pooling": "ST-S-S-ST"}])
def test_config_that_changes_no_tensor_must_be_the_networks(trained, tmp_path: Path, change) -> None:
    card = replace(trained.card, config={**trained.card.config, **change})
    with pytest.raises(UsageError, match="but the network's is"):
        save_model(trained.network, card, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_card_holds_the_whole_config(trained) -> None:
    assert read_card(trained.weights).config["shift"] is True


def test_sha256_depends_on_names_and_not_on_the_order_of_tensors() -> None:
    one, two = np.arange(3.0), np.arange(4.0)
    assert digest({"a": one, "b": two}) == digest({"b": two, "a": one})
    others = [{"a": two, "b": one}, {"a": one}, {"a": one.reshape(3, 1), "b": two}, {"a": one.astype("f4"), "b": two}]
    assert len({digest(tensors) for tensors in ({"a": one, "b": two}, *others)}) == 5


def _truncated(trained, path: Path) -> None:
    path.write_bytes(trained.weights.read_bytes()[:-100])


def _foreign(trained, path: Path) -> None:
    save_file(load_file(trained.weights), path)


def _invalid_card(trained, path: Path) -> None:
    save_file(load_file(trained.weights), path, metadata={METADATA_KEY: '{"name": "x"}'})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda trained, path: None, "no weights are called"),
        (lambda trained, path: path.touch(), "not a safetensors file"),
        (lambda trained, path: path.write_text("this is no network\n" * 100), "not a safetensors file"),
        (lambda trained, path: path.write_bytes(trained.onnx.read_bytes()), "not a safetensors file"),
        (_truncated, "damaged"),
        (_foreign, "no model card"),
        (_invalid_card, "lacks config, fps"),
    ],
)
def test_invalid_file_gives_an_error_of_one_line(trained, tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "x.safetensors"
    make(trained, path)
    with pytest.raises(UsageError, match=words) as error:
        load_model(path)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_unknown_name_gives_an_error_with_all_names(monkeypatch: pytest.MonkeyPatch, trained) -> None:
    monkeypatch.setattr(weights, "shipped_weights", lambda: ["one", "two"])
    with pytest.raises(UsageError, match=r"'three'.*\(one, two\)"):
        load_model("three")


def test_weights_in_the_package_have_names(trained, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    (tmp_path / "tiny.safetensors").write_bytes(trained.weights.read_bytes())
    assert weights.shipped_weights() == ["tiny"]
    assert read_card("tiny") == trained.card
    assert load_model("tiny").config == trained.network.config


def test_other_ending_is_refused(trained, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        save_model(trained.network, trained.card, tmp_path / "x.pt")


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch):
    """Hide packages, as if they were not installed."""

    def hidden(*packages: str) -> None:
        monkeypatch.setattr("facepulse.errors.find_spec", lambda name: None if name in packages else name)

    return hidden


def test_missing_package_is_named_with_its_installation(trained, hide) -> None:
    hide("torch")
    with pytest.raises(UsageError, match=r"loading a network needs torch: pip install '.\[train\]'"):
        load_model(trained.weights)


def test_loading_needs_torch_and_safetensors_only(trained, hide, tmp_path: Path) -> None:
    hide("onnx", "onnxscript", "msgspec", "yaml")
    network = load_model(trained.weights)
    save_model(network, trained.card, tmp_path / "x.safetensors")
    for packages, missing in ((weights.EXPORT_PACKAGES, "onnx, onnxscript"), (weights.TRAIN_PACKAGES, "msgspec, yaml")):
        with pytest.raises(UsageError, match=f"it needs {missing}: "):
            weights.require_train_extra("it", packages)
    with pytest.raises(UsageError, match="the engine torch needs onnx: "):
        load_engine(trained.onnx, "torch", "f32")


def test_architecture_stands_for_its_default_weights() -> None:
    assert weights.find_weights("physfsunet") == weights.find_weights(DEFAULT)
    assert weights.shipped_name("physfsunet") == DEFAULT
    assert DEFAULT in weights.shipped_weights()
    assert "physfsunet" not in weights.shipped_weights()
    parameters = sum(parameter.numel() for parameter in load_model("physfsunet").parameters())
    assert weights.read_parameter_count(DEFAULT) == parameters
    page = Path(__file__).parents[2] / "docs" / "weights.md"
    assert f"{parameters:,} parameters" in page.read_text(encoding="utf-8")

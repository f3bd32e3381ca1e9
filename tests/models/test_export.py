from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepulse import cli
from facepulse.errors import FacepulseError
from facepulse.inference.model_card import METADATA_KEY, ModelCard

torch = pytest.importorskip("torch")
import onnx  # noqa: E402
from onnx.numpy_helper import to_array  # noqa: E402

from facepulse.inference.weights import save_model  # noqa: E402
from facepulse.models import PhysNet, PhysNetConfig  # noqa: E402
from facepulse.models import export as export_module  # noqa: E402
from facepulse.models.export import export  # noqa: E402


@pytest.fixture(scope="module")
def exported(trained) -> onnx.ModelProto:
    return onnx.load(trained.onnx)


def test_input_is_uint8_frames_with_every_axis_but_colour_dynamic(exported: onnx.ModelProto) -> None:
    [frames], [waveform] = exported.graph.input, exported.graph.output
    assert (frames.name, waveform.name) == ("frames", "waveform")
    assert frames.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert waveform.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    axes = [axis.dim_param or axis.dim_value for axis in frames.type.tensor_type.shape.dim]
    assert axes == ["batch", "4*steps", "height", "width", 3]


def test_exported_card_and_tensors_are_those_of_the_weights(exported: onnx.ModelProto, trained) -> None:
    metadata = {entry.key: entry.value for entry in exported.metadata_props}
    assert ModelCard.from_json(metadata[METADATA_KEY]) == trained.card
    tensors = {tensor.name: to_array(tensor) for tensor in exported.graph.initializer}
    for name, wanted in trained.network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert np.array_equal(tensors[f"network.{name}"], wanted.numpy())


def test_exported_file_holds_no_paths_of_the_machine(trained) -> None:
    content = trained.onnx.read_bytes()
    assert b".py" not in content
    assert str(Path(torch.__file__).parent).encode() not in content
    assert len(content) < 2 * trained.weights.stat().st_size


@pytest.mark.slow
def test_command_prints_the_difference_between_the_engines_only(trained, tmp_path: Path, capfd) -> None:
    """The network is a PhysNet with every module of physFSUNet; `trained` is a physFSUNet."""
    torch.manual_seed(0)
    config = {"fusion": True, "shift": True, "attention": True}
    card = replace(trained.card, network="physnet", config=config)
    save_model(PhysNet(PhysNetConfig(**config)), card, tmp_path / "x.safetensors")
    target = tmp_path / "new" / "x.onnx"
    with pytest.raises(SystemExit) as exit_:
        cli.main(["export", str(tmp_path / "x.safetensors"), str(target)])
    output = capfd.readouterr()
    assert (exit_.value.code, output.err) == (0, "")
    [line] = output.out.splitlines()
    assert line.startswith(f"wrote {target}: OpenVINO and torch differ by ")
    assert float(line.split(" differ by ")[1].split()[0]) < 1e-4
    assert [path.name for path in target.parent.iterdir()] == ["x.onnx"]


def test_file_that_openvino_computes_differently_is_not_kept(trained, tmp_path: Path, monkeypatch) -> None:
    def write_another(module: torch.nn.Module, card: ModelCard, path: Path) -> None:
        path.write_bytes(trained.onnx.read_bytes())
        with torch.no_grad():
            next(module.network.decoder.parameters()).mul_(1.01)

    monkeypatch.setattr(export_module, "_write", write_another)
    with pytest.raises(FacepulseError, match=r"OpenVINO and torch differ by .* expected at most 1e-04"):
        export(trained.weights, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("weights", "target", "words"),
    [
        ("missing.safetensors", "x.onnx", "no weights are called"),
        ("tiny.safetensors", "x.pt", "ends in .onnx"),
        ("tiny.safetensors", "file/x.onnx", "cannot write"),
        ("tiny.onnx", "x.onnx", "not a safetensors file"),
    ],
)
def test_invalid_arguments_give_code_2_and_one_line(trained, tmp_path: Path, capsys, weights, target, words) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as exit_:
        cli.main(["export", str(trained.weights.with_name(weights)), str(tmp_path / target)])
    output = capsys.readouterr()
    assert (exit_.value.code, output.out) == (2, "")
    assert words in output.err
    assert len(output.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_package_of_export_is_named_with_its_installation(trained, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("facepulse.errors.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(SystemExit):
        cli.main(["export", str(trained.weights), str(tmp_path / "x.onnx")])
    assert (
        "facepulse export needs onnxscript: pip install '.[train]' in the checkout of facepulse"
        in capsys.readouterr().err
    )

"""Methods by name and by path."""

from pathlib import Path

import pytest

from facepulse.errors import UsageError
from facepulse.pipeline.methods import find_method


def test_classical_method_is_found_in_upper_or_lower_case() -> None:
    method = find_method("chrom")
    assert (method.name, method.fps, method.engine) == ("CHROM", 30.0, None)


def test_network_is_found_by_its_file_and_named_by_its_card(trained) -> None:
    for path, engine in ((trained.onnx, "openvino"), (trained.weights, "torch")):
        method = find_method(str(path))
        assert method.engine is not None
        assert (method.name, method.fps, method.engine.name) == ("tiny", 30.0, engine)
        assert method.classical.name == "POS", "is fused with the network"


def test_unknown_name_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"no method is called 'nonsense': choose one of GREEN, ICA.*, or give a .onnx, .safetensors or .pth",
    ):
        find_method("nonsense")
    (tmp_path / "broken.onnx").write_bytes(b"no")
    for path in (tmp_path / "broken.onnx", tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(UsageError):
            find_method(str(path))

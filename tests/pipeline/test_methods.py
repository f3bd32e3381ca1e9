"""Names and paths to what reads a pulse."""

from pathlib import Path

import pytest

from facepulse.errors import UsageError
from facepulse.pipeline.methods import find_method


def test_a_classical_method_is_found_in_any_capitals() -> None:
    method = find_method("chrom")
    assert (method.name, method.fps, method.engine) == ("CHROM", 30.0, None)


def test_a_network_is_found_by_its_file_and_called_as_its_card_says(trained) -> None:
    for path, engine in ((trained.onnx, "openvino"), (trained.weights, "torch")):
        method = find_method(str(path))
        assert method.engine is not None
        assert (method.name, method.fps, method.engine.name) == ("tiny", 30.0, engine)
        assert method.classical.name == "POS", "beside a network the skin is read too"


def test_a_name_that_stands_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no method is called 'nonsense': choose one of GREEN, ICA.*safetensors"):
        find_method("nonsense")
    (tmp_path / "broken.onnx").write_bytes(b"no")
    for path in (tmp_path / "broken.onnx", tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(UsageError):
            find_method(str(path))

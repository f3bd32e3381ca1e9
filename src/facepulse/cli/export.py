"""The command export."""

from __future__ import annotations

from pathlib import Path


def export(weights: str, onnx: Path, /) -> int:
    """Convert trained weights to an ONNX file with their model card, for OpenVINO, ONNX Runtime and torch.

    Example: facepulse export physfsunet.safetensors physfsunet.onnx

    Args:
        weights: A .safetensors file, or the name of weights that come with the package.
        onnx: File to write.
    """
    from facepulse.inference.weights import EXPORT_PACKAGES, require_train_extra

    require_train_extra("facepulse export", EXPORT_PACKAGES)
    from facepulse.models.export import export as write

    difference = write(weights, onnx)
    print(f"wrote {onnx}: OpenVINO and torch differ by {difference:.1e} of the waveform's standard deviation")
    return 0

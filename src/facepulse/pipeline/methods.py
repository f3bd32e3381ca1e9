"""Methods of measurement: a classical method; or a network, and the classical method that is fused with it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from facepulse.errors import UsageError
from facepulse.inference.engine import Engine, find_engine
from facepulse.inference.weights import shipped_weights
from facepulse.rppg.classical import CLASSICAL, ClassicalMethod, find_classical
from facepulse.rppg.quality import CLASSICAL_QUALITY, QualityModel


@dataclass(frozen=True)
class Method:
    """A method of measurement.

    Attributes:
        classical: computes waveforms from the RGB traces of the whole face and of its regions.
        engine: runs the network that predicts the waveform; None if the classical method measures alone. With a
            network, the regional waveforms of the classical method are fused with the network's.
    """

    classical: ClassicalMethod
    engine: Engine | None = None

    @property
    def name(self) -> str:
        """Name in results and listings."""
        return self.classical.name if self.engine is None else self.engine.card.name

    @property
    def quality_model(self) -> QualityModel:
        """Coefficients of the quality of its heart rates."""
        calibrated = {} if self.engine is None else self.engine.card.quality_model
        return QualityModel(**calibrated) if calibrated else CLASSICAL_QUALITY

    @property
    def fps(self) -> float:
        """Clock rate in Hz."""
        return self.classical.fps if self.engine is None else self.engine.card.fps


def find_method(name: str) -> Method:
    """Find the method that a name or a path stands for.

    Args:
        name: a key of `facepulse.rppg.classical.CLASSICAL`, in upper or lower case; a name of
            `facepulse.list_models("weights")`; a file that `facepulse export` wrote (.onnx), or one of weights
            (.safetensors, or .pth of rPPG-Toolbox).

    Raises:
        UsageError: it is none of these, the file cannot be loaded, or its card's `quality_model` has other fields.
    """
    if name.upper() in CLASSICAL:
        return Method(find_classical(name))
    engine = find_engine(name)
    if engine is None:
        known = ", ".join([*CLASSICAL, *shipped_weights()])
        raise UsageError(
            f"no method is called {name!r}: choose one of {known}, or give a .onnx, .safetensors or .pth file"
        )
    method = Method(CLASSICAL["POS"], engine)
    try:
        _ = method.quality_model
    except TypeError as error:
        expected, given = ", ".join(field.name for field in fields(QualityModel)), dict(engine.card.quality_model)
        raise UsageError(f"{name}: the card's quality_model is {given}: expected {expected}") from error
    return method

"""What reads the pulse of a face: a classical method, or a network beside one."""

from __future__ import annotations

from dataclasses import dataclass, fields

from facepulse.errors import UsageError
from facepulse.inference.engine import Engine, find_engine
from facepulse.inference.weights import list_models
from facepulse.rppg.classical import METHODS, ClassicalMethod, get_method
from facepulse.rppg.regions import REGIONS, Trust


@dataclass(frozen=True)
class Method:
    """A way to read the pulse of a face.

    Attributes:
        skin: reads the colour of the skin, of the whole face and of its regions.
        engine: of the network that makes the waveform; None where the classical method does. What the skin says is
            wanted all the same: it is what bears a network out.
    """

    skin: ClassicalMethod
    engine: Engine | None = None

    @property
    def name(self) -> str:
        """What results and listings call it."""
        return self.skin.name if self.engine is None else self.engine.card.name

    @property
    def trust(self) -> Trust:
        """What the evidence for its heart rates weighs."""
        calibrated = {} if self.engine is None else self.engine.card.trust
        return Trust(**calibrated) if calibrated else REGIONS

    @property
    def fps(self) -> float:
        """Clock rate in Hz."""
        return self.skin.fps if self.engine is None else self.engine.card.fps


def find_method(name: str) -> Method:
    """The method that a name or a path stands for.

    Args:
        name: a key of `facepulse.rppg.classical.METHODS`, in upper or lower case; a file that `facepulse export` wrote
            (.onnx) or of weights (.safetensors, or .pth of rPPG-Toolbox); or a name of `facepulse.list_models()`.

    Raises:
        UsageError: it is none of these, the file cannot be loaded, or its card's `trust` is not one.
    """
    if name.upper() in METHODS:
        return Method(get_method(name))
    engine = find_engine(name)
    if engine is None:
        known = ", ".join([*METHODS, *list_models()])
        raise UsageError(f"no method is called {name!r}: choose one of {known}, or give a .onnx or .safetensors file")
    method = Method(METHODS["POS"], engine)
    try:
        _ = method.trust
    except TypeError as error:
        wanted = ", ".join(field.name for field in fields(Trust))
        raise UsageError(f"{name}: the card's trust is {dict(engine.card.trust)}: expected {wanted}") from error
    return method

"""Methods of measurement: a classical method; or a network, and the classical method that is fused with it."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard

import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import UsageError, shown
from facepulse.inference.engine import Engine, Precision, checked, load_engine, torch_engine
from facepulse.inference.model_card import ModelCard
from facepulse.inference.weights import (
    CHECKPOINT_SUFFIXES,
    SUFFIX,
    exported,
    load_with_card,
    shipped_name,
    shipped_weights,
)
from facepulse.rppg.classical import CLASSICAL, ClassicalMethod
from facepulse.rppg.quality import CLASSICAL_QUALITY, QualityModel

if TYPE_CHECKING:
    from torch import nn

FILES = (".onnx", SUFFIX, *CHECKPOINT_SUFFIXES)
Fallback: TypeAlias = Literal["POS"] | None


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


# A network in torch is a callable, too.
MethodLike: TypeAlias = str | os.PathLike[str] | Method | Engine | Callable[[Floats, float], npt.ArrayLike]


def find_method(method: MethodLike, precision: Precision = "auto") -> Method:
    """Find the method that a name, a file or an object stands for.

    Args:
        method: one of

            * a name: a key of `facepulse.rppg.classical.CLASSICAL`, in upper or lower case; a name of
              `facepulse.list_models("weights")`, or an architecture's name for its default weights;
            * a file: one that `facepulse export` wrote (.onnx), which OpenVINO runs; or one of weights (.safetensors,
              or .pth of rPPG-Toolbox), which torch runs;
            * a `Method`, which is returned as it is;
            * a network: an `Engine`, or a module of torch with a model card as its attribute `card`, as
              `facepulse.load_model` returns it. There are no defaults for a module without a card: a network measures
              something else, without a warning, on crops of another size or rate than those of its training;
            * a function ``(rgb (T, 3), fps) -> (T,)``, or any object that is called so: a classical method of its name.
        precision: of an exported network, as in `facepulse.inference.engine.load_engine`.

    Raises:
        UsageError: it is none of these, the file cannot be loaded, a card's `quality_model` has other fields than
            `QualityModel`, or a function does not take two arguments.
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, Engine):
        return _of_engine(checked(method))
    if isinstance(method, str | os.PathLike) and isinstance(name := os.fspath(method), str):
        return _of_name(name, precision)
    if isinstance(method, type):
        raise UsageError(f"the method {method.__name__} is a class: give an object of it")
    if _is_module(method):
        return _of_module(method)
    if callable(method):
        return Method(_of_function(method))
    raise UsageError(
        f"a method cannot be {shown(method)}: give a name, a file, a network or a function of an RGB trace and its rate"
    )


def check_fallback(fallback: object) -> None:
    """Check that the method that may replace a network is "POS" or None.

    Raises:
        UsageError: it is something else.
    """
    if fallback not in ("POS", None):
        raise UsageError(f"the fallback can be 'POS' or None, not {fallback!r}: other methods replace no network")


def _of_name(name: str, precision: Precision) -> Method:
    """Find a method by its name or its file."""
    if name.upper() in CLASSICAL:
        return Method(CLASSICAL[name.upper()])
    if shipped := shipped_name(name):
        engine = load_engine(exported(shipped), precision=precision)
    elif name.endswith(".onnx"):
        engine = load_engine(name, precision=precision)
    elif os.path.isfile(name):
        engine = torch_engine(*load_with_card(name))
    elif name.endswith(FILES):
        raise UsageError(f"there is no file {name}: give an exported network or weights")
    else:
        known = ", ".join([*CLASSICAL, *shipped_weights()])
        raise UsageError(
            f"no method is called {name!r}: choose one of {known}, or give a .onnx, .safetensors or .pth file"
        )
    return _of_engine(engine)


def _of_engine(engine: Engine) -> Method:
    """Make a method of a network, which is fused with POS."""
    method = Method(CLASSICAL["POS"], engine)
    try:
        _ = method.quality_model
    except TypeError as error:
        card, expected = engine.card, ", ".join(field.name for field in fields(QualityModel))
        given = dict(card.quality_model)
        raise UsageError(f"{card.name}: the card's quality_model is {given}: expected {expected}") from error
    return method


def _of_module(network: nn.Module) -> Method:
    """Make a method of a network in torch."""
    card = getattr(network, "card", None)
    if not isinstance(card, ModelCard):
        raise UsageError(
            f"the network {type(network).__name__} has no model card, which describes the clips that it takes: "
            "load it by facepulse.load_model, or set its attribute `card` to a facepulse.inference.model_card.ModelCard"
        )
    return _of_engine(checked(torch_engine(network, card)))


def _of_function(function: Callable[[Floats, float], npt.ArrayLike]) -> ClassicalMethod:
    """Make a classical method of a function; its name is that of the function, or else of its class."""
    name = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
    except ValueError:  # of some functions in C the signature is not known; a wrong one is found when they are called
        return ClassicalMethod(name, function)
    try:
        signature.bind("rgb", "fps")
    except TypeError as error:
        raise UsageError(
            f"the method {name} takes {signature}: expected two arguments, an RGB trace (T, 3) and its rate in Hz"
        ) from error
    return ClassicalMethod(name, function)


def _is_module(method: object) -> TypeGuard[nn.Module]:
    """True if an object is a network in torch; without importing torch, which whoever made the object has imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(method, torch.nn.Module)

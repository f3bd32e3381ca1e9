"""Engines that run an exported network: OpenVINO, ONNX Runtime or torch; uint8 frames in, a waveform out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np

from facepulse._types import Floats32, Frames
from facepulse.errors import UsageError, one_line
from facepulse.inference.model_card import METADATA_KEY, MINIMUM_SIZE, ModelCard
from facepulse.inference.overlap_add import OverlapAdd, overlap_add, standardised
from facepulse.inference.weights import build, card_of, require_train_extra

EngineName = Literal["openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "f32", "bf16"]

# Names in an exported file: of its input and output, and the prefix, before a dot, of the names of its tensors.
INPUT: Final = "frames"
OUTPUT: Final = "waveform"
NETWORK: Final = "network"


class Backend(Protocol):
    """A network loaded by one engine.

    Attributes:
        metadata: of the file, names to texts.
        precision: of its arithmetic, "f32" or "bf16".
    """

    metadata: dict[str, str]
    precision: str

    def __call__(self, frames: Frames) -> Floats32:
        """Map frames uint8 (B, T, H, W, 3) to waveforms float32 (B, T), in the network's own unit."""
        ...


@dataclass(frozen=True)
class Engine:
    """A network with its card, ready to run.

    Attributes:
        name: "openvino", "onnxruntime" or "torch".
        card: of the weights; its size, margin and fps describe the frames on which the network was trained.
        backend: the network alone: clips of a multiple of `card.multiple` frames to waveforms in its own unit.
    """

    name: EngineName
    card: ModelCard
    backend: Backend

    @property
    def precision(self) -> str:
        """Precision in which the network is computed, "f32" or "bf16"."""
        return self.backend.precision

    def __call__(self, frames: Frames) -> Floats32:
        """Predict the blood volume pulse from face crops.

        A clip longer than the card's window is processed in windows that overlap by half, one at a time, so that memory
        does not grow with its length (`frames` may be a memory map). Their waveforms are standardised and joined by
        overlap-add with Hann weights. A shorter clip is one window; if its length is not a multiple of `card.multiple`,
        the last frame is repeated up to the next multiple, and the output for the repetitions is dropped.

        Args:
            frames: uint8 RGB (T, H, W, 3), or (B, T, H, W, 3) for a batch of clips of one length; at least 32x32
                pixels, at least twice `card.multiple` frames. Best at the card's size, margin and fps.

        Returns:
            BVP waveform, float32 (T,) or (B, T): zero mean and unit variance within each window (within the clip, if
            the network predicts the derivative); zeros for a window without a signal.

        Raises:
            ValueError: `frames` is of another type or shape.
        """
        self._check(frames)
        batch = frames if frames.ndim == 5 else frames[np.newaxis]
        waveforms = self.to_waveform(overlap_add(self._standardised, batch, self.card.frames))
        return waveforms if frames.ndim == 5 else waveforms[0]

    def stream(self) -> OverlapAdd:
        """Return an overlap-add that takes the frames of clips (B, T, H, W, 3) in blocks.

        `to_waveform` of its `waveforms` is what a call with all frames returns.
        """
        return OverlapAdd(self._standardised, self.card.frames)

    def to_waveform(self, waveforms: Floats32) -> Floats32:
        """Convert the network's output (B, T) to BVP waveforms (B, T): a derivative is integrated, including drift."""
        return waveforms if self.card.output == "waveform" else standardised(np.cumsum(waveforms, axis=1))

    def _standardised(self, batch: Frames) -> Floats32:
        length = batch.shape[1]
        missing = -length % self.card.multiple
        padded = np.concatenate([batch, batch[:, -1:].repeat(missing, axis=1)], axis=1) if missing else batch
        return standardised(self.backend(np.ascontiguousarray(padded))[:, :length])

    def _check(self, frames: Frames) -> None:
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be a uint8 array of 0..255, as decoded, not {getattr(frames, 'dtype', type(frames))}: "
                "normalisation is inside the network"
            )
        if frames.ndim not in (4, 5) or frames.shape[-1] != 3:
            raise ValueError(f"frames must be of shape (T, H, W, 3) or (B, T, H, W, 3), not {frames.shape}")
        if frames.ndim == 5 and len(frames) == 0:
            raise ValueError(f"frames must hold at least one clip, not shape {frames.shape}")
        length, height, width = frames.shape[-4:-1]
        if length < 2 * self.card.multiple:
            raise ValueError(f"frames must hold at least {2 * self.card.multiple} frames, not {length}")
        if min(height, width) < MINIMUM_SIZE:
            raise ValueError(f"frames must be at least {MINIMUM_SIZE}x{MINIMUM_SIZE} pixels, not {height}x{width}")


def load_engine(path: str | Path, engine: EngineName = "openvino", precision: Precision = "auto") -> Engine:
    """Load an exported network.

    Args:
        path: a file that `facepulse.models.export` wrote.
        engine: "openvino" is the fastest; "onnxruntime" and "torch" have to be installed.
        precision: "f32", "bf16", or "auto": bf16 if the processor computes in it natively and the engine supports it
            (two to four times as fast, heart rates within 0.1 bpm), otherwise f32.

    Raises:
        UsageError: there is no such file or engine, the engine is not installed, the file is not an exported network,
            or the engine cannot compute in that precision on this processor.
    """
    path = Path(path)
    for kind, name, known in (("engine", engine, get_args(EngineName)), ("precision", precision, get_args(Precision))):
        if name not in known:
            raise UsageError(f"no {kind} is called {name!r}: choose one of {', '.join(known)}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}: give an exported network")
    try:
        backend = _ENGINES[engine](path, _resolve(precision, engine))
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        raise UsageError(f"the engine {engine} is not installed: pip install {error.name}") from error
    except Exception as error:  # each engine has its own errors, with messages of many lines and no common base class
        raise UsageError(f"{engine} cannot load {path} as ONNX: give an exported network") from error
    return Engine(engine, card_of(backend.metadata, path), backend)


def torch_engine(network: Callable[[Any], Any], card: ModelCard) -> Engine:
    """Make an engine of a network in torch, which uses the weights that the network has at the time of a call.

    Args:
        network: maps frames (B, 3, T, H, W) of 0..255 to waveforms (B, T); a module runs in evaluation mode, on its
            device.
        card: describes its windows.
    """
    return Engine("torch", card, _Torch(network, "f32", {}))


def checked(engine: Engine) -> Engine:
    """Return an engine for a network that a caller brought: its errors and invalid waveforms raise `UsageError`."""
    return replace(engine, backend=_Checked(engine.backend, engine.card.name))


def _resolve(precision: Precision, engine: EngineName) -> str:
    """Return the precision that "auto" stands for, or the given one if the engine and the processor support it."""
    if precision == "f32" or (precision == "auto" and engine == "onnxruntime"):
        return "f32"
    if precision == "bf16" and engine == "onnxruntime":
        raise UsageError("onnxruntime computes in f32 only: choose precision f32 or auto, or the engine openvino")
    if precision == "bf16" and not computes_bf16():
        raise UsageError("this processor does not compute in bf16: choose precision f32 or auto")
    return "bf16" if computes_bf16() else "f32"


def computes_bf16() -> bool:
    """Return True if the processor multiplies in bf16 natively, according to OpenVINO."""
    return "BF16" in _openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _openvino_core() -> Any:
    """Import OpenVINO without its telemetry.

    Otherwise it reports its import to Google Analytics and stores a client number in the home folder. It treats the
    telemetry as not installed if that module cannot be imported.
    """
    blocked = "openvino_telemetry" not in sys.modules
    if blocked:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if blocked:
            del sys.modules["openvino_telemetry"]
    return openvino.Core()


class _OpenVino:
    def __init__(self, path: Path, precision: str) -> None:
        self._core = _openvino_core()
        # Unlike numpy and torch, OpenVINO does not read this limit by itself. The output does not depend on it.
        threads = os.environ.get("OMP_NUM_THREADS", "")
        if threads.isdecimal():
            self._core.set_property("CPU", {"INFERENCE_NUM_THREADS": int(threads)})
        self._model = self._core.read_model(path)
        card = ["framework", METADATA_KEY]
        self.metadata = (
            {METADATA_KEY: self._model.get_rt_info(card).astype(str)} if self._model.has_rt_info(card) else {}
        )
        self.precision = precision
        self._shape: tuple[int, ...] = ()
        self._compiled: Any = None

    def __call__(self, frames: Frames) -> Floats32:
        # Compiled for a fixed shape, the network is twice as fast. All windows of a clip have one shape, so the last
        # compiled network is kept; compiling takes a fifth of a second.
        if frames.shape != self._shape:
            self._model.reshape(frames.shape)
            self._compiled = self._core.compile_model(self._model, "CPU", {"INFERENCE_PRECISION_HINT": self.precision})
            self._shape = frames.shape
        waveforms: Floats32 = self._compiled([frames])[0]
        return waveforms


class _OnnxRuntime:
    def __init__(self, path: Path, precision: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: its warnings concern its own optimisations
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.precision = precision

    def __call__(self, frames: Frames) -> Floats32:
        waveforms: Floats32 = self._session.run([OUTPUT], {INPUT: frames})[0]
        return waveforms


class _Torch:
    """A network in torch: a given one, or the one named by the card of an exported file, with the file's tensors."""

    def __init__(self, network: Callable[[Any], Any], precision: str, metadata: dict[str, str]) -> None:
        self._network = network
        self.precision = precision
        self.metadata = metadata

    @classmethod
    def from_file(cls, path: Path, precision: str) -> _Torch:
        """Rebuild the network that was exported; its graph is not used."""
        require_train_extra("the engine torch", ["torch", "onnx"])
        import onnx
        from onnx.numpy_helper import to_array

        exported = onnx.load(path)
        metadata = {entry.key: entry.value for entry in exported.metadata_props}
        tensors = {
            tensor.name.removeprefix(f"{NETWORK}."): to_array(tensor)
            for tensor in exported.graph.initializer
            if tensor.name.startswith(f"{NETWORK}.")
        }
        return cls(build(card_of(metadata, path), tensors, path), precision, metadata)

    def __call__(self, frames: Frames) -> Floats32:
        import torch

        device = torch.device("cpu")
        if isinstance(self._network, torch.nn.Module):
            self._network.eval()
            parameter = next(self._network.parameters(), None)
            device = device if parameter is None else parameter.device
        clips = torch.tensor(frames, device=device).permute(0, 4, 1, 2, 3)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            waveforms: Floats32 = self._network(clips).float().cpu().numpy()
        return waveforms


class _Checked:
    """Another backend, whose errors and invalid waveforms raise `UsageError` with the name of the network."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._name = name
        self.metadata, self.precision = backend.metadata, backend.precision

    def __call__(self, frames: Frames) -> Floats32:
        try:
            waveforms = self._backend(frames)
        except Exception as error:  # any: the code is the caller's
            raise UsageError(
                f"the network {self._name} failed on frames of shape {frames.shape}: {one_line(error)}"
            ) from error
        if waveforms.shape != frames.shape[:2]:
            raise UsageError(
                f"the network {self._name} returned shape {waveforms.shape} for frames of shape {frames.shape}: "
                f"expected a waveform for every clip, {frames.shape[:2]}"
            )
        if not np.isfinite(waveforms).all():
            raise UsageError(f"the network {self._name} returned NaN or infinite values: expected a finite waveform")
        return waveforms


_ENGINES: Final[dict[str, Callable[[Path, str], Backend]]] = {
    "openvino": _OpenVino,
    "onnxruntime": _OnnxRuntime,
    "torch": _Torch.from_file,
}

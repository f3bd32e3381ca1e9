"""Run an exported network: one ONNX file, three engines, one call; frames as they come in, a waveform out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from facepulse.card import METADATA_KEY, MINIMUM_SIZE, Card
from facepulse.errors import UsageError
from facepulse.weights import build, card_of, require_train_extra

if TYPE_CHECKING:
    from torch import nn

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]
EngineName = Literal["openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "f32", "bf16"]

# Names within an exported file: of its input, its output, and of what goes before a dot and the name of a tensor.
INPUT: Final = "frames"
OUTPUT: Final = "waveform"
NETWORK: Final = "network"

FLAT = 1e-6  # a spread this small beside the level is float32 rounding, which is not to be blown up


class Network(Protocol):
    """An exported network in the hands of one engine.

    Attributes:
        metadata: of the file, names to texts.
        precision: in which it computes, "f32" or "bf16".
    """

    metadata: dict[str, str]
    precision: str

    def __call__(self, frames: Frames) -> Waveform:
        """Frames uint8 (B, T, H, W, 3) to waveforms float32 (B, T), as the network gives them."""
        ...


@dataclass(frozen=True)
class Engine:
    """An exported network, ready to run.

    Attributes:
        name: "openvino", "onnxruntime" or "torch".
        card: of the weights; its size, margin and fps say what frames the network was trained on.
        network: the bare network, for clips of a multiple of `card.multiple` frames, whose waveforms it gives in its
            own unit.
    """

    name: EngineName
    card: Card
    network: Network

    @property
    def precision(self) -> str:
        """What the network is computed in, "f32" or "bf16"."""
        return self.network.precision

    def __call__(self, frames: Frames) -> Waveform:
        """Read the pulse from face crops.

        A clip longer than the card's window is read in windows that overlap by half, one at a time, so that memory does
        not grow with length (`frames` may be a memory map). Their waveforms are standardised and joined by overlap-add
        under Hann weights. A clip shorter than that is one window; where its length is no multiple of `card.multiple`,
        the last frame is repeated up to the next one, and what the network says of the repetitions is dropped.

        Args:
            frames: uint8 RGB (T, H, W, 3), or (B, T, H, W, 3) for a batch of clips of one length; at least 32x32
                pixels, at least twice `card.multiple` frames. Best at the card's size, margin and fps.

        Returns:
            Blood volume pulse, float32 (T,) or (B, T): zero mean and unit spread within each window; zeros where a
            window gives no signal.

        Raises:
            ValueError: `frames` is of another type or shape.
        """
        self._check(frames)
        batch = frames if frames.ndim == 5 else frames[np.newaxis]
        waveforms = joined(self._standardised, batch, self.card.frames)
        return waveforms if frames.ndim == 5 else waveforms[0]

    def _standardised(self, batch: Frames) -> Waveform:
        length = batch.shape[1]
        missing = -length % self.card.multiple
        padded = np.concatenate([batch, batch[:, -1:].repeat(missing, axis=1)], axis=1) if missing else batch
        return standardised(self.network(np.ascontiguousarray(padded))[:, :length])

    def _check(self, frames: Frames) -> None:
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be a uint8 array of 0..255, as decoded, not {getattr(frames, 'dtype', type(frames))}: "
                "normalisation is inside the network"
            )
        if frames.ndim not in (4, 5) or frames.shape[-1] != 3:
            raise ValueError(f"frames must be of shape (T, H, W, 3) or (B, T, H, W, 3), not {frames.shape}")
        if frames.ndim == 5 and len(frames) == 0:
            raise ValueError(f"frames must hold a clip at least, not shape {frames.shape}")
        length, height, width = frames.shape[-4:-1]
        if length < 2 * self.card.multiple:
            raise ValueError(f"frames must hold at least {2 * self.card.multiple} frames, not {length}")
        if min(height, width) < MINIMUM_SIZE:
            raise ValueError(f"frames must be at least {MINIMUM_SIZE}x{MINIMUM_SIZE} pixels, not {height}x{width}")


def load_engine(path: str | Path, engine: EngineName = "openvino", precision: Precision = "auto") -> Engine:
    """Load an exported network.

    Args:
        path: what `facepulse export` wrote.
        engine: "openvino" is the fastest; "onnxruntime" and "torch" have to be installed.
        precision: "f32", "bf16", or "auto": bf16 where the processor computes in it natively and the engine can (twice
            to four times as fast, and the heart rate stays within 0.1 bpm), f32 elsewhere.

    Raises:
        UsageError: there is no such file or engine, the engine is not installed, the file was not written by
            `facepulse export`, or the engine cannot compute in that precision here.
    """
    path = Path(path)
    for kind, asked, known in (("engine", engine, get_args(EngineName)), ("precision", precision, get_args(Precision))):
        if asked not in known:
            raise UsageError(f"no {kind} is called {asked!r}: choose one of {', '.join(known)}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}: give one that `facepulse export` wrote")
    try:
        network = _ENGINES[engine](path, _settled(precision, engine))
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        raise UsageError(f"the engine {engine} is not installed: pip install {error.name}") from error
    except Exception as error:  # each engine has errors of its own, of several lines, without a common ancestor
        raise UsageError(f"{engine} cannot load {path} as ONNX: give a file that `facepulse export` wrote") from error
    return Engine(engine, card_of(network.metadata, path), network)


def _settled(precision: Precision, engine: EngineName) -> str:
    """The precision that `auto` stands for, or the one asked for where it can be had."""
    if precision == "f32" or (precision == "auto" and engine == "onnxruntime"):
        return "f32"
    if precision == "bf16" and engine == "onnxruntime":
        raise UsageError("onnxruntime computes in f32 only: choose precision f32 or auto, or the engine openvino")
    if precision == "bf16" and not computes_bf16():
        raise UsageError("this processor does not compute in bf16: choose precision f32 or auto")
    return "bf16" if computes_bf16() else "f32"


def computes_bf16() -> bool:
    """Whether the processor multiplies in bf16 natively, as OpenVINO sees it."""
    return "BF16" in _openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _openvino_core() -> Any:
    """OpenVINO, which otherwise reports its import to Google Analytics and leaves a client's number in the home folder.

    It takes its telemetry for not installed where that cannot be imported.
    """
    silenced = "openvino_telemetry" not in sys.modules
    if silenced:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if silenced:
            del sys.modules["openvino_telemetry"]
    return openvino.Core()


def joined(read: Callable[[Frames], Waveform], batch: Frames, length: int) -> Waveform:
    """Read clips window by window and join the waveforms by overlap-add under Hann weights.

    Windows overlap by half; the last is moved back to end with the clip. The sum is divided by the sum of weights, so
    that the ends, which one window alone reaches, are as large as the rest.

    Args:
        read: frames (B, T, H, W, 3) to waveforms (B, T), T at most `length`.
        batch: (B, T, H, W, 3), any T.
        length: of a window in frames, even.

    Returns:
        (B, T) float32; a clip of at most one window is as `read` gives it.
    """
    clips, total = batch.shape[:2]
    if total <= length:
        return read(batch)
    # Samples lie between the zeros of the window, hence no weight is zero.
    weights = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    summed, weight = np.zeros((clips, total)), np.zeros(total)
    for start in sorted({*range(0, total - length, length // 2), total - length}):
        window = slice(start, start + length)
        summed[:, window] += weights * read(batch[:, window])
        weight[window] += weights
    return (summed / weight).astype(np.float32)


def standardised(waveforms: Waveform) -> Waveform:
    """Zero mean and unit spread, each by itself; zeros where one is flat to float32 rounding.

    Args:
        waveforms: (B, T).
    """
    values = waveforms.astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    flat = spread <= FLAT * np.abs(values).max(axis=1, keepdims=True)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)).astype(np.float32)


class _OpenVino:
    def __init__(self, path: Path, precision: str) -> None:
        self._core = _openvino_core()
        self._model = self._core.read_model(path)
        card = ["framework", METADATA_KEY]
        self.metadata = (
            {METADATA_KEY: self._model.get_rt_info(card).astype(str)} if self._model.has_rt_info(card) else {}
        )
        self.precision = precision
        self._shape: tuple[int, ...] = ()
        self._compiled: Any = None

    def __call__(self, frames: Frames) -> Waveform:
        # For frames of a fixed shape it makes code that is twice as fast. Windows of a clip have one, so the last one
        # compiled is kept; to compile another takes a fifth of a second.
        if frames.shape != self._shape:
            self._model.reshape(frames.shape)
            self._compiled = self._core.compile_model(self._model, "CPU", {"INFERENCE_PRECISION_HINT": self.precision})
            self._shape = frames.shape
        waveforms: Waveform = self._compiled([frames])[0]
        return waveforms


class _OnnxRuntime:
    def __init__(self, path: Path, precision: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: what it warns of is its own business
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.precision = precision

    def __call__(self, frames: Frames) -> Waveform:
        waveforms: Waveform = self._session.run([OUTPUT], {INPUT: frames})[0]
        return waveforms


class _Torch:
    """The file's tensors in the network that its card names: what was exported, not how."""

    def __init__(self, path: Path, precision: str) -> None:
        require_train_extra("the engine torch")
        import onnx
        from onnx.numpy_helper import to_array

        exported = onnx.load(path)
        self.metadata = {entry.key: entry.value for entry in exported.metadata_props}
        tensors = {
            tensor.name.removeprefix(f"{NETWORK}."): to_array(tensor)
            for tensor in exported.graph.initializer
            if tensor.name.startswith(f"{NETWORK}.")
        }
        self._network: nn.Module = build(card_of(self.metadata, path), tensors, path)
        self.precision = precision

    def __call__(self, frames: Frames) -> Waveform:
        import torch

        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            waveforms: Waveform = self._network(torch.tensor(frames).permute(0, 4, 1, 2, 3)).float().numpy()
        return waveforms


_ENGINES: Final[dict[str, Callable[[Path, str], Network]]] = {
    "openvino": _OpenVino,
    "onnxruntime": _OnnxRuntime,
    "torch": _Torch,
}

"""Run an exported network: one ONNX file, three engines, one call; frames as they come in, a waveform out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np

from facepulse._types import Frames
from facepulse.errors import UsageError
from facepulse.inference.model_card import METADATA_KEY, MINIMUM_SIZE, ModelCard
from facepulse.inference.overlap_add import OverlapAdd, Waveform, joined, standardised
from facepulse.inference.weights import build, card_of, exported, list_models, load_with_card, require_train_extra

EngineName = Literal["openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "f32", "bf16"]

# Names within an exported file: of its input, its output, and of what goes before a dot and the name of a tensor.
INPUT: Final = "frames"
OUTPUT: Final = "waveform"
NETWORK: Final = "network"


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
    card: ModelCard
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
            Blood volume pulse, float32 (T,) or (B, T): zero mean and unit spread within each window (where the network
            gives slopes, within the clip); zeros where a window gives no signal.

        Raises:
            ValueError: `frames` is of another type or shape.
        """
        self._check(frames)
        batch = frames if frames.ndim == 5 else frames[np.newaxis]
        waveforms = self.to_waveform(joined(self._standardised, batch, self.card.frames))
        return waveforms if frames.ndim == 5 else waveforms[0]

    def stream(self) -> OverlapAdd:
        """What reads clips (B, T, H, W, 3) piece by piece; `to_waveform` of its end is what a call gives."""
        return OverlapAdd(self._standardised, self.card.frames)

    def to_waveform(self, waveforms: Waveform) -> Waveform:
        """The pulse wave in what the network gives, (B, T) both: a slope is summed up, drift and all."""
        return waveforms if self.card.output == "waveform" else standardised(np.cumsum(waveforms, axis=1))

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


def torch_engine(network: Callable[[Any], Any], card: ModelCard) -> Engine:
    """A network in torch, with the weights that it has at the time, as an engine.

    Args:
        network: frames (B, 3, T, H, W) of 0..255 to waveforms (B, T); a module is run in evaluation mode, where it is.
        card: of the windows that it reads.
    """
    return Engine("torch", card, _Torch(network, "f32", {}))


def find_engine(model: str, precision: Precision = "auto") -> Engine | None:
    """The network that a name or a path stands for, ready to run; None where there is none of that name.

    Args:
        model: a name of `facepulse.list_models()` or a file that `facepulse export` wrote (.onnx), which OpenVINO runs,
            or a file of weights (.safetensors, or .pth of rPPG-Toolbox), which torch runs.
        precision: of an exported network, as in `load_engine`.

    Raises:
        UsageError: the file cannot be loaded.
    """
    if model.endswith(".onnx"):
        return load_engine(model, precision=precision)
    if model in list_models():
        return load_engine(exported(model), precision=precision)
    if os.path.isfile(model):
        return torch_engine(*load_with_card(model))
    return None


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
    """A network in torch: as it is there, or with a file's tensors in the network that the file's card names."""

    def __init__(self, network: Callable[[Any], Any], precision: str, metadata: dict[str, str]) -> None:
        self._network = network
        self.precision = precision
        self.metadata = metadata

    @classmethod
    def from_file(cls, path: Path, precision: str) -> _Torch:
        """What was exported, not how."""
        require_train_extra("the engine torch")
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

    def __call__(self, frames: Frames) -> Waveform:
        import torch

        device = torch.device("cpu")
        if isinstance(self._network, torch.nn.Module):
            self._network.eval()
            device = next(self._network.parameters()).device
        clips = torch.tensor(frames, device=device).permute(0, 4, 1, 2, 3)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            waveforms: Waveform = self._network(clips).float().cpu().numpy()
        return waveforms


_ENGINES: Final[dict[str, Callable[[Path, str], Network]]] = {
    "openvino": _OpenVino,
    "onnxruntime": _OnnxRuntime,
    "torch": _Torch.from_file,
}

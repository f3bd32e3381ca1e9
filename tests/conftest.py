"""Fixtures of several tests, created once per session: painted faces through real codecs, a trained network."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from numpy.typing import NDArray

from facepulse.simulate.painted_face import PaintedFace, metronome, render
from repeatable_x264 import REPEATABLE
from shared_data import SHARED_DATA

# Other programs may slow an example down at any time.
settings.register_profile("without_deadline", deadline=None)
settings.load_profile("without_deadline")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Sample recordings that do not belong to the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the sample recordings in {SHARED_DATA.parent.name}/{SHARED_DATA.name} beside the checkout")
    return SHARED_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the trained network as slow, and run the files with the most slow tests first.

    Each file is run by one process (see the Makefile): if a long one came last, the other processes would wait for it.
    """
    for item in items:
        if "trained" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that all processes of pytest-xdist share; use a lock to create a file once."""
    base = tmp_path_factory.getbasetemp()
    (folder := (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared").mkdir(exist_ok=True)
    return folder


FaceVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def face_video(shared_folder: Path) -> FaceVideo:
    """Paint a small face video with a pulse of `bpm` (None: no pulse); the same arguments give the same file."""
    painted: dict[str, Path] = {}

    def paint(bpm: float | None = 72.0, seconds: float = 12.0, name: str = "", **options: Any) -> Path:
        key = repr((bpm, seconds, name, sorted(options.items(), key=str)))
        if key not in painted:
            face_options = {"height": 0.8, "strength": 0.02, **options.pop("face", {})}
            beats = () if bpm is None else metronome(bpm, seconds)
            faces = options.pop("faces", None) or [PaintedFace(beats, **face_options)]
            settings = {"width": 320, "height": 240, **options}
            if settings.get("codec", "libx264") == "libx264":
                settings["options"] = {"crf": "14", "preset": "veryfast", **REPEATABLE, **settings.get("options", {})}
            path = shared_folder / hashlib.sha256(key.encode()).hexdigest() / (name or "face.mp4")
            path.parent.mkdir(exist_ok=True)
            with FileLock(path.with_name(".lock")):
                if not (done := path.with_name(".done")).exists():
                    render(path, faces, seconds=seconds, **settings)
                    done.touch()
            painted[key] = path
        return painted[key]

    return paint


def pulsating(bpm: float, frames: int, size: int = 32, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Simulate noisy skin at 30 fps whose RGB follows a sine of `bpm`: uint8 (T, H, W, 3), and the sine (T,)."""
    rng = np.random.default_rng(seed)
    skin = np.array([170, 120, 95]) + rng.normal(0, 12, (size, size, 1))
    waveform = np.sin(2 * np.pi * bpm / 60 * np.arange(frames) / 30 + rng.uniform(0, 6))
    absorbed = 0.02 * waveform[:, np.newaxis, np.newaxis, np.newaxis] * [0.3, 1.0, 0.5]
    video = skin * (1 - absorbed) + rng.normal(0, 1.5, (frames, size, size, 3))
    return np.clip(np.rint(video), 0, 255).astype(np.uint8), waveform


@dataclass(frozen=True)
class Trained:
    """A network trained on `pulsating`, its card and its files."""

    network: Any
    card: Any
    weights: Path
    onnx: Path


@pytest.fixture(scope="session")
def pulsating_clip() -> Callable[..., tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """`pulsating`."""
    return pulsating


@pytest.fixture(scope="session")
def trained(shared_folder: Path) -> Trained:
    """A tiny physFSUNet after twenty steps, saved and exported; the first process that needs it trains it."""
    torch = pytest.importorskip("torch")
    (files := shared_folder / "trained").mkdir(exist_ok=True)
    memory = shared_folder / "trained.pt"  # network and card, independent of the files under test
    with FileLock(shared_folder / "trained.lock"):
        if not memory.exists():
            torch.save(train_tiny(files), memory)
    network, card = torch.load(memory, weights_only=False)
    return Trained(network, card, files / "tiny.safetensors", files / "tiny.onnx")


def train_tiny(folder: Path) -> tuple[Any, Any]:
    """Train a network, and write its weights and their export into a folder."""
    import torch

    from facepulse.inference.model_card import ModelCard
    from facepulse.inference.weights import save_model
    from facepulse.models import PhysFSUNet, PhysFSUNetConfig
    from facepulse.models.export import export

    torch.manual_seed(0)
    config = {"stem_width": 4, "width": 12, "head_width": 8, "dropout": 0.0}
    network = PhysFSUNet(PhysFSUNetConfig(**config))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(20):
        clips, waveforms = zip(
            *(pulsating(50 + 37 * n % 100, 64, seed=n) for n in range(4 * step, 4 * step + 4)), strict=True
        )
        predicted = network(torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3))
        true = torch.from_numpy(np.stack(waveforms)).float()
        loss = 1 - torch.nn.functional.cosine_similarity(predicted - predicted.mean(1, keepdim=True), true).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    card = ModelCard(
        name="tiny",
        network="physfsunet",
        config=config,
        multiple=4,
        frames=64,
        size=32,
        margin=0.0,
        fps=30.0,
        normalisation="each clip and colour to zero mean and unit variance",
        training_data="80 patches of simulated skin",
        protocol="none",
        scores={"loss": float(loss.detach())},
        licence="Apache-2.0",
    )
    card = save_model(network, card, folder / "tiny.safetensors")
    export(folder / "tiny.safetensors", folder / "tiny.onnx")
    return network.eval(), card

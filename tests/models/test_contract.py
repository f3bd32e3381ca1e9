"""What every network of the registry keeps, so that training, export and measuring treat them alike; and its row."""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from facepulse.inference.engine import load_engine  # noqa: E402
from facepulse.inference.model_card import ModelCard  # noqa: E402
from facepulse.inference.registry import FIGURES, NETWORKS  # noqa: E402
from facepulse.inference.weights import load_model, save_model  # noqa: E402
from facepulse.models.export import export  # noqa: E402
from facepulse.models.figures import computed_figures, to_csv, to_markdown  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
SMALLEST = 32  # pixels, that every network reads

# Parameters that no output depends on, by network.
DEAD: dict[str, set[str]] = {}

every_network = pytest.mark.parametrize("name", NETWORKS)


def random_frames(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def clips(network: Any, batch: int = 2, side: int = SMALLEST, seed: int = 0) -> torch.Tensor:
    """The shortest clips that can be read in windows."""
    return random_frames(batch, 3, 2 * network.multiple, side, side, seed=seed)


@cache
def built(name: str) -> Any:
    """With the default config, in evaluation, its batch normalisation fed with one batch as if it had been trained."""
    torch.manual_seed(0)
    network: Any = NETWORKS[name].build()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    with torch.no_grad():
        network(clips(network))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return network.eval()


def card(name: str) -> ModelCard:
    network = built(name)
    size = getattr(network.config, "size", 64)
    return ModelCard(
        name="x",
        network=name,
        config={},
        multiple=network.multiple,
        frames=2 * network.multiple,
        size=size,
        margin=0.0,
        fps=30.0,
        normalisation=network.normalisation,
        training_data="nothing",
        protocol="none",
        scores={},
        licence="Apache-2.0",
    )


@every_network
def test_the_config_is_plain_json_and_comes_back(name: str) -> None:
    config_type = NETWORKS[name].load().config
    config = config_type(**json.loads(json.dumps(dataclasses.asdict(config_type()))))
    assert config == config_type()
    assert hash(config) == hash(config_type())
    with torch.device("meta"):
        assert NETWORKS[name].load().network(config).config is config
    with pytest.raises((TypeError, ValueError)):
        config_type(**{next(iter(dataclasses.asdict(config))): "no such value"})


@every_network
@pytest.mark.parametrize("side", [(32, 32), (36, 45)])
def test_frames_to_one_value_each(name: str, side: tuple[int, int]) -> None:
    network = built(name)
    for times in (1, 2):
        with torch.no_grad():
            waveform = network(random_frames(1, 3, times * network.multiple, *side))
        assert waveform.shape == (1, times * network.multiple)
        assert waveform.dtype == torch.float32
        assert waveform.isfinite().all()


@every_network
def test_any_dtype_and_layout_of_the_same_frames_is_the_same(name: str) -> None:
    network = built(name)
    frames = clips(network, batch=1)
    with torch.no_grad():
        waveform = network(frames)
        assert torch.equal(network(frames), waveform)
        for dtype in (torch.float16, torch.float64, torch.int32):
            torch.testing.assert_close(network(frames.to(dtype)), waveform, rtol=0, atol=0)
        as_decoded = frames.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
        torch.testing.assert_close(network(as_decoded), waveform, rtol=0, atol=1e-4 * waveform.std().item())


@every_network
def test_a_clip_does_not_depend_on_its_neighbours(name: str) -> None:
    network = built(name)
    frames, others = clips(network), clips(network, seed=1)
    with torch.no_grad():
        together = network(frames)
        tolerance = 1e-4 * together.std().item()
        torch.testing.assert_close(network(frames[:1]), together[:1], rtol=0, atol=tolerance)
        torch.testing.assert_close(network(frames[1:]), together[1:], rtol=0, atol=tolerance)
        mixed = network(torch.cat([others[:1], frames[:1], others[1:]]))
        torch.testing.assert_close(mixed[1], together[0], rtol=0, atol=tolerance)


@every_network
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frames: frames.float() - 1, "frames must lie in 0..255"),
        (lambda frames: frames.float() * torch.nan, "hold NaN"),
        (lambda frames: frames[:, :2], "3 colour channels on axis 1, not 2"),
        (lambda frames: frames[0], "five axes"),
        (lambda frames: frames[:, :, :0], "a multiple of .* not T = 0"),
        (lambda frames: frames[..., :31], "at least 32x32 pixels, not 32x31"),
    ],
)
def test_frames_that_cannot_be_read_are_refused_by_name(name: str, change: Any, message: str) -> None:
    network = built(name)
    with pytest.raises(ValueError, match=message):
        network(change(clips(network)))


@every_network
def test_a_clip_of_another_length_is_refused(name: str) -> None:
    network = built(name)
    for length in {1, network.multiple + 1} if network.multiple > 1 else ():
        with pytest.raises(ValueError, match=f"frames must hold a multiple of {network.multiple} frames"):
            network(random_frames(1, 3, length, SMALLEST, SMALLEST))


@every_network
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    network: Any = NETWORKS[name].build()
    network(clips(network)).square().mean().backward()
    without = {
        each
        for each, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    }
    assert without == DEAD.get(name, set())


@every_network
def test_weights_are_what_they_were_after_a_file(name: str, tmp_path: Path) -> None:
    network = built(name)
    frames = clips(network, batch=1)
    written = save_model(network, card(name), tmp_path / "x.safetensors")
    loaded: Any = load_model(tmp_path / "x.safetensors")
    assert (loaded.config, loaded.training) == (network.config, False)
    assert written.normalisation == loaded.normalisation
    with torch.no_grad():
        assert torch.equal(loaded(frames), network(frames))


@every_network
@pytest.mark.slow
def test_the_exported_network_computes_the_same(name: str, tmp_path: Path) -> None:
    network = built(name)
    save_model(network, card(name), tmp_path / "x.safetensors")
    assert export(tmp_path / "x.safetensors", tmp_path / "x.onnx") < 1e-4
    side = card(name).size
    for shape in ((1, 4 * network.multiple, side, side), (2, 2 * network.multiple, 40, 33)):
        frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = network(torch.from_numpy(frames).permute(0, 4, 1, 2, 3)).numpy()
        for engine in ("openvino", "onnxruntime"):
            found = load_engine(tmp_path / "x.onnx", engine, "f32").backend(frames)
            assert np.abs(found - expected).max() < 1e-4 * expected.std(), (engine, shape)


@every_network
def test_the_generated_figures_are_those_of_the_network(name: str) -> None:
    assert NETWORKS[name].figures == computed_figures(name), "run `python -m facepulse.models.figures`"


def test_the_generated_files_are_what_the_code_gives() -> None:
    assert FIGURES.read_text(encoding="utf-8") == to_csv(), "run `python -m facepulse.models.figures`"
    assert to_markdown() in PAGE.read_text(encoding="utf-8"), "run `python -m facepulse.models.figures`"

"""Contract of every network in the registry, on which training, export and measurement rely; and its figures."""

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
from facepulse.models.figures import clip_length, computed_figures, macs, on_meta, to_csv, to_markdown  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
SMALLEST = 32  # pixels, accepted by every network
# Configs for the export, which takes time in proportion to the blocks; all blocks of a network are alike.
# The export of a RhythmFormer with all three stages is tested in test_rhythmformer.py.
SHALLOW: dict[str, dict[str, Any]] = {"physformer": {"depth": 1}, "rhythmformer": {"depth": 1, "stages": 2}}

every_network = pytest.mark.parametrize("name", NETWORKS)


def random_frames(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def clips(network: Any, batch: int = 2, side: int = SMALLEST, seed: int = 0) -> torch.Tensor:
    """The shortest clips that can be processed in windows."""
    return random_frames(batch, 3, 2 * network.multiple, side, side, seed=seed)


@cache
def built(name: str, **config: Any) -> Any:
    """The network in evaluation mode, with the batch statistics of one batch; `config` changes the default."""
    torch.manual_seed(0)
    network: Any = NETWORKS[name].build(config)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    with torch.no_grad():
        network(clips(network))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return network.eval()


shapes_only = cache(on_meta)


def card(name: str, **config: Any) -> ModelCard:
    network = built(name, **config)
    size = getattr(network.config, "size", 64)
    return ModelCard(
        name="x",
        network=name,
        config=config,
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
def test_config_survives_json(name: str) -> None:
    config_type = NETWORKS[name].load().config
    config = config_type(**json.loads(json.dumps(dataclasses.asdict(config_type()))))
    assert config == config_type()
    assert hash(config) == hash(config_type())
    with torch.device("meta"):
        assert NETWORKS[name].load().network(config).config is config
    with pytest.raises((TypeError, ValueError)):
        config_type(**{next(iter(dataclasses.asdict(config))): "no such value"})


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("side", [(32, 32), (36, 45)])
def test_waveform_has_one_value_per_frame(name: str, side: tuple[int, int]) -> None:
    network = built(name)
    for times in (1, 2):
        with torch.no_grad():
            waveform = network(random_frames(1, 3, times * network.multiple, *side))
        assert waveform.shape == (1, times * network.multiple)
        assert waveform.dtype == torch.float32
        assert waveform.isfinite().all()


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("side", [(48, 33), (64, 64), (128, 128), (100, 128)])
@pytest.mark.parametrize("times", [1, 5, 16])
def test_any_size_from_32_pixels_and_any_multiple_of_frames_is_accepted(
    name: str, side: tuple[int, int], times: int
) -> None:
    network = shapes_only(name)
    clip = torch.empty((2, 3, times * network.multiple, *side), dtype=torch.uint8, device="meta")
    with torch.inference_mode():
        assert network(clip).shape == (2, times * network.multiple)


@pytest.mark.slow
@every_network
def test_clip_length_is_rounded_up_to_a_multiple(name: str) -> None:
    multiple = shapes_only(name).multiple
    assert clip_length(name, 1) == multiple
    assert clip_length(name, 5 * multiple) == 5 * multiple
    assert clip_length(name, 5 * multiple + 1) == 6 * multiple
    assert 0 < macs(name, multiple, 32) < macs(name, 2 * multiple, 64)


@pytest.mark.slow
@every_network
def test_dtype_and_memory_layout_of_frames_make_no_difference(name: str) -> None:
    network = built(name)
    frames = clips(network, batch=1)
    with torch.no_grad():
        waveform = network(frames)
        assert torch.equal(network(frames), waveform)
        for dtype in (torch.float16, torch.float64, torch.int32):
            torch.testing.assert_close(network(frames.to(dtype)), waveform, rtol=0, atol=0)
        as_decoded = frames.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
        torch.testing.assert_close(network(as_decoded), waveform, rtol=0, atol=1e-4 * waveform.std().item())


@pytest.mark.slow
@every_network
def test_clips_of_a_batch_are_independent(name: str) -> None:
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
def test_invalid_frames_are_refused(name: str, change: Any, message: str) -> None:
    network = built(name)
    with pytest.raises(ValueError, match=message):
        network(change(clips(network)))


@every_network
def test_length_that_is_no_multiple_is_refused(name: str) -> None:
    network = built(name)
    for length in {1, network.multiple + 1} if network.multiple > 1 else ():
        with pytest.raises(ValueError, match=f"frames must hold a multiple of {network.multiple} frames"):
            network(random_frames(1, 3, length, SMALLEST, SMALLEST))


@pytest.mark.slow
@every_network
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network: Any = NETWORKS[name].build()
    network(clips(network)).square().mean().backward()
    for each, parameter in network.named_parameters():
        assert parameter.grad is not None, each
        assert parameter.grad.isfinite().all(), each
        # A bias before a normalisation, or of the keys of an attention, has no effect: its gradient is only rounding.
        assert each.endswith(".bias") or parameter.grad.any(), each


@pytest.mark.slow
@every_network
def test_saved_weights_are_loaded_unchanged(name: str, tmp_path: Path) -> None:
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
def test_exported_network_computes_the_same_in_every_engine(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name == "physfsunet":  # exported already for other tests
        trained = request.getfixturevalue("trained")
        network, side, path = trained.network, trained.card.size, trained.onnx
    else:
        config, path = SHALLOW.get(name, {}), tmp_path / "x.onnx"
        network, described = built(name, **config), card(name, **config)
        side = described.size
        save_model(network, described, tmp_path / "x.safetensors")
        assert export(tmp_path / "x.safetensors", path) < 1e-4
    engines = {kind: load_engine(path, kind, "f32") for kind in ("openvino", "onnxruntime", "torch")}
    for shape in ((1, 4 * network.multiple, side, side), (2, 3 * network.multiple, 45, 33)):
        frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = network(torch.from_numpy(frames).permute(0, 4, 1, 2, 3)).numpy()
        for kind, engine in engines.items():
            assert np.abs(engine.backend(frames) - expected).max() < 1e-4 * expected.std(), (kind, shape)


@pytest.mark.slow
@every_network
def test_generated_figures_are_those_of_the_network(name: str) -> None:
    assert NETWORKS[name].figures == computed_figures(name), "run `python -m facepulse.models.figures`"


@pytest.mark.slow
def test_generated_files_are_up_to_date() -> None:
    assert FIGURES.read_text(encoding="utf-8") == to_csv(), "run `python -m facepulse.models.figures`"
    assert to_markdown() in PAGE.read_text(encoding="utf-8"), "run `python -m facepulse.models.figures`"

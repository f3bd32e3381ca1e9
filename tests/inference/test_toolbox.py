"""Checkpoints of rPPG-Toolbox: recognition, loading, computation as in its layer tables, and errors of one line."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import toolbox_checkpoints  # noqa: E402
from facepulse import load_model, measure  # noqa: E402
from facepulse.errors import UsageError  # noqa: E402
from facepulse.inference.registry import NETWORKS  # noqa: E402
from facepulse.inference.toolbox import LAYOUTS, load_checkpoint  # noqa: E402
from facepulse.inference.weights import load_with_card, read_card, save_model  # noqa: E402
from facepulse.models import PhysNet  # noqa: E402
from facepulse.rppg.protocols import PROTOCOLS  # noqa: E402
from facepulse.rppg.spectrum import heart_rate  # noqa: E402
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames  # noqa: E402

every_layout = pytest.mark.parametrize("network", LAYOUTS)


def written(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def wrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.mark.slow
@every_layout
def test_checkpoint_is_recognised_and_loaded_completely_and_gets_a_card(network: str, tmp_path: Path) -> None:
    state = toolbox_checkpoints.state(network)
    path = written(tmp_path / f"PURE_{network.replace('-', '').upper()}.pth", wrapped(state))
    loaded, card = load_with_card(path)
    assert type(loaded) is NETWORKS[network].load().network
    assert not loaded.training
    found = loaded.state_dict()
    used = {name: tensor for name, tensor in state.items() if "qkv_linear" not in name}
    assert len(found) == len(used)
    for name, tensor in found.items():
        assert torch.equal(tensor.flatten(), used[LAYOUTS[network].theirs(name)].flatten()), name

    assert (card.name, card.network, card.margin, card.fps) == (path.stem, network, 0.25, 30.0)
    assert card.output == ("waveform" if network == "rhythmformer" else "derivative")
    assert card.frames % (2 * loaded.multiple) == 0
    assert card.size == getattr(loaded.config, "size", 72)
    assert save_model(loaded, card, tmp_path / "x.safetensors") == card
    frames = torch.randint(0, 256, (1, 3, 2 * loaded.multiple, 36, 36), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "x.safetensors")(frames), loaded(frames))
    with pytest.raises(UsageError, match=r"\.pth has no card: load_with_card makes one"):
        read_card(path)


@pytest.mark.slow
@pytest.mark.parametrize("size", [36, 72, 96, 128])
@pytest.mark.parametrize("network", toolbox_checkpoints.FRAME_NETWORKS)
def test_config_of_a_checkpoint_follows_from_the_shapes_of_its_tensors(network: str, size: int, tmp_path: Path) -> None:
    state = toolbox_checkpoints.state(network, size)
    loaded = load_model(written(tmp_path / f"PURE_{network.replace('-', '').upper()}.pth", state))
    assert loaded.config == NETWORKS[network].load().config(size=size)


def test_rhythmformer_has_layers_in_the_toolbox_that_no_output_depends_on() -> None:
    shapes = toolbox_checkpoints.shapes("rhythmformer")
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items() if name.endswith((".weight", ".bias"))}
    unused = sum(size for name, size in sizes.items() if "qkv_linear" in name)
    assert unused == 74_880
    assert sum(sizes.values()) - unused == NETWORKS["rhythmformer"].figures.parameters


@pytest.mark.slow
@pytest.mark.parametrize("network", toolbox_checkpoints.FRAME_NETWORKS)
def test_network_computes_the_layer_tables(network: str, tmp_path: Path) -> None:
    state = toolbox_checkpoints.state(network, 36)
    loaded = load_model(written(tmp_path / f"{network}.pth", state))
    frames = torch.randint(0, 256, (2, 20, 3, 36, 36), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = loaded(frames.transpose(1, 2)).double()
    for clip, one in zip(frames, found, strict=True):
        expected = toolbox_checkpoints.waveform(network, state, clip)
        # Nearly the same input: standardisation adds a variance of one grey level.
        torch.testing.assert_close(one, expected, rtol=0, atol=2e-3 * expected.std().item())


def test_checkpoint_of_data_parallel_loads_the_same(tmp_path: Path) -> None:
    state = toolbox_checkpoints.state("efficientphys", 36)
    one, other = (load_model(written(tmp_path / "x.pth", each)) for each in (state, wrapped(state)))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.slow
def test_deepphys_and_ts_can_are_distinguished_by_the_name_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "best.pth", toolbox_checkpoints.state("ts-can", 36))
    assert type(load_checkpoint(path, "deepphys")[0]).__name__ == "DeepPhys"
    assert type(load_checkpoint(path, "ts-can")[0]).__name__ == "TSCAN"
    for name in ("last.pth", "TSCAN-or-DeepPhys.pth"):
        path = path.rename(tmp_path / name)
        with pytest.raises(UsageError, match=r"may be of deepphys or ts-can, .* put one of these into the name"):
            load_model(path)
    with pytest.raises(UsageError, match="'resnet' are known: choose one of physnet, deepphys"):
        load_checkpoint(path, "resnet")


PUBLISHED = {  # bpm to the rate that section 5.1 of the survey of the toolbox reports for a synthetic face
    "SCAMPS": {55: 53.2, 72: 72.1, 95: 94.9, 120: 120.0},
    "UBFC-rPPG": {72: 74.3, 95: 95.8, 120: 120.4},  # measures the second harmonic at 55
    "PURE": {55: 58.0, 120: 120.4},  # measures the second harmonic at 72 and 95
}


@pytest.fixture(scope="module")
def faces() -> dict[int, np.ndarray]:
    """Crops of a painted face at each heart rate, uint8 (128, 72, 72, 3)."""
    clips = {}
    for bpm in (55, 72, 95, 120):
        head = PaintedFace(metronome(bpm, 6), height=1.2)
        painted = paint_frames([head], np.arange(128) / 30, width=320, height=240)
        crops = [cv2.resize(frame[30:210, 90:230], (72, 72), interpolation=cv2.INTER_AREA) for frame in painted]
        clips[bpm] = np.stack(crops)
    return clips


@pytest.mark.slow
@pytest.mark.parametrize("trained_on", PUBLISHED)
def test_released_weights_measure_the_published_rates(shared_data: Path, faces, trained_on: str) -> None:
    network = load_model(shared_data / "toolbox_weights" / f"{trained_on}_PhysNet_DiffNormalized.pth")
    assert type(network) is PhysNet
    for bpm, published in PUBLISHED[trained_on].items():
        with torch.no_grad():
            derivative = network(torch.from_numpy(faces[bpm]).permute(3, 0, 1, 2)[None])[0].double().numpy()
        # It was trained on differences of the reference, and predicts the derivative of the BVP.
        measured = heart_rate(np.cumsum(derivative), 30, PROTOCOLS["facepulse"])
        assert measured == pytest.approx(published, abs=3), bpm


@pytest.mark.slow
def test_released_weights_measure_a_real_face(shared_data: Path) -> None:
    """The networks predict the derivative; without integration its second harmonic, 106 bpm, would be measured."""
    face, weights = shared_data / "evm_face" / "face.mp4", shared_data / "toolbox_weights"
    # SCAMPS' people are rendered: its network alone measures 119 bpm, and 52.7 only together with the regions.
    for name in ("UBFC-rPPG", "PURE", "SCAMPS"):
        result = measure(face, method=str(weights / f"{name}_PhysNet_DiffNormalized.pth"))
        assert result.bpm == pytest.approx(52.7, abs=1.5)
        assert result.method == f"{name}_PhysNet_DiffNormalized"


def _without(name: str) -> dict[str, torch.Tensor]:
    state = toolbox_checkpoints.state("efficientphys", 36)
    del state[name]
    return wrapped(state)


def _with(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**toolbox_checkpoints.state("deepphys", 36), name: tensor}


class Harmful:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            _without("motion_conv3.bias"),
            "a checkpoint of EfficientPhys, lacks the tensor motion_conv3.bias",
        ),
        (_without("final_dense_1.weight"), "lacks the tensor final_dense_1.weight"),
        (_with("other.weight", torch.zeros(3)), "of DeepPhys, has an unknown tensor other.weight"),
        (
            _with("motion_conv4.weight", torch.zeros(64, 64, 5, 5)),
            r"motion_conv4.weight is float32 of shape \(64, 64, 5, 5\), but DeepPhys expects .* \(64, 64, 3, 3\)",
        ),
        (_with("motion_conv1.bias", torch.zeros(32, dtype=torch.int64)), "motion_conv1.bias is int64 of shape"),
        (
            _with("final_dense_1.weight", torch.zeros(128, 3000)),
            r"final_dense_1.weight is float32 of shape \(128, 3000",
        ),
        (_with("final_dense_1.weight", torch.zeros(128)), "no such network can be built with their shapes"),
        (_with("motion_conv1.weight", torch.tensor(1.0)), "no such network can be built with their shapes"),
        (_with("motion_conv1.weight", torch.zeros(0, 3, 3, 3)), "no such network can be built with their shapes"),
        (_with("motion_conv1.weight", torch.zeros(10**9, 0)), "no such network can be built|but DeepPhys expects"),
        ({"layer1.weight": torch.zeros(3), "fc.bias": torch.zeros(3)}, "not a checkpoint of a known network"),
        ({}, "holds no tensors by name"),
        ({"epoch": 3, "state_dict": {}}, "holds no tensors by name"),
        ([torch.zeros(3)], "holds no tensors by name"),
        (torch.zeros(3), "holds no tensors by name"),
    ],
)
def test_tensors_that_do_not_fit_give_an_error_of_one_line(tmp_path: Path, state: object, words: str) -> None:
    path = written(tmp_path / "deepphys.pth", state)
    with pytest.raises(UsageError, match=words) as error:
        load_model(path)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -5000, -1])
def test_truncated_file_gives_an_error_of_one_line(tmp_path: Path, kept: int) -> None:
    whole = written(tmp_path / "whole.pth", toolbox_checkpoints.state("efficientphys", 36)).read_bytes()
    path = tmp_path / "deepphys.pth"
    path.write_bytes(whole[:kept])
    with pytest.raises(UsageError, match=r"deepphys\.pth is damaged") as error:
        load_model(path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.filterwarnings("error")
def test_no_code_in_a_file_is_run(tmp_path: Path, capsys) -> None:
    written(tmp_path / "x.pth", {"motion_conv1.weight": Harmful()})
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Harmful()))
    (tmp_path / "z.pt").write_text("this is no network\n" * 100)
    for path in tmp_path.iterdir():
        with pytest.raises(UsageError, match="is damaged, or not a file of tensors"):
            load_model(path)
    assert capsys.readouterr().out == ""


def test_missing_file_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights are called"):
        load_model(tmp_path / "x.pth")

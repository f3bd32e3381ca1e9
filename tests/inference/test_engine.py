import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facepulse.errors import UsageError
from facepulse.inference import engine as engine_module
from facepulse.inference.engine import Engine, load_engine
from facepulse.inference.registry import DEFAULT
from facepulse.inference.weights import exported
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import filtered, heart_rate

ENGINES = ("openvino", "onnxruntime", "torch")


class GreenBackend:
    """Stand-in for a network: the inverted mean green of each frame, in a unit and offset of its own."""

    metadata: dict[str, str] = {}  # noqa: RUF012
    precision = "f32"

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        assert frames.dtype == np.uint8
        assert frames.flags.c_contiguous
        self.lengths.append(frames.shape[1])
        return np.float32(300) - 3 * frames[..., 1].mean(axis=(2, 3), dtype=np.float32)


@pytest.fixture
def green() -> Engine:
    return Engine("torch", SimpleNamespace(multiple=4, frames=64, output="waveform"), GreenBackend())  # type: ignore[arg-type]


def _clip(values: np.ndarray) -> np.ndarray:
    """Frames whose green is these values, (T,) to (T, 32, 32, 3)."""
    frames = np.zeros((len(values), 32, 32, 3), np.uint8)
    frames[..., 1] = values[:, None, None]
    return frames


@pytest.mark.parametrize("length", [65, 96, 101, 500])
def test_joined_waveform_follows_the_pulse_up_to_its_ends(green: Engine, length: int) -> None:
    wave = np.cos(2 * np.pi * 1.2 * np.arange(length) / 30)
    found = green(_clip(np.rint(120 - 100 * wave)))
    assert found.shape == (length,)
    assert np.abs(found / np.sqrt(2) - wave).max() < 0.2, "windows hold no whole number of beats, so none fits exactly"
    assert set(green.backend.lengths) == {64}


def test_drift_leaves_no_step_between_windows(green: Engine) -> None:
    time = np.arange(320)
    found = green(_clip(np.rint(100 + 0.3 * time - 8 * np.cos(2 * np.pi * 1.5 * time / 30))))
    steps = np.abs(np.diff(found))
    assert steps[30:-30].max() < 1.3 * np.sort(steps)[-40:].mean()


@pytest.mark.parametrize(("length", "seen"), [(8, 8), (61, 64), (62, 64), (63, 64), (64, 64), (57, 60), (9, 12)])
def test_short_clip_is_one_window_and_keeps_its_length(green: Engine, length: int, seen: int) -> None:
    values = np.random.default_rng(length).integers(0, 256, length)
    found = green(_clip(values))
    assert green.backend.lengths == [seen]
    assert found == pytest.approx(-(values - values.mean()) / values.std(), abs=1e-4)


def test_derivative_is_integrated(green: Engine) -> None:
    wave = np.cos(2 * np.pi * 1.2 * np.arange(300) / 30)
    derivative = replace(green, card=SimpleNamespace(**{**vars(green.card), "output": "derivative"}))  # type: ignore[arg-type]
    frames = _clip(np.rint(120 - 100 * np.diff(wave, prepend=1.0) / np.abs(np.diff(wave)).max()))
    found = derivative(np.stack([frames, frames]))
    assert found.shape == (2, 300)
    assert found.std(axis=1) == pytest.approx(1.0)
    for read in found:
        settled = filtered(read.astype(np.float64), 30, PROTOCOLS["facepulse"])  # an integral drifts
        assert np.corrcoef(settled[30:-30], wave[30:-30])[0, 1] > 0.98


def test_batch_equals_its_clips(green: Engine) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (3, 150, 32, 32, 3), dtype=np.uint8)
    assert green(batch) == pytest.approx(np.stack([green(clip) for clip in batch]), abs=1e-5)


def test_constant_window_gives_zeros_and_the_rest_does_not(green: Engine) -> None:
    values = np.full(192, 100)
    values[128:] += np.arange(64) % 7
    found = green(_clip(values))
    assert not found[:96].any()
    assert found[128:].std() == pytest.approx(1, abs=0.1)
    assert np.isfinite(green(_clip(np.full(64, 77)))).all()


def test_memory_map_is_read_window_by_window(green: Engine, tmp_path: Path) -> None:
    frames = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (300, 32, 32, 3))
    frames[:] = np.random.default_rng(1).integers(0, 256, frames.shape, dtype=np.uint8)
    assert np.array_equal(green(np.load(tmp_path / "x.npy", mmap_mode="r")), green(np.array(frames)))
    assert max(green.backend.lengths) == 64


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((64, 32, 32, 3), np.float32), "uint8.*float32"),
        ([[0]], "uint8.*list"),
        (np.zeros((64, 32, 32), np.uint8), r"\(T, H, W, 3\).*\(64, 32, 32\)"),
        (np.zeros((64, 3, 32, 32), np.uint8), r"\(64, 3, 32, 32\)"),
        (np.zeros((0, 64, 32, 32, 3), np.uint8), "at least one clip"),
        (np.zeros((7, 32, 32, 3), np.uint8), "at least 8 frames, not 7"),
        (np.zeros((64, 40, 31, 3), np.uint8), "at least 32x32 pixels, not 40x31"),
    ],
)
def test_invalid_frames_are_refused(green: Engine, frames: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"^frames must .*{words}"):
        green(frames)  # type: ignore[arg-type]


def _agree(onnx: Path, network: Callable[..., object], sizes: list[tuple[int, int]], lengths: list[int]) -> None:
    torch = pytest.importorskip("torch")
    engines = {name: load_engine(onnx, name, "f32") for name in ENGINES}  # type: ignore[arg-type]
    for height, width in sizes:
        for length in lengths:
            rng = np.random.default_rng(height * length)
            frames = rng.integers(0, 256, (2, length, height, width, 3), dtype=np.uint8)
            with torch.inference_mode():
                expected = network(torch.from_numpy(frames).permute(0, 4, 1, 2, 3)).numpy()  # type: ignore[attr-defined]
            for name, loaded in engines.items():
                assert loaded.precision == "f32"
                difference = np.abs(loaded.backend(frames) - expected).max() / expected.std()
                assert difference < 1e-4, (name, height, width, length)


@pytest.mark.slow
def test_all_engines_agree_with_torch_in_float32(trained) -> None:
    _agree(trained.onnx, trained.network, [(32, 32), (50, 41), (72, 72)], [16, 64])


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize("bpm", [57, 72, 139])
def test_bf16_keeps_the_heart_rate(trained, pulsating_clip, engine, bpm: int) -> None:
    _needs_bf16()
    clip, wave = pulsating_clip(bpm, 300, seed=999)
    exact, coarse = (load_engine(trained.onnx, engine, precision) for precision in ("f32", "bf16"))
    assert (exact.precision, coarse.precision) == ("f32", "bf16")
    rates = [heart_rate(loaded(clip), 30.0, PROTOCOLS["facepulse"]) for loaded in (exact, coarse)]
    assert np.corrcoef(exact(clip), wave)[0, 1] > 0.9, "the clip has a pulse"
    assert rates[0] == pytest.approx(bpm, abs=1)
    assert rates[1] == pytest.approx(rates[0], abs=0.1)
    assert not np.array_equal(exact(clip), coarse(clip))


def test_bf16_keeps_the_heart_rate_of_released_weights(shared_data: Path, trained, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    import cv2

    from facepulse.inference.weights import save_model
    from facepulse.models import PhysNet
    from facepulse.models.export import export
    from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames

    _needs_bf16()
    network = PhysNet()
    path = shared_data / "toolbox_weights" / "SCAMPS_PhysNet_DiffNormalized.pth"
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    card = replace(trained.card, network="physnet", config={}, frames=128, size=72)
    save_model(network, card, tmp_path / "x.safetensors")
    export(tmp_path / "x.safetensors", tmp_path / "x.onnx")
    painted = paint_frames([PaintedFace(metronome(72, 9), height=1.2)], np.arange(240) / 30, width=320, height=240)
    clip = np.stack([cv2.resize(frame[30:210, 90:230], (72, 72), interpolation=cv2.INTER_AREA) for frame in painted])
    exact, coarse = (load_engine(tmp_path / "x.onnx", "openvino", precision)(clip) for precision in ("f32", "bf16"))
    rates = [heart_rate(waveform, 30.0, PROTOCOLS["facepulse"]) for waveform in (exact, coarse)]
    assert rates[0] == pytest.approx(72, abs=1)
    assert rates[1] == pytest.approx(rates[0], abs=0.1)


def _needs_bf16() -> None:
    if not engine_module.computes_bf16():
        pytest.skip("this processor does not compute in bf16")


@pytest.mark.parametrize(("native", "precisions"), [(True, ["bf16", "f32", "bf16"]), (False, ["f32", "f32", "f32"])])
def test_auto_is_bf16_if_processor_and_engine_support_it(trained, monkeypatch, native, precisions) -> None:
    monkeypatch.setattr(engine_module, "computes_bf16", lambda: native)
    assert [load_engine(trained.onnx, name).precision for name in ENGINES] == precisions  # type: ignore[arg-type]
    for name in ("onnxruntime",) if native else ENGINES:
        with pytest.raises(UsageError, match="choose precision f32 or auto"):
            load_engine(trained.onnx, name, "bf16")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_read_only_frames_are_accepted_by_every_engine(trained, pulsating_clip) -> None:
    clip, _ = pulsating_clip(72, 100)
    clip.setflags(write=False)
    waveforms = [load_engine(trained.onnx, name, "f32")(clip) for name in ENGINES]  # type: ignore[arg-type]
    assert waveforms[0] == pytest.approx(waveforms[1], abs=1e-3)
    assert waveforms[0] == pytest.approx(waveforms[2], abs=1e-3)


def test_engine_has_the_card_of_its_file(trained) -> None:
    for name in ENGINES:
        assert load_engine(trained.onnx, name).card == trained.card  # type: ignore[arg-type]


def test_no_telemetry_and_no_file_in_the_home_folder(trained, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from facepulse.inference.engine import load_engine\n"
        f"load_engine({str(trained.onnx)!r})\n"
        "assert not [name for name in sys.modules if 'telemetry' in name and not name.startswith('openvino.')]\n"
        "print(sorted(name for name in sys.modules if name in ('torch', 'onnx', 'onnxruntime', 'safetensors')))"
    )
    home = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=home)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert not list(tmp_path.iterdir())


def _foreign() -> bytes:
    from facepulse.faces import detectors

    return Path(detectors.__file__).with_name("rfb_320.onnx").read_bytes()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda trained: None, "there is no file"),
        (lambda trained: b"", "cannot load|no model card"),
        (lambda trained: b"this is no network\n" * 50, "cannot load"),
        (lambda trained: trained.onnx.read_bytes()[:-20000], "cannot load|no model card"),
        (lambda trained: trained.weights.read_bytes(), "cannot load"),
        (lambda trained: _foreign(), "has no model card"),
        (lambda trained: trained.onnx.read_bytes().replace(b'"fps"', b'"fpz"'), "lacks fps"),
    ],
    ids=["missing", "empty", "text", "truncated", "weights", "foreign", "card"],
)
def test_invalid_file_gives_an_error_of_one_line(trained, tmp_path: Path, engine, make, words: str) -> None:
    path = tmp_path / "x.onnx"
    content = make(trained)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as error:
        load_engine(path, engine)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_unknown_engine_and_precision(trained) -> None:
    with pytest.raises(UsageError, match="'tensorrt': choose one of openvino, onnxruntime, torch"):
        load_engine(trained.onnx, "tensorrt")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'int8': choose one of auto, f32, bf16"):
        load_engine(trained.onnx, "openvino", "int8")  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engine_that_is_not_installed(trained, monkeypatch: pytest.MonkeyPatch, engine) -> None:
    monkeypatch.setitem(sys.modules, engine, None)
    monkeypatch.setattr(engine_module, "computes_bf16", lambda: False)
    with pytest.raises(UsageError, match=f"{engine} is not installed: pip install {engine}"):
        load_engine(trained.onnx, engine)


def test_threads_are_limited_as_those_of_other_libraries_and_do_not_change_the_waveform(
    monkeypatch: pytest.MonkeyPatch, pulsating_clip
) -> None:
    frames, _ = pulsating_clip(72.0, 200, size=36)
    waveforms = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        engine = load_engine(exported(DEFAULT), precision="f32")
        assert engine.backend._core.get_property("CPU", "INFERENCE_NUM_THREADS") == int(threads)
        waveforms.append(engine(frames))
    np.testing.assert_array_equal(*waveforms)

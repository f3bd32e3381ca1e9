"""Heart rates of simulated recordings by methods and networks that were developed for real faces.

Methods that work on real people should work on simulated ones too.

    python benchmarks/external_methods.py VIDEOS_ROOT [--method POS CHROM GREEN] [--open-rppg PYTHON]
                                          [--networks NAME ...] [--weights FOLDER] [--json FILE]

VIDEOS_ROOT holds simulated recordings in the native layout: NAME/video.* (mp4, avi, ...), NAME/ppg.csv (time_s, ppg,
bpm) and NAME/recording.json, with at least "mean_bpm" or "bpm", and with "face_box" ([x, y, width, height] in
pixels, or one box per frame) if known. The methods:

* "POS, whole box": the literature's protocol. Mean RGB of the box that Haar's detector finds in the first frame,
  enlarged by half (the whole frame if it finds none), one spectrum of the whole video.
* "POS, facepulse": the estimate of `facepulse.measure`, withheld or not, and the share of recordings in which its
  quality is above the threshold.
* "PhysNet, PURE": weights that rPPG-Toolbox released, with the inputs of the toolbox; FOLDER holds its
  *_PhysNet_DiffNormalized.pth. "PhysNet, PURE, facepulse": the same weights in `facepulse.measure`, whose face box
  follows the face.
* "open-rppg ...": networks of the package open-rppg 0.1.1, with their own face detector. PYTHON is an interpreter that
  can import it (make it a virtual environment of its own: pip install open-rppg==0.1.1 "setuptools<82"). Set
  JAX_COMPILATION_CACHE_DIR to a folder to compile each network only once.

Times are those of the frames. The reference of facepulse is the mean bpm of recording.json. That of every other method
is the PPG at the times of its samples, evaluated by the same protocol, which may select the second harmonic of a low
heart rate; the output counts how often. All data are simulated.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse import measure
from facepulse._files import atomic_write, check_writable
from facepulse._types import Floats
from facepulse.errors import FacepulseError, NoFaceError, TooShortError, UsageError
from facepulse.evaluation import metrics
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.models.export import export
from facepulse.rppg.classical import CLASSICAL, WINDOW_S
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import MINIMUM_SAMPLES, heart_rate
from facepulse.video.reader import open_video

if TYPE_CHECKING:
    from facepulse.models import PhysNet


PROTOCOL = PROTOCOLS["toolbox-2023"]
RELEASED = Path(__file__).resolve().parents[2] / "shared" / "data" / "toolbox_weights"
RELEASED_NAMES = "*_PhysNet_DiffNormalized.pth"
SIZE, CLIP = 72, 128  # pixels and frames of PhysNet in the toolbox
CLOSE_BPM = 5.0
DETECTION_INTERVAL = 5  # frames from one detection to the next
OPEN_RPPG = Path(__file__).with_name("open_rppg.py")
# TSCAN's output is NaN throughout, PhysMamba takes minutes per video.
NETWORKS = ("FacePhys.rlap", "PhysNet.pure", "PhysNet.rlap", "ME-chunk.pure", "ME-chunk.rlap")


@dataclass(frozen=True)
class Recording:
    """A simulated recording: its video, true mean bpm, face boxes (1 or T, 4) if known, and PPG (R,) at times (R,)."""

    name: str
    video: Path
    bpm: float
    boxes: Floats | None
    ppg_times: Floats
    ppg: Floats


@dataclass(frozen=True)
class MethodRate:
    """Heart rate of one recording by one method; without a result, bpm is None and note gives the reason.

    `own_bpm` and `own_quality` are those that facepulse or open-rppg gives itself (facepulse: None if withheld).
    """

    method: str
    bpm: float | None
    reference_bpm: float
    note: str = ""
    own_bpm: float | None = None
    own_quality: float | None = None


def find_recordings(root: Path) -> list[Recording]:
    """Find and check all recordings below a root."""
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder; give one that holds simulated recordings")
    folders = sorted(path.parent for path in root.glob("*/recording.json"))
    if not folders:
        raise UsageError(f"{root}: no recording in it, each is a folder with recording.json, ppg.csv and video.*")
    return [_recording(folder) for folder in folders]


def _recording(folder: Path) -> Recording:
    videos = list(folder.glob("video.*"))
    if len(videos) != 1:
        raise UsageError(f"{folder}: {len(videos)} files have the name video.*, expected one")
    about, table = folder / "recording.json", folder / "ppg.csv"
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
        bpm = float(content["mean_bpm"] if "mean_bpm" in content else content["bpm"])
        box = content.get("face_box")
        boxes = None if box is None else np.array(box, np.float64).reshape(-1, 4)
        if not 0 < bpm < math.inf:
            raise ValueError(f"bpm is {bpm:g}")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f'{about}: expected a "mean_bpm" above zero, and boxes of four numbers: {_line(error)}'
        ) from None
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = [(float(row["time_s"]), float(row["ppg"])) for row in csv.DictReader(file)]
        times, ppg = np.array(rows, np.float64).reshape(-1, 2).T
        if len(ppg) < 2 or not np.isfinite(rows).all() or np.diff(times).min() <= 0 or np.ptp(ppg) == 0:
            raise ValueError("fewer than two rows, NaN, times that do not increase, or a constant ppg")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{table}: expected numbers in columns time_s and ppg: {_line(error)}") from None
    return Recording(folder.name, videos[0], bpm, boxes, times, ppg)


def crop_faces(recording: Recording, detector: cv2.CascadeClassifier) -> tuple[NDArray[np.uint8], Floats, float]:
    """Crops of the face as in the toolbox (T, 72, 72, 3), times (T,), and the share of frames with a face."""
    crops: list[Any] = []
    times: list[float] = []
    found: list[bool] = []
    corners = None
    with open_video(recording.video, max_side=1 << 16) as video:
        for frame in video:
            left, top, right, bottom = corners = corners or _toolbox_box(frame.image, detector)
            crop = frame.image[top:bottom, left:right]
            crops.append(cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            if len(times) % DETECTION_INTERVAL == 0:
                found.append(_face_is_found(frame.image, detector, recording.boxes, len(times)))
            times.append(frame.time)
    clock = np.array(times)
    if clock[-1] > recording.ppg_times[-1] + 1 or recording.ppg_times[0] > 1:
        covered = f"{recording.ppg_times[0]:.1f} to {recording.ppg_times[-1]:.1f} s"
        raise UsageError(f"{recording.video.parent}: the video lasts {clock[-1]:.1f} s, but ppg.csv covers {covered}")
    return np.stack(crops).astype(np.uint8), clock, float(np.mean(found))


def _toolbox_box(image: NDArray[np.uint8], detector: cv2.CascadeClassifier) -> tuple[int, int, int, int]:
    """Left, top, right, bottom: the widest face, 1.5 times as large; moved, not cut, at the left and upper edge."""
    height, width = image.shape[:2]
    # The toolbox hands RGB to a detector that takes it for BGR: red and blue change places in its grey.
    faces = detector.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    if len(faces) == 0:
        return 0, 0, width, height
    x, y, w, h = max(map(tuple, faces), key=lambda face: face[2])
    left, top = max(0, int(x - 0.25 * w)), max(0, int(y - 0.25 * h))
    return left, top, min(width, left + int(1.5 * w)), min(height, top + int(1.5 * h))


def _face_is_found(image: NDArray[np.uint8], detector: cv2.CascadeClassifier, boxes: Floats | None, index: int) -> bool:
    """True if a face is found whose centre lies in the true box, or any face if that box is unknown."""
    smallest = max(24, min(image.shape[:2]) // 10)  # halves the time; no simulated face is smaller
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    faces = detector.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest))
    if boxes is None:
        return len(faces) > 0
    left, top, width, height = boxes[min(index, len(boxes) - 1)]
    return any(0 <= x + w / 2 - left <= width and 0 <= y + h / 2 - top <= height for x, y, w, h in faces)


def estimate_from_waveform(
    method: str, recording: Recording, waveform: Floats, times: Floats, fps: float
) -> MethodRate:
    """Heart rate of a waveform under the toolbox's protocol."""
    if len(waveform) < MINIMUM_SAMPLES:
        return MethodRate(method, None, recording.bpm, "too short")
    reference = heart_rate(np.interp(times, recording.ppg_times, recording.ppg), fps, PROTOCOL)
    if not np.isfinite(waveform).all():
        return MethodRate(method, None, reference, "NaN")
    return MethodRate(method, heart_rate(waveform, fps, PROTOCOL), reference)


def estimate_with_facepulse(recording: Recording, model: str, name: str) -> MethodRate:
    """Heart rate from `facepulse.measure` with a method or an ONNX file, withheld or not."""
    method = f"{name}, facepulse"
    try:
        measurement = measure(recording.video, method=model, min_quality=0.0)  # estimates below the threshold too
    except (NoFaceError, TooShortError) as error:
        return MethodRate(method, None, recording.bpm, _line(error))
    shown = measurement.bpm if measurement.quality >= QUALITY_THRESHOLD else None
    return MethodRate(method, measurement.bpm, recording.bpm, own_bpm=shown, own_quality=measurement.quality)


@cache
def load_physnets(folder: Path) -> dict[str, PhysNet]:
    """PhysNet with each of the toolbox's released weights in a folder, by the name of the training dataset."""
    import torch

    from facepulse.models import PhysNet

    networks = {}
    for path in sorted(folder.glob(RELEASED_NAMES)):
        network = PhysNet().eval()
        try:
            network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        except Exception as error:  # torch raises several types for files of other kinds
            raise UsageError(f"{path}: not the toolbox's weights of PhysNet: {_line(error)}") from None
        networks[path.name.split("_")[0]] = network
    return networks


def physnet_waveform(network: PhysNet, crops: NDArray[np.uint8]) -> Floats:
    """BVP waveform (T',) of crops (T, 72, 72, 3) with the inputs of the toolbox; T' is the length in whole clips.

    The project's network normalises each clip. The toolbox normalises the whole video before it cuts clips, so that its
    differences replace those of the network here.
    """
    import torch

    later, earlier = crops[1:].astype(np.float32), crops[:-1].astype(np.float32)
    ratio = (later - earlier) / (later + earlier + 1e-7)
    ratio /= max(float(ratio.std()), 1e-12)
    differences = np.pad(ratio, ((0, 1), (0, 0), (0, 0), (0, 0)))

    def predict(clip: NDArray[np.float32]) -> Floats:
        given = torch.from_numpy(clip).permute(3, 0, 1, 2)[None]
        with torch.inference_mode(), network.ConvBlock1.register_forward_pre_hook(lambda *_: (given,)):
            return np.asarray(network(torch.zeros(given.shape, dtype=torch.uint8))[0], np.float64)

    derivatives = [predict(differences[start : start + CLIP]) for start in range(0, len(crops) - CLIP + 1, CLIP)]
    # The network was trained on the derivative of the PPG.
    return np.cumsum(np.concatenate(derivatives)) if derivatives else np.zeros(0)


def estimate_with_open_rppg(python: str, network: str, recordings: Sequence[Recording]) -> list[MethodRate]:
    """Estimate the heart rate of each recording with a network of open-rppg."""
    videos = [str(recording.video.resolve()) for recording in recordings]
    lines = [line for line in _run(python, str(OPEN_RPPG), network, *videos).splitlines() if line.startswith("{")]
    if len(lines) != len(recordings):
        raise UsageError(f"open-rppg's {network} gave results for {len(lines)} of {len(recordings)} videos")
    method, estimates = f"open-rppg {network}", []
    for recording, line in zip(recordings, lines, strict=True):
        result: dict[str, Any] = json.loads(line)
        waveform, times = np.array(result["waveform"], np.float64), np.array(result["times"], np.float64)
        estimate = estimate_from_waveform(method, recording, waveform, times, result["fps"])
        if estimate.bpm is not None:
            estimate = replace(estimate, own_bpm=result["hr"], own_quality=result["SQI"])
        estimates.append(estimate)
    return estimates


def _run(python: str, *arguments: str) -> str:
    """Run the python of open-rppg's environment and return its output."""
    try:
        done = subprocess.run([python, *arguments], capture_output=True, text=True)
    except OSError as error:
        reason = error.strerror
    else:
        if done.returncode == 0:
            return done.stdout
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    raise UsageError(f"{python}: not a python that can import open-rppg: {reason}")


def table(estimates: Iterable[MethodRate], count: int) -> str:
    """Format one line per method: errors against the reference, and the share of small errors."""
    by_method: dict[str, list[MethodRate]] = {}
    for estimate in estimates:
        by_method.setdefault(estimate.method, []).append(estimate)
    lines = [f"{'method':30} {'results':>9}  {'MAE, bpm':>14}  {'RMSE, bpm':>14}  {'Pearson':>14}  within 5 bpm  shown"]
    for method, group in by_method.items():
        pairs = [(estimate.reference_bpm, estimate.bpm) for estimate in group if estimate.bpm is not None]
        figures, close = ["-", "-", "-"], 0
        if pairs:
            errors = metrics.heart_rate_errors(*zip(*pairs, strict=True))
            figures = [str(errors.mae), str(errors.rmse), "-" if errors.pearson is None else str(errors.pearson)]
            close = sum(abs(bpm - reference) <= CLOSE_BPM for reference, bpm in pairs)
        shown = sum(estimate.own_bpm is not None for estimate in group) / count
        lines.append(
            f"{method:30} {f'{len(pairs)} of {count}':>9}  {'  '.join(f'{figure:>14}' for figure in figures)}"
            f"  {close / count:12.0%}  {f'{shown:.0%}' if method.endswith('facepulse') else '':>5}"
        )
    return "\n".join(lines)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _line(error: Exception) -> str:
    """Message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def estimate_all(
    recording: Recording, methods: Sequence[str], weights: Path, exported: Sequence[Path]
) -> tuple[list[MethodRate], float]:
    """Estimates of all methods but open-rppg, and the share of frames in which Haar's detector finds the face."""
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    crops, times, found = crop_faces(recording, detector)
    fps = (len(times) - 1) / max(times[-1], 1e-3)
    if len(times) < WINDOW_S * fps + 1:
        raise UsageError(f"{recording.video}: {times[-1]:.1f} s are too short for all methods")
    trace = crops.mean((1, 2))
    waveforms = {f"{name}, whole box": CLASSICAL[name].waveform(trace, fps) for name in methods}
    estimates = [
        estimate_from_waveform(method, recording, waveform, times, fps) for method, waveform in waveforms.items()
    ]
    estimates += [estimate_with_facepulse(recording, name, name) for name in methods]
    for path in exported:
        estimates.append(estimate_with_facepulse(recording, str(path), f"PhysNet, {path.name.split('_')[0]}"))
    for trained_on, network in load_physnets(weights).items():
        waveform = physnet_waveform(network, crops)
        estimates.append(
            estimate_from_waveform(f"PhysNet, {trained_on}", recording, waveform, times[: len(waveform)], fps)
        )
    return estimates, found


def evaluate(options: argparse.Namespace) -> None:
    recordings = find_recordings(options.root)
    if options.open_rppg:
        _run(options.open_rppg, "-c", "import rppg")  # fails now if it is missing, not after an hour
    if options.json:
        check_writable(options.json)
    networks = load_physnets(options.weights)
    estimates: dict[str, list[MethodRate]] = {}
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_one_thread) as pool,
    ):
        exported = [Path(folder) / f"{path.stem}.onnx" for path in sorted(options.weights.glob(RELEASED_NAMES))]
        for path in exported:  # OpenVINO takes a fraction of torch's time
            export(options.weights / f"{path.stem}.pth", path)
        estimate = partial(estimate_all, methods=options.method, weights=options.weights, exported=exported)
        for number, (recording, result) in enumerate(zip(recordings, pool.map(estimate, recordings), strict=True), 1):
            print(f"{number} of {len(recordings)}: {recording.name}", file=sys.stderr, flush=True)
            estimates[recording.name], found[recording.name] = result
    for network in options.networks if options.open_rppg else ():
        print(f"open-rppg's {network}", file=sys.stderr, flush=True)
        results = estimate_with_open_rppg(options.open_rppg, network, recordings)
        for recording, result in zip(recordings, results, strict=True):
            estimates[recording.name].append(result)

    print(f"simulated; {len(recordings)} recordings of {options.root}; except for facepulse:\n{PROTOCOL}\n")
    print(table((each for group in estimates.values() for each in group), len(recordings)))
    doubled = sum(abs(estimates[each.name][0].reference_bpm - each.bpm) > CLOSE_BPM for each in recordings)
    print(f"\nreferences that under the protocol are more than {CLOSE_BPM:g} bpm from the true mean: {doubled}")
    shares = list(found.values())
    print(f"frames in which Haar's detector finds the face: {metrics.mean(shares)}, at the least {min(shares):.2f}")
    if not networks:
        print(f"PhysNet was left out: no *_PhysNet_DiffNormalized.pth in {options.weights}")
    if options.json:
        _write_json(options.json, recordings, estimates, found)


def _write_json(
    path: Path, recordings: Sequence[Recording], estimates: Mapping[str, list[MethodRate]], found: Mapping[str, float]
) -> None:
    content: dict[str, Any] = {"simulated": True, "protocol": str(PROTOCOL), "recordings": []}
    for each in recordings:
        about = {"name": each.name, "bpm": each.bpm, "face_found": found[each.name]}
        content["recordings"].append({**about, "estimates": [asdict(one) for one in estimates[each.name]]})
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="VIDEOS_ROOT")
    classical = ["POS", "CHROM", "GREEN"]
    parser.add_argument("--method", nargs="+", type=str.upper, choices=list(CLASSICAL), default=classical)
    parser.add_argument("--open-rppg", metavar="PYTHON")
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=list(NETWORKS))
    parser.add_argument("--weights", type=Path, metavar="FOLDER", default=RELEASED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        evaluate(options)
    except FacepulseError as error:
        print(f"external_methods: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

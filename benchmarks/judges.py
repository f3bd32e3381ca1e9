"""Do methods and networks made for real faces read the simulated ones? Whatever reads people should read them too.

    python benchmarks/judges.py VIDEOS_ROOT [--method POS CHROM GREEN] [--open-rppg PYTHON] [--networks NAME ...]
                                [--weights FOLDER] [--json FILE]

VIDEOS_ROOT holds simulated recordings in the native layout: NAME/video.* (mp4, avi, ...), NAME/ppg.csv (time_s, ppg,
bpm) and NAME/recording.json, with at least "mean_bpm" or "bpm", and with "face_box" ([x, y, width, height] in
pixels, or one such for each frame) if known. The judges:

* "POS, whole box": the literature's protocol. Mean colour of the box that Haar's detector finds in the first frame,
  enlarged by half (the whole picture where it finds none), one spectrum of the whole video.
* "POS, facepulse": what `facepulse.measure` reads, or its best guess where it withholds it; and how often it trusts it.
* "PhysNet, PURE": weights that rPPG-Toolbox released, fed as there; FOLDER holds its *_PhysNet_DiffNormalized.pth.
  "PhysNet, PURE, facepulse": the same weights in `facepulse.measure`, whose face box follows the face.
* "open-rppg ...": networks of the package open-rppg 0.1.1, with their own face detector. PYTHON is an interpreter that
  can import it (make it a virtual environment of its own: pip install open-rppg==0.1.1 "setuptools<82"). Set
  JAX_COMPILATION_CACHE_DIR to a folder to compile each network only once.

Times are frames' own. The reference of facepulse is the mean bpm of recording.json; that of every other judge is the
PPG at the times of its samples, read by the same protocol, which may take the second harmonic of a slow heart for it:
the output counts how often. All of it is simulated.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
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
EVERY = 5  # frames, of which one is looked at for a face
OPEN_RPPG = Path(__file__).with_name("open_rppg.py")
# TSCAN's output is NaN throughout, PhysMamba takes minutes a video.
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
class Reading:
    """What one judge read from one recording; bpm is None, and note says why, where it read nothing.

    `own_bpm` and `own_quality` are what facepulse or open-rppg says itself (facepulse: None where it withholds it).
    """

    judge: str
    bpm: float | None
    reference_bpm: float
    note: str = ""
    own_bpm: float | None = None
    own_quality: float | None = None


def find_recordings(root: Path) -> list[Recording]:
    """All recordings under a root, checked."""
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder; give one that holds simulated recordings")
    folders = sorted(path.parent for path in root.glob("*/recording.json"))
    if not folders:
        raise UsageError(f"{root}: no recording in it, each is a folder with recording.json, ppg.csv and video.*")
    return [_recording(folder) for folder in folders]


def _recording(folder: Path) -> Recording:
    videos = list(folder.glob("video.*"))
    if len(videos) != 1:
        raise UsageError(f"{folder}: {len(videos)} files are called video.*, one is wanted")
    about, table = folder / "recording.json", folder / "ppg.csv"
    try:
        said = json.loads(about.read_text(encoding="utf-8"))
        bpm = float(said["mean_bpm"] if "mean_bpm" in said else said["bpm"])
        boxes = None if said.get("face_box") is None else np.array(said["face_box"], np.float64).reshape(-1, 4)
        if not 0 < bpm < math.inf:
            raise ValueError(f"bpm is {bpm:g}")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f'{about}: wants a "mean_bpm" above zero, and boxes of four: {_line(error)}') from None
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = [(float(row["time_s"]), float(row["ppg"])) for row in csv.DictReader(file)]
        times, ppg = np.array(rows, np.float64).reshape(-1, 2).T
        if len(ppg) < 2 or not np.isfinite(rows).all() or np.diff(times).min() <= 0 or np.ptp(ppg) == 0:
            raise ValueError("fewer than two rows, NaN, times that do not ascend, or a ppg that never changes")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{table}: wants numbers in columns time_s and ppg: {_line(error)}") from None
    return Recording(folder.name, videos[0], bpm, boxes, times, ppg)


def look(recording: Recording, detector: cv2.CascadeClassifier) -> tuple[NDArray[np.uint8], Floats, float]:
    """Crops of the face as the toolbox makes them (T, 72, 72, 3), times (T,), and the share of frames with a face."""
    crops: list[Any] = []
    times: list[float] = []
    found: list[bool] = []
    corners = None
    with open_video(recording.video, max_side=1 << 16) as video:
        for frame in video:
            left, top, right, bottom = corners = corners or _toolbox_box(frame.image, detector)
            crop = frame.image[top:bottom, left:right]
            crops.append(cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            if len(times) % EVERY == 0:
                found.append(_face_is_found(frame.image, detector, recording.boxes, len(times)))
            times.append(frame.time)
    clock = np.array(times)
    if clock[-1] > recording.ppg_times[-1] + 1 or recording.ppg_times[0] > 1:
        span = f"{recording.ppg_times[0]:.1f} to {recording.ppg_times[-1]:.1f} s"
        raise UsageError(f"{recording.video.parent}: the video lasts {clock[-1]:.1f} s, but ppg.csv covers {span}")
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
    """Whether a face is found whose centre lies in the true box, or any face where that is not known."""
    smallest = max(24, min(image.shape[:2]) // 10)  # halves the time: nobody simulates a face as small as that
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    faces = detector.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest))
    if boxes is None:
        return len(faces) > 0
    left, top, width, height = boxes[min(index, len(boxes) - 1)]
    return any(0 <= x + w / 2 - left <= width and 0 <= y + h / 2 - top <= height for x, y, w, h in faces)


def read_waveform(judge: str, recording: Recording, waveform: Floats, times: Floats, fps: float) -> Reading:
    """The heart rate of a judge's waveform under the toolbox's protocol."""
    if len(waveform) < MINIMUM_SAMPLES:
        return Reading(judge, None, recording.bpm, "too short")
    reference = heart_rate(np.interp(times, recording.ppg_times, recording.ppg), fps, PROTOCOL)
    if not np.isfinite(waveform).all():
        return Reading(judge, None, reference, "NaN")
    return Reading(judge, heart_rate(waveform, fps, PROTOCOL), reference)


def read_facepulse(recording: Recording, method: str, name: str) -> Reading:
    """What facepulse reads, or what it guesses where it withholds its reading."""
    judge = f"{name}, facepulse"
    try:
        measurement = measure(recording.video, method=method, min_quality=0.0)  # the method's own, trusted or not
    except (NoFaceError, TooShortError) as error:
        return Reading(judge, None, recording.bpm, _line(error))
    trusted = measurement.bpm if measurement.quality >= QUALITY_THRESHOLD else None
    return Reading(judge, measurement.bpm, recording.bpm, own_bpm=trusted, own_quality=measurement.quality)


@cache
def load_physnets(folder: Path) -> dict[str, PhysNet]:
    """PhysNet with each of the toolbox's released weights in a folder, by the name of what they were trained on."""
    import torch

    from facepulse.models import PhysNet

    networks = {}
    for path in sorted(folder.glob(RELEASED_NAMES)):
        network = PhysNet().eval()
        try:
            network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        except Exception as error:  # torch raises several kinds for a file that is none of its own
            raise UsageError(f"{path}: not the toolbox's weights of PhysNet: {_line(error)}") from None
        networks[path.name.split("_")[0]] = network
    return networks


def physnet_waveform(network: PhysNet, crops: NDArray[np.uint8]) -> Floats:
    """The pulse (T',) of crops (T, 72, 72, 3), T' the frames that fill whole clips; fed as the toolbox feeds it.

    The project's network normalises each clip by itself. The toolbox does it over the whole video before it cuts it,
    so its differences are put in the place of the network's own.
    """
    import torch

    later, earlier = crops[1:].astype(np.float32), crops[:-1].astype(np.float32)
    ratio = (later - earlier) / (later + earlier + 1e-7)
    ratio /= max(float(ratio.std()), 1e-12)
    differences = np.pad(ratio, ((0, 1), (0, 0), (0, 0), (0, 0)))

    def read(clip: NDArray[np.float32]) -> Floats:
        given = torch.from_numpy(clip).permute(3, 0, 1, 2)[None]
        with torch.inference_mode(), network.ConvBlock1.register_forward_pre_hook(lambda *_: (given,)):
            return np.asarray(network(torch.zeros(given.shape, dtype=torch.uint8))[0], np.float64)

    waves = [read(differences[start : start + CLIP]) for start in range(0, len(crops) - CLIP + 1, CLIP)]
    # It was trained on differences of the PPG, and gives such.
    return np.cumsum(np.concatenate(waves)) if waves else np.zeros(0)


def read_open_rppg(python: str, network: str, recordings: Sequence[Recording]) -> list[Reading]:
    """What a network of open-rppg reads from each recording."""
    videos = [str(recording.video.resolve()) for recording in recordings]
    lines = [line for line in _run(python, str(OPEN_RPPG), network, *videos).splitlines() if line.startswith("{")]
    if len(lines) != len(recordings):
        raise UsageError(f"open-rppg's {network} read {len(lines)} of {len(recordings)} videos")
    judge, readings = f"open-rppg {network}", []
    for recording, line in zip(recordings, lines, strict=True):
        said: dict[str, Any] = json.loads(line)
        waveform, times = np.array(said["waveform"], np.float64), np.array(said["times"], np.float64)
        reading = read_waveform(judge, recording, waveform, times, said["fps"])
        if reading.bpm is not None:
            reading = replace(reading, own_bpm=said["hr"], own_quality=said["SQI"])
        readings.append(reading)
    return readings


def _run(python: str, *arguments: str) -> str:
    """What the python of open-rppg's environment prints."""
    try:
        done = subprocess.run([python, *arguments], capture_output=True, text=True)
    except OSError as error:
        reason = error.strerror
    else:
        if done.returncode == 0:
            return done.stdout
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    raise UsageError(f"{python}: not a python that can use open-rppg: {reason}")


def table(readings: Iterable[Reading], count: int) -> str:
    """A line a judge: how far it is from the reference, and how often it is close."""
    by_judge: dict[str, list[Reading]] = {}
    for reading in readings:
        by_judge.setdefault(reading.judge, []).append(reading)
    lines = [f"{'judge':30} {'read':>9}  {'MAE, bpm':>14}  {'RMSE, bpm':>14}  {'Pearson':>14}  within 5 bpm  trusted"]
    for judge, mine in by_judge.items():
        pairs = [(reading.reference_bpm, reading.bpm) for reading in mine if reading.bpm is not None]
        figures, close = ["-", "-", "-"], 0
        if pairs:
            errors = metrics.heart_rate_errors(*zip(*pairs, strict=True))
            figures = [str(errors.mae), str(errors.rmse), "-" if errors.pearson is None else str(errors.pearson)]
            close = sum(abs(bpm - reference) <= CLOSE_BPM for reference, bpm in pairs)
        trusted = sum(reading.own_bpm is not None for reading in mine) / count
        lines.append(
            f"{judge:30} {f'{len(pairs)} of {count}':>9}  {'  '.join(f'{figure:>14}' for figure in figures)}"
            f"  {close / count:12.0%}  {f'{trusted:.0%}' if judge.endswith('facepulse') else '':>7}"
        )
    return "\n".join(lines)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _line(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def read_here(
    recording: Recording, methods: Sequence[str], weights: Path, exported: Sequence[Path]
) -> tuple[list[Reading], float]:
    """What this environment's judges read, and the share of frames in which Haar's detector finds the face."""
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    crops, times, found = look(recording, detector)
    fps = (len(times) - 1) / max(times[-1], 1e-3)
    if len(times) < WINDOW_S * fps + 1:
        raise UsageError(f"{recording.video}: {times[-1]:.1f} s are too short for any judge")
    colour = crops.mean((1, 2))
    waves = {f"{name}, whole box": CLASSICAL[name].waveform(colour, fps) for name in methods}
    readings = [read_waveform(judge, recording, wave, times, fps) for judge, wave in waves.items()]
    readings += [read_facepulse(recording, name, name) for name in methods]
    for path in exported:
        readings.append(read_facepulse(recording, str(path), f"PhysNet, {path.name.split('_')[0]}"))
    for trained_on, network in load_physnets(weights).items():
        waveform = physnet_waveform(network, crops)
        readings.append(read_waveform(f"PhysNet, {trained_on}", recording, waveform, times[: len(waveform)], fps))
    return readings, found


def judge(options: argparse.Namespace) -> None:
    recordings = find_recordings(options.root)
    if options.open_rppg:
        _run(options.open_rppg, "-c", "import rppg")  # says so now if it is not there, and not in an hour
    if options.json:
        check_writable(options.json)
    networks = load_physnets(options.weights)
    readings: dict[str, list[Reading]] = {}
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_one_thread) as pool,
    ):
        exported = [Path(folder) / f"{path.stem}.onnx" for path in sorted(options.weights.glob(RELEASED_NAMES))]
        for path in exported:  # OpenVINO reads them in a fraction of torch's time
            export(options.weights / f"{path.stem}.pth", path)
        read = partial(read_here, methods=options.method, weights=options.weights, exported=exported)
        for number, (recording, result) in enumerate(zip(recordings, pool.map(read, recordings), strict=True), 1):
            print(f"{number} of {len(recordings)}: {recording.name}", file=sys.stderr, flush=True)
            readings[recording.name], found[recording.name] = result
    for network in options.networks if options.open_rppg else ():
        print(f"open-rppg's {network}", file=sys.stderr, flush=True)
        for recording, reading in zip(recordings, read_open_rppg(options.open_rppg, network, recordings), strict=True):
            readings[recording.name].append(reading)

    print(f"simulated; {len(recordings)} recordings of {options.root}; except for facepulse:\n{PROTOCOL}\n")
    print(table((reading for mine in readings.values() for reading in mine), len(recordings)))
    doubled = sum(abs(readings[each.name][0].reference_bpm - each.bpm) > CLOSE_BPM for each in recordings)
    print(f"\nreferences that the protocol reads more than {CLOSE_BPM:g} bpm from the true mean: {doubled}")
    shares = list(found.values())
    print(f"frames in which Haar's detector finds the face: {metrics.mean(shares)}, at the least {min(shares):.2f}")
    if not networks:
        print(f"PhysNet was not asked: no *_PhysNet_DiffNormalized.pth in {options.weights}")
    if options.json:
        result: dict[str, Any] = {"simulated": True, "protocol": str(PROTOCOL), "recordings": []}
        for each in recordings:
            about = {"name": each.name, "bpm": each.bpm, "face_found": found[each.name]}
            result["recordings"].append({**about, "readings": [asdict(reading) for reading in readings[each.name]]})
        with atomic_write(options.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


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
        judge(options)
    except FacepulseError as error:
        print(f"judges: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

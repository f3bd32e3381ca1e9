"""Small roots in the exact layouts of the datasets, with a pulse of 72 bpm and frames that shift sideways."""

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from facepulse.datasets import DATASETS, Labels, Recording
from facepulse.simulate.layouts import LAYOUTS, store
from facepulse.video.frames import Frame
from small_videos import gradient, write
from stand_in_recording import StandInRecording

WIDTH, HEIGHT = 64, 48
TAKEN = datetime(2023, 11, 13, 14, 10, 58, 684465)


def pulse(times: Any) -> np.ndarray:
    return np.sin(2 * np.pi * 1.2 * np.asarray(times))


def images(count: int, fps: float = 30.0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Make frames, uint8 (T, H, W, 3), of which no two, nor their corners or channels, are alike."""
    return np.stack([np.roll(gradient(width, height), index, axis=1) for index in range(count)])


def find(dataset: str, root: Path) -> list[Recording]:
    return DATASETS[dataset].find(root)


def read(recording: Recording) -> tuple[list[Frame], Labels, list[str]]:
    """Read the frames and labels of a recording, and the warnings of the video."""
    with recording.open_frames() as video:
        frames = list(video)
        return frames, recording.read_labels(), video.warnings


def times_of(frames: list[Frame]) -> np.ndarray:
    return np.array([frame.time for frame in frames])


def simulate(layout: str, root: Path, recording: StandInRecording | None = None, index: int = 0) -> Path:
    """Write a stand-in as `facepulse simulate` does, and return its path."""
    root.mkdir(parents=True, exist_ok=True)
    slot = LAYOUTS[layout].slot(index)
    stand_in = recording or StandInRecording(subject=slot.subject, seed=index)
    description = {"simulated": True, "preset": "calm", "seed": 0, "version": "1.2.3"}
    store(LAYOUTS[layout], stand_in, slot, root, description, lambda: None)
    return root / slot.path


def write_avi(path: Path, count: int, fps: float, codec: str = "mjpeg") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixel_format = {"rawvideo": "bgr24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    return write(path, images(count, fps), np.arange(count) / fps, codec, fps=fps, pixel_format=pixel_format)


def write_ubfc_first_set(root: Path, name: str = "5-gt", seconds: float = 2.0) -> Path:
    folder = root / name
    write_avi(folder / "vid.avi", round(seconds * 28.67), 28.67, "rawvideo")
    milliseconds = np.cumsum(np.tile([16, 16, 17, 15], round(seconds * 62 / 4)))
    columns = [milliseconds, np.full(len(milliseconds), 72), np.full(len(milliseconds), 98), pulse(milliseconds / 1e3)]
    np.savetxt(folder / "gtdump.xmp", np.stack(columns, axis=1), ["%d", "%d", "%d", "%.6f"], delimiter=",")
    return folder


def write_mmpd(root: Path, number: int = 0, subject: int = 1, count: int = 40, **changes: Any) -> Path:
    """Write a file with SciPy, uncompressed, in double precision; changes replace variables."""
    from scipy.io import savemat

    folder = root / f"subject{subject}"
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        "video": images(count) / 255.0,
        "GT_ppg": pulse(np.arange(count) / 30)[np.newaxis],
        "light": "LED-low",
        "motion": "Stationary",
        "exercise": "False",
        "skin_color": np.array([[3]]),
        "gender": "female",
        "glasser": "False",
        "hair_cover": "True",
        "makeup": "True",
    }
    path = folder / f"p{subject}_{number}.mat"
    savemat(path, {name: value for name, value in {**variables, **changes}.items() if value is not None})
    return path


def write_ubfc_phys(
    root: Path, subject: int = 1, tasks: tuple[str, ...] = ("T1", "T2", "T3"), seconds: float = 2.0
) -> Path:
    folder = root / f"s{subject}"
    for task in tasks:
        write_avi(folder / f"vid_s{subject}_{task}.avi", round(35 * seconds), 35.0)
        bvp = 50 * pulse(np.arange(round(64 * seconds)) / 64)
        np.savetxt(folder / f"bvp_s{subject}_{task}.csv", bvp, "%.2f")
    (folder / f"info_s{subject}.txt").write_text(f"s{subject}\nf\ntest\n2019-10-01\n10:30\n")
    return folder


def write_scamps(root: Path, subset: str = "Train", number: int = 1, frames: int = 60) -> Path:
    path = root / subset / f"P{number:06d}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:  # for the header of MATLAB
        file["Xsub"] = images(frames).transpose(3, 2, 1, 0) / 255.0
        file["d_ppg"] = pulse(np.arange(frames) / 30)[:, np.newaxis]
        file["d_br"] = np.zeros((frames, 1))
    return path


def write_ibvp(root: Path, name: str = "p01_a", frames: int = 60) -> Path:
    folder = root / name
    (folder / f"{name}_rgb").mkdir(parents=True)
    for index, image in enumerate(images(frames)):
        cv2.imwrite(str(folder / f"{name}_rgb" / f"{index}.bmp"), image[:, :, ::-1])
    quality = np.where(np.arange(frames) < frames // 4, 0.2, 0.9)
    rows = np.stack([pulse(np.arange(frames) / 30), np.ones(frames), np.ones(frames), quality], axis=1)
    np.savetxt(folder / f"{name}_bvp.csv", rows, "%.6f", delimiter=",", header="BVP,SQ,SQ1,SQ2", comments="")
    return folder


def write_cohface(root: Path, subject: int = 1, session: int = 0, seconds: float = 2.0) -> Path:
    folder = root / str(subject) / str(session)
    write_avi(folder / "data.avi", round(20 * seconds), 20.0, "mpeg4")
    with h5py.File(folder / "data.hdf5", "w") as file:
        file["pulse"] = pulse(np.arange(round(256 * seconds)) / 256)
        file["respiration"] = np.zeros(round(256 * seconds))
    return folder


MCD_PATHS = ["ecg", "ppg", "video", "meta", "ppg_sync"]
MCD_COLUMNS = ["patient_id", "weight", "bmi", "age", "sex", "pulse", "stress", "step", "camera", "view", *MCD_PATHS]


def write_mcd_rppg(root: Path, patients: tuple[int, ...] = (1020,), seconds: float = 2.0) -> Path:
    """Write frames taken every 33 to 35 ms, in files of 29.9 Hz, and a PPG of 100 Hz with a sample per frame."""
    for folder in ("video", "meta", "ppg", "ppg_sync"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    for patient in patients:
        for step in ("before", "after"):
            frame_times = mcd_frame_times(seconds)
            ppg_times = np.arange(-0.5, seconds + 0.5, 0.01)
            ppg_values = np.rint(1000 + 100 * pulse(ppg_times)).astype(int)
            _write_stamped(root / f"ppg/{patient}_{step}.PW", ppg_values, ppg_times)
            for camera, view in (("FullHDwebcam", "front"), ("USBVideo", "left")):
                name = f"{patient}_{camera}_{step}"
                write_avi(root / f"video/{name}.avi", len(frame_times), 29.9, "mpeg4")
                _write_stamped(root / f"meta/{name}.txt", range(1, len(frame_times) + 1), frame_times)
                nearest = np.abs(frame_times[:, np.newaxis] - ppg_times).argmin(axis=1)
                distances = np.abs(ppg_times[nearest] - frame_times)
                lines = [
                    f"{value} {distance:.6f}\n" for value, distance in zip(ppg_values[nearest], distances, strict=True)
                ]
                (root / f"ppg_sync/{name}.txt").write_text("".join(lines))
                paths = [f"ppg/{patient}_{step}.PW", f"video/{name}.avi", f"meta/{name}.txt", f"ppg_sync/{name}.txt"]
                known = [patient, 55.5, "", 23.0, "F", 83.0, 4.0, step, camera, view]
                rows.append([*known, f"ecg/{patient}_{step}.json", *paths])
    with (root / "db.csv").open("w", newline="") as file:
        csv.writer(file).writerows([MCD_COLUMNS, *rows])
    return root


def mcd_frame_times(seconds: float) -> np.ndarray:
    """Compute times in whole milliseconds, one of which falls on a whole second of the clock."""
    return np.cumsum([0.0, *np.resize([0.033, 0.034, 0.033, 0.035], round(seconds * 29.6) - 1)])


def _write_stamped(path: Path, values: Any, times: Any) -> None:
    stamps = [TAKEN + timedelta(seconds=float(time)) for time in times]
    path.write_text("".join(f"{value}  {stamp}\n" for value, stamp in zip(values, stamps, strict=True)))


def write_folder(root: Path, name: str = "face", seconds: float = 2.0) -> Path:
    count = round(30 * seconds)
    path = root / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, images(count), np.arange(count) / 30)
    times = np.arange(0, seconds, 0.01)
    lines = [
        f"{time:.3f},{pulse(time):.4f},{'72' if index % 100 == 0 else ''}" for index, time in enumerate(times.tolist())
    ]
    path.with_suffix(".csv").write_text("\n".join(["time_s,ppg,bpm", *lines]) + "\n")
    return path


def rewrite_json(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# A small root of each dataset.
ROOTS = {
    "pure": lambda root: [simulate("pure", root, index=index) for index in (0, 31)],
    "ubfc-rppg": lambda root: [simulate("ubfc-rppg", root, index=index) for index in (0, 8)],
    "mmpd": lambda root: [simulate("mmpd", root, index=index) for index in (2, 10)],
    "mmpd-corrected": lambda root: [write_mmpd(root, number) for number in (2, 10)],
    "mcd-rppg": lambda root: [write_mcd_rppg(root, (1020, 998))],
    "ubfc-phys": lambda root: [write_ubfc_phys(root, subject, ("T1",)) for subject in (2, 10)],
    "scamps": lambda root: [write_scamps(root, number=number) for number in (2, 10)],
    "ibvp": lambda root: [write_ibvp(root, name) for name in ("p02_a", "p10_a")],
    "cohface": lambda root: [write_cohface(root, subject) for subject in (2, 10)],
    "simulated": lambda root: [simulate("native", root, index=index) for index in (2, 10)],
    "folder": lambda root: [write_folder(root, name) for name in ("face2", "face10")],
}

"""Layouts: the files that the loaders of the real datasets expect, complete or not there."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, whosmat

from facepulse._files import remove_partial
from facepulse.errors import UsageError
from facepulse.simulate.codec import Encoding
from facepulse.simulate.layouts import LAYOUTS, store
from facepulse.simulate.presets import Slot
from facepulse.video.reader import open_video
from stand_in_recording import StandInAttributes, StandInRecording, contents

ABOUT = {"simulated": True, "preset": "calm", "seed": 0, "version": "1.2.3"}


def write(layout: str, root: Path, recording: StandInRecording | None = None, index: int = 0) -> tuple[Path, list]:
    """Write a stand-in; return the path where it is expected, and its frames."""
    recording = recording or StandInRecording()
    frames: list[None] = []
    root.mkdir(exist_ok=True)
    slot = LAYOUTS[layout].slot(index)
    store(LAYOUTS[layout], recording, slot, root, ABOUT, lambda: frames.append(None))
    assert len(frames) == len(recording.times), "each frame is reported"
    return root / slot.path, list(recording.frames())


def at_frames(recording: StandInRecording) -> np.ndarray:
    """PPG of the stand-in at its frames, from its formula."""
    return np.sin(2 * np.pi * recording.bpm / 60 * recording.times)


# --- numbering


def test_pure_has_six_setups_per_subject_and_no_06_02() -> None:
    slots = [LAYOUTS["pure"].slot(index) for index in range(60)]
    names = [str(slot.path) for slot in slots]
    assert names[:7] == ["01-01", "01-02", "01-03", "01-04", "01-05", "01-06", "02-01"]
    assert names[29:33] == ["05-06", "06-01", "06-03", "06-04"]
    assert names[58:] == ["10-06", "11-01"], "the dataset has 59 recordings"
    assert [slot.motion for slot in slots[:6]] == [
        "Stationary",
        "Talking",
        "slow translation",
        "fast translation",
        "small rotation",
        "medium rotation",
    ]
    assert all(int(name[:2]) == slot.subject for name, slot in zip(names, slots, strict=True))
    assert slots[31] == Slot(slots[31].path, 6, motion="slow translation", width=640, height=480, fps=30.0)


def test_ubfc_has_the_real_numbers_and_frame_rates() -> None:
    slots = [LAYOUTS["ubfc-rppg"].slot(index) for index in range(44)]
    real = (
        "1 3 4 5 8 9 10 11 12 13 14 15 16 17 18 20 22 23 24 25 26 27 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 "
    )
    assert [slot.subject for slot in slots] == [int(number) for number in (real + "46 47 48 49 50 51").split()]
    assert [str(slot.path) for slot in slots[:2]] == ["subject1", "subject3"]
    rates = [slot.fps for slot in slots]
    assert 29.3 <= min(rates) < 29.35
    assert 29.92 < max(rates) <= 29.97


def test_mmpd_has_twenty_conditions_per_subject() -> None:
    slots = [LAYOUTS["mmpd"].slot(index) for index in range(40)]
    assert str(slots[0].path) == "subject1/p1_0.mat"
    assert str(slots[39].path) == "subject2/p2_19.mat"
    assert [slot.subject for slot in slots] == [1] * 20 + [2] * 20
    table = [(slot.light, slot.motion, slot.exercise) for slot in slots[:20]]
    assert table[1] == ("LED-low", "Rotation", False)
    assert table[6] == ("LED-high", "Talking", False)
    assert table[11] == ("Incandescent", "Walking", False)
    assert table[19] == ("Nature", "Walking", False)
    assert [row[0] for row in table if row[2]] == ["Incandescent", "LED-high", "LED-low", "Nature"]
    assert [row[1] for row in table if row[2]] == ["Stationary"] * 4
    assert [index for index, row in enumerate(table) if row[2]] == [12, 13, 14, 15]
    assert len(set(table)) == 20


@pytest.mark.parametrize("layout", LAYOUTS)
def test_recordings_have_distinct_paths(layout: str) -> None:
    slots = [LAYOUTS[layout].slot(index) for index in range(1300)]
    assert len({slot.path for slot in slots}) == len(slots)


# --- PURE


def test_pure_images_have_their_time_in_the_name_and_the_clip_has_its_own_clock(tmp_path: Path) -> None:
    recording = StandInRecording(seconds=3.0)
    folder, frames = write("pure", tmp_path, recording)
    assert sorted(path.name for path in folder.iterdir()) == ["01-01", "01-01.json"]
    images = sorted((folder / "01-01").iterdir())
    stamps = np.array([int(path.stem.removeprefix("Image")) for path in images])
    assert stamps[0] > 1.3e18, "nanoseconds since 1970"
    np.testing.assert_allclose((stamps - stamps[0]) / 1e9, recording.times - recording.times[0], atol=1e-8)
    for path, frame in zip(images, frames, strict=True):
        assert np.array_equal(cv2.imread(str(path))[..., ::-1], frame), "lossless, with channels in order"

    content = json.loads((folder / "01-01.json").read_text())
    assert [image["Timestamp"] for image in content["/Image"]] == stamps.tolist()
    packets = content["/FullPackage"]
    times = (
        np.array([packet["Timestamp"] for packet in packets]) - (stamps[0] - round(recording.times[0] * 1e9))
    ) / 1e9
    assert all(type(value) is int for packet in packets for value in packet["Value"].values())
    assert all(type(packet["Timestamp"]) is int for packet in packets)
    assert np.all(np.diff(times) > 0)
    assert np.median(np.diff(times)) == pytest.approx(1 / 60, rel=0.03)
    assert 0.001 < times[0] - recording.times[0] < 0.05, "the two clocks start at different times"
    assert times[-1] == pytest.approx(recording.times[-1], abs=0.06)
    waveform = [packet["Value"]["waveform"] for packet in packets]
    assert 0 <= min(waveform) < max(waveform) <= 127
    assert np.corrcoef(waveform, np.sin(2 * np.pi * recording.bpm / 60 * times))[0, 1] > 0.998
    assert [packet["Value"]["pulseRate"] for packet in packets] == pytest.approx(recording.bpm + times, abs=0.51)


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 2**40), fps=st.floats(5, 120), hz=st.floats(25, 300), bpm=st.floats(40, 200))
def test_pure_and_ubfc_have_the_same_ppg_at_each_frame(seed: int, fps: float, hz: float, bpm: float) -> None:
    recording = StandInRecording(seed=seed, fps=fps, seconds=3.0, width=16, height=16, reference_hz=hz, bpm=bpm)
    with TemporaryDirectory() as name:
        pure, _ = write("pure", Path(name), recording)
        ubfc, _ = write("ubfc-rppg", Path(name), recording)
        content = json.loads((pure / "01-01.json").read_text())
        ppg, _, times = np.loadtxt(ubfc / "ground_truth.txt")
    assert len(times) == len(content["/Image"]) == len(recording.times)
    stamps = [np.array([row["Timestamp"] for row in content[key]]) for key in ("/Image", "/FullPackage")]
    assert all(np.all(np.diff(of_one) > 0) for of_one in stamps)
    frames, packets = ((of_one - stamps[0][0]) / 1e9 + times[0] for of_one in stamps)
    np.testing.assert_allclose(frames, times, atol=2e-6)
    waveform = np.array([row["Value"]["waveform"] for row in content["/FullPackage"]])
    inside = (frames >= packets[0]) & (frames <= packets[-1])
    assert np.corrcoef(np.interp(frames, packets, waveform)[inside], ppg[inside])[0, 1] > 0.97


def test_pure_is_read_as_a_folder_of_images(tmp_path: Path) -> None:
    recording = StandInRecording()
    folder, frames = write("pure", tmp_path, recording)
    with open_video(folder / folder.name) as video:
        read = list(video)
    np.testing.assert_allclose([frame.time for frame in read], recording.times - recording.times[0], atol=1e-6)
    assert np.array_equal(read[-1].image, frames[-1])


# --- UBFC-rPPG


def test_ubfc_video_is_decoded_without_loss_by_opencv_and_pyav(tmp_path: Path) -> None:
    recording = StandInRecording(width=66, fps=29.53)  # rows of 66 pixels are padded in an AVI
    folder, frames = write("ubfc-rppg", tmp_path, recording)
    assert sorted(path.name for path in folder.iterdir()) == ["ground_truth.txt", "vid.avi"]
    opened = cv2.VideoCapture(str(folder / "vid.avi"))
    true_fps = (len(recording.times) - 1) / np.ptp(recording.times)
    assert opened.get(cv2.CAP_PROP_FPS) == pytest.approx(true_fps, rel=1e-4)
    with av.open(folder / "vid.avi") as container:
        assert container.streams.video[0].codec_context.name == "rawvideo"
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for frame, other in zip(frames, decoded, strict=True):
        ok, image = opened.read()
        assert ok
        assert np.array_equal(image[..., ::-1], frame)
        assert np.array_equal(other, frame)
    assert not opened.read()[0]
    assert 0 < (folder / "vid.avi").stat().st_size - 3 * 48 * len(frames) * 66 < 20_000 + 100 * len(frames)


def test_ubfc_ground_truth_has_three_lines_with_one_number_per_frame(tmp_path: Path) -> None:
    recording = StandInRecording()
    folder, _ = write("ubfc-rppg", tmp_path, recording)
    lines = (folder / "ground_truth.txt").read_text().splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(r"-?\d\.\d{7}e[+-]\d\d", word) for line in lines for word in line.split())
    ppg, bpm, times = (np.array([float(word) for word in line.split()]) for line in lines)
    np.testing.assert_allclose(times, recording.times, atol=1e-6)
    np.testing.assert_allclose(ppg, at_frames(recording), atol=2e-3)
    np.testing.assert_allclose(bpm, recording.bpm + recording.times, atol=1e-3)


# --- MMPD


def test_mmpd_file_is_read_by_scipy(tmp_path: Path) -> None:
    recording = StandInRecording(attributes=StandInAttributes(light="Nature", exercise=True))
    path, frames = write("mmpd", tmp_path, recording, index=35)
    assert path.relative_to(tmp_path) == Path("subject2/p2_15.mat")
    assert ("video", (len(frames), 48, 64, 3), "single") in whosmat(path)
    content = loadmat(path)
    assert content["video"].dtype == np.float32
    assert np.array_equal(np.round(content["video"] * 255), np.stack(frames))
    assert (content["video"].min(), content["video"].max()) == (np.min(frames) / np.float32(255), 220 / np.float32(255))
    assert content["GT_ppg"].shape == (1, len(frames))
    np.testing.assert_allclose(content["GT_ppg"][0], at_frames(recording), atol=2e-3)
    labels = {name: content[name] for name in content if not name.startswith("__") and name not in ("video", "GT_ppg")}
    assert labels.pop("skin_color").tolist() == [[4]]
    assert {name: value.tolist() for name, value in labels.items()} == {
        "light": ["Nature"],
        "motion": ["Stationary (after exercise)"],
        "exercise": ["True"],
        "gender": ["female"],
        "glasser": ["True"],
        "hair_cover": ["False"],
        "makeup": ["True"],
    }
    assert b"simulated by facepulse 1.2.3" in content["__header__"]


def test_mmpd_recording_above_2_gb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="less than 2 GB"):
        write("mmpd", tmp_path, StandInRecording(seconds=80.0, width=320, height=240))


# --- native


@pytest.mark.parametrize(
    ("encoding", "suffix"),
    [(StandInRecording.encoding, ".mp4"), (Encoding("mjpeg", {"q": "2"}, pixel_format="yuvj420p"), ".mov")],
)
def test_native_has_video_reference_and_description(tmp_path: Path, encoding: Encoding, suffix: str) -> None:
    recording = StandInRecording(encoding=encoding)
    folder, frames = write("native", tmp_path, recording)
    assert sorted(path.name for path in folder.iterdir()) == ["ppg.csv", "recording.json", f"video{suffix}"]
    with open_video(folder / f"video{suffix}") as video:
        read = list(video)
    np.testing.assert_allclose([frame.time for frame in read], recording.times, atol=1.01e-3)
    assert np.abs(read[20].image.astype(float) - frames[20]).mean() < 12
    table = np.genfromtxt(folder / "ppg.csv", delimiter=",", names=True)
    assert table.dtype.names == ("time_s", "ppg", "bpm")
    np.testing.assert_allclose(table["time_s"], recording.reference_times, atol=1e-6)
    np.testing.assert_allclose(table["ppg"], recording.reference_ppg, atol=1e-6)
    np.testing.assert_allclose(table["bpm"], recording.reference_bpm, atol=1e-3)
    about = json.loads((folder / "recording.json").read_text())
    assert about.items() >= ABOUT.items()
    assert about["subject"] == 1
    assert about["mean_bpm"] == 72.0
    assert about["face_box"] == list(recording.face_box())
    assert about["fps"] == pytest.approx((len(frames) - 1) / np.ptp(recording.times))
    assert about["attributes"] == vars(recording.attributes)
    assert Encoding(**about["encoding"]) == encoding


# --- all layouts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_recording_gives_the_same_bytes(tmp_path: Path, layout: str) -> None:
    write(layout, tmp_path / "a")
    write(layout, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


class Failing(StandInRecording):
    def frames(self):
        yield next(super().frames())
        raise RuntimeError("out of frames")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_failed_recording_leaves_no_files(tmp_path: Path, layout: str) -> None:
    with pytest.raises(RuntimeError, match="out of frames"):
        write(layout, tmp_path, Failing())
    assert list(tmp_path.iterdir()) == []


def test_only_partial_files_are_removed(tmp_path: Path) -> None:
    write("native", tmp_path)
    (tmp_path / "simulated.json").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / ".4711.partial" / "p1_0").mkdir(parents=True)
    (tmp_path / ".4711.partial" / "p1_0" / "video.mp4").touch()
    remove_partial(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "simulated-00000", "simulated.json"]


@pytest.mark.parametrize(("layout", "tolerance"), [("ubfc-rppg", 0.02)])
def test_expected_size_is_that_of_the_files(tmp_path: Path, layout: str, tolerance: float) -> None:
    recording = StandInRecording(width=640, height=480, seconds=1.0, fps=29.3)
    folder, _ = write(layout, tmp_path, recording)
    expected = LAYOUTS[layout].expected_bytes(len(recording.times) / 29.3)
    assert sum(path.stat().st_size for path in folder.iterdir()) == pytest.approx(expected, rel=tolerance)

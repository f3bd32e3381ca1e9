"""Preparation: crops and labels, interrupted and failing runs, and correction of the reference's clock."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find
from facepulse._files import remove_partial
from facepulse.datasets import cache as cache_module
from facepulse.datasets.cache import CacheSettings, content_hash, open_cache
from facepulse.datasets.preparation import SUMMARY, prepare
from facepulse.datasets.recording import DatasetError, Labels, Signal
from facepulse.datasets.recording_preparation import prepare_recording
from facepulse.errors import FacepulseError, UsageError
from facepulse.faces.crops import crop
from facepulse.faces.tracking import Box
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate
from facepulse.simulate.painted_face import PaintedFace, pulse_waveform, render

BPM = {"ann/rest": 66.0, "ann/talk": 84.0, "bob/rest": 105.0}
WIDTH, HEIGHT = 320, 240
TINY = {"size": 36, "detector": "haar"}
# A pulse that the codec leaves in place; x264's code for AVX-512 gives another file every few runs.
CLEAR = {"width": WIDTH, "height": HEIGHT, "options": {"crf": "6", "preset": "veryfast", "x264-params": "asm=avx2"}}


def painted(beats: np.ndarray) -> list[PaintedFace]:
    return [PaintedFace(beats, height=0.8, strength=0.02, sway=0.002)]


def irregular(bpm: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Times of irregular heartbeats."""
    rng = np.random.default_rng(seed)
    return np.concatenate([[-2.0], -2.0 + np.cumsum(60 / bpm * (1 + 0.05 * rng.normal(size=int(seconds * 4))))])


def write_video(path: Path, bpm: float, seconds: float = 7.0, **options) -> None:
    """Write a painted face with a reference beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beats = irregular(bpm, seconds, round(bpm))
    render(path, painted(beats), seconds=seconds, **{**CLEAR, **options})
    write_reference(path.with_suffix(".csv"), np.arange(-0.5, seconds + 0.5, 0.01), beats)


def copy_video(source: Path, target: Path) -> None:
    """Copy a video and the reference beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".mp4", ".csv"):
        shutil.copyfile(source.with_suffix(suffix), target.with_suffix(suffix))


def write_reference(path: Path, times: np.ndarray, beats: np.ndarray, clock_times: np.ndarray | None = None) -> None:
    rows = np.stack([times if clock_times is None else clock_times, pulse_waveform(times, beats)], axis=1)
    np.savetxt(path, rows, "%.5f", delimiter=",", header="time_s,ppg", comments="")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for name, bpm in BPM.items():
        write_video(root / f"{name}.mp4", bpm)
    return root


@pytest.fixture(scope="module")
def prepared(root, tmp_path_factory) -> Path:
    """Cache of an uninterrupted run."""
    cache = tmp_path_factory.mktemp("uninterrupted")
    prepare("folder", root, cache, settings=TINY, jobs=1)
    return cache


def files(cache: Path) -> dict[str, bytes]:
    """Read every file of a cache, hidden ones included."""
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file()}


def test_crops_times_and_labels_are_those_of_the_video(prepared, root):
    recordings = open_cache(prepared)
    assert [recording.name for recording in recordings] == list(BPM)
    assert [recording.subject for recording in recordings] == ["ann", "ann", "bob"]
    for recording in recordings:
        assert recording.frames.shape == (210, 36, 36, 3)
        assert recording.frames.dtype == np.uint8
        assert isinstance(recording.frames, np.memmap)
        np.testing.assert_allclose(recording.times, np.arange(210) / 30, atol=1e-3)
        assert recording.segment.tolist() == [0] * 210
        beats = irregular(BPM[recording.name], 7.0, round(BPM[recording.name]))
        np.testing.assert_allclose(recording.ppg, pulse_waveform(recording.times, beats), atol=0.01)
        assert recording.bpm is None
        recording.verify()


def test_boxes_contain_the_face_and_crops_show_the_boxes(prepared, root):
    [recording, *_] = open_cache(prepared)
    x, y, width, height = recording.boxes[60]
    assert abs(x + width / 2 - WIDTH / 2) < 12
    assert 0.4 * HEIGHT < height < 0.9 * HEIGHT
    [source, *_] = find("folder", root)
    with source.open_frames() as video:
        frame = list(video)[60]
    expected = crop(frame.image, Box(x, y, width, height), 36, 0.25)
    assert np.abs(recording.frames[60] - expected).max() <= 1.0


def test_pos_measures_the_true_heart_rate_in_the_crops(prepared):
    for recording in open_cache(prepared):
        trace = cache_module.within_margin(recording.frames, recording.settings.margin).mean((1, 2))
        waveform = CLASSICAL["POS"].waveform(trace, recording.fps)
        reference_bpm = heart_rate(recording.ppg, recording.fps, PROTOCOLS["facepulse"])
        assert abs(heart_rate(waveform, recording.fps, PROTOCOLS["facepulse"]) - reference_bpm) < 1.5
        assert recording.details["pulse_quality"] > 0.5


def test_second_run_changes_nothing(prepared, root, tmp_path):
    before = files(prepared)
    summary = prepare("folder", root, prepared, settings=TINY, jobs=1)
    assert (summary.newly_prepared, summary.already_prepared, summary.failed) == (0, 3, [])
    assert files(prepared) == before


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(prepared, root, tmp_path):
    prepare("folder", root, tmp_path, settings=TINY, jobs=2)
    assert files(tmp_path) == files(prepared)


@pytest.mark.slow
def test_two_dask_workers_write_the_same_bytes_as_joblib(prepared, root, tmp_path):
    distributed = pytest.importorskip("distributed")
    from joblib import parallel_config

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        prepare("folder", root, tmp_path, settings=TINY)
    assert files(tmp_path) == files(prepared)


KILLER = """
import os, random, signal, sys, time
import cv2
cv2.setNumThreads(1)
from facepulse.datasets import recording_preparation  # a late import would be repeated in each child process
from facepulse.datasets.preparation import prepare
import scipy.signal, joblib, pathlib, shutil

root, cache, times = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
def run(folder):
    child = os.fork()
    if child == 0:
        prepare("folder", root, folder, settings={"size": 36, "detector": "haar"}, jobs=1)
        os._exit(0)
    return child
began = time.monotonic()
assert os.waitpid(run(cache / "uninterrupted"), 0)[1] == 0
longest_s = time.monotonic() - began
uninterrupted, interrupted = files(cache / "uninterrupted"), 0
random.seed(1)
for number in range(times):
    folder = cache / str(number)
    child = run(folder)
    time.sleep(random.uniform(0, longest_s))
    os.kill(child, signal.SIGKILL)
    interrupted += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert os.waitpid(run(folder), 0)[1] == 0
    assert files(folder) == uninterrupted, number
    shutil.rmtree(folder)
print(interrupted)
"""


@pytest.mark.slow
def test_runs_killed_at_twenty_moments_are_continued_to_the_same_bytes(tmp_path):
    for name, bpm in BPM.items():
        write_video(tmp_path / "videos" / f"{name}.mp4", bpm, 4.0, width=160, height=120)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path / "videos"), str(tmp_path), "20"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 15


@pytest.mark.slow
def test_command_killed_while_its_workers_run_is_continued(prepared, root, tmp_path):
    command = [sys.executable, "-m", "facepulse", "prepare", "folder", str(root), "--cache", str(tmp_path)]
    command += ["--size", "36", "--detector", "haar", "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("folder/.*partial")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)  # its workers run on for a while
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    os.killpg(process.pid, signal.SIGKILL) if _alive(process.pid) else None
    assert done.returncode == 0, done.stderr
    remove_partial(tmp_path / "folder")  # of such a worker, if it has just begun another recording
    assert files(tmp_path) == files(prepared)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_failed_recordings_are_reported_and_the_others_prepared(root, tmp_path, capsys):
    shutil.copytree(root, tmp_path / "videos")
    (tmp_path / "videos" / "bob" / "broken.mp4").write_bytes(b"no video at all" * 100)
    render(tmp_path / "videos" / "bob" / "nobody.mp4", [], seconds=6, width=WIDTH, height=HEIGHT)
    from facepulse.cli import main

    with pytest.raises(SystemExit) as ended:
        main(f"prepare folder {tmp_path}/videos --cache {tmp_path}/cache --jobs 1 --size 36 --detector haar".split())
    assert ended.value.code == 3
    output = capsys.readouterr()
    assert "bob/broken failed: " in output.err
    assert "bob/nobody failed: " in output.err
    assert "no face was found" in output.err
    assert "Traceback" not in output.err
    assert "prepared  3, 0 already present, 2 failed" in output.out
    assert len(open_cache(tmp_path / "cache")) == 3
    with (tmp_path / "cache" / "folder" / SUMMARY).open() as file:
        rows = {row["recording"]: row for row in csv.DictReader(file)}
    assert [row["result"] for row in rows.values()] == ["prepared"] * 2 + ["failed"] * 2 + ["prepared"]
    assert float(rows["ann/rest"]["face_s"]) == 7.0

    copy_video(
        root / "bob" / "rest.mp4", tmp_path / "videos" / "bob" / "broken.mp4"
    )  # once repaired, it is prepared by the next run
    summary = prepare("folder", tmp_path / "videos", tmp_path / "cache", jobs=1)
    assert (summary.newly_prepared, summary.already_prepared) == (1, 3)
    assert [failed.recording for failed in summary.failed] == ["bob/nobody"]


@pytest.mark.slow
def test_changed_file_or_stated_rate_is_prepared_again(root, tmp_path):
    copy_video(root / "ann" / "rest.mp4", tmp_path / "videos" / "one.mp4")
    prepare("folder", tmp_path / "videos", tmp_path / "cache", settings=TINY, jobs=1)
    [before] = open_cache(tmp_path / "cache")
    copy_video(root / "ann" / "talk.mp4", tmp_path / "videos" / "one.mp4")
    summary = prepare("folder", tmp_path / "videos", tmp_path / "cache", settings=TINY, jobs=1)
    [after] = open_cache(tmp_path / "cache")
    assert (summary.newly_prepared, summary.already_prepared) == (1, 0)
    assert before.sha256 != after.sha256
    (tmp_path / "videos" / "recordings.csv").write_text("video,stated_fps\none.mp4,20\n")
    assert prepare("folder", tmp_path / "videos", tmp_path / "cache", settings=TINY, jobs=1).newly_prepared == 1
    assert open_cache(tmp_path / "cache")[0].timing.fps == pytest.approx(20)


@pytest.mark.slow
def test_full_disk_is_a_usage_error_and_finished_recordings_are_kept(root, prepared, tmp_path, monkeypatch):
    written = 0

    def append(self, frames):
        nonlocal written
        written += len(frames)
        if written > 300:  # in the second recording
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, frames)

    real = cache_module.FramesWriter.append
    with monkeypatch.context() as patched:
        patched.setattr(cache_module.FramesWriter, "append", append)
        with pytest.raises(
            UsageError, match=r"the disk is full: free some space .* continues with the missing recordings"
        ):
            prepare("folder", root, tmp_path, settings=TINY, jobs=1)
    assert [recording.name for recording in open_cache(tmp_path)] == ["ann/rest"]
    assert [path.name for path in tmp_path.glob("folder/.*")] == [".lock"]
    prepare("folder", root, tmp_path, settings=TINY, jobs=1)
    assert files(tmp_path) == files(prepared)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("puree", "."), "no dataset is called 'puree': choose one of pure, "),
        (("folder", "nowhere"), "nowhere"),
    ],
)
def test_wrong_usage_is_an_error_in_one_line(arguments, message, tmp_path):
    with pytest.raises(FacepulseError, match=message) as caught:
        prepare(arguments[0], tmp_path / arguments[1], tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_cache_keeps_its_settings(prepared, root):
    with pytest.raises(UsageError, match="prepared with other settings \\(size 36, not 72\\)"):
        prepare("folder", root, prepared, settings={"size": 72})


@pytest.mark.slow
def test_cache_of_another_format_is_an_error(prepared, root, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    settings = tmp_path / "folder" / "cache.json"
    settings.write_text(settings.read_text().replace('"format": 4', '"format": 99'))
    with pytest.raises(DatasetError, match="format 99, expected 4; prepare the dataset again into an empty folder"):
        prepare("folder", root, tmp_path)
    with pytest.raises(DatasetError, match="format 99"):
        open_cache(tmp_path)


def test_folder_with_other_files_is_not_used_as_a_cache(root, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="contains other files"):
        prepare("folder", root, tmp_path)
    assert (tmp_path / "folder" / "thesis.txt").read_text() == "years of work"


def test_two_runs_do_not_write_to_the_same_cache(root, tmp_path):
    from facepulse._files import lock_folder

    with (
        lock_folder(tmp_path / "folder"),
        pytest.raises(UsageError, match="another run is writing into"),
    ):
        prepare("folder", root, tmp_path)


@pytest.mark.slow
def test_verify_detects_damaged_arrays(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    [first, *_] = open_cache(tmp_path)
    with (first.path / "frames.npy").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\x00\xff")
    with pytest.raises(DatasetError, match="have changed since preparation"):
        first.verify()
    assert content_hash(first.path) != first.sha256


# --- Clocks of video and reference


def prepare_only_recording(tmp_path: Path, **changes) -> cache_module.PreparedRecording:
    """Prepare the only recording below a folder."""
    [recording] = find("folder", tmp_path / "videos")
    prepare_recording(replace(recording, **changes), tmp_path / "out", CacheSettings(size=36, detector="haar"))
    return cache_module.read_recording(tmp_path / "out", CacheSettings(size=36, detector="haar"))


@pytest.mark.slow
def test_late_and_drifting_reference_is_aligned_to_a_video_with_dropped_frames_within_a_frame(tmp_path):
    seconds = 40.0
    beats = irregular(70.0, seconds, 4)
    rng = np.random.default_rng(0)
    times = np.sort(rng.choice(np.arange(round(30 * seconds)), round(27 * seconds), replace=False)) / 30
    video = tmp_path / "videos" / "one.mp4"
    video.parent.mkdir()
    times -= times[0]
    render(video, painted(beats), times=times, **CLEAR)
    true = np.arange(-1.0, seconds, 0.01)
    # The reference is 200 ms late, and its clock runs 1 % fast.
    write_reference(video.with_suffix(".csv"), true, beats, clock_times=(true + 0.2) * 1.01)
    recording = prepare_only_recording(tmp_path)
    truth = pulse_waveform(recording.times, beats)
    lags = np.arange(-10, 11)
    for segment in (slice(30, 330), slice(400, 700), slice(-330, -30)):  # at the beginning, in the middle, at the end
        reference = recording.ppg[segment].astype(np.float64)
        fits = [np.corrcoef(reference, np.roll(truth, lag)[segment])[0, 1] for lag in lags]
        assert abs(lags[int(np.argmax(fits))]) <= 1
        assert max(fits) > 0.97
    assert recording.alignment["reliable"]
    shift = recording.alignment["offset_s"] + (1 + recording.alignment["drift"]) * (
        (true + 0.2) * 1.01 - recording.alignment["middle_s"]
    )
    assert np.abs(shift + recording.alignment["middle_s"] - true).max() < 1 / 30
    assert any(note.startswith("clocks: the reference is") for note in recording.notes)


@pytest.mark.slow
def test_gap_in_the_video_makes_two_segments_that_keep_their_times(tmp_path):
    seconds = 16.0
    beats = irregular(70.0, seconds)
    times = np.arange(round(30 * seconds)) / 30
    times = times[(times < 6.5) | (times > 9.5)]
    video = tmp_path / "videos" / "one.mp4"
    video.parent.mkdir()
    render(video, painted(beats), times=times, **CLEAR)
    write_reference(video.with_suffix(".csv"), np.arange(-0.5, 17, 0.01), beats)
    recording = prepare_only_recording(tmp_path)
    assert np.unique(recording.segment).tolist() == [0, 1]
    first, second = (recording.times[recording.segment == number] for number in (0, 1))
    assert first[-1] < 6.6
    assert second[0] > 9.4
    np.testing.assert_allclose(recording.ppg, pulse_waveform(recording.times, beats), atol=0.02)


@pytest.mark.slow
def test_reference_without_overlap_with_the_video_is_an_error(root, tmp_path):
    copy_video(root / "ann" / "rest.mp4", tmp_path / "videos" / "one.mp4")
    away = Signal(np.arange(100.0, 110.0, 0.01), np.sin(np.arange(1000)))
    with pytest.raises(DatasetError, match=r"covers 100\.0 to 110\.0 s, but the video 0\.0 to 7\.0 s"):
        prepare_only_recording(tmp_path, read_labels=partial(Labels, ppg=away))


@pytest.mark.slow
def test_labels_are_nan_outside_of_the_reference_and_this_is_noted(root, tmp_path):
    copy_video(root / "ann" / "rest.mp4", tmp_path / "videos" / "one.mp4")
    short = Signal(np.arange(0.0, 5.0, 0.01), np.sin(np.arange(500)))
    recording = prepare_only_recording(tmp_path, read_labels=partial(Labels, ppg=short, attributes={"light": "LED"}))
    assert np.isnan(recording.ppg[recording.times > 5.0]).all()
    assert np.isfinite(recording.ppg[recording.times < 4.9]).all()
    assert any("lacks 2.0 of 7.0 s" in note for note in recording.notes)
    assert recording.attributes == {"light": "LED"}


@pytest.mark.slow
def test_recording_without_reference_has_no_labels(root, tmp_path):
    copy_video(root / "ann" / "rest.mp4", tmp_path / "videos" / "one.mp4")
    recording = prepare_only_recording(tmp_path, read_labels=Labels)
    assert recording.ppg is None
    assert recording.bpm is None
    assert recording.alignment is None

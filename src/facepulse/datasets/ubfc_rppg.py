"""UBFC-rPPG: uncompressed videos of a minute or two, with finger PPG.

    DATASET_2/subjectN/vid.avi and ground_truth.txt: three lines: PPG, heart rate (bpm), time (s); a number per frame
    DATASET_1/N-gt/vid*.avi and gtdump.xmp: rows of time (ms), heart rate (bpm), SpO2, PPG; about 62 per second

AVI files have no timestamps, and frames were not taken at a constant rate: their times are those of the third line.

Bobbia et al., Pattern Recognition Letters 2019, "Unsupervised skin tissue segmentation for remote
photoplethysmography"; the columns are described in its readme.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from facepulse._types import Floats
from facepulse.datasets.frame_sources import RetimedVideo
from facepulse.datasets.recording import Dataset, DatasetError, Labels, Recording
from facepulse.datasets.roots import matching, recordings_below
from facepulse.datasets.signals import as_heart_rate, as_signal, read_numbers
from facepulse.video.frames import Video
from facepulse.video.reader import open_video

_SAME_VIDEO = ("7-gt", "12-gt")


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "DATASET_1, DATASET_2, or folders named subject1, ... (or 5-gt, ...)", _recordings_in)


def _recordings_in(root: Path) -> list[Recording]:
    return [
        recording
        for parent in (root, root / "DATASET_1", root / "DATASET_2")
        for pattern, read in (
            (r"(\d+-gt|after-exercise)", _recording_of_dataset_1),
            (r"subject\d+", _recording_of_dataset_2),
        )
        for folder, _ in matching(parent, pattern)
        for recording in read(folder)
    ]


def _recording(
    video: Path, reference: Path, open_frames: Callable[[], Video], read_labels: Callable[[], Labels]
) -> list[Recording]:
    """Return the recording of a folder in a list, which is empty if both files are missing."""
    if not (video.is_file() or reference.is_file()):
        return []
    subject = reference.parent.name
    return [Recording("ubfc-rppg", subject, subject, (video, reference), open_frames, read_labels)]


# --- DATASET_2


def _recording_of_dataset_2(folder: Path) -> list[Recording]:
    video, reference = _video_in(folder), folder / "ground_truth.txt"
    return _recording(
        video, reference, partial(_open_frames, video, reference), partial(_labels_of_dataset_2, video, reference)
    )


def _open_frames(video: Path, reference: Path) -> Video:
    times = _read_ground_truth(reference)[2]
    if _expected_frames(video) == len(times):
        return RetimedVideo(video, times)
    return open_video(video)


def _labels_of_dataset_2(video: Path, reference: Path) -> Labels:
    ppg, bpm, times = _read_ground_truth(reference)
    notes: list[str] = []
    frames = _expected_frames(video)
    if frames != len(times):
        notes.append(f"{len(times)} times for {frames} frames: frames are assumed to be evenly spaced")
    times = times - times[0]
    return Labels(
        as_signal(reference, "ppg", times, ppg, notes),
        as_heart_rate(reference, times, bpm, notes),
        {"collection": "DATASET_2"},
        tuple(notes),
    )


def _read_ground_truth(reference: Path) -> Floats:
    """Read PPG, bpm and seconds, (3, T)."""
    expected = "three lines of equally many numbers: PPG, bpm, seconds"
    lines = read_numbers(reference, expected)
    if len(lines) != 3:
        raise DatasetError(f"{reference}: contains {len(lines)} lines of numbers; expected {expected}")
    return lines


def _expected_frames(video: Path) -> int | None:
    with open_video(video) as opened:
        return opened.expected_frames


# --- DATASET_1


def _recording_of_dataset_1(folder: Path) -> list[Recording]:
    video, reference = _video_in(folder), folder / "gtdump.xmp"
    return _recording(video, reference, partial(open_video, video), partial(_labels_of_dataset_1, reference))


def _labels_of_dataset_1(reference: Path) -> Labels:
    expected = "rows of time (ms), bpm, SpO2, PPG"
    milliseconds, bpm, _, ppg = read_numbers(reference, expected, delimiter=",", usecols=(0, 1, 2, 3)).T
    notes = []
    if reference.parent.name in _SAME_VIDEO:
        notes.append(f"the videos of {' and '.join(_SAME_VIDEO)} are reported to be the same file, with two references")
    return Labels(
        as_signal(reference, "ppg", milliseconds / 1e3, ppg, notes),
        as_heart_rate(reference, milliseconds / 1e3, bpm, notes),
        {"collection": "DATASET_1"},
        tuple(notes),
    )


def _video_in(folder: Path) -> Path:
    return next((path for path, _ in matching(folder, r"vid.*\.avi")), folder / "vid.avi")


UBFC_RPPG = Dataset(
    name="ubfc-rppg",
    title="UBFC-rPPG: 42 subjects, a minute each before a screen (DATASET_2), and 8 more recordings (DATASET_1)",
    licence="for research; faces of subjects 21 and 27 must not be published",
    find=_find,
)

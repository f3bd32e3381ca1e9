"""UBFC-rPPG: uncompressed videos of a minute or two, and a finger clip.

    DATASET_2/subjectN/vid.avi and ground_truth.txt: three lines: PPG, heart rate (bpm), time (s); a number a frame
    DATASET_1/N-gt/vid*.avi and gtdump.xmp: lines of time (ms), heart rate (bpm), SpO2, PPG; about 62 a second

An AVI only counts frames, and theirs were not taken evenly: when they were taken is in the third line.

Bobbia et al., Pattern Recognition Letters 2019, "Unsupervised skin tissue segmentation for remote
photoplethysmography"; its readme for the columns.
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
from facepulse.video.reader import Video, open_video

_SAME_VIDEO = ("7-gt", "12-gt")


def _find(root: Path) -> list[Recording]:
    return recordings_below(root, "DATASET_1, DATASET_2, or folders named subject1, ... (or 5-gt, ...)", _look)


def _look(root: Path) -> list[Recording]:
    return [
        recording
        for place in (root, root / "DATASET_1", root / "DATASET_2")
        for pattern, read in ((r"(\d+-gt|after-exercise)", _first_set), (r"subject\d+", _second_set))
        for folder, _ in matching(place, pattern)
        for recording in read(folder)
    ]


def _recording(
    video: Path, reference: Path, open_frames: Callable[[], Video], read_labels: Callable[[], Labels]
) -> list[Recording]:
    """The one recording of a folder; none where neither of its files is there."""
    if not (video.is_file() or reference.is_file()):
        return []
    person = reference.parent.name
    return [Recording("ubfc-rppg", person, person, (video, reference), open_frames, read_labels)]


# --- DATASET_2


def _second_set(folder: Path) -> list[Recording]:
    video, reference = _video_in(folder), folder / "ground_truth.txt"
    return _recording(video, reference, partial(_open_frames, video, reference), partial(_read_lines, video, reference))


def _open_frames(video: Path, reference: Path) -> Video:
    times = _lines(reference)[2]
    if _frames_promised(video) == len(times):
        return RetimedVideo(video, times)
    return open_video(video)


def _read_lines(video: Path, reference: Path) -> Labels:
    ppg, bpm, times = _lines(reference)
    notes: list[str] = []
    frames = _frames_promised(video)
    if frames != len(times):
        notes.append(f"{len(times)} times for {frames} frames: the video keeps its own clock, of a constant rate")
    times = times - times[0]
    return Labels(
        as_signal(reference, "ppg", times, ppg, notes),
        as_heart_rate(reference, times, bpm, notes),
        {"collection": "DATASET_2"},
        tuple(notes),
    )


def _lines(reference: Path) -> Floats:
    """PPG, bpm and seconds, (3, T)."""
    wanted = "three lines of equally many numbers: PPG, bpm, seconds"
    lines = read_numbers(reference, wanted)
    if len(lines) != 3:
        raise DatasetError(f"{reference}: holds {len(lines)} lines of numbers; expected are {wanted}")
    return lines


def _frames_promised(video: Path) -> int | None:
    with open_video(video) as opened:
        return opened.expected_frames


# --- DATASET_1


def _first_set(folder: Path) -> list[Recording]:
    video, reference = _video_in(folder), folder / "gtdump.xmp"
    return _recording(video, reference, partial(open_video, video), partial(_read_dump, reference))


def _read_dump(reference: Path) -> Labels:
    wanted = "lines of time (ms), bpm, SpO2, PPG"
    milliseconds, bpm, _, ppg = read_numbers(reference, wanted, delimiter=",", usecols=(0, 1, 2, 3)).T
    notes = []
    if reference.parent.name in _SAME_VIDEO:
        notes.append(f"the videos of {' and '.join(_SAME_VIDEO)} are reported to be one file, with two references")
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
    title="UBFC-rPPG: 42 people at a screen for a minute (DATASET_2), 8 more recordings (DATASET_1)",
    licence="for research; faces of subjects 21 and 27 must not be published",
    find=_find,
)

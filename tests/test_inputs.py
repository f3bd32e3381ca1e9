"""Every form in which a video can be given to `measure` and `stream`: the same heart rate, or one clear line."""

import re
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import facepulse
from facepulse import cli
from facepulse.errors import UsageError, VideoError
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video

BPM = 75.0
SECONDS = 10.0
measure, measure_faces, stream = (
    partial(each, method="POS") for each in (facepulse.measure, facepulse.measure_faces, facepulse.stream)
)


@pytest.fixture(scope="module")
def video(face_video) -> Path:
    return face_video(BPM, SECONDS)


@pytest.fixture(scope="module")
def frames(video: Path) -> NDArray[np.uint8]:
    """The frames of the file as OpenCV reads them, (T, H, W, 3) RGB."""
    capture, images = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        images.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return np.stack(images)


@pytest.fixture(scope="module")
def bpm(video: Path) -> float:
    result = measure(video)
    assert result.bpm == pytest.approx(BPM, abs=1.5)
    return result.bpm


def summary(result: facepulse.Measurement) -> dict:
    """The result without the name of its source."""
    return {**result.to_dict(waveform=True), "source": None}


# --- the same heart rate -------------------------------------------------------------------------------------------


def test_array_from_opencv_has_the_heart_rate_of_its_file(frames, bpm) -> None:
    result = measure(frames, fps=30)
    assert result.bpm == pytest.approx(bpm, abs=0.1)
    assert (result.source, result.warnings) == ("array", ())
    assert result.duration_s == pytest.approx(SECONDS)


@pytest.mark.slow
def test_rate_and_times_lists_generators_and_frames_give_the_same_as_the_array(frames) -> None:
    times = np.arange(len(frames)) / 30
    expected = summary(measure(frames, fps=30))
    given = {
        "times": measure(frames, times=times),
        "times of a list": measure(frames, times=times.tolist()),
        "other start": measure(frames, times=times + 4.0),
        "list": measure(list(frames), fps=30),
        "generator": measure((image for image in frames), fps=30),
        "generator with times": measure(iter(frames), times=times),
        "frames": measure([Frame(image, float(time)) for image, time in zip(frames, times, strict=True)]),
        "iterator of frames": measure(map(Frame, frames, times)),
        "all faces": measure_faces(frames, fps=30, faces="all")[0],
    }
    for form, result in given.items():
        assert summary(result) == expected, form


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("top", [1, 255])
def test_floating_point_has_the_heart_rate_of_uint8(frames, bpm, dtype: type, top: int) -> None:
    assert measure((frames * dtype(top / 255)).astype(dtype), fps=30).bpm == pytest.approx(bpm, abs=0.1)


@pytest.mark.slow
def test_views_read_only_arrays_and_tensors_are_measured(frames, bpm) -> None:
    torch = pytest.importorskip("torch")
    locked = frames.copy()
    locked.setflags(write=False)
    for given in (np.asfortranarray(frames), np.flip(frames, -1)[..., ::-1], locked, torch.from_numpy(frames)):
        assert measure(given, fps=30).bpm == pytest.approx(bpm, abs=0.1)


@pytest.mark.slow
def test_generator_may_write_every_image_into_the_same_memory(frames, bpm) -> None:
    def reused() -> Iterator[NDArray[np.uint8]]:
        buffer = np.empty_like(frames[0])
        for image in frames:
            buffer[:] = image
            yield buffer

    assert measure(reused(), fps=30).bpm == pytest.approx(bpm, abs=0.1)


@pytest.mark.slow
def test_opened_video_and_its_frames_keep_their_key_frames(video: Path) -> None:
    expected = measure(video)
    with open_video(video) as opened:
        frames = list(opened)
    assert not all(frame.key for frame in frames)
    assert summary(measure(frames)) == summary(expected)
    assert measure(open_video(video)).to_dict() == expected.to_dict()


@pytest.mark.slow
def test_stated_rate_replaces_the_timestamps_of_a_file(video: Path, bpm: float) -> None:
    result = measure(video, fps=25)
    assert result.fps == pytest.approx(25)
    assert result.duration_s == pytest.approx(SECONDS * 30 / 25)
    assert result.bpm == pytest.approx(bpm * 25 / 30, abs=0.5)
    assert result.warnings[-1] == "timestamps: frame rate of 25 Hz as stated, those of the source are not used"


@pytest.mark.slow
def test_stated_rate_orders_numbered_images(frames, bpm: float, tmp_path: Path) -> None:
    for index, image in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"frame_{index}.png"), image[..., ::-1])  # 10 sorts before 9 as a text
    with pytest.raises(VideoError, match=r"are not times; name each .*, or state their frame rate"):
        measure(tmp_path)
    result = measure(tmp_path, fps=30)
    assert result.bpm == pytest.approx(bpm, abs=0.1)
    assert result.warnings == ("timestamps: frame rate of 30 Hz as stated, those of the source are not used",)


# --- names of images -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(face_video, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Image files of a face with 72 bpm, 20 s at 30 fps."""
    folder = tmp_path_factory.mktemp("images")
    with open_video(face_video(72.0, 20.0)) as video:
        files = []
        for index, frame in enumerate(video):
            files.append(folder / f"{index}.bmp")
            cv2.imwrite(str(files[-1]), frame.image[..., ::-1])
    return files


@pytest.fixture
def named(images: list[Path], tmp_path: Path) -> Callable[..., Path]:
    """Directory of the images, or of some of them, by the names of their numbers."""

    def link(name: Callable[[int], str], step: int = 1) -> Path:
        for index in range(0, len(images), step):
            (tmp_path / f"{name(index)}.bmp").hardlink_to(images[index])
        return tmp_path

    return link


def clock(pattern: str, index: int) -> str:
    """Time of an image of a recording that goes on after midnight, by `strftime`."""
    return (datetime(2026, 11, 29, 23, 59, 52, 300_123) + timedelta(seconds=index / 30)).strftime(pattern)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "step"),
    [
        (lambda i: f"Image{1392643993642815000 + i * 10**9 // 30}", 1),
        (lambda i: f"cam0_{i:04d}_{1700000000123 + i * 1000 // 30}", 1),
        (lambda i: f"{638_000_000_000_000_000 + i * 10**7 // 30}", 1),  # .NET ticks
        (lambda i: clock("%Y%m%d_%H%M%S_%f", i), 1),
        (lambda i: clock("%Y-%m-%dT%H-%M-%S.%f", i)[:-3], 1),
        (lambda i: clock("%H-%M-%S.%f", i)[:-5], 3),  # as 12-30-52.3
    ],
    ids=["nanoseconds", "counter and milliseconds", "ticks", "strftime", "ISO 8601", "time of day"],
)
def test_times_in_names_of_images_are_read(named, name: Callable[[int], str], step: int) -> None:
    folder = named(name, step)
    result = measure(folder)
    assert result.bpm == pytest.approx(72, abs=1)
    assert result.duration_s == pytest.approx(20, abs=0.3)
    assert result.warnings == ()
    assert list(stream(folder))[-1].bpm == pytest.approx(72, abs=1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["{:04d}".format, lambda i: f"img{20 * i}", lambda i: f"{8 * i}_left", lambda i: f"{i * 1000 // 30}"],
    ids=["count", "1/600 s", "240 Hz", "milliseconds from the start"],
)
def test_counts_in_names_of_images_need_a_stated_rate(named, name: Callable[[int], str], capsys) -> None:
    folder = named(name)
    for read in (measure, lambda folder: list(stream(folder))):
        with pytest.raises(VideoError, match=r"are not times; name each by .*, or state their frame rate \(fps\)$"):
            read(folder)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["measure", str(folder)])
    assert exit_.value.code == 3
    assert "are not times; name each by its time" in capsys.readouterr().err
    assert measure(folder, fps=30).bpm == pytest.approx(72, abs=1)


def test_floating_point_array_is_not_copied_as_a_whole(frames) -> None:
    array = frames.astype(np.float32)
    tracemalloc.start()
    measure(array, fps=30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 4, "at most a second of frames is held, as uint8"


@pytest.mark.slow
def test_example_of_the_page_measures(video: Path, bpm: float, tmp_path: Path, monkeypatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "inputs.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "face.mp4").symlink_to(video)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(facepulse, "measure", measure)  # by POS, which is faster
    names: dict = {}
    exec(code, names)
    assert names["m"].bpm == pytest.approx(bpm, abs=0.1)


# --- streams -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stream_of_any_form_has_the_same_readings(video: Path, frames) -> None:
    times = np.arange(len(frames)) / 30
    expected = [reading.to_dict() for reading in stream(frames, fps=30)]
    assert expected[-1]["bpm"] == pytest.approx(BPM, abs=2.0)
    assert [reading.to_dict() for reading in stream(frames / np.float32(255), times=times)] == expected
    assert [reading.to_dict() for reading in stream(iter(frames), fps=30)] == expected
    assert [reading.to_dict() for reading in stream(map(Frame, frames, times))] == expected
    assert list(stream(video))[-1].bpm == pytest.approx(expected[-1]["bpm"], abs=0.1)
    assert list(stream(video, fps=25))[-1].bpm == pytest.approx(expected[-1]["bpm"] * 25 / 30, abs=0.5)


# --- one clear line ------------------------------------------------------------------------------------------------


FORMS = "give a path, an array (T, H, W, 3) of RGB, or an iterable of frames"
NOT_VIDEOS = [
    (None, f"the video is None; {FORMS}"),
    (True, f"True is not a video; {FORMS}"),
    (False, f"False is not a video; {FORMS}"),
    (3.5, f"a video cannot be of the type float; {FORMS}"),
    (object(), f"a video cannot be of the type object; {FORMS}"),
    ({"frames": 1}, f"a dict is not a video; {FORMS}"),
    (b"0123", "the video is the content of a file (bytes); write it to a file and give the path"),
    (bytearray(4), "the video is the content of a file (bytes); write it to a file and give the path"),
    ("", "the path of the video is empty; give the path of a file or a directory of images"),
    ("*.mp4", "*.mp4: no file has this name, and patterns are not expanded; give each file by its name"),
    (
        "clips/?/1.mov",
        "clips/?/1.mov: no file has this name, and patterns are not expanded; give each file by its name",
    ),
    ("file:///v.mp4", "file:///v.mp4: not a path; give the path of the file, without file://"),
    ("*" * 300, "*" * 300 + ": no file has this name, and patterns are not expanded; give each file by its name"),
    (["a.mp4", "b.mp4"], "frame 0 is a path (a.mp4); measure one video at a time, each by its path"),
    (
        [[[1, 2, 3]]],
        "frame 0 is a list; give an array (H, W, 3), or a facepulse.Frame(image, time)",
    ),
]


@pytest.mark.parametrize(("source", "message"), NOT_VIDEOS)
@pytest.mark.parametrize("read", [measure, measure_faces, stream])
def test_other_kinds_are_refused_when_the_function_is_called(read, source, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(source)
    assert str(caught.value) == message


def test_open_files_and_captures_are_refused(video: Path) -> None:
    with (
        video.open("rb") as file,
        pytest.raises(UsageError, match="the video is an open BufferedReader; give the path"),
    ):
        measure(file)
    with pytest.raises(UsageError, match="the video is an open VideoCapture; give the path of the file, or its frames"):
        measure(cv2.VideoCapture(str(video)))


def test_cameras_and_addresses_are_for_streams() -> None:
    with pytest.raises(UsageError, match=r"0 is not a video; a camera is measured live, by facepulse\.stream\(0\)"):
        measure(0)
    with pytest.raises(UsageError, match=r"rtsp://camera/1: an address is measured live, by facepulse\.stream; or"):
        measure("rtsp://user:secret@camera/1")


@pytest.mark.parametrize("read", [measure, measure_faces, stream])
def test_clocks_are_refused_when_the_function_is_called(read, video: Path, frames) -> None:
    times = np.arange(len(frames)) / 30
    few, timed = frames[:3], [Frame(image, float(time)) for image, time in zip(frames, times, strict=True)]
    for arguments, message in [
        ({"video": frames}, r"an array has no times; state its frame rate \(fps\) or a time per frame \(times\)"),
        ({"video": list(frames)}, "frame 0 is of the type ndarray and has no time; state the frame rate"),
        ({"video": frames, "fps": 30, "times": times}, "were given; give one of them"),
        ({"video": timed, "fps": 30}, "frame 0 is a Frame, which has a time of its own; leave out fps and times"),
        ({"video": video, "times": times}, r"times are for arrays and images; give the frame rate \(fps\) of a file"),
        ({"video": few, "times": times}, "there are 300 times for 3 frames; give one time per frame"),
        ({"video": list(few), "times": times}, "there are 300 times for 3 frames; give one time per frame"),
        ({"video": few, "fps": 0}, "a number of frames per second, such as 30, not 0"),
        ({"video": few, "fps": True}, "a number of frames per second, such as 30, not True"),
        ({"video": few, "fps": "30"}, "a number of frames per second, such as 30, not '30'"),
        ({"video": video, "fps": float("nan")}, "a number of frames per second, such as 30, not nan"),
    ]:
        with pytest.raises(UsageError, match=message):
            read(arguments.pop("video"), **arguments)


def test_cameras_have_clocks_of_their_own() -> None:
    with pytest.raises(UsageError, match="cameras and addresses have clocks of their own; leave out fps"):
        stream(0, fps=30)


def test_number_of_times_is_checked_at_the_end_of_an_iterator(frames) -> None:
    with pytest.raises(UsageError, match=r"there are more frames than times \(2\); give one time per frame"):
        measure(iter(frames[:3]), times=[0.0, 0.1])
    with pytest.raises(UsageError, match="there are 4 times for 3 frames; give one time per frame"):
        measure(iter(frames[:3]), times=[0.0, 0.1, 0.2, 0.3])


def test_no_frames_are_an_error_for_measure_and_an_empty_stream(frames) -> None:
    for empty in ([], iter([])):
        with pytest.raises(UsageError, match="frames: there is no frame; give at least 5 s of frames"):
            measure(empty)
    assert list(stream([])) == []


def test_frames_of_another_size_are_refused_by_measure_and_stream(frames) -> None:
    mixed = [*frames[:3], frames[3, :100]]
    for read in (measure, stream):
        with pytest.raises(UsageError, match="frame 3 has 320x100 pixels, and those before it have 320x240; give"):
            list(read(mixed, fps=30))


@pytest.mark.parametrize("time", [float("nan"), float("inf"), None, -1.0])
def test_times_that_measure_refuses_are_skipped_in_a_stream(frames, time: float | None) -> None:
    timed = [Frame(image, index / 30) for index, image in enumerate(frames[:10])]
    timed[5] = Frame(frames[5], time)  # type: ignore[arg-type]
    message = "is earlier than the one before" if time == -1.0 else "give a finite time in seconds for each frame"
    with pytest.raises(UsageError, match=rf"frame 5 .*{message}"):
        measure(timed)
    assert list(stream(timed))


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e3, "milliseconds; .* 1,000"), (1e6, "microseconds; .* 1,000,000"), (1e9, "nanoseconds")]
)
@pytest.mark.parametrize("start_s", [0.0, 1_764_412_800.0])
def test_times_in_other_units_are_recognised(frames, factor: float, unit: str, start_s: float) -> None:
    times = (start_s + np.arange(20) / 30) * factor
    message = f"frames are .* apart, which fits {unit}"
    with pytest.raises(UsageError, match=message):
        measure(frames[:20], times=times)
    for read in (measure, stream):
        with pytest.raises(UsageError, match=message):
            list(read(map(Frame, frames, times.tolist())))


@pytest.mark.slow
def test_command_line_measures_the_other_videos(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["measure", "*.mp4", "", "https://user:secret@127.0.0.1/v.mp4", str(video), "--method", "POS"])
    assert exit_.value.code == 2
    output = capsys.readouterr()
    assert output.out.startswith(f"{video}: 7")
    assert [line.split(";")[0] for line in output.err.splitlines()] == [
        "facepulse: *.mp4: no file has this name, and patterns are not expanded",
        "facepulse: the path of the video is empty",
        "facepulse: https://127.0.0.1/v.mp4: an address is measured live, by facepulse.stream",
    ]

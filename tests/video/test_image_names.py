"""Names of images: times in any usual form, and no count that is taken as a time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.video.image_names import NotTimesError, number_order, times_in_names

START = datetime(2026, 11, 29, 12, 30, 52, 300_123)
MS = [1_700_000_000_000 + round(i / 0.03) for i in range(60)]  # milliseconds since 1970


def dated(pattern: str, drop: int = 0) -> Callable[[int], str]:
    """Name by `strftime`, without the last digits; microseconds since `START` are given."""
    return lambda us: (START + timedelta(microseconds=us)).strftime(pattern)[: -drop or None]


def epoch(unit: int, start: int = 0, pattern: str = "{}") -> Callable[[int], str]:
    """Name by an integer that counts units of a second since an epoch."""
    seconds = 1_764_419_452
    return lambda us: pattern.format(start + seconds * unit + us * unit // 10**6)


# Names by the microseconds from the first image, and their resolution in seconds.
TIMES: dict[str, tuple[Callable[[int], str], float]] = {
    "PURE": (epoch(10**9, pattern="Image{}"), 1e-6),
    "Oxford RobotCar": (epoch(10**6), 1e-6),
    "milliseconds of one camera": (epoch(10**3, pattern="cam0_{}_left"), 1e-3),
    ".NET ticks": (epoch(10**7, 621_355_968 * 10**9), 1e-6),
    "Windows FILETIME": (epoch(10**7, 116_444_736 * 10**9), 1e-6),
    "TUM, ROS: seconds since 1970": (lambda us: f"{1305031102 + us / 1e6:.6f}", 2e-6),
    "ROS: seconds and nanoseconds": (lambda us: f"{1600000000 + us // 10**6}_{us % 10**6:06d}000", 1e-6),
    "RealSense: milliseconds with a decimal point": (lambda us: f"_Color_{1543850323735 + us / 1e3:.14f}", 1e-6),
    "seconds": (lambda us: f"frame_{12 + us / 1e6:.3f}", 1e-3),
    "seconds without zeros at the end": (lambda us: f"frame_{round(9 + us / 1e6, 3)}", 1e-3),
    "counter and seconds": (lambda us: f"frame_{us // 1000:06d}_{12 + us / 1e6:.4f}", 1e-4),
    "seconds since 1904 (LabVIEW)": (lambda us: f"{3870000000 + us / 1e6:.3f}", 1e-3),
    "strftime of Python": (dated("%Y%m%d_%H%M%S_%f"), 1e-6),
    "ISO 8601": (dated("%Y-%m-%dT%H:%M:%S.%f+01:00"), 1e-6),
    "ISO 8601 without colons": (dated("%Y-%m-%dT%H-%M-%S.%f", 3), 1e-3),
    "Pixel phone": (dated("PXL_%Y%m%d_%H%M%S%f", 3), 1e-3),
    "Hikvision camera": (dated("192.168.1.64_01_%Y%m%d%H%M%S%f", 3), 1e-3),
    "Xiaomi screenshot": (dated("Screenshot_%Y-%m-%d-%H-%M-%S-%f", 3), 1e-3),
    "Basler pylon": (lambda us: dated("acA1300-30uc__21234567__%Y%m%d_%H%M%S%f", 3)(us) + f"_{us // 1000:04d}", 1e-3),
    "date of another order": (dated("29.11.2026 %H.%M.%S.%f", 3), 1e-3),
    "time of day": (dated("%H-%M-%S.%f", 4), 1e-2),
    "time from the start": (lambda us: dated("%H.%M.%S.%f", 3)(us - 45_052_300_123), 1e-3),
}


def assert_times(names: list[str], times: np.ndarray, resolution: float) -> None:
    found = times_in_names(names)
    np.testing.assert_allclose([float(time - found[0]) for time in found], times - times[0], atol=1.001 * resolution)


@pytest.mark.parametrize("kind", TIMES)
def test_times_are_read_in_every_form_and_any_order_of_the_files(kind: str) -> None:
    name, resolution = TIMES[kind]
    times = np.random.default_rng(0).permutation(np.arange(600) / 30)  # across a full minute
    assert_times([name(round(time * 1e6)) for time in times.tolist()], times, resolution)


@pytest.mark.parametrize("kind", TIMES)
@settings(max_examples=15)
@given(
    fps=st.floats(5, 240),
    jitter=st.floats(0, 0.3),
    lost=st.floats(0, 0.3),
    start_s=st.integers(0, 200_000),
    seed=st.integers(0, 99),
)
def test_times_return_within_their_resolution_or_are_refused(
    kind: str, fps: float, jitter: float, lost: float, start_s: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    name, resolution = TIMES[kind]
    times = (np.arange(2 * fps) + jitter * rng.uniform(0, 1, len(np.arange(2 * fps)))) / fps
    microseconds = np.round((times[rng.uniform(size=len(times)) >= lost] + start_s) * 1e6).astype(int).tolist()
    try:
        assert_times([name(us) for us in microseconds], np.array(microseconds) / 1e6, resolution)
    except NotTimesError:
        assert lost or 1 / fps < 3 * resolution, "a constant rate is read if the resolution is sufficient"


def test_nanoseconds_are_exact() -> None:
    assert times_in_names(["a1392643993642815001", "a1392643993676148334"]) == [
        Decimal("1392643993.642815001"),
        Decimal("1392643993.676148334"),
    ]


@pytest.mark.parametrize("pattern", ["%Y%m%d_%H%M%S_%f", "%d.%m. %H-%M-%S.%f", "%H_%M_%S_%f"])
def test_recording_continues_after_midnight_and_the_end_of_a_month(pattern: str) -> None:
    start = datetime(2026, 12, 31, 23, 59, 55)
    times = np.arange(300) / 30
    assert_times([(start + timedelta(seconds=time)).strftime(pattern) for time in times.tolist()], times, 1e-6)


def test_times_since_an_epoch_are_preferred_to_seconds() -> None:
    times = np.array(MS) / 1e3
    assert_times([f"{20 + index / 10:.1f}_{ms}" for index, ms in enumerate(MS)], times, 1e-6)


def test_pauses_and_repeated_times_are_kept() -> None:
    times = np.concatenate([np.arange(100) / 30, 60 + np.arange(100) / 30, [60.0]])
    assert_times([f"{index}_{1e9 + time:.3f}" for index, time in enumerate(times[:-1])], times[:-1], 1e-3)
    assert_times([f"{1e9 + time:.3f}" for time in times], times, 1e-3)


# Names by the number of the image, of a camera with 30 frames per second.
COUNTS: dict[str, Callable[[int], str]] = {
    "count": "{:04d}".format,
    "in units of 1/600 s": lambda i: f"img{20 * i}",
    "every 20th of 500 Hz": lambda i: f"img{20 * i:06d}",
    "every 8th of 240 Hz": lambda i: f"img_{8 * i}",
    "milliseconds from the start": lambda i: f"{round(i / 0.03)}",
    "microseconds from the start (Open3D)": lambda i: f"{round(i / 30e-6):06d}",
    "FFmpeg -frame_pts 1": lambda i: f"f_{3003 * i}",
    "date and count in one number": lambda i: f"20261129{20 * i:05d}",
    "date and nine digits": lambda i: f"20261129_{20 * i:09d}",
    "burst of a phone": lambda i: f"20261129_123052_{i:03d}",
    "decimated burst": lambda i: f"20261129_123052_{3 * i:03d}",
    "burst of a Pixel phone": lambda i: f"PXL_20261129_123052300.BURST-{i:02d}",
    "time of the start and count": lambda i: f"20261129_123052300_{i:04d}",
    "FlyCapture": lambda i: f"fc2_save_2026-11-29-1230{i // 30:02d}-{i:04d}",
    "whole seconds and a count in each (Motion)": lambda i: f"01-202611291230{i // 30:02d}-{i % 30:02d}",
    "whole seconds and every 8th of 240 in each": lambda i: f"20261129_1230{i // 30:02d}_{8 * (i % 30):03d}",
    "whole seconds and every 24th of 720 in each": lambda i: f"12-30-{i // 30:02d}-{24 * (i % 30):03d}",
    "SMPTE time code of 60 Hz": lambda i: f"12.30.{i // 60:02d}.{i % 60:02d}",
    "scene and frame": lambda i: f"shot1.{20 * i:04d}",
    "subject, session, trial and frame": lambda i: f"01_02_03_{i:03d}",
    "temperature": lambda i: f"{i:04d}_{36 + 0.9 * np.sin(7 * i) + i % 2:.2f}",
    "start and count": lambda i: f"1600000000_{20 * i:06d}",
    "hours, minutes and seconds without separators": lambda i: f"1230{i // 30:02d}{i % 30 * 1000 // 30:03d}",
    "minutes and seconds across a minute": lambda i: f"{30 + i // 120}-{i // 2 % 60}.{i % 2 * 5}",
    "days (MATLAB)": lambda i: f"{738124.5 + i / 30 / 86400:.9f}",
    "milliseconds since the camera was switched on": lambda i: f"_Color_{12345.678 + i / 0.03:.14f}",
    "version": lambda i: f"4.{i // 10}.{i % 10}",
    "exponents": lambda i: f"{1 + i / 30:.4e}",
    "huge": lambda i: f"frame_{10**200 + i}.9",
}


@pytest.mark.parametrize("kind", COUNTS)
def test_counts_are_not_times(kind: str) -> None:
    names = [COUNTS[kind](index) for index in range(270)]
    with pytest.raises(NotTimesError, match="names of the images"):
        times_in_names(names)
    assert number_order(names[::-1]) == list(range(270))[::-1]


@settings(max_examples=200)
@given(
    prefix=st.sampled_from(
        ["", "img", "cam2_", "2.5_", "20261129_", "20261129", "20261129_123052_", "12-30-52-", "12.30.52.", "v1."]
    ),
    suffix=st.sampled_from(["", "_left", "_0", ".2", "_640x480"]),
    width=st.integers(0, 9),
    first=st.integers(0, 10_000),
    step=st.integers(1, 3000),
)
def test_no_count_is_taken_as_a_time(prefix: str, suffix: str, width: int, first: int, step: int) -> None:
    with pytest.raises(NotTimesError):
        times_in_names([f"{prefix}{first + step * index:0{width}d}{suffix}" for index in range(300)])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"cam{camera}_{ms + 10 * camera}" for ms in MS for camera in (0, 1)], "as those of several cameras"),
        ([f"cam{camera}_{ms}" for ms in MS for camera in (0, 1)], "are 0 s apart"),
        ([f"{ms}_{side}" for ms in MS for side in ("left", "right")], "several patterns"),
        ([*map(str, MS), "2026-11-29_12-30-52.300"], r"several patterns \(\d{13} and 2026-11-29_12-30-52\.300\)"),
        ([*map(str, MS), "5"], "are not times"),
        ([f"{i // 30}.{i % 30 * 33_333_333 + 1000}" for i in range(90)], r"lack zeros \(12\.5 for 12\.005\)"),
        ([f"{2 * i}.5" for i in range(90)], "are 2 s apart, expected between 0.001 and 1 s"),
        ([f"{i}.5" for i in range(90)], "are 1 s apart"),
        ([f"{i / 1000:.3f}" for i in range(9000)], "are 0.001 s apart"),
        ([f"f_{i / 30 - 1:.3f}" for i in range(60)], "several patterns"),
        ([str(ms) for ms in MS for _ in (0, 1)][1:], "uneven"),
        ([f"{30 + i // 600}-{i % 600 / 10:.1f}" for i in range(520, 720)], "as those of several cameras"),
        ([f"{i}.{fraction}" for i in range(60) for fraction in ("002", "004", "006", "999")], "uneven"),
    ],
)
def test_faults_are_named(names: list[str], message: str) -> None:
    with pytest.raises(NotTimesError, match=message):
        times_in_names(names)


@pytest.mark.parametrize(
    "names",
    [
        ["exp12_0001", "exp10_0002", "exp12_0003", "exp9_0004"],
        ["smile_9", "speak_10", "rest_11"],
        ["2_1", "2_2", "10_1", "10_2"],
        ["take2_left1", "take10_left1"],
        ["12-59.5", "13-00.25", "13-01.0"],
        ["52.9", "52.33", "52.100"],
        ["20261129_123052_9", "20261129_123052_10", "20261129_123053_2"],
    ],
)
def test_names_without_times_are_sorted_by_their_numbers(names: list[str]) -> None:
    order = number_order(names[::-1])
    assert [names[::-1][index] for index in order] == names


def test_epochs_end_before_dates_begin() -> None:
    last = int(datetime(2033, 5, 1, tzinfo=UTC).timestamp())
    names = [str(last * 1000 + round(i / 0.03)) for i in range(60)]
    assert times_in_names(names)[0] == last

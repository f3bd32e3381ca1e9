"""Decode a file or a directory of images into RGB frames with timestamps."""

import itertools
import os
import re
import stat
import statistics
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import av
import av.error
import cv2
import numpy as np
from av.format import Flags
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from facepulse._types import Image
from facepulse.errors import VideoError

MAX_TIME_GAP_S = 1.0  # frames further apart than this show two scenes: nothing is interpolated in between

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One picture: `image` uint8 (H, W, 3) RGB, upright; `time` in seconds since the first; `key`: needs no other."""

    image: Image
    time: float
    key: bool = True


def frame_rate(times: NDArray[np.float64]) -> float:
    """Frames a second while frames came, as their times (N,) in seconds say; 0 where they hardly ever did."""
    steps = np.diff(times)
    steps = steps[steps <= MAX_TIME_GAP_S]
    return float(len(steps) / steps.sum()) if len(steps) else 0.0


def length_s(times: NDArray[np.float64]) -> float:
    """Seconds from the first frame to the end of the last."""
    rate = frame_rate(times)
    return float(times[-1] - times[0]) + (1.0 / rate if rate else 0.0)


class Video:
    """Frames of one source, decoded as they are asked for; made by `open_video`, iterated once, as a file is.

    Attributes:
        path: the source.
        width, height: pixels of every yielded image, after rotation and downscaling.
        codec: "h264", "mjpeg", ..., or "images" for a directory.
        expected_frames: how many frames the source promises, None where it does not say.
        duration_s: how many seconds the source promises, None where it does not say.
        warnings: what was wrong and survived, one line each; complete when the iteration has ended.
    """

    def __init__(self, path: Path, codec: str, expected_frames: int | None, duration_s: float | None) -> None:
        self.path = path
        self.codec = codec
        self.expected_frames = expected_frames
        self.duration_s = duration_s
        self.warnings: list[str] = []
        self._key_times: list[float] = []
        self._count = 0
        self._decoder = self._decode()
        # Only a decoded frame shows the size, and that there is anything to decode.
        first = next(self._decoder, None)
        if first is None:
            raise VideoError(f"{path}: no frame could be decoded, it is damaged; export or copy it again")
        self.height, self.width = first.image.shape[:2]
        self._frames = self._forward(first)

    @property
    def key_times(self) -> list[float]:
        """Seconds at which a coded group starts; empty while every frame so far is a key frame."""
        return [] if len(self._key_times) == self._count else list(self._key_times)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source; the iteration ends."""
        self._frames.close()
        self._decoder.close()

    def _decode(self) -> Generator[Frame, None, None]:
        raise NotImplementedError

    def _forward(self, first: Frame) -> Generator[Frame, None, None]:
        start, latest, dropped = first.time, -np.inf, 0
        for frame in itertools.chain([first], self._decoder):
            time = frame.time - start
            if time <= latest:
                dropped += 1
                continue
            latest = time
            self._count += 1
            if frame.key:
                self._key_times.append(time)
            yield Frame(frame.image, time, frame.key)
        if dropped:
            self.warnings.append(f"timestamps: frames not later than the one before, dropped: {dropped}")


def open_video(source: str | Path, *, max_side: int = 1280) -> Video:
    """Open a video file, or a directory of images that carry their times in their names.

    A file's times are its stream's own, its rotation is applied, and any pixel format becomes RGB. A directory is
    read in the order of the last number in each name: integer nanoseconds (as PURE has,
    `Image1392643993642815000.png`), microseconds or milliseconds, or seconds with a decimal point.

    Args:
        source: the file or directory.
        max_side: pixels; images whose longer side exceeds this are scaled down to it.

    Returns:
        The frames, as a context manager to iterate once.

    Raises:
        VideoError: the source is missing or unreadable, or holds no frame.
    """
    path = Path(source)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _ImageDirectory(path, max_side)
        if not stat.S_ISREG(mode):
            raise VideoError(f"{path}: is a device or a pipe, not a file; record it to a file first")
        return _VideoFile(path, max_side)
    except FileNotFoundError:
        raise VideoError(f"{path}: no such file or directory; check the path") from None
    except PermissionError:
        raise VideoError(f"{path}: no permission to read it; change its permissions (chmod u+r)") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: cannot be read as video ({error}); check that it plays elsewhere") from error


class _VideoFile(Video):
    def __init__(self, path: Path, max_side: int) -> None:
        self._container = _open_container(path)
        streams = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        # FFmpeg would draw a text file as the screen of a terminal.
        if not streams or self._container.format.name == "tty":
            raise VideoError(f"{path}: holds no video stream (sound or text only); give a file with a picture")
        self._stream = max(streams, key=lambda stream: stream.width * stream.height)  # not the thumbnail's
        if self._stream.codec_context is None:
            raise VideoError(f"{path}: there is no decoder for its codec; convert it to H.264")
        self._stream.thread_type = "AUTO"
        # Every thread holds frames: on a machine with many cores 4K would take hundreds of megabytes.
        self._stream.codec_context.thread_count = min(4, os.cpu_count() or 1)
        self._max_side = max_side
        self._damaged = 0
        self._packets_read = 0
        codec = self._stream.codec.canonical_name
        super().__init__(path, codec, self._stream.frames or None, self._promised_duration_s())

    def _promised_duration_s(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        # Matroska writes the length of each stream as a tag.
        if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        # The container's length is that of its longest stream, which may be the sound.
        return container.duration / av.time_base if container.duration and len(container.streams) == 1 else None

    def _decode(self) -> Generator[Frame, None, None]:
        reformatter = VideoReformatter()  # shared: a fresh one for every frame is twelve times slower
        time_base = float(self._stream.time_base or 0)
        period_s = 1 / float(self._stream.guessed_rate or 30)
        # The times of a raw stream, if there are any, are FFmpeg's guess.
        timed = not self._container.format.flags & Flags.no_timestamps.value
        count, end_s = 0, 0.0
        size = quarter_turns = None
        with self._container:
            for picture in self._pictures():
                if size is None:  # kept to the end, even if the resolution changes on the way
                    shrink = min(1.0, self._max_side / max(picture.width, picture.height))
                    size = max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink))
                    quarter_turns = round(picture.rotation / 90)
                try:
                    # One thread: at the sizes of video, starting more costs more than it gains.
                    rgb = reformatter.reformat(picture, *size, "rgb24", interpolation=Interpolation.AREA, threads=1)
                except av.error.FFmpegError:
                    self._damaged += 1
                    continue
                timed = timed and picture.pts is not None
                time_s = end_s if picture.pts is None else picture.pts * time_base
                count, end_s = count + 1, time_s + period_s
                image = np.rot90(rgb.to_ndarray(), quarter_turns or 0)
                yield Frame(np.ascontiguousarray(image, np.uint8), time_s, picture.key_frame)
        if not timed:
            self.warnings.append(f"timestamps: the file lacks them, {1 / period_s:.4g} frames a second assumed")
        self._report_losses(count, end_s)

    def _report_losses(self, count: int, end_s: float) -> None:
        # Packets, not frames, are held against the promise: an edit list (a phone's trim) hides whole frames.
        expected, duration_s = self.expected_frames, self.duration_s
        if expected and self._packets_read < expected - max(3, expected // 50):
            self.warnings.append(f"truncated: {count} of {expected} frames could be decoded")
        elif not expected and duration_s and end_s < duration_s - max(1.0, duration_s / 50):
            self.warnings.append(f"truncated: {end_s:.1f} of {duration_s:.1f} s could be decoded")
        if self._damaged:
            self.warnings.append(f"damaged: frames that could not be decoded, skipped: {self._damaged}")

    def _pictures(self) -> Iterator[av.VideoFrame]:
        for packet in itertools.chain(self._packets(), [None]):  # None: hand out what is still held back
            try:
                pictures = self._stream.decode(packet)
            except av.error.FFmpegError:
                self._damaged += packet is not None
                continue
            whole = [picture for picture in pictures if not picture.is_corrupt]
            self._damaged += len(pictures) - len(whole)
            yield from whole

    def _packets(self) -> Iterator[Any]:
        # AVI promises periods: those whose frame was dropped show only in the count of time.
        counts_periods = self._container.format.name == "avi"
        try:
            for packet in self._container.demux(self._stream):
                if not packet.size:
                    continue  # it would tell the decoder that this is the end
                if not packet.is_corrupt:
                    periods = packet.dts if counts_periods and packet.dts is not None else self._packets_read
                    self._packets_read = periods + 1
                yield packet
        except av.error.FFmpegError:
            return  # nothing can be read beyond this point; the number of packets shows what is missing


def _open_container(path: Path) -> Any:
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty; export or copy it again")
    # A tag that is not UTF-8 must not stop a good video; PyAV 19 needs no telling.
    tolerant: Any = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
    try:
        return av.open(path.absolute(), **tolerant)  # absolute: a colon in a relative name would name a protocol
    except av.error.InvalidDataError as error:
        if _lacks_index(path):
            raise VideoError(f"{path}: incomplete, its index (moov) is missing; record or copy it again") from error
        raise VideoError(f"{path}: not a video; give a video file such as mp4, mov, avi, mkv or webm") from error


def _lacks_index(path: Path) -> bool:
    """Whether an MP4 or MOV has no whole `moov` box, which tells where frames lie (ISO/IEC 14496-12, 4.2)."""
    kinds: list[bytes] = []
    end, length = 0, path.stat().st_size
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size = int.from_bytes(header[:4], "big")
            end += int.from_bytes(header[8:], "big") if size == 1 else size
            if size == 0 or end > length or kinds[:1] not in ([], [b"ftyp"]):
                break
            kinds.append(header[4:8])
            file.seek(end)
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


class _ImageDirectory(Video):
    def __init__(self, path: Path, max_side: int) -> None:
        images = _images_in(path) or _images_in(path / path.name)  # PURE has 01-01/01-01/*.png
        if not images:
            raise VideoError(f"{path}: a directory without images (png, jpg, ...); give images or a video file")
        self._timed_images = _timed_by_name(path, images)
        self._max_side = max_side
        super().__init__(path, "images", len(images), self._timed_images[-1][0])

    def _decode(self) -> Generator[Frame, None, None]:
        first_shape = None
        unreadable = misfits = 0
        for time_s, path in self._timed_images:
            bgr = _read_bgr(path)
            if bgr is None:
                unreadable += 1
                continue
            first_shape = first_shape or bgr.shape
            if bgr.shape != first_shape:
                misfits += 1
                continue
            shrink = self._max_side / max(bgr.shape)
            if shrink < 1:
                bgr = cv2.resize(bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
            yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), time_s, True)
        if unreadable:
            self.warnings.append(f"damaged: images that could not be read, skipped: {unreadable}")
        if misfits:
            self.warnings.append(f"images of another size than the first, skipped: {misfits}")


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # Hidden files are not images: on foreign disks macOS puts a ._ file beside each.
    return [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]


def _read_bgr(path: Path) -> Any:
    try:
        # Not imread: on Windows it cannot open names beyond ASCII.
        return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None


def _timed_by_name(folder: Path, images: list[Path]) -> list[tuple[float, Path]]:
    # The unit is the one that puts the median spacing strictly between 1 ms and 1 s. Counted names (0001.png) fit
    # none: a spacing of 1 is 1 ms in the finest unit that could hold it and 1 s in the coarsest.
    wanted = "name each by its time, as Image1392643993642815000.png (nanoseconds) or frame_12.345.png (seconds)"
    numbers = [re.findall(r"\d+(?:\.\d+)?", path.stem)[-1:] for path in images]
    if not all(numbers):
        raise VideoError(f"{folder}: images without a time in their names; {wanted}")
    stamped = sorted((Decimal(number), path) for (number,), path in zip(numbers, images, strict=True))
    start = stamped[0][0]
    if len(stamped) == 1:
        return [(0.0, stamped[0][1])]
    spacing = statistics.median(later - earlier for (earlier, _), (later, _) in itertools.pairwise(stamped))
    powers = [0] if any("." in number for (number,) in numbers) else [9, 6, 3]
    unit = next((unit for p in powers if Decimal("0.001") < spacing * (unit := Decimal(10) ** -p) < 1), None)
    if unit is None:
        raise VideoError(f"{folder}: the numbers in the images' names are no times; {wanted}")
    return [(float((stamp - start) * unit), path) for stamp, path in stamped]

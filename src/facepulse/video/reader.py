"""Decoding of video files and image directories into RGB frames with timestamps."""

import itertools
import os
import re
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import av
import av.error
import cv2
import numpy as np
from av.format import Flags
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from facepulse._types import Floats, Image
from facepulse.errors import VideoError
from facepulse.video.images import find_images, read_rgb

MAX_TIME_GAP_S = 1.0  # frames further apart than this belong to different segments: nothing is interpolated between
MAX_SIDE = 1280  # pixels; larger frames are scaled down


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: uint8 (H, W, 3), RGB, upright.
        time: seconds; the first frame of a video is at 0, frames of a caller have any clock.
        key: True for a key frame, which is coded without reference to other frames.
    """

    image: Image
    time: float
    key: bool = True


def frame_rate(times: Floats) -> float:
    """Frame rate in Hz from times (N,) in seconds, without gaps longer than `MAX_TIME_GAP_S`; 0 if all are longer."""
    steps = np.diff(times)
    steps = steps[steps <= MAX_TIME_GAP_S]
    return float(len(steps) / steps.sum()) if len(steps) else 0.0


def length_s(times: Floats) -> float:
    """Seconds from the first frame to the end of the last one, from times (N,) in seconds."""
    rate = frame_rate(times)
    return float(times[-1] - times[0]) + (1.0 / rate if rate else 0.0)


class Video:
    """Iterator over the frames of one source, which are decoded on demand; `open_video` creates it.

    Attributes:
        name: of the source, in messages and results.
        width, height: size of every frame in pixels, after rotation and downscaling.
        codec: "h264", "mjpeg", ..., or "images" for a directory.
        expected_frames: number of frames according to the source, None if it has no such entry.
        duration_s: duration in seconds according to the source, None if it has no such entry.
        warnings: faults that did not stop decoding, one line each; complete when the iteration has ended.
    """

    def __init__(self, name: str, codec: str, expected_frames: int | None, duration_s: float | None) -> None:
        self.name = name
        self.codec = codec
        self.expected_frames = expected_frames
        self.duration_s = duration_s
        self.warnings: list[str] = []
        self._key_times: list[float] = []
        self._yielded = 0
        self._decoder = self._decode()
        # The size is known, and the source known to be readable, only once a frame is decoded.
        first = next(self._decoder, None)
        if first is None:
            raise VideoError(f"{name}: no frame could be decoded, the file is damaged; export or copy it again")
        self.height, self.width = first.image.shape[:2]
        self._frames = self._in_order(first)

    @property
    def key_times(self) -> list[float]:
        """Times in seconds of the key frames so far; empty if every frame so far is a key frame."""
        return [] if len(self._key_times) == self._yielded else list(self._key_times)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source, which ends the iteration."""
        self._frames.close()
        self._decoder.close()

    def _decode(self) -> Generator[Frame, None, None]:
        raise NotImplementedError

    def _in_order(self, first: Frame) -> Generator[Frame, None, None]:
        """Yield frames with increasing times from 0, and drop the others."""
        start, latest, dropped = first.time, -np.inf, 0
        for frame in itertools.chain([first], self._decoder):
            time = frame.time - start
            if time <= latest:
                dropped += 1
                continue
            latest = time
            self._yielded += 1
            if frame.key:
                self._key_times.append(time)
            yield Frame(frame.image, time, frame.key)
        if dropped:
            self.warnings.append(f"timestamps: frames not later than the one before, dropped: {dropped}")


class TimedFrames(Video):
    """Frames that exist as images with times: those of a directory, an array or a program.

    Large images are scaled down. Images that cannot be read or have another size than the first are skipped.

    Args:
        name: of the source, in messages and results.
        codec: name of the storage format.
        frames: one per image; None for an image that cannot be read.
        expected_frames: number of images, if it is known.
        duration_s: seconds from the first to the last frame, if they are known.
        max_side: largest side of a frame in pixels; larger frames are scaled down to it.
    """

    def __init__(
        self,
        name: str,
        codec: str,
        frames: Iterable[Frame | None],
        expected_frames: int | None = None,
        duration_s: float | None = None,
        max_side: int = MAX_SIDE,
    ) -> None:
        self._given, self._max_side = frames, max_side
        super().__init__(name, codec, expected_frames, duration_s)

    @classmethod
    def of_images(
        cls,
        name: str,
        codec: str,
        images: Iterable[Image | None],
        times: Sequence[float] | Floats,
        max_side: int = MAX_SIDE,
    ) -> Self:
        """Combine images, uint8 (H, W, 3) RGB each or None if it cannot be read, with as many times in seconds."""
        seconds = [float(time) for time in times]
        frames = (None if image is None else Frame(image, time) for image, time in zip(images, seconds, strict=True))
        return cls(name, codec, frames, len(seconds), seconds[-1] - seconds[0] if seconds else None, max_side)

    def _decode(self) -> Generator[Frame, None, None]:
        shape = None
        unreadable = other_sizes = 0
        for frame in self._given:
            if frame is None:
                unreadable += 1
            elif frame.image.shape != (shape := shape or frame.image.shape):
                other_sizes += 1
            else:
                yield Frame(_scaled_down(frame.image, self._max_side), frame.time, frame.key)
        if unreadable:
            self.warnings.append(f"damaged: images that could not be read, skipped: {unreadable}")
        if other_sizes:
            self.warnings.append(f"images of another size than the first, skipped: {other_sizes}")


def _scaled_down(image: Image, max_side: int) -> Image:
    """Scale an image down to a largest side in pixels, if it is larger."""
    shrink = max_side / max(image.shape)
    if shrink >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)


def open_video(source: str | Path, *, max_side: int = MAX_SIDE, fps: float | None = None) -> Video:
    """Open a video file, or a directory of images with timestamps in their names.

    Frames of a file have the timestamps of its stream, are rotated according to its metadata and converted to RGB from
    any pixel format. Images of a directory are ordered by the last number in each name: integer nanoseconds (as in
    PURE, `Image1392643993642815000.png`), microseconds or milliseconds, or seconds with a decimal point.

    Args:
        source: file or directory.
        max_side: largest side of a frame in pixels; larger frames are scaled down to it.
        fps: frame rate in Hz that replaces the timestamps, if there are none or they are wrong: frame number i has the
            time i / fps, and the names of images have to contain numbers, but no times. The video's `warnings` say so.

    Returns:
        An iterator over the frames, which is also a context manager. It can be iterated once.

    Raises:
        VideoError: the source is missing or unreadable, or contains no frame.
    """
    path = Path(source)
    video: Video
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            found = find_images(path, fps)
            video = TimedFrames.of_images(str(path), "images", map(read_rgb, found.paths), found.times, max_side)
        elif stat.S_ISREG(mode):
            video = ContainerVideo(str(path), _open_container(path), max_side, fps)
        else:
            raise VideoError(f"{path}: is a device or a pipe, not a file; record it to a file first")
    except FileNotFoundError:
        raise VideoError(f"{path}: no such file or directory; check the path") from None
    except PermissionError:
        raise VideoError(f"{path}: no permission to read it; change its permissions (chmod u+r)") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: cannot be read as video ({error}); check that a video player can play it") from error
    if fps is not None:
        video.warnings.append(f"timestamps: frame rate of {fps:.4g} Hz as stated, those of the source are not used")
    return video


class ContainerVideo(Video):
    """Frames of a file or network stream, decoded by FFmpeg.

    Args:
        name: of the source, in messages and results.
        container: the opened source; it is closed at the end of the iteration.
        max_side: largest side of a frame in pixels; larger frames are scaled down to it.
        fps: frame rate in Hz that replaces the timestamps.

    Attributes:
        timed: True if the source has timestamps; otherwise, times are guessed.
    """

    def __init__(self, name: str, container: Any, max_side: int = MAX_SIDE, fps: float | None = None) -> None:
        self._container = container
        streams = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        # FFmpeg decodes a text file as the screen of a terminal ("tty").
        if not streams or self._container.format.name == "tty":
            raise VideoError(f"{name}: contains no video stream (only sound or text); give a video file")
        self._stream = max(streams, key=lambda stream: stream.width * stream.height)  # not a thumbnail
        if self._stream.codec_context is None:
            raise VideoError(f"{name}: there is no decoder for its codec; convert it to H.264")
        self._stream.thread_type = "AUTO"
        # Every thread holds frames: on a machine with many cores, 4K video would take hundreds of megabytes.
        self._stream.codec_context.thread_count = min(4, os.cpu_count() or 1)
        self._max_side, self._fps = max_side, fps
        self._damaged = 0
        self._packets_read = 0
        # The timestamps of a raw stream, if there are any, are guessed by FFmpeg.
        self.timed = not container.format.flags & Flags.no_timestamps.value
        codec, count = self._stream.codec.canonical_name, self._stream.frames or None
        self._declared_s = self._declared_duration_s()
        super().__init__(name, codec, count, self._declared_s if fps is None else count and count / fps)

    def _declared_duration_s(self) -> float | None:
        """Duration of the stream in seconds according to the container, None if it has no such entry."""
        stream, container = self._stream, self._container
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        # Matroska has the duration of each stream in a tag.
        if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        # The duration of the container is that of its longest stream, which may be the sound.
        return container.duration / av.time_base if container.duration and len(container.streams) == 1 else None

    def _decode(self) -> Generator[Frame, None, None]:
        reformatter = VideoReformatter()  # shared: a new one for every frame would be twelve times slower
        time_base = float(self._stream.time_base or 0)
        period_s = 1 / float(self._stream.guessed_rate or 30)
        count, end_s = 0, 0.0
        size = quarter_turns = None
        with self._container:
            for frame in self._decoded_frames():
                if size is None:  # that of the first frame is kept, even if the resolution changes later
                    shrink = min(1.0, self._max_side / max(frame.width, frame.height))
                    size = max(1, round(frame.width * shrink)), max(1, round(frame.height * shrink))
                    quarter_turns = round(frame.rotation / 90)
                try:
                    # One thread: at the size of video frames, starting more would cost more than it saves.
                    rgb = reformatter.reformat(frame, *size, "rgb24", interpolation=Interpolation.AREA, threads=1)
                except av.error.FFmpegError:
                    self._damaged += 1
                    continue
                self.timed = self.timed and frame.pts is not None
                time_s = end_s if frame.pts is None else frame.pts * time_base
                # Damaged frames keep their places, up to the few frames by which the decoder is ahead.
                stated_s = (count + self._damaged) / self._fps if self._fps else time_s
                count, end_s = count + 1, time_s + period_s
                image = np.rot90(rgb.to_ndarray(), quarter_turns or 0)
                yield Frame(np.ascontiguousarray(image, np.uint8), stated_s, frame.key_frame)
        if not self.timed and self._fps is None:
            self.warnings.append(f"timestamps: the file has none, {1 / period_s:.4g} frames per second assumed")
        self._report_losses(count, end_s)

    def _report_losses(self, count: int, end_s: float) -> None:
        # The expected number is compared with packets, not with frames: an edit list (of a clip trimmed on a phone)
        # hides frames of a complete file.
        expected, duration_s = self.expected_frames, self._declared_s
        if expected and self._packets_read < expected - max(3, expected // 50):
            self.warnings.append(f"truncated: {count} of {expected} frames could be decoded")
        elif not expected and duration_s and end_s < duration_s - max(1.0, duration_s / 50):
            self.warnings.append(f"truncated: {end_s:.1f} of {duration_s:.1f} s could be decoded")
        if self._damaged:
            self.warnings.append(f"damaged: frames that could not be decoded, skipped: {self._damaged}")

    def _decoded_frames(self) -> Iterator[av.VideoFrame]:
        for packet in itertools.chain(self._packets(), [None]):  # None flushes the decoder
            try:
                frames = self._stream.decode(packet)
            except av.error.FFmpegError:
                self._damaged += packet is not None
                continue
            intact = [frame for frame in frames if not frame.is_corrupt]
            self._damaged += len(frames) - len(intact)
            yield from intact

    def _packets(self) -> Iterator[Any]:
        # The reading error ends the stream: the number of packets shows how much is missing.
        with suppress(av.error.FFmpegError):
            for packet in self._container.demux(self._stream):
                if packet.size:  # an empty packet would end the decoder
                    self._count(packet)
                    yield packet

    def _count(self, packet: Any) -> None:
        if packet.is_corrupt:
            return
        # AVI declares a number of periods, in which dropped frames have no packet but advance the clock.
        is_clocked = self._container.format.name == "avi" and packet.dts is not None
        self._packets_read = (packet.dts if is_clocked else self._packets_read) + 1


def _open_container(path: Path) -> Any:
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty; export or copy it again")
    # A tag that is not UTF-8 must not stop a good video; from PyAV 19 on this is the default.
    tolerant: Any = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
    try:
        return av.open(
            path.absolute(), **tolerant
        )  # absolute: FFmpeg would read a colon in a relative name as a protocol
    except av.error.InvalidDataError as error:
        if _lacks_index(path):
            raise VideoError(f"{path}: incomplete, its index (moov) is missing; record or copy it again") from error
        raise VideoError(f"{path}: not a video; give a video file such as mp4, mov, avi, mkv or webm") from error


def _lacks_index(path: Path) -> bool:
    """True if an MP4 or MOV has no complete `moov` box, its index of frames (ISO/IEC 14496-12, 4.2)."""
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

"""Decoding of video files and network streams by FFmpeg."""

import itertools
import math
import os
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.format import Flags
from av.video.frame import PictureType

from facepulse.errors import VideoError
from facepulse.video.conversion import FrameConverter
from facepulse.video.frames import MAX_SIDE, Frame, Video
from facepulse.video.stream_choice import choose_stream
from facepulse.video.timestamps import STATE_THE_RATE, ContinuousClock, PresentationOrder
from facepulse.video.unreadable import ENCRYPTED, not_a_video, undecoded, without_decoder

ENDS_DECLARED = "matroska,webm", "asf", "nut"  # formats that declare the time of the last frame, not the duration


def has_timestamps(container: Any) -> bool:
    """True if the frames of a container have timestamps; those of a raw stream, if there are any, FFmpeg guesses."""
    return not container.format.flags & Flags.no_timestamps.value


class ContainerVideo(Video):
    """Frames of a file or network stream, decoded by FFmpeg.

    Args:
        name: of the source, in messages and results.
        container: the opened source; it is closed at the end of the iteration.
        max_side: largest side of a frame in pixels; larger frames are scaled down to it.
        fps: frame rate in Hz that replaces the timestamps.
        path: of the file; None for a network stream.

    Raises:
        VideoError: there is no video stream, no decoder for it or no frame; or there are neither timestamps nor `fps`.
    """

    def __init__(
        self,
        name: str,
        container: Any,
        max_side: int = MAX_SIDE,
        fps: float | None = None,
        path: Path | None = None,
    ) -> None:
        self._container = container
        stream = choose_stream(container, partial(_demuxer, path) if path else None)
        # FFmpeg decodes a text file as the screen of a terminal ("tty").
        if stream is None or container.format.name == "tty":
            raise VideoError(f"{name}: contains no video stream (only sound or text); give a video file")
        if stream.codec_context is None:
            raise VideoError(f"{name}: {without_decoder(path)}")
        self._path, self._stream = path, stream
        self._stream.thread_type = "AUTO"
        # Every thread holds frames: on a machine with many cores, 4K video would take hundreds of megabytes.
        self._stream.codec_context.thread_count = min(4, os.cpu_count() or 1)
        self._max_side, self._fps = max_side, fps
        self._damaged = 0
        self._errors: set[type[Exception]] = set()
        self._packets_read = self._converted_frames = 0
        self._first_s = self._latest_s = math.nan  # by the timestamps of the source
        if fps is None and not has_timestamps(container):
            raise VideoError(f"{name}: is a raw stream without timestamps; {STATE_THE_RATE}")
        self._order = PresentationOrder(self._stream.codec_context.has_b_frames)
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
        period_s = 1 / float(self._stream.guessed_rate or 30)
        clock = ContinuousClock(self.name, period_s)
        converted = self._converted()
        with self._container:
            yield from converted if self._fps else clock(converted)
        self.dropped += clock.outliers
        self.warnings += clock.notes()
        self._report_losses(period_s)

    def _converted(self) -> Iterator[Frame]:
        """Decode frames to RGB, with their times in seconds as the source or the caller states them, NaN if missing."""
        convert = FrameConverter(self._max_side, self.warnings)
        time_base = float(self._stream.time_base or 0)
        for frame, timestamp in self._decoded_frames():
            try:
                image = convert(frame)
            except av.error.FFmpegError:
                self._damaged += 1
                continue
            time_s = math.nan if timestamp is None else timestamp * time_base
            self._first_s, self._latest_s = np.fmin(self._first_s, time_s), np.fmax(self._latest_s, time_s)
            if self._fps is not None:
                # Damaged frames keep their places, up to the few frames by which the decoder is ahead.
                time_s = (self._converted_frames + self._damaged) / self._fps
            self._converted_frames += 1
            yield Frame(image, time_s, frame.key_frame, frame.pict_type != PictureType.B)

    def _reason_without_frames(self) -> str:
        return undecoded(self._path, self._stream, self._packets_read, self._errors)

    def _report_losses(self, period_s: float) -> None:
        # The expected number is compared with packets, not with frames: an edit list (of a clip trimmed on a phone)
        # hides frames of a complete file.
        expected, declared_s = self.expected_frames, self._declared_s
        decoded_s = self._latest_s - self._first_s + period_s
        if declared_s and self._container.format.name in ENDS_DECLARED:
            declared_s -= max(self._first_s, 0.0)
        if expected and self._packets_read < expected - max(3, expected // 50):
            self.warnings.append(f"truncated: {self._converted_frames} of {expected} frames could be decoded")
        elif not expected and declared_s and decoded_s < declared_s - max(1.0, declared_s / 50):
            self.warnings.append(f"truncated: {decoded_s:.1f} of {declared_s:.1f} s could be decoded")
        if self._damaged:
            self.warnings.append(f"damaged: frames that could not be decoded, skipped: {self._damaged}")

    def _decoded_frames(self) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Decode frames, each with its timestamp of presentation in units of the time base, None if it has none."""
        for packet in itertools.chain(self._packets(), [None]):  # None flushes the decoder
            try:
                frames = self._stream.decode(packet)
            except av.error.FFmpegError as error:
                self._errors.add(type(error))
                if packet is not None:
                    self._damaged += 1
                    self._order.take(None)
                continue
            for frame in frames:
                timestamp = self._order.take(frame.pts)
                if frame.is_corrupt:
                    self._damaged += 1
                else:
                    yield frame, timestamp

    def _packets(self) -> Iterator[Any]:
        # The reading error ends the stream: the number of packets shows how much is missing.
        with suppress(av.error.FFmpegError):
            for packet in self._container.demux(self._stream):
                if self._packets_read == 0 and packet.has_sidedata("encryption_info"):
                    raise VideoError(f"{self.name}: {ENCRYPTED}")
                if packet.size:  # an empty packet would end the decoder
                    self._count(packet)
                    if not packet.is_discard:  # those before an edit list's start are decoded, but not presented
                        self._order.add(packet.pts, packet.dts)
                    yield packet

    def _count(self, packet: Any) -> None:
        if packet.is_corrupt:
            return
        # AVI declares a number of periods, in which dropped frames have no packet but advance the clock.
        is_clocked = self._container.format.name == "avi" and packet.dts is not None
        self._packets_read = (packet.dts if is_clocked else self._packets_read) + 1


def open_container(path: Path) -> Any:
    """Open a video file.

    Raises:
        VideoError: it is empty, or no video file.
        FFmpegError, OSError, ValueError: it cannot be read.
    """
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty; export or copy it again")
    try:
        return _demuxer(path)
    except (av.error.InvalidDataError, av.error.EOFError, av.error.OSError) as error:  # each may mean a cut header
        raise VideoError(f"{path}: {not_a_video(path)}") from error


def _demuxer(path: Path) -> Any:
    # A tag that is not UTF-8 must not stop a good video; from PyAV 19 on this is the default.
    tolerant: Any = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
    return av.open(path.absolute(), **tolerant)  # absolute: FFmpeg would read a colon in a relative name as a protocol

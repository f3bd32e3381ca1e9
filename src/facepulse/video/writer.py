"""Encoding of frames with timestamps into video files, for demos, simulations and tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from facepulse._types import Image
from facepulse.errors import UsageError


class VideoWriter:
    """Encoder of frames at given times into a file, which gets its name once it is complete.

    Colours are encoded by BT.601, which decoders also assume if a container does not specify it. The resolution of
    times is 1/60000 s in MP4 and MOV, 1 ms in Matroska and WebM, and one period of `fps` in AVI.

    Args:
        path: file to write; its suffix selects the container.
        width: width of the frames in pixels.
        height: height of the frames in pixels.
        fps: nominal frame rate in Hz, which the encoder uses for rate control.
        codec: name of the encoder in FFmpeg.
        options: options of the encoder, such as {"crf": "18"}.
        container_options: options of the container, such as {"movflags": "faststart"}.
        key_interval: frames from one key frame to the next; the encoder chooses if None.
        pixel_format: name of the encoded pixel format in FFmpeg.
        rotation: degrees by which players turn the image counterclockwise, a multiple of 90.

    Raises:
        UsageError: the file cannot be written, or the codec cannot encode such frames.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        *,
        fps: float = 30.0,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        key_interval: int | None = None,
        pixel_format: str = "yuv420p",
        rotation: int = 0,
    ) -> None:
        self.path = Path(path)
        self._shape = (height, width, 3)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._codec = codec
        self._options = dict(options or {})
        if key_interval and codec == "libx264":
            self._options.setdefault("sc_threshold", "0")  # otherwise scene changes would add key frames
        self._container_options = container_options or {}
        self._key_interval = key_interval
        self._pixel_format = pixel_format
        self._rotation = rotation
        self._partial = self.path.with_name(f".{os.getpid()}-{self.path.name}")

    def __enter__(self) -> Self:
        is_rgb = av.VideoFormat(self._pixel_format).is_rgb
        full_range = is_rgb or self._codec == "mjpeg" or self._pixel_format.startswith(("yuvj", "gray"))
        self._color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        # AVI can only count periods. 60000 is a multiple of all usual rates, and MPEG-4 allows at most 65535.
        self._time_base = 1 / self._rate if self.path.suffix.lower() == ".avi" else Fraction(1, 60000)
        self._reformatter = VideoReformatter()
        with self._usage_errors():
            if self.path.is_dir():
                raise IsADirectoryError("it is a directory")
            self._container = av.open(self._partial.absolute(), "w", options=self._container_options)
            try:
                self._stream = self._add_stream(is_rgb)
            except BaseException:
                self._discard()
                raise
        return self

    def _add_stream(self, is_rgb: bool) -> Any:
        stream: Any = self._container.add_stream(self._codec, rate=self._rate, options=self._options)
        stream.height, stream.width, _ = self._shape
        stream.pix_fmt = self._pixel_format
        context = stream.codec_context
        context.time_base = self._time_base
        context.color_range = self._color_range
        if not is_rgb:
            context.colorspace = 6  # AVCOL_SPC_SMPTE170M: BT.601
        if self._key_interval:
            context.gop_size = self._key_interval
        if self._rotation:
            stream.set_display_rotation(self._rotation)
        return stream

    def write(self, image: Image, time: float) -> None:
        """Encode one frame.

        Args:
            image: uint8 (height, width, 3), RGB.
            time: time in seconds, later than that of the frame before.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._shape}, got {image.dtype} {image.shape}")
        with self._usage_errors():
            frame = self._reformatter.reformat(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(image)),
                format=self._pixel_format,
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=self._color_range,
            )
            frame.pts, frame.time_base = round(time / self._time_base), self._time_base
            self._container.mux(self._stream.encode(frame))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                with self._usage_errors():
                    self._container.mux(self._stream.encode())
                    self._container.close()
                    self._partial.replace(self.path)
        finally:
            self._discard()

    def _discard(self) -> None:
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()
        with suppress(OSError):
            self._partial.unlink()

    @contextmanager
    def _usage_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UsageError(
                f"{self.path}: cannot be written as {self._codec} ({error}); check the path, the codec and the size"
            ) from error

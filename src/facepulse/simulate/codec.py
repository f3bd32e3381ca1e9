"""Storage of a recording: codec, compression, key frames, lost frames, and the capture times of the frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from facepulse._types import Floats, Frames

TIME_BASE = Fraction(1, 60000)  # the one of VideoWriter in MP4
# Pixels per frame that cameras take; the datasets keep fewer. MMPD's phones took 1280x720, stored as 320x240 (issue 149
# of rPPG-Toolbox). PURE's faces are half as large as lens, pixels and distance imply (its page: 4.8 mm, 1.1 m, 100
# pixels; of 4.4 um), so that each of its pixels is four of the sensor's. About the same holds for a webcam whose sensor
# has 1080 rows.
TAKEN_PIXELS = {"calm": 1280 * 960, "complex": 1280 * 720}
# One thread and no AVX-512: the bytes of x264 depend on the number of threads, and its code for AVX-512 gives other
# bytes every few runs. A processor without AVX2 has no AVX-512 either, and would crash with AVX2 code.
_AVX2 = 11  # its number in cv2.checkHardwareSupport
REPEATABLE = {"threads": "1"} | ({"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX2) else {})


@dataclass(frozen=True)
class Encoding:
    """Encoding of frames in a file.

    Attributes:
        codec: FFmpeg's name of the encoder.
        options: of the encoder.
        pixel_format: FFmpeg's name of the encoded format.
        fps: nominal frame rate.
        key_interval: frames from one key frame to the next; the encoder's choice if None.
        drop: share of frames that are lost before they are stored.
        jitter_s: SD of a frame's delay, seconds.
        rate_swing: SD of the slow changes of the frame rate, relative (variable frame rate).
        shrunk: pixels of the camera per pixel of the frame, which is their mean.
    """

    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    fps: float = 30.0
    key_interval: int | None = None
    drop: float = 0.0
    jitter_s: float = 0.0
    rate_swing: float = 0.0
    shrunk: float = 1.0

    @property
    def suffix(self) -> str:
        """Suffix of a file format that stores such a stream with the frames' times."""
        return ".mov" if self.codec == "mjpeg" else ".mp4"

    def for_crop(self, share: float, binning: float) -> Encoding:
        """Encoding of a crop with the same errors that the crop would have if the whole frame were encoded.

        Args:
            share: pixels of the crop as a fraction of those of the frame.
            binning: pixels of the frame per pixel of the crop.
        """
        finer = _finer(binning)
        options = dict(self.options)
        for name in _RATES & options.keys():  # a bit rate is for the whole frame
            options[name] = str(max(round(finer * share * int(options[name])), 8000))
        for name in _QS & options.keys():
            options[name] = _divided_q(int(options[name]), finer)
        if "crf" in options:
            options["crf"] = _divided_crf(float(options["crf"]), finer)
        return replace(self, options=options)

    def writer_arguments(self) -> dict[str, Any]:
        """Arguments of `VideoWriter` for this encoding, besides the path and the size."""
        return {
            "fps": self.fps,
            "codec": self.codec,
            "options": dict(self.options),
            "key_interval": self.key_interval,
            "pixel_format": self.pixel_format,
        }


_RATES = {"b", "maxrate", "bufsize"}
_QS = {"qmin", "qmax"}


def _finer(pixels: float) -> float:
    """Factor by which quantisation is finer for a pixel that is the mean of some others.

    It has 1 / sqrt(n) of their errors if these are independent, as if it had been encoded in steps finer by that
    factor, at that many times the bits.
    """
    return float(np.sqrt(pixels))


def _divided_q(q: float, finer: float) -> str:
    return str(max(2, round(q / finer)))


def _divided_crf(crf: float, finer: float) -> str:
    return f"{max(crf - 6 * float(np.log2(finer)), 0):.1f}"  # half the quantisation step is 6 less


def draw_encoding(
    rng: np.random.Generator, quality: Literal["calm", "complex"], *, width: int = 640, height: int = 480
) -> Encoding:
    """Draw an encoding: calm ones keep most of the pulse, complex ones are those of phones and webcams.

    Args:
        rng: source of the choices.
        quality: "calm": H.264 of crf 2 to 10 or MJPEG of q 2, at 30 fps, close to the uncompressed frames of the real
            datasets at a moderate file size. "complex": errors of a video of `TAKEN_PIXELS`, scaled down to frames of
            this size, in H.264 of crf 18 to 30 or of a phone's bit rate, or in MJPEG of q 3 to 10; at 24 to 30 fps,
            with lost and late frames and variable rates.
        width: pixels of the frames to encode; a bit rate refers to them.
        height: pixels.
    """
    calm = quality == "calm"
    shrunk = max(1.0, TAKEN_PIXELS[quality] / (width * height))
    finer = 1.0 if calm else _finer(shrunk)
    fps = 30.0 if calm else float(rng.choice([24, 25, 30000 / 1001, 30, 30, 30]))
    if rng.random() < 0.25:
        q = "2" if calm else _divided_q(int(rng.integers(3, 11)), finer)
        options, pixel_format, key_interval = {"qmin": q, "qmax": q}, "yuvj422p", None  # the format of webcams
    else:
        # Phones' encoders use no B-frames; software that encodes again does.
        options = {"preset": "veryfast", "bf": "0" if rng.random() < 0.6 else "3", **REPEATABLE}
        if calm or rng.random() < 0.6:
            options["crf"] = _divided_crf(rng.uniform(2, 10) if calm else rng.uniform(18, 30), finer)
        else:
            # Android's camcorder profiles: 12 Mbit/s for 720p, 17 to 20 for 1080p, 0.25 to 0.45 bits per pixel; apps
            # and messengers go down to a fifth of it.
            bit_rate = round(finer * np.exp(rng.uniform(np.log(0.08), np.log(0.45))) * width * height * fps)
            options |= {"b": str(bit_rate), "maxrate": str(3 * bit_rate // 2), "bufsize": str(bit_rate)}
        pixel_format = "yuv420p"
        # Most phones use one second; the others are about evenly spread over octaves.
        key_s = 1.0 if rng.random() < 0.4 else float(np.exp(rng.uniform(np.log(0.5), np.log(10))))
        key_interval = max(1, round(key_s * fps))
    return Encoding(
        "libx264" if key_interval else "mjpeg",
        options,
        pixel_format,
        fps,
        key_interval,
        drop=0.0 if calm or rng.random() < 0.5 else float(rng.uniform(0.002, 0.05)),
        jitter_s=float(rng.uniform(0, 0.0005) if calm else rng.uniform(0, 0.006)),
        rate_swing=0.0 if calm or rng.random() < 0.7 else float(rng.uniform(0.01, 0.1)),
        shrunk=shrunk,
    )


def capture_times(rng: np.random.Generator, seconds: float, fps: float, encoding: Encoding) -> Floats:
    """Draw the capture times of the frames that are stored.

    Args:
        rng: source of jitter and losses.
        seconds: length; no frame is taken at or after it.
        fps: mean rate before losses.
        encoding: gives drop, jitter_s and rate_swing.

    Returns:
        (T,) float64, seconds, increasing, from exactly 0; about fps * (1 - drop) frames per second.
    """
    if seconds <= 0 or fps <= 0:
        raise ValueError(f"seconds and fps must be above zero, not {seconds:g} and {fps:g}")
    ticks = np.arange(int(np.ceil(seconds * fps)) + 1) / fps
    # The period drifts between knots every few seconds, as on phones, where it follows the exposure.
    knots_s = np.arange(0, seconds + 10, 4.0)
    swing = np.interp(ticks, knots_s, rng.normal(0, encoding.rate_swing, len(knots_s)))
    periods = np.exp(swing.clip(-0.5, 0.5))[:-1]
    times = np.concatenate([[0.0], np.cumsum(periods / periods.mean() / fps)])
    times += rng.normal(0, encoding.jitter_s, len(times)).clip(-0.2 / fps, 0.2 / fps)  # periods stay above half
    # Losses come in runs of two on average, as on a busy processor.
    starts = rng.random(len(times)) < encoding.drop / (2 - encoding.drop)
    runs = rng.geometric(0.5, len(times))
    lost = np.zeros(len(times), bool)
    for start in np.flatnonzero(starts):
        lost[start : start + runs[start]] = True
    lost[0] = False
    times = times[~lost] - times[0]
    return np.asarray(times[times < seconds])


def through_codec(frames: Frames, times: Floats, encoding: Encoding) -> Frames:
    """Encode and decode in memory, with the same result as a file of `VideoWriter` that is read again.

    Args:
        frames: uint8 (T, H, W, 3), RGB.
        times: (T,) seconds, increasing.
        encoding: the encoding.

    Returns:
        uint8 (T, H, W, 3). Odd sizes, which the codecs do not support, are padded with the edge and cropped again.
    """
    height, width = frames.shape[1:3]
    margin = [(0, 0), (0, height % 2), (0, width % 2), (0, 0)]
    padded = np.pad(frames, margin, mode="edge") if height % 2 or width % 2 else frames
    encoder, color_range = _encoder(encoding, padded.shape[2], padded.shape[1])
    decoder: Any = av.CodecContext.create("h264" if encoding.codec == "libx264" else encoding.codec, "r")
    decoder.extradata, decoder.thread_count = encoder.extradata, 1
    to_yuv, to_rgb = VideoReformatter(), VideoReformatter()  # shared: fresh ones are twelve times slower
    result = np.empty_like(frames)
    count = 0

    def decode(packet: Any) -> None:
        nonlocal count
        for decoded in decoder.decode(packet):
            rgb = to_rgb.reformat(decoded, format="rgb24", threads=1)
            result[count] = rgb.to_ndarray()[:height, :width]
            count += 1

    for image, time in zip(padded, times, strict=True):
        frame = to_yuv.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image)),
            format=encoding.pixel_format,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=color_range,
            threads=1,
        )
        frame.pts, frame.time_base = round(time / TIME_BASE), TIME_BASE
        for packet in encoder.encode(frame):
            decode(packet)
    for packet in encoder.encode(None):
        decode(packet)
    decode(None)
    if count != len(frames):
        raise ValueError(f"{encoding.codec}: {len(frames)} frames were encoded, {count} were decoded")
    return result


def _encoder(encoding: Encoding, width: int, height: int) -> tuple[Any, ColorRange]:
    """Open an encoder with the settings of `VideoWriter`; return it and its range of levels."""
    full_range = encoding.pixel_format.startswith("yuvj") or encoding.codec == "mjpeg"
    color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    context: Any = av.CodecContext.create(encoding.codec, "w")
    context.width, context.height, context.pix_fmt = width, height, encoding.pixel_format
    context.framerate, context.time_base = Fraction(encoding.fps).limit_denominator(1001), TIME_BASE
    context.colorspace, context.color_range = 6, color_range  # AVCOL_SPC_SMPTE170M: BT.601
    context.options = dict(encoding.options)
    if encoding.key_interval:
        context.gop_size = encoding.key_interval
        if encoding.codec == "libx264":
            context.options = {"sc_threshold": "0"} | context.options
    context.flags |= Flags.global_header  # as in MP4 and MOV; headers in the stream would take some of the bit rate
    context.open()
    return context, color_range

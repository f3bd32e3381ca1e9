"""How a recording is stored: codec, strength, key frames, lost frames, and when frames are taken at all."""

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

TIME_BASE = Fraction(1, 60000)  # as VideoWriter has it in MP4
LOSSLESS = ("png", "rawvideo")
# Pixels that cameras take, of which data sets keep fewer. MMPD's phones took 1280x720, made 320x240 (issue 149 of
# rPPG-Toolbox). PURE's faces are half as large as lens, pixels and distance would have them (its page: 4.8 mm, 1.1 m,
# 100 pixels; of 4.4 um), so that each of its pixels is four of the sensor's; and so it is, about, with a webcam whose
# sensor has 1080 rows.
TAKEN_PIXELS = {"calm": 1280 * 960, "complex": 1280 * 720}
# One thread and no AVX-512: x264 writes other bytes with another number of threads, and its code for AVX-512 every few
# runs. A processor without AVX2 has no AVX-512 either, and must not be told to use AVX2.
_AVX2 = 11  # cv2.checkHardwareSupport's number of it
REPEATABLE = {"threads": "1"} | ({"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX2) else {})


@dataclass(frozen=True)
class Encoding:
    """How frames become a file.

    Attributes:
        codec: FFmpeg's name of the encoder, or "png" for one image file a frame.
        options: of the encoder.
        pixel_format: FFmpeg's name of what is encoded.
        fps: nominal rate.
        key_interval: frames from one key frame to the next, the encoder's choice where None.
        drop: share of frames that are lost before they are stored.
        jitter_s: SD of a frame's delay, seconds.
        rate_swing: SD of the slow changes of the frame rate, relative: variable frame rate.
        shrunk: pixels that the camera took to one that is kept, their mean.
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
        """Of a file with such a stream in it that keeps the frames' times."""
        return {"png": ".png", "rawvideo": ".avi", "mjpeg": ".mov"}.get(self.codec, ".mp4")

    def of_part(self, share: float, coarser: float) -> Encoding:
        """For part of the picture, so that its errors are those that it would have if all of it had been encoded.

        Args:
            share: of the picture's pixels that are encoded.
            coarser: pixels of the picture to one of those.
        """
        finer = _finer(coarser)
        options = dict(self.options)
        for name in _RATES & options.keys():  # a bit rate is for all of the picture
            options[name] = str(max(round(finer * share * int(options[name])), 8000))
        for name in _QS & options.keys():
            options[name] = _divided_q(int(options[name]), finer)
        if "crf" in options:
            options["crf"] = _divided_crf(float(options["crf"]), finer)
        return replace(self, options=options)

    def writer_arguments(self) -> dict[str, Any]:
        """Arguments of `VideoWriter`, besides the path and the size, for this encoding."""
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
    """Steps of a pixel of which each is the mean of some others, against theirs.

    It has 1 / sqrt(n) of their errors, where these are independent: as if it had been coded in steps so much finer, at
    so many times the bits.
    """
    return float(np.sqrt(pixels))


def _divided_q(q: float, finer: float) -> str:
    return str(max(2, round(q / finer)))


def _divided_crf(crf: float, finer: float) -> str:
    return f"{max(crf - 6 * float(np.log2(finer)), 0):.1f}"  # half the step is 6 less


PNG = Encoding("png", pixel_format="rgb24")  # PURE
RAW = Encoding("rawvideo", pixel_format="bgr24")  # UBFC-rPPG


def draw_encoding(
    rng: np.random.Generator, quality: Literal["calm", "complex"], *, width: int = 640, height: int = 480
) -> Encoding:
    """Draw an encoding: calm ones keep most of the pulse, complex ones are what phones and webcams write.

    Args:
        rng: source of the choices.
        quality: "calm": H.264 of crf 2 to 10 or MJPEG of q 2, at 30 fps, near the uncompressed pictures of real sets
            in files of bearable size. "complex": what is left in frames of this size of a video of `TAKEN_PIXELS` in
            H.264 of crf 18 to 30 or of a phone's bit rate, or in MJPEG of q 3 to 10; at 24 to 30 fps, with lost and
            late frames and variable rates.
        width: pixels of the frames to encode; a bit rate is meant for them.
        height: pixels.
    """
    calm = quality == "calm"
    shrunk = max(1.0, TAKEN_PIXELS[quality] / (width * height))
    finer = 1.0 if calm else _finer(shrunk)
    fps = 30.0 if calm else float(rng.choice([24, 25, 30000 / 1001, 30, 30, 30]))
    if rng.random() < 0.25:
        q = "2" if calm else _divided_q(int(rng.integers(3, 11)), finer)
        options, pixel_format, key_interval = {"qmin": q, "qmax": q}, "yuvj422p", None  # as webcams send it
    else:
        # Phones' encoders use no B-frames; what software has encoded again does.
        options = {"preset": "veryfast", "bf": "0" if rng.random() < 0.6 else "3", **REPEATABLE}
        if calm or rng.random() < 0.6:
            options["crf"] = _divided_crf(rng.uniform(2, 10) if calm else rng.uniform(18, 30), finer)
        else:
            # Android's camcorder profiles: 12 Mbit/s for 720p, 17 to 20 for 1080p, 0.25 to 0.45 bits a pixel; apps
            # and messengers write down to a fifth of it.
            bit_rate = round(finer * np.exp(rng.uniform(np.log(0.08), np.log(0.45))) * width * height * fps)
            options |= {"b": str(bit_rate), "maxrate": str(3 * bit_rate // 2), "bufsize": str(bit_rate)}
        pixel_format = "yuv420p"
        # One second is what most phones take; others lie about evenly on the scale of octaves.
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
    """When the frames that get stored are taken.

    Args:
        rng: source of jitter and losses.
        seconds: length; no frame is taken at or after it.
        fps: mean rate before losses.
        encoding: its drop, jitter_s and rate_swing.

    Returns:
        (T,) float64, seconds, increasing, from exactly 0: about fps * (1 - drop) a second.
    """
    if seconds <= 0 or fps <= 0:
        raise ValueError(f"seconds and fps must be above zero, not {seconds:g} and {fps:g}")
    ticks = np.arange(int(np.ceil(seconds * fps)) + 1) / fps
    # The period wanders from knot to knot, every few seconds, as exposure makes it on phones.
    knots_s = np.arange(0, seconds + 10, 4.0)
    swing = np.interp(ticks, knots_s, rng.normal(0, encoding.rate_swing, len(knots_s)))
    periods = np.exp(swing.clip(-0.5, 0.5))[:-1]
    times = np.concatenate([[0.0], np.cumsum(periods / periods.mean() / fps)])
    times += rng.normal(0, encoding.jitter_s, len(times)).clip(-0.2 / fps, 0.2 / fps)  # periods stay above half
    # Losses come in runs of two on average, as a busy processor makes them.
    starts = rng.random(len(times)) < encoding.drop / (2 - encoding.drop)
    runs = rng.geometric(0.5, len(times))
    lost = np.zeros(len(times), bool)
    for start in np.flatnonzero(starts):
        lost[start : start + runs[start]] = True
    lost[0] = False
    times = times[~lost] - times[0]
    return np.asarray(times[times < seconds])


def through_codec(frames: Frames, times: Floats, encoding: Encoding) -> Frames:
    """Encode and decode in memory: what is left of the frames in a file that `VideoWriter` writes.

    Args:
        frames: uint8 (T, H, W, 3), RGB.
        times: (T,) seconds, increasing.
        encoding: how.

    Returns:
        uint8 (T, H, W, 3); sizes that the codec cannot have are filled up by a repeated edge and cut again.
    """
    if encoding.codec in LOSSLESS:
        return frames.copy()
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
        for picture in decoder.decode(packet):
            rgb = to_rgb.reformat(picture, format="rgb24", threads=1)
            result[count] = rgb.to_ndarray()[:height, :width]
            count += 1

    for image, time in zip(padded, times, strict=True):
        picture = to_yuv.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image)),
            format=encoding.pixel_format,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=color_range,
            threads=1,
        )
        picture.pts, picture.time_base = round(time / TIME_BASE), TIME_BASE
        for packet in encoder.encode(picture):
            decode(packet)
    for packet in encoder.encode(None):
        decode(packet)
    decode(None)
    if count != len(frames):
        raise ValueError(f"{encoding.codec}: {len(frames)} frames went in, {count} came out")
    return result


def _encoder(encoding: Encoding, width: int, height: int) -> tuple[Any, ColorRange]:
    """An open encoder, set as `VideoWriter` sets it, and its range of levels."""
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
    context.flags |= Flags.global_header  # as MP4 and MOV want it; in the stream, headers would cost of the bit rate
    context.open()
    return context, color_range

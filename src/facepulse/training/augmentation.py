"""Random changes of training clips that preserve the pulse: of their speed and of the conditions of recording.

Each change is drawn once per clip and is constant over its frames, so that it adds no rhythm; exceptions are noise,
which is independent in every pixel, and an occluder, which passes once.

The change of speed follows RhythmFormer (Zou et al., arXiv 2402.12788), whose code, with probability one half, slows
down clips of over 90 bpm by half and plays clips of under 75 bpm twice as fast, and fills a clip that became too short
with a copy of itself, so that the waveform jumps in the middle. Here a faster clip comes from a longer segment of the
recording.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats32, Frames
from facepulse.simulate.codec import REPEATABLE, Encoding, through_codec

FPS = 30.0  # of the clips, for durations in seconds

LOW_BPM, HIGH_BPM = 40.0, 180.0  # range of rates after a change of speed, that of `facepulse.training.losses`
MOST_SPEED = 2.0  # largest factor, faster or slower, as in RhythmFormer: waveforms beyond it are not physiological

# A level is light^n / (light^n + s^n), the response of photoreceptors (Naka and Rushton, J. Physiol. 185, 1966), with a
# shoulder as film has. A factor of the light shifts the logit of the level, and no further level is clipped, which
# would remove the pulse. n is chosen so that middle grey (18 % of white, a level of 0.46) has the derivative of sRGB.
RESPONSE = (1 / 2.2) / (1 - 0.46)

# 256 quantiles of a normal distribution, scaled to variance 1: random bytes are cheaper than normal numbers.
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
NORMAL = _QUANTILES / _QUANTILES.std()

# On twelve simulated crops of 128 pixels and 160 frames, POS gave the same rate within 3 bpm after H.264 with a crf of
# up to 8, failed in one at 10 and in five at 12: changes below the quantiser's step are not coded. Motion JPEG
# preserves the pulse at every q, because the mean of a block has a step of one level at all of them. The only key
# frame is the first, because more would add a rhythm.
CRF = 2.0, 8.0
Q = 2, 10

OCCLUSION_S = 0.2, 1.5
OCCLUDER = 0.15, 0.3  # semi-axes as fractions of the crop's side: at most 28 % of the crop

# With noise of up to 5 none of those crops lost the rate, with up to 10 two of 36 trials, with up to 20 eleven.
_LARGEST = {
    "speed": 1.0,
    "shift": 1.0,
    "flip": 1.0,
    "crop": 0.5,
    "brightness": 2.0,
    "contrast": 1.0,
    "temperature": 1.0,
    "noise": 10.0,
    "compression": 1.0,
    "occlusion": 1.0,
}


class Augmentation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Random changes of training clips; none by default, as in the paper.

    Attributes:
        speed: probability of a change of speed; 0 to 1.
        shift: largest shift in time of the clip within its recording, as a fraction of its length; 0 to 1.
        flip: probability of a mirror image; 0 to 1.
        crop: largest fraction of the crop's side that is cut off, 0 to 0.5. The smaller square lies anywhere in the
            original one and is enlarged to its size.
        brightness: largest change of the light in stops, in either direction; 0 to 2.
        contrast: largest relative change of contrast: the factor is from 1 / (1 + contrast) to 1 + contrast; 0 to 1.
        temperature: largest relative change of red against blue light, likewise; 0 to 1.
        noise: largest standard deviation of added noise in grey levels of 8 bits; 0 to 10.
        compression: probability of another encoding, by H.264 or motion JPEG; 0 to 1.
        occlusion: probability of an occluder that covers part of the face for 0.2 to 1.5 s at 30 fps; 0 to 1.

    Raises:
        ValueError: a field is outside its range.
    """

    speed: float = 0.0
    shift: float = 0.0
    flip: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    temperature: float = 0.0
    noise: float = 0.0
    compression: float = 0.0
    occlusion: float = 0.0

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if not 0 <= value <= largest:
                raise ValueError(f"augmentation: {name} must be from 0 to {largest:g}, not {value}")

    def speed_factor(self, bpm: float, longest: float, rng: np.random.Generator) -> float:
        """Draw the factor by which a clip is played faster; 1 if its speed does not change.

        Otherwise the new rate is uniform over all attainable rates between 40 and 180 bpm, so that rates which are rare
        in the recordings become more common.

        Args:
            bpm: heart rate of the clip.
            longest: upper limit of the factor: available frames over frames of the clip, at least 1.
            rng: random generator.

        Raises:
            ValueError: bpm is not a positive number, or longest is under 1.
        """
        if not (0 < bpm < math.inf and longest >= 1):
            raise ValueError(f"bpm must be positive and longest at least 1, not {bpm} and {longest}")
        if rng.random() >= self.speed:
            return 1.0
        slowest, fastest = max(LOW_BPM, bpm / MOST_SPEED), min(HIGH_BPM, bpm * min(longest, MOST_SPEED))
        return min(rng.uniform(slowest, fastest) / bpm, longest) if slowest < fastest else 1.0

    def time_shift(self, frames: int, rng: np.random.Generator) -> int:
        """Draw by how many frames later a clip is cut out; negative for earlier, and 0 if `shift` is off.

        Args:
            frames: length of the clip.
            rng: random generator.
        """
        most = round(self.shift * frames)
        return int(rng.integers(-most, most + 1)) if most else 0

    def apply(self, frames: Frames, rng: np.random.Generator) -> Frames:
        """Apply all changes except those of speed and time.

        Args:
            frames: uint8 (T, S, S, 3), RGB; not modified.
            rng: random generator: the same state gives the same bytes.

        Returns:
            uint8 (T, S, S, 3); `frames` itself if nothing changes.

        Raises:
            ValueError: the frames are not uint8 (T, S, S, 3).
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (frames.shape[2], frames.shape[2], 3):
            raise ValueError(f"frames must be uint8 (T, S, S, 3), not {frames.dtype} {frames.shape}")
        if rng.random() < self.flip:
            frames = np.asarray(cv2.flip(_rows(frames), 1), np.uint8).reshape(frames.shape)
        if self.crop:
            frames = _crop_and_enlarge(frames, rng.uniform(0, self.crop), rng)
        if rng.random() < self.occlusion:
            frames = _occlude(frames, rng)
        levels = self._levels(frames, rng) if self.brightness or self.contrast or self.temperature else None
        if self.noise:
            frames = _add_noise(frames, levels, rng.uniform(0, self.noise), rng)
        elif levels is not None:
            rows = cv2.LUT(_rows(frames), np.rint(levels).astype(np.uint8))
            frames = np.asarray(rows, np.uint8).reshape(frames.shape)
        if rng.random() < self.compression:
            frames = through_codec(frames, np.arange(len(frames)) / FPS, _draw_encoding(len(frames), rng))
        return frames

    def _levels(self, frames: Frames, rng: np.random.Generator) -> Floats32:
        """Draw the lookup table of levels for another light, (1, 256, 3), between 0 and 255."""
        stops = rng.uniform(-self.brightness, self.brightness)
        contrast = math.exp(rng.uniform(-1, 1) * math.log1p(self.contrast))
        warmth = rng.uniform(-1, 1) * math.log1p(self.temperature)
        light = math.log(2) * stops + warmth / 2 * np.array([1.0, 0.0, -1.0])
        middle = _logit(np.mean(cv2.mean(_rows(frames))[:3]))
        logits = middle + contrast * (_logit(np.arange(256.0)[:, None]) - middle) + RESPONSE * light
        return (256 / (1 + np.exp(-logits)) - 0.5).clip(0, 255).astype(np.float32)[None]


def change_speed(frames: Frames, ppg: Floats32, factor: float, count: int) -> tuple[Frames, Floats32]:
    """Resample a clip in time, at 0, factor, 2 factor, ... frames, to play it at another speed.

    Args:
        frames: uint8 (N, S, S, 3), N at least ceil((count - 1) factor) + 1.
        ppg: float32 (N,) waveform at the same times.
        factor: speed relative to the original, above 0.
        count: number of frames of the result.

    Returns:
        uint8 (count, S, S, 3) and float32 (count,), linearly interpolated in time; views of the input if the factor
        is 1.

    Raises:
        ValueError: the factor is not positive, or there are too few frames.
    """
    if not factor > 0:
        raise ValueError(f"factor must be above 0, not {factor}")
    needed = math.ceil((count - 1) * factor) + 1
    if len(frames) < needed or len(ppg) < needed:
        raise ValueError(f"{needed} frames are needed, not {len(frames)} with {len(ppg)} samples of the waveform")
    if factor == 1:
        return frames[:count], ppg[:count]
    instants = np.arange(count) * factor
    before = instants.astype(np.intp)
    weights = (instants - before).astype(np.float32)
    after = before + (weights > 0)
    result = np.empty((count, *frames.shape[1:]), np.uint8)
    for new, i, j, weight in zip(result, before, after, weights.tolist(), strict=True):
        cv2.addWeighted(frames[i], 1 - weight, frames[j], weight, 0, dst=new)
    return result, (1 - weights) * ppg[before] + weights * ppg[after]


def _rows(frames: Frames) -> Frames:
    """Return all frames as one image (T S, S, 3), for operations on single pixels."""
    return np.ascontiguousarray(frames).reshape(-1, *frames.shape[2:])


def _logit(level: NDArray[np.float64] | np.floating) -> NDArray[np.float64]:
    """Compute the logit of levels 0 to 255 at the centre of their steps, where both ends are finite."""
    fraction = (np.asarray(level) + 0.5) / 256
    return np.asarray(np.log(fraction / (1 - fraction)))


def _crop_and_enlarge(frames: Frames, cut: float, rng: np.random.Generator) -> Frames:
    """Cut out a square with 1 - cut of the side, anywhere, and enlarge it to the original size."""
    size = frames.shape[1]
    scale = 1 - cut
    x, y = rng.uniform(0, size * cut, 2)
    # From the centre of a new pixel to that of an old one.
    to_old = np.array([[scale, 0, x + (scale - 1) / 2], [0, scale, y + (scale - 1) / 2]])
    result = np.empty(frames.shape, np.uint8)
    for old, new in zip(frames, result, strict=True):
        cv2.warpAffine(old, to_old, (size, size), new, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE)
    return result


def _occlude(frames: Frames, rng: np.random.Generator) -> Frames:
    """Move a textured ellipse in from one side, hold it, and move it out to one side, a third of the time each."""
    size = frames.shape[1]
    count = min(len(frames), round(FPS * rng.uniform(*OCCLUSION_S)))
    start = int(rng.integers(len(frames) - count + 1))
    axes, turn = size * rng.uniform(*OCCLUDER, 2), rng.uniform(0, math.pi)
    texture = rng.uniform(0, 255, 3) + rng.normal(0, 20, (5, 5, 3))
    surface = cv2.resize(texture.clip(0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    pixels = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    u = (math.cos(turn) * pixels + math.sin(turn) * pixels[:, None]) / axes[0]
    v = (math.cos(turn) * pixels[:, None] - math.sin(turn) * pixels) / axes[1]
    opaque = ((1 - np.hypot(u, v)) * axes.min() + 0.5).clip(0, 1).astype(np.float32)  # an edge of one pixel

    rest = size * rng.uniform(-0.3, 0.3, 2)  # from the centre
    angles = rng.uniform(0, 2 * math.pi, 2)
    outside = 1.1 * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # beyond any corner
    phase = 3 * (np.arange(count) + 0.5) / count
    entering, leaving = (1 - phase).clip(0), (phase - 2).clip(0)

    result = frames.copy()
    for frame, before, after in zip(result[start:], entering, leaving, strict=False):
        position = rest + before * (outside[0] - rest) + after * (outside[1] - rest)
        shift = np.array([[1, 0, position[0]], [0, 1, position[1]]])
        color = cv2.warpAffine(surface, shift, (size, size), borderMode=cv2.BORDER_REFLECT)
        cover = cv2.warpAffine(opaque, shift, (size, size))
        cv2.blendLinear(frame, color, 1 - cover, cover, dst=frame)
    return result


def _add_noise(frames: Frames, levels: Floats32 | None, sd: float, rng: np.random.Generator) -> Frames:
    """Map the frames to levels (1, 256, 3), if any, and add noise, with a single rounding."""
    if levels is None:
        levels = np.tile(np.arange(256, dtype=np.float32)[:, None], 3)[None]
    normal = (sd * NORMAL).astype(np.float32)
    result = np.empty(frames.shape, np.uint8)
    for old, new in zip(frames, result, strict=True):
        noise = cv2.LUT(np.frombuffer(rng.bytes(old.size), np.uint8).reshape(old.shape), normal)
        cv2.add(cv2.LUT(old, levels), noise, dst=new, dtype=cv2.CV_8U)
    return result


def _draw_encoding(count: int, rng: np.random.Generator) -> Encoding:
    """Draw one of two codecs with a strength that is visible but preserves the pulse."""
    if rng.random() < 0.5:
        q = str(rng.integers(Q[0], Q[1] + 1))
        return Encoding("mjpeg", {"qmin": q, "qmax": q}, "yuvj422p", FPS)
    options = {"preset": "veryfast", "bf": "0", "crf": f"{rng.uniform(*CRF):.1f}", **REPEATABLE}
    return Encoding("libx264", options, fps=FPS, key_interval=count)

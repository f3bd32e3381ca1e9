"""Random changes of a training clip that leave its pulse: how fast it plays, and how it could also have been filmed.

Every change is drawn once for a clip and stays the same throughout, so that it cannot look like a heart; but noise is
new on every pixel, and something passes in front of the face once.

The change of speed is RhythmFormer's (Zou et al., arXiv 2402.12788), whose code slows down clips of over 90 bpm by half
and plays clips of under 75 bpm twice as fast, half the time, and fills a clip that became too short with itself: the
wave jumps in the middle. Here a clip that is to be played faster comes from a longer segment of the recording.
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

FPS = 30.0  # of the clips, for what is said in seconds

LOW_BPM, HIGH_BPM = (
    40.0,
    180.0,
)  # rates that a change of speed may lead to; what `facepulse.training.losses` can tell apart
MOST_SPEED = 2.0  # faster or slower, as in RhythmFormer: a wave stretched more is not one that a heart makes

# A level is light^n / (light^n + s^n): photoreceptors respond so (Naka and Rushton, J. Physiol. 185, 1966), and it has
# the shoulder of film. So a factor of the light shifts the logit of the level, and no level that was not clipped gets
# clipped, which would take the pulse away. n gives middle grey (18 % of white, a level of 0.46) the slope of sRGB.
RESPONSE = (1 / 2.2) / (1 - 0.46)

# The quantiles of a normal distribution, 256 of them with variance 1: random bytes are cheap, normal numbers are not.
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
NORMAL = _QUANTILES / _QUANTILES.std()

# On twelve simulated crops of 128 pixels, 160 frames each, POS read the same rate within 3 bpm after H.264 of a crf up
# to 8, not in one at 10 and five at 12: the changes of a pulse, under its quantiser's step, are no longer sent. Motion
# JPEG keeps it at every q, since the mean of a block has a step of one level at all of them. The only key frame is the
# first: more would add a rhythm.
CRF = 2.0, 8.0
Q = 2, 10

OCCLUSION_S = 0.2, 1.5
OCCLUDER = 0.15, 0.3  # half axes, as fractions of the crop's side: at most 28 % of the crop

# With noise of up to 5 none of those crops lost the rate, of up to 10 two in 36 tries, of up to 20 eleven.
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
    """What may happen to a training clip; nothing by default, which is the paper's configuration.

    Attributes:
        speed: probability of playing a clip faster or slower; 0 to 1.
        shift: largest shift in time of where a clip is cut out of its recording, as a share of its length; 0 to 1.
        flip: probability of a mirror image; 0 to 1.
        crop: largest share of the crop's side that is cut off, 0 to 0.5. The smaller square lies anywhere in the old
            one (there are no pixels outside it) and is enlarged to its size.
        brightness: largest change of the light in stops, up or down; 0 to 2.
        contrast: largest relative change of contrast: its factor is from 1 / (1 + contrast) to 1 + contrast; 0 to 1.
        temperature: largest relative change of red light against blue, likewise; 0 to 1.
        noise: largest standard deviation of added noise in grey levels of 8 bits; 0 to 10.
        compression: probability of being encoded and decoded once more, by H.264 or motion JPEG; 0 to 1.
        occlusion: probability of something passing in front of part of the face, for 0.2 to 1.5 s at 30 fps; 0 to 1.

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

    def factor(self, bpm: float, longest: float, rng: np.random.Generator) -> float:
        """How much faster to play a clip: 1 if its speed stays.

        Else the new rate is drawn evenly from all that can be had between 40 and 180 bpm, so that rates which are rare
        in the recordings become more common.

        Args:
            bpm: heart rate of the clip.
            longest: frames that there are over frames that are wanted, at least 1; the factor is at most this.
            rng: source of the choice.

        Raises:
            ValueError: bpm is not a positive number, or longest is under 1.
        """
        if not (0 < bpm < math.inf and longest >= 1):
            raise ValueError(f"bpm must be positive and longest at least 1, not {bpm} and {longest}")
        if rng.random() >= self.speed:
            return 1.0
        slowest, fastest = max(LOW_BPM, bpm / MOST_SPEED), min(HIGH_BPM, bpm * min(longest, MOST_SPEED))
        return min(rng.uniform(slowest, fastest) / bpm, longest) if slowest < fastest else 1.0

    def delay(self, frames: int, rng: np.random.Generator) -> int:
        """How many frames later to cut out a clip; earlier where it is negative, and 0 where `shift` is off.

        Args:
            frames: of the clip.
            rng: source of the choice.
        """
        most = round(self.shift * frames)
        return int(rng.integers(-most, most + 1)) if most else 0

    def changed(self, frames: Frames, rng: np.random.Generator) -> Frames:
        """Everything but the speed.

        Args:
            frames: uint8 (T, S, S, 3), RGB; they are not written to.
            rng: source of all choices: the same state gives the same bytes.

        Returns:
            uint8 (T, S, S, 3); `frames` itself where nothing is to change.

        Raises:
            ValueError: the frames are not uint8 (T, S, S, 3).
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (frames.shape[2], frames.shape[2], 3):
            raise ValueError(f"frames must be uint8 (T, S, S, 3), not {frames.dtype} {frames.shape}")
        if rng.random() < self.flip:
            frames = np.asarray(cv2.flip(_rows(frames), 1), np.uint8).reshape(frames.shape)
        if self.crop:
            frames = _enlarged(frames, rng.uniform(0, self.crop), rng)
        if rng.random() < self.occlusion:
            frames = _occluded(frames, rng)
        levels = self._levels(frames, rng) if self.brightness or self.contrast or self.temperature else None
        if self.noise:
            frames = _with_noise(frames, levels, rng.uniform(0, self.noise), rng)
        elif levels is not None:
            rows = cv2.LUT(_rows(frames), np.rint(levels).astype(np.uint8))
            frames = np.asarray(rows, np.uint8).reshape(frames.shape)
        if rng.random() < self.compression:
            frames = through_codec(frames, np.arange(len(frames)) / FPS, _encoding(len(frames), rng))
        return frames

    def _levels(self, frames: Frames, rng: np.random.Generator) -> Floats32:
        """What each level becomes in another light: (1, 256, 3), between 0 and 255."""
        stops = rng.uniform(-self.brightness, self.brightness)
        contrast = math.exp(rng.uniform(-1, 1) * math.log1p(self.contrast))
        warmth = rng.uniform(-1, 1) * math.log1p(self.temperature)
        light = math.log(2) * stops + warmth / 2 * np.array([1.0, 0.0, -1.0])
        middle = _logit(np.mean(cv2.mean(_rows(frames))[:3]))
        logits = middle + contrast * (_logit(np.arange(256.0)[:, None]) - middle) + RESPONSE * light
        return (256 / (1 + np.exp(-logits)) - 0.5).clip(0, 255).astype(np.float32)[None]


def played(frames: Frames, ppg: Floats32, factor: float, count: int) -> tuple[Frames, Floats32]:
    """A segment of a recording at another speed: its instants 0, factor, 2 factor, ... between its frames.

    Args:
        frames: uint8 (N, S, S, 3), N at least ceil((count - 1) factor) + 1.
        ppg: float32 (N,) the wave at the same times.
        factor: how much faster, above 0.
        count: number of frames wanted.

    Returns:
        uint8 (count, S, S, 3) and float32 (count,), each value interpolated between its neighbours in time; views of
        what came where the factor is 1.

    Raises:
        ValueError: the factor is not positive, or there are too few frames.
    """
    if not factor > 0:
        raise ValueError(f"factor must be above 0, not {factor}")
    needed = math.ceil((count - 1) * factor) + 1
    if len(frames) < needed or len(ppg) < needed:
        raise ValueError(f"{needed} frames are needed, not {len(frames)} with {len(ppg)} samples of the wave")
    if factor == 1:
        return frames[:count], ppg[:count]
    instants = np.arange(count) * factor
    before = instants.astype(np.intp)
    share = (instants - before).astype(np.float32)
    after = before + (share > 0)
    result = np.empty((count, *frames.shape[1:]), np.uint8)
    for new, i, j, weight in zip(result, before, after, share.tolist(), strict=True):
        cv2.addWeighted(frames[i], 1 - weight, frames[j], weight, 0, dst=new)
    return result, (1 - share) * ppg[before] + share * ppg[after]


def _rows(frames: Frames) -> Frames:
    """All frames as one picture (T S, S, 3), for what treats every pixel alike."""
    return np.ascontiguousarray(frames).reshape(-1, *frames.shape[2:])


def _logit(level: NDArray[np.float64] | np.floating) -> NDArray[np.float64]:
    """Of levels 0 to 255, in the middle of their steps, so that both ends are finite."""
    share = (np.asarray(level) + 0.5) / 256
    return np.asarray(np.log(share / (1 - share)))


def _enlarged(frames: Frames, cut: float, rng: np.random.Generator) -> Frames:
    """A square of 1 - cut of the side, anywhere, in the size of the whole."""
    size = frames.shape[1]
    scale = 1 - cut
    x, y = rng.uniform(0, size * cut, 2)
    # From the middle of a new pixel to that of an old one.
    to_old = np.array([[scale, 0, x + (scale - 1) / 2], [0, scale, y + (scale - 1) / 2]])
    result = np.empty(frames.shape, np.uint8)
    for old, new in zip(frames, result, strict=True):
        cv2.warpAffine(old, to_old, (size, size), new, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE)
    return result


def _occluded(frames: Frames, rng: np.random.Generator) -> Frames:
    """An ellipse of some colour comes in from one side, stays, and leaves to one side, a third of the time each."""
    size = frames.shape[1]
    count = min(len(frames), round(FPS * rng.uniform(*OCCLUSION_S)))
    start = int(rng.integers(len(frames) - count + 1))
    axes, turn = size * rng.uniform(*OCCLUDER, 2), rng.uniform(0, math.pi)
    texture = rng.uniform(0, 255, 3) + rng.normal(0, 20, (5, 5, 3))
    thing = cv2.resize(texture.clip(0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    across = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    u = (math.cos(turn) * across + math.sin(turn) * across[:, None]) / axes[0]
    v = (math.cos(turn) * across[:, None] - math.sin(turn) * across) / axes[1]
    opaque = ((1 - np.hypot(u, v)) * axes.min() + 0.5).clip(0, 1).astype(np.float32)  # an edge of one pixel

    rest = size * rng.uniform(-0.3, 0.3, 2)  # from the middle
    angles = rng.uniform(0, 2 * math.pi, 2)
    outside = 1.1 * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # beyond any corner
    way = 3 * (np.arange(count) + 0.5) / count
    coming, going = (1 - way).clip(0), (way - 2).clip(0)

    result = frames.copy()
    for picture, far, near in zip(result[start:], coming, going, strict=False):
        place = rest + far * (outside[0] - rest) + near * (outside[1] - rest)
        shift = np.array([[1, 0, place[0]], [0, 1, place[1]]])
        colour = cv2.warpAffine(thing, shift, (size, size), borderMode=cv2.BORDER_REFLECT)
        cover = cv2.warpAffine(opaque, shift, (size, size))
        cv2.blendLinear(picture, colour, 1 - cover, cover, dst=picture)
    return result


def _with_noise(frames: Frames, levels: Floats32 | None, sd: float, rng: np.random.Generator) -> Frames:
    """The levels (1, 256, 3) of the frames, or the frames, with noise on them, rounded once."""
    if levels is None:
        levels = np.tile(np.arange(256, dtype=np.float32)[:, None], 3)[None]
    normal = (sd * NORMAL).astype(np.float32)
    result = np.empty(frames.shape, np.uint8)
    for old, new in zip(frames, result, strict=True):
        noise = cv2.LUT(np.frombuffer(rng.bytes(old.size), np.uint8).reshape(old.shape), normal)
        cv2.add(cv2.LUT(old, levels), noise, dst=new, dtype=cv2.CV_8U)
    return result


def _encoding(count: int, rng: np.random.Generator) -> Encoding:
    """One of either codec, strong enough to be seen, not to take the pulse away."""
    if rng.random() < 0.5:
        q = str(rng.integers(Q[0], Q[1] + 1))
        return Encoding("mjpeg", {"qmin": q, "qmax": q}, "yuvj422p", FPS)
    options = {"preset": "veryfast", "bf": "0", "crf": f"{rng.uniform(*CRF):.1f}", **REPEATABLE}
    return Encoding("libx264", options, fps=FPS, key_interval=count)

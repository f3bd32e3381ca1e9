"""Heart rate of one real face, original and degraded, by every method, over the whole clip and in windows of 5 s.

    python benchmarks/real_face.py VIDEO [--bpm 52.7] [--method physfsunet POS CHROM GREEN] [--json FILE]

VIDEO is the face of MIT's video magnification work (30 fps, 10 s; without a contact reference, but published spectra
have their peak at 52.7 bpm). Its degraded versions have half the bit rate, 15 frames per second, half the brightness,
noise of 2 % of white, and a third of the size. Heart rates are not withheld, however low their quality.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from facepulse import measure
from facepulse._files import atomic_write
from facepulse._types import Image
from facepulse.inference.registry import DEFAULT
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video
from facepulse.video.writer import VideoWriter

WINDOW_S = 5.0


def changed(frames: Sequence[Frame], change: Callable[[Image], Image]) -> Iterator[Frame]:
    for frame in frames:
        yield Frame(change(frame.image), frame.time, frame.key)


def noisy(rng: np.random.Generator) -> Callable[[Image], Image]:
    def with_noise(image: Image) -> Image:
        return np.clip(np.rint(image + rng.normal(0, 0.02 * 255, image.shape)), 0, 255).astype(np.uint8)

    return with_noise


def third(image: Image) -> Image:
    size = image.shape[1] // 6 * 2, image.shape[0] // 6 * 2
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def write(path: Path, frames: Sequence[Frame], **encoding: object) -> Path:
    height, width = frames[0].image.shape[:2]
    with VideoWriter(path, width, height, **encoding) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame.image, frame.time)
    return path


def versions(source: Path, folder: Path) -> dict[str, Path]:
    """Write all versions, by name; only the one of half the bit rate is lossy, so that each changes one property."""
    with open_video(source) as video:
        frames = [Frame(frame.image.copy(), frame.time, frame.key) for frame in video]
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        bits = sum(packet.size for packet in container.demux(stream)) * 8
    rate = bits / (frames[-1].time - frames[0].time)
    half = {"preset": "medium", "b": str(round(rate / 2)), "maxrate": str(round(rate)), "bufsize": str(round(rate))}
    lossless = {"codec": "ffv1", "pixel_format": "bgr0"}
    return {
        "as it is": source,
        "half the bit rate": write(folder / "rate.mp4", frames, options=half),
        "15 fps": write(folder / "slow.mkv", frames[::2], **lossless),
        "half brightness": write(folder / "dark.mkv", list(changed(frames, lambda image: image // 2)), **lossless),
        "noise of 2 %": write(folder / "noise.mkv", list(changed(frames, noisy(np.random.default_rng(0)))), **lossless),
        "a third of the size": write(folder / "small.mkv", list(changed(frames, third)), **lossless),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--bpm", type=float, default=52.7)
    parser.add_argument("--method", nargs="+", default=[DEFAULT, "POS", "CHROM", "GREEN"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"one real face, {options.bpm:g} bpm; whole clip, and largest error in a window of {WINDOW_S:g} s, in bpm")
    print("| version | " + " | ".join(Path(method).stem for method in options.method) + " |")
    print("|---|" + "---|" * len(options.method))
    with tempfile.TemporaryDirectory() as folder:
        for name, path in versions(options.video, Path(folder)).items():
            cells = []
            for method in options.method:
                found = measure(path, method=method, window_s=WINDOW_S, min_quality=0.0)
                windows = [window.bpm for window in found.windows if window.bpm is not None]
                worst = max(abs(window_bpm - options.bpm) for window_bpm in windows)
                rows.append(
                    {"version": name, "method": method, "bpm": found.bpm, "quality": found.quality, "windows": windows}
                )
                bpm = "none" if found.bpm is None else f"{found.bpm:.1f}"
                cells.append(f"{bpm} ({found.quality:.2f}), {worst:.1f}")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    if options.json is not None:
        with atomic_write(options.json) as temporary:
            temporary.write_text(json.dumps(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

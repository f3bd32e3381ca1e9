"""The pipeline over a file: from a video to a heart rate, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from facepulse.classical import ClassicalMethod, get_method
from facepulse.detectors import DETECTORS
from facepulse.errors import UsageError
from facepulse.face import Track
from facepulse.keyframes import beats_with_key_frames, key_frame_period, without_key_frame_rhythm
from facepulse.measurement import Measurement, Window
from facepulse.scene import Progress, Scene, Stretch, watch

if TYPE_CHECKING:
    from facepulse.agreement import Agreement

Floats = NDArray[np.float64]

MINIMUM_S = 5.0  # fewer seconds hold too few beats to count


def measure(
    video: str | Path,
    *,
    method: str = "POS",
    window_s: float = 10.0,
    detector: str = "auto",
    min_quality: float = 0.5,
    progress: Progress | None = None,
) -> Measurement:
    """Measure the heart rate of the largest face that stays in a video.

    Args:
        video: a file, or a directory of images with timestamps in their names.
        method: a key of `facepulse.classical.METHODS`; capitals do not matter.
        window_s: length in seconds of the windows of the heart rate over time, at least 5.
        detector: a key of `facepulse.detectors.DETECTORS`.
        min_quality: 0..1; below it a heart rate is withheld.
        progress: called with the seconds done and the length of the video (None where it is not known).

    Returns:
        The measurement; its `bpm` is None where no pulse can be trusted.

    Raises:
        UsageError: an argument is out of its range.
        VideoError: the video cannot be read.
        NoFaceError: nobody is in it.
        TooShortError: the face is there for less than 5 s at a stretch.
    """
    return measure_faces(
        video, method=method, window_s=window_s, detector=detector, min_quality=min_quality, progress=progress
    )[0]


def measure_faces(
    video: str | Path,
    *,
    which: Literal["largest", "all"] = "largest",
    method: str = "POS",
    window_s: float = 10.0,
    detector: str = "auto",
    min_quality: float = 0.5,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Measure the largest face that stays in a video, or all faces from left to right.

    Args and errors are those of `measure`.

    Returns:
        A measurement a face.
    """
    chosen = get_method(method)
    if detector not in DETECTORS:
        raise UsageError(f"no detector is called {detector!r}: choose one of {', '.join(DETECTORS)}")
    if which not in ("largest", "all"):
        raise UsageError(f"faces can be 'largest' or 'all', not {which!r}")
    if not MINIMUM_S <= window_s < float("inf"):
        raise UsageError(f"a window of {window_s:g} s is too short to count beats in: give at least {MINIMUM_S:g} s")
    if not 0.0 <= min_quality <= 1.0:
        raise UsageError(f"the minimum quality is a number from 0 to 1, not {min_quality:g}")
    scene = watch(Path(video), DETECTORS[detector](), chosen, progress)
    return [
        _read_pulse(scene, track, number, chosen, window_s, min_quality)
        for number, track in scene.chosen(which, MINIMUM_S)
    ]


def _read_pulse(
    scene: Scene, track: Track, number: int, method: ClassicalMethod, window_s: float, min_quality: float
) -> Measurement:
    """From the colour of one face to its measurement."""
    from facepulse import beats, pulse
    from facepulse.agreement import agree

    fps = method.fps
    stretches, notes = scene.stretches(track, MINIMUM_S)
    protocol = pulse.PROTOCOLS["facepulse"]
    # A pulse needs more than two frames a beat.
    fastest_bpm = min(protocol.search_bpm[1], 60 * scene.fps / 2.2)
    protocol = replace(protocol, search_bpm=(protocol.search_bpm[0], fastest_bpm))

    # Two readings compete where the key frames have a rhythm: with that taken out, and as it is. The second can only
    # win with a rate in step with the key frames, and then has to be far better than any codec's rhythm ever is.
    readings = [_waves(stretches, method, scene.key_times)]
    if key_frame_period(scene.key_times) is not None:
        readings.append(_waves(stretches, method, ()))
    judged = [(agree([wave[1:] for wave in waves], fps, protocol), waves) for waves in readings]
    overall, waves = max(judged, key=lambda pair: _quality(pair[0], scene.key_times))
    quality = _quality(overall, scene.key_times)
    trusted = quality >= min_quality

    windows = []
    for stretch, wave in zip(stretches, waves, strict=True):
        for begin, end in _window_bounds(wave.shape[1], round(window_s * fps)):
            part = agree([wave[1:, begin:end]], fps, protocol)
            sure = _quality(part, scene.key_times)
            start_s = float(stretch.times[begin])
            bpm = part.bpm if sure >= min_quality else None
            windows.append(Window(start_s, start_s + (end - begin) / fps, bpm, sure))

    found = [beats.find_beats(wave[0], fps, overall.bpm) if trusted else None for wave in waves]
    longest = max(range(len(waves)), key=lambda index: waves[index].shape[1])
    main_beats = found[longest]
    doubts = [] if trusted else [_doubt(overall, quality, min_quality, scene, stretches)]
    shown = (overall.hz >= 0.5) & (overall.hz <= 4.5)
    whole = [_standardised(pulse.filtered(wave[0], fps, protocol)) for wave in waves]
    seen = scene.faces[track.identity]
    return Measurement(
        source=str(scene.source),
        method=method.name,
        protocol=f"{protocol}, read where four regions of the face agree",
        bpm=overall.bpm if trusted else None,
        quality=quality,
        snr_db=pulse.snr_db(waves[longest][0], fps, overall.bpm, protocol),
        fps=scene.fps,
        duration_s=scene.duration_s,
        face=number,
        box=(seen.box.x, seen.box.y, seen.box.width, seen.box.height),
        parts=tuple((float(stretch.times[0]), float(stretch.times[-1])) for stretch in stretches),
        windows=tuple(windows),
        hrv=beats.hrv(main_beats) if main_beats is not None else None,
        beats_s=np.concatenate(
            [np.zeros(0)]
            + [
                stretch.times[0] + part.times_s
                for stretch, part in zip(stretches, found, strict=True)
                if part is not None
            ]
        ),
        waveform=np.concatenate(whole).astype(np.float32),
        times_s=np.concatenate([stretch.times for stretch in stretches]),
        spectrum_bpm=60 * overall.hz[shown],
        spectrum=overall.power[shown] / max(float(overall.power[shown].max()), 1e-12),
        warnings=(*doubts, *notes, *scene.warnings),
        picture=seen.picture,
    )


def _waves(stretches: Sequence[Stretch], method: ClassicalMethod, key_times: Sequence[float]) -> list[Floats]:
    """Waveforms of the face and of its regions, (1 + K, T) a stretch, without what keeps step with the key frames."""
    waves = []
    for stretch in stretches:
        rgb = without_key_frame_rhythm(stretch.rgb, stretch.times, key_times)
        waves.append(np.stack([method.waveform(rgb[:, region], method.fps) for region in range(rgb.shape[1])]))
    return waves


def _standardised(wave: Floats) -> Floats:
    """A wave of unit spread; a flat one stays flat."""
    spread = float(wave.std())
    return wave / spread if spread > 0 else wave


def _quality(agreement: Agreement, key_times: Sequence[float]) -> float:
    """How far to trust an agreement, knowing the key frames of the video."""
    from facepulse.agreement import trust

    return trust(agreement, doubtful=beats_with_key_frames(agreement.bpm, key_times, agreement.seconds))


def _window_bounds(samples: int, length: int) -> list[tuple[int, int]]:
    """Windows of one length that overlap by half, the last one moved back to end with the waveform."""
    length = min(length, samples)
    starts = list(range(0, samples - length + 1, max(length // 2, 1)))
    if samples - starts[-1] - length > length // 4:  # a shorter rest is no news
        starts.append(samples - length)
    return [(start, start + length) for start in starts]


def _doubt(agreement: Agreement, quality: float, min_quality: float, scene: Scene, stretches: Sequence[Stretch]) -> str:
    """Why the heart rate is withheld, what it might have been, and what to do."""
    said = (
        f"no trustworthy pulse: quality {quality:.2f} is below {min_quality:.2f}, "
        f"the best guess is {agreement.bpm:.1f} bpm"
    )
    period = key_frame_period(scene.key_times)
    if all(np.allclose(stretch.rgb[..., 0], stretch.rgb[..., 1], atol=0.5) for stretch in stretches):
        return f"{said}; the picture has no colour: use --method GREEN"
    if period is not None and beats_with_key_frames(agreement.bpm, scene.key_times, agreement.seconds):
        return f"{said}; it keeps step with the codec's key frames, {period:.2f} s apart: record with less compression"
    return f"{said}; hold still, light the face evenly and compress less"

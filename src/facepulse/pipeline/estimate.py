"""From the colour of a face to a heart rate, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from facepulse._types import Floats
from facepulse.measurement import QUALITY_THRESHOLD, Measurement, Window
from facepulse.pipeline.extract import MeasurableFace, Segment, VideoTraces
from facepulse.pipeline.methods import Method
from facepulse.rppg.beats import find_beats
from facepulse.rppg.classical import ClassicalMethod
from facepulse.rppg.hrv import hrv
from facepulse.rppg.keyframes import (
    coincides_with_key_frames,
    is_removable,
    key_frame_period,
    remove_key_frame_rhythm,
)
from facepulse.rppg.protocols import PROTOCOLS, Protocol
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import CLASSICAL_QUALITY, QualityModel, calibrated_quality
from facepulse.rppg.regions import RateEstimate, estimate_rate
from facepulse.rppg.spectrum import filtered, snr_db

# A mean colour that stays within this many 8-bit levels does not live: what is left is rounding, and rounding has a
# spectrum too. The faintest pulses measured (dark skin in poor light) move it by 0.05.
STILL_LEVELS = 0.01
# Quality of what is believed although something speaks against it: a window of a video that is not believed as a whole,
# for someone may have held still for once; the skin, where a network cannot be trusted.
SURE = 0.9
SAME_BPM = 5.0  # within which two readings are of one heart rate
COLOURLESS_LEVELS = 1.0  # between the means of red, green and blue in a greyscale picture

_BY_REGIONS = "read where four regions of the face agree"
_BY_NETWORK = "read where the network's waveform and four regions of the face agree"


@dataclass(frozen=True)
class _Reading:
    """One way to read the pulse of a face.

    Attributes:
        colours: of the whole face and of its regions, (T, 1 + K, 3) for each segment.
        waves: the waveform, and those of the regions, (1 + K, T) for each segment.
        led: the waveform is a network's, and counts for the rate as the regions do; else they alone say it.
        weights: of the evidence for a rate.
        as_coded: whether what keeps step with the key frames is still in any of them.
    """

    colours: list[Floats]
    waves: list[Floats]
    led: bool
    weights: QualityModel
    as_coded: bool
    key_times: Sequence[float]
    fps: float
    protocol: Protocol

    def agreement(self, segment: int | None = None, begin: int = 0, end: int | None = None) -> RateEstimate:
        """What the regions say together, over all segments or within one, and in which colour they say it."""
        waves = self.waves if segment is None else [self.waves[segment][:, begin:end]]
        colours = self.colours if segment is None else [self.colours[segment][begin:end]]
        lead = [wave[0] for wave in waves] if self.led else None
        found = estimate_rate([wave[1:] for wave in waves], self.fps, self.protocol, lead)
        return with_color_test(found, [colour[:, 1:] for colour in colours], self.fps, self.protocol)

    def quality(self, agreement: RateEstimate) -> float:
        """How far to trust it: a rate in step with the key frames only where their rhythm is out of the waves."""
        return calibrated_quality(agreement, self.weights, key_frame_rhythm=self.as_coded and self.in_step(agreement))

    def in_step(self, agreement: RateEstimate) -> bool:
        """Whether the rate cannot be told from a multiple of the key frames' own."""
        return coincides_with_key_frames(agreement.bpm, self.key_times, agreement.seconds)


def read_pulse(
    scene: VideoTraces, face: MeasurableFace, method: Method, window_s: float, min_quality: float
) -> Measurement:
    """From the colour of one face to its measurement.

    Where a network cannot be trusted and the skin is sure, the skin is read, and the measurement says so. Beats are
    always read from the skin: how far noise moves single ones has been measured on colours, not on what networks make.

    Args:
        scene: what was kept of the video.
        face: one of `scene.measurable`.
        method: makes the waveforms.
        window_s: length of the windows of the heart rate over time.
        min_quality: 0..1; below it a heart rate is withheld.
    """
    protocol = _protocol(scene.fps)
    of_skin = _skin_readings(face.segments, method.classical, scene.key_times, protocol)
    by_skin = partial(_measurement, scene, face, Method(method.classical), of_skin, window_s, min_quality)
    if method.engine is None:
        return by_skin()
    found = _measurement(scene, face, method, _led(of_skin, face.segments, method), window_s, min_quality)
    skin = by_skin()
    if _skin_instead(found.quality, skin.quality, min_quality):
        instead = f"{found.method} cannot be trusted here (quality {found.quality:.2f}): read by {skin.method} instead"
        return replace(skin, warnings=(instead, *skin.warnings))
    if found.bpm is None:
        return found
    if skin.bpm is not None and abs(skin.bpm - found.bpm) <= SAME_BPM:
        return replace(found, beats_s=skin.beats_s, hrv=skin.hrv)
    cannot = "cannot be trusted here" if skin.bpm is None else f"reads another heart rate, {skin.bpm:.1f} bpm"
    without = f"no beats and no variability: they are read by {skin.method}, which {cannot}"
    return replace(found, warnings=(without, *found.warnings))


def _skin_instead(network: float, skin: float, min_quality: float) -> bool:
    """Whether the skin is read in a network's place, by the quality of both: where only the skin is sure."""
    return network < min_quality and skin >= max(min_quality, SURE)


def _measurement(
    scene: VideoTraces,
    face: MeasurableFace,
    method: Method,
    readings: Sequence[_Reading],
    window_s: float,
    min_quality: float,
) -> Measurement:
    segments = face.segments
    reading, overall = _best(readings, min_quality)
    quality = reading.quality(overall)
    trusted = quality >= min_quality
    remarks = [] if trusted else [_doubt(reading, overall, segments, method, min_quality)]
    if trusted and quality < QUALITY_THRESHOLD:
        remarks.append(f"a quality of {quality:.2f} is low: this heart rate may well be wrong")

    fps = segments[0].fps
    protocol = reading.protocol
    whole = [filtered(wave[0], fps, protocol) for wave in reading.waves]
    told = trusted and not reading.led
    found = [find_beats(wave[0], fps, overall.bpm) if told else None for wave in reading.waves]
    longest = max(range(len(whole)), key=lambda index: len(whole[index]))
    longest_beats = found[longest]
    shown = (overall.hz >= 0.5) & (overall.hz <= 4.5)
    seen = scene.sights[face.track.identity]
    return Measurement(
        source=str(scene.source),
        method=method.name,
        protocol=f"{protocol}, {_BY_NETWORK if reading.led else _BY_REGIONS}",
        bpm=overall.bpm if trusted else None,
        quality=quality,
        snr_db=snr_db(reading.waves[longest][0], fps, overall.bpm, protocol),
        fps=scene.fps,
        duration_s=scene.duration_s,
        face=face.number,
        box=(seen.box.x, seen.box.y, seen.box.width, seen.box.height),
        parts=tuple((float(segment.times[0]), float(segment.times[-1])) for segment in segments),
        windows=tuple(
            _windows(reading, segments, round(window_s * fps), min_quality if trusted else max(min_quality, SURE))
        ),
        hrv=None if longest_beats is None else hrv(longest_beats),
        beats_s=np.concatenate(
            [segment.times[0] + part.times_s for segment, part in zip(segments, found, strict=True) if part]
            or [np.zeros(0)]
        ),
        waveform=np.concatenate([_standardised(wave) for wave in whole]).astype(np.float32),
        times_s=np.concatenate([segment.times for segment in segments]),
        spectrum_bpm=60 * overall.hz[shown],
        spectrum=overall.power[shown] / max(float(overall.power[shown].max()), 1e-12),
        warnings=(*remarks, *face.notes, *scene.warnings),
        picture=seen.picture,
    )


@dataclass(frozen=True)
class Latest:
    """What the newest seconds of a segment say.

    Attributes:
        method: name of what read them.
        bpm: heart rate.
        quality: 0..1, how far to trust it.
        waveform: blood-volume pulse (T,), unit spread, systole upwards.
        times: of its samples, (T,).
    """

    method: str
    bpm: float
    quality: float
    waveform: Floats
    times: Floats


def read_latest(
    segment: Segment, method: Method, window_s: float, fps: float, key_times: Sequence[float], min_quality: float
) -> Latest:
    """Read the newest seconds of a segment, as `read_pulse` reads a window of a video.

    Who is read, network or skin, is decided anew each time.

    Args:
        segment: a little longer than the window, since the first second of a waveform is the poorest.
        method: makes the waveforms.
        window_s: how many seconds to read; all of them, where there are fewer.
        fps: of the source.
        key_times: of its key frames; none where nothing was coded.
        min_quality: 0..1; below it a heart rate will be withheld.
    """
    of_skin = _skin_readings([segment], method.classical, key_times, _protocol(fps))
    by_skin = partial(_latest, segment, method.classical.name, of_skin, window_s, min_quality)
    if method.engine is None:
        return by_skin()
    latest = _latest(segment, method.name, _led(of_skin, [segment], method), window_s, min_quality)
    if latest.quality >= min_quality:  # asked before the skin is, which costs time
        return latest
    skin = by_skin()
    return skin if _skin_instead(latest.quality, skin.quality, min_quality) else latest


def _latest(segment: Segment, name: str, readings: Sequence[_Reading], window_s: float, min_quality: float) -> Latest:
    reading, _ = _best(readings, min_quality)
    begin = max(len(segment.times) - round(window_s * segment.fps), 0)
    agreement = reading.agreement(0, begin)
    wave = _standardised(filtered(reading.waves[0][0], segment.fps, reading.protocol)[begin:])
    return Latest(name, agreement.bpm, reading.quality(agreement), wave, segment.times[begin:])


def _protocol(fps: float) -> Protocol:
    """How rates are read at run time; a pulse needs more than two frames a beat."""
    low_bpm, high_bpm = PROTOCOLS["facepulse"].search_bpm
    return replace(PROTOCOLS["facepulse"], search_bpm=(low_bpm, min(high_bpm, 60 * fps / 2.2)))


def _skin_readings(
    segments: Sequence[Segment], method: ClassicalMethod, keys: Sequence[float], protocol: Protocol
) -> list[_Reading]:
    """The traces as coded, and, where a codec has key frames, without what keeps step with them."""
    fps = segments[0].fps

    def read(colours: list[Floats], as_coded: bool) -> _Reading:
        waves = [region_waveforms(method, rgb, fps) for rgb in colours]
        return _Reading(colours, waves, False, CLASSICAL_QUALITY, as_coded, keys, fps, protocol)

    as_coded = read([segment.rgb for segment in segments], True)
    if key_frame_period(keys) is None:
        return [as_coded]
    removed = all(is_removable(segment.times, keys) for segment in segments)
    cleaned = [remove_key_frame_rhythm(segment.rgb, segment.times, keys) for segment in segments]
    return [as_coded, read(cleaned, not removed)]


def _led(of_skin: Sequence[_Reading], segments: Sequence[Segment], method: Method) -> list[_Reading]:
    """The same with a network's waveform in the place of the whole face's."""
    led = []
    for reading in of_skin:
        waves = [wave.copy() for wave in reading.waves]
        for wave, segment in zip(waves, segments, strict=True):
            if segment.waveform is not None:
                wave[0] = segment.waveform
        # The key frames' rhythm can be taken out of colours; what a network makes of it stays in its waveform.
        led.append(replace(reading, waves=waves, led=True, weights=method.quality_model, as_coded=True))
    return led


def _best(readings: Sequence[_Reading], min_quality: float) -> tuple[_Reading, RateEstimate]:
    """The traces without what keeps step with the key frames, or as they are, where that is the pulse.

    A heart that beats in step with the key frames goes with their rhythm. So the traces as coded are read too; but a
    rate in step that they show has to be far clearer than a codec ever makes it.
    """
    as_coded, cleaned = readings[0], readings[-1]
    here = cleaned.agreement()
    if as_coded is cleaned:
        return as_coded, here
    there = as_coded.agreement()
    if not as_coded.in_step(there):
        return cleaned, here
    if max(cleaned.quality(here), as_coded.quality(there)) < min_quality:
        # Neither is to be trusted: the clearer one is what there is to report.
        better = calibrated_quality(there, as_coded.weights) > calibrated_quality(here, as_coded.weights)
    else:
        better = as_coded.quality(there) > cleaned.quality(here)
    return (as_coded, there) if better else (cleaned, here)


def region_waveforms(method: ClassicalMethod, rgb: Floats, fps: float) -> Floats:
    """The waveform (regions, T) of each region's colour (T, regions, 3); zeros where a region does not change.

    Raises:
        ValueError: `rgb` is shorter than the method needs.
    """
    moving = np.ptp(rgb, axis=0).max(axis=1) > STILL_LEVELS
    waves = [method.waveform(rgb[:, region], fps) for region in range(rgb.shape[1])]
    return np.where(moving[:, None], np.stack(waves), 0.0)


def _windows(reading: _Reading, segments: Sequence[Segment], length: int, min_quality: float) -> Iterator[Window]:
    """Windows that overlap by half; a rest of more than a quarter gets one more, moved back to end with its segment."""
    for number, segment in enumerate(segments):
        samples = len(segment.times)
        size = min(length, samples)
        starts = list(range(0, samples - size + 1, max(size // 2, 1)))
        if samples - starts[-1] - size > size // 4:
            starts.append(samples - size)
        for start in starts:
            agreement = reading.agreement(number, start, start + size)
            quality = reading.quality(agreement)
            start_s = float(segment.times[start])
            bpm = agreement.bpm if quality >= min_quality else None
            yield Window(start_s, start_s + size / reading.fps, bpm, quality)


def _standardised(wave: Floats) -> Floats:
    """A wave of unit spread; a flat one stays flat."""
    spread = float(wave.std())
    return wave / spread if spread > 0 else wave


def _doubt(
    reading: _Reading, agreement: RateEstimate, segments: Sequence[Segment], method: Method, min_quality: float
) -> str:
    """Why the heart rate is withheld, what it might have been, and what to do."""
    colourless = all(np.ptp(segment.rgb, axis=2).max() < COLOURLESS_LEVELS for segment in segments)
    if colourless and method.classical.name != "GREEN":
        return "no trustworthy pulse, not even a best guess: the picture has no colour; use --method GREEN"
    if agreement.coherence == 0.0 and not reading.led:
        return "no trustworthy pulse, not even a best guess: the skin does not change; is this a photograph?"
    quality = reading.quality(agreement)
    said = (
        f"no trustworthy pulse: quality {quality:.2f} is below {min_quality:.2f}, "
        f"the best guess is {agreement.bpm:.1f} bpm"
    )
    if reading.as_coded and reading.in_step(agreement):
        period = key_frame_period(reading.key_times)
        return f"{said}, in step with the codec's key frames, {period:.2f} s apart; record with less compression"
    return f"{said}; hold still, light the face evenly and compress less"

"""The `Measurement` of a face: its estimate with windows, beats, variability and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from facepulse.measurement import QUALITY_THRESHOLD, Measurement, Reason, Window
from facepulse.pipeline.decision import decide, withheld_note
from facepulse.pipeline.estimate import Candidate, Estimate
from facepulse.pipeline.extract import FaceTraces, MeasurableFace, Segment, VideoTraces
from facepulse.rppg.beats import Beats, find_beats
from facepulse.rppg.hrv import hrv
from facepulse.rppg.spectrum import snr_db

SAME_BPM = 5.0  # two estimates that differ by no more than this are of the same heart rate
SHOWN_HZ = (0.5, 4.5)  # a measurement contains the spectrum in this range

SOURCES = {
    True: "peak of the summed spectra of the network's waveform and four facial regions",
    False: "peak of the cross-spectrum of four facial regions",
}


def to_measurement(
    video: VideoTraces[FaceTraces], face: MeasurableFace[FaceTraces], estimate: Estimate, window_s: float
) -> Measurement:
    """Put the estimate of one face into a measurement.

    Beats are always found in the classical method's waveform of the whole face, never in the network's: the error that
    noise causes in the times of beats has been measured for classical waveforms only. There are no beats if the heart
    rate without the network is unreliable or differs from the one that is reported.

    Args:
        video: source and timing.
        face: one of the faces of the video.
        estimate: its heart rate.
        window_s: length of the windows of the heart rate over time.
    """
    segments, chosen, box = face.segments, estimate.chosen, face.traces.box
    overall = chosen.overall
    decision = decide(chosen, overall, chosen.traces, estimate.min_quality)
    waveforms = chosen.bvp()
    longest = max(range(len(segments)), key=lambda index: len(segments[index].times))
    beats = beats_of_segments(estimate)
    hz = overall.rate.hz
    shown = (hz >= SHOWN_HZ[0]) & (hz <= SHOWN_HZ[1])
    longest_beats = beats[longest]
    return Measurement(
        source=video.source,
        method=chosen.method.name,
        requested_method=(estimate.network or estimate.regions).method.name,
        protocol=f"{chosen.protocol}, {SOURCES[chosen.fused]}",
        bpm=decision.bpm,
        estimate_bpm=decision.estimate_bpm,
        reason=decision.reason,
        quality=overall.quality,
        snr_db=snr_db(chosen.waveforms[longest][0], chosen.fps, overall.rate.bpm, chosen.protocol),
        fps=video.timing.fps,
        duration_s=video.duration_s,
        face=face.number,
        faces=face.faces,
        box=(box.x, box.y, box.width, box.height),
        parts=tuple((float(segment.times[0]), float(segment.times[-1])) for segment in segments),
        windows=tuple(windows(chosen, segments, window_s, estimate.min_window_quality)),
        hrv=None if longest_beats is None else hrv(longest_beats),
        beats_s=np.concatenate(
            [segment.times[0] + found.times_s for segment, found in zip(segments, beats, strict=True) if found]
            or [np.zeros(0)]
        ),
        waveform=np.concatenate(waveforms).astype(np.float32),
        times_s=np.concatenate([segment.times for segment in segments]),
        spectrum_bpm=60 * hz[shown],
        spectrum=overall.rate.power[shown] / max(float(overall.rate.power[shown].max()), 1e-12),
        warnings=(*estimate_notes(estimate, decision.reason), *face.notes, *video.warnings),
        image=face.traces.image,
    )


def has_beats(estimate: Estimate) -> bool:
    """Return True if the classical method, in whose waveform beats are found, gives the heart rate that is reported."""
    regions, chosen = estimate.regions, estimate.chosen
    if estimate.withheld(chosen) or estimate.withheld(regions):
        return False
    return abs(regions.overall.rate.bpm - chosen.overall.rate.bpm) <= SAME_BPM


def beats_of_segments(estimate: Estimate) -> list[Beats | None]:
    """Find the beats in the classical waveform of each segment; None if they are too few or unreliable."""
    regions = estimate.regions
    if not has_beats(estimate):
        return [None] * len(regions.waveforms)
    return [find_beats(each[0], regions.fps, regions.overall.rate.bpm) for each in regions.waveforms]


def windows(candidate: Candidate, segments: Sequence[Segment], seconds: float, min_quality: float) -> Iterator[Window]:
    """Estimate the heart rate in windows that overlap by half.

    If more than a quarter of a window remains at the end of a segment, another window ends with the segment.

    Args:
        candidate: the candidate whose heart rate is reported.
        segments: of the face.
        seconds: length of a window; segments that are shorter are one window.
        min_quality: 0..1; quality below which the heart rate of a window is withheld.
    """
    for number, segment in enumerate(segments):
        samples = len(segment.times)
        size = min(round(seconds * candidate.fps), samples)
        starts = list(range(0, samples - size + 1, max(size // 2, 1)))
        if samples - starts[-1] - size > size // 4:
            starts.append(samples - size)
        for start in starts:
            evidence = candidate.window(number, start, start + size)
            decision = decide(candidate, evidence, [candidate.traces[number][start : start + size]], min_quality)
            start_s = float(segment.times[start])
            yield Window(
                start_s=start_s,
                end_s=start_s + size / candidate.fps,
                bpm=decision.bpm,
                quality=evidence.quality,
                estimate_bpm=decision.estimate_bpm,
                reason=decision.reason,
            )


def estimate_notes(estimate: Estimate, reason: Reason | None) -> list[str]:
    """Describe a replaced network, missing beats, and a heart rate that is withheld or uncertain.

    Args:
        estimate: of the face.
        reason: why its heart rate is withheld, or None.
    """
    chosen, network, regions = estimate.chosen, estimate.network, estimate.regions
    quality, notes = chosen.overall.quality, []
    if network is not None and not chosen.fused:
        notes.append(
            f"the waveform of {network.method.name} is unreliable here (quality {network.overall.quality:.2f}): "
            f"measured with {chosen.method.name} instead"
        )
    elif network is not None and reason is None and not has_beats(estimate):
        name, bpm = regions.method.name, regions.overall.rate.bpm
        cause = "is unreliable here" if estimate.withheld(regions) else f"measures another heart rate, {bpm:.1f} bpm"
        notes.append(f"no beats and no heart-rate variability: they are read from {name}, which {cause}")
    if reason is not None:
        notes.append(withheld_note(estimate, reason))
    elif quality < QUALITY_THRESHOLD:
        notes.append(f"a quality of {quality:.2f} is low: this heart rate may well be wrong")
    return notes

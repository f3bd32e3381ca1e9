"""Heart rate from the cross-spectra of several facial regions, optionally fused with a network's waveform.

The pulse is common to all regions of a face, whereas camera and coding noise are independent between them. The mean
cross-spectrum of the regions therefore keeps the pulse and averages the noise away, and the fraction of the regions'
power that is coherent at the heart rate is evidence for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.rppg.arguments import as_fps, as_list
from facepulse.rppg.protocols import Protocol, find_protocol
from facepulse.rppg.spectrum import peak_bpm, spectrum, unit_variance

# Large motion can destroy the coherence of the regions while a network still follows the pulse: absent coherence is not
# proof against the network, so its log odds are bounded from below.
MINIMUM_COHERENCE = 0.01


@dataclass(frozen=True)
class RateEstimate:
    """A heart rate together with the spectral evidence for it.

    Attributes:
        hz: (F,) frequencies.
        power: (F,) power in which the heart rate was found: the mean cross-spectrum of the regions, not below 0; with a
            network the sum of its power, that cross-spectrum and the cross-spectrum of both, each normalised to the
            total power in the band.
        bpm: heart rate at the peak of that power.
        coherence: 0..1, fraction of the regions' power in the band that is shared around bpm and its second harmonic;
            with a network at least `MINIMUM_COHERENCE`.
        seconds: length of the longest segment, which sets the frequency resolution.
        color: log odds that the test of pulse colour adds (`pulse_color`), 0 or less; 0 where it was not applied.
        network: 0..1, fraction of the network's power in the band around bpm and its second harmonic; 0.5, which is no
            evidence, without a network.
    """

    hz: Floats
    power: Floats
    bpm: float
    coherence: float
    seconds: float
    color: float = 0.0
    network: float = 0.5


@dataclass(frozen=True)
class RegionSpectra:
    """Power spectra of the regions of a face and of a network's waveform, with unit variance each.

    Attributes:
        hz: (F,) frequencies.
        regions: (F,) mean power of the regions.
        cross: (F,) mean cross-spectrum over all pairs of regions.
        network: (F,) power of the network's waveform; zeros without one.
        network_cross: (F,) cross-spectrum of the network's waveform and the mean of the regions; zeros without one.
    """

    hz: Floats
    regions: Floats
    cross: Floats
    network: Floats
    network_cross: Floats

    @classmethod
    def of_segment(cls, waveforms: Floats, network: Floats | None, fps: float, protocol: Protocol) -> RegionSpectra:
        """Compute the spectra of one segment.

        Args:
            waveforms: (K, T), one waveform a region, K >= 2.
            network: (T,), the network's waveform, or None.
            fps: sampling rate in Hz.
            protocol: gives detrending and window.
        """
        unit = unit_variance(waveforms)
        regions = len(unit)
        hz, of_sum = spectrum(unit.sum(axis=0), fps, protocol)
        own = np.sum([spectrum(region, fps, protocol)[1] for region in unit], axis=0)
        # |sum of X_k|^2 = sum of |X_k|^2 + sum over pairs of their cross-spectra.
        cross = (of_sum - own) / (regions * (regions - 1))
        network_power = network_cross = np.zeros_like(hz)
        if network is not None:
            unit_network = unit_variance(network)
            network_power, both = (
                spectrum(waveform, fps, protocol)[1] for waveform in (unit_network, unit_network + unit.mean(axis=0))
            )
            # Likewise |X + mean|^2, whose last term is twice the cross-spectrum of the network and the regions' mean.
            network_cross = (both - network_power - of_sum / regions**2) / 2
        return cls(hz, own / regions, cross, network_power, network_cross)

    @classmethod
    def of_segments(
        cls, segments: Sequence[Floats], networks: Sequence[Floats] | None, fps: float, protocol: Protocol
    ) -> RegionSpectra:
        """Sum the spectra of all segments on the frequencies of the longest; negative power is set to zero."""
        pairs = zip(segments, networks if networks is not None else [None] * len(segments), strict=True)
        longest_first = sorted(pairs, key=lambda pair: -pair[0].shape[1])
        spectra = [cls.of_segment(waveforms, network, fps, protocol) for waveforms, network in longest_first]
        hz = spectra[0].hz

        def total(name: str) -> Floats:
            own = [np.interp(hz, each.hz, getattr(each, name)) for each in spectra]
            return np.asarray(np.maximum(np.sum(own, axis=0), 0.0))

        return cls(hz, total("regions"), total("cross"), total("network"), total("network_cross"))

    def fused(self, band: NDArray[np.bool_]) -> Floats:
        """Sum of the network's power, the cross-spectrum of the regions and that of both, each relative to its band.

        Network and regions fail in different ways and their noise is rarely coherent, so their power is added rather
        than one of the two chosen.
        """
        regions, network = float(self.regions[band].sum()), float(self.network[band].sum())
        return (
            _relative(self.network, network)
            + _relative(self.cross, regions)
            + _relative(self.network_cross, np.sqrt(network * regions))
        )


def estimate_rate(
    segments: Sequence[npt.ArrayLike],
    fps: float,
    protocol: Protocol | str = "facepulse",
    networks: Sequence[npt.ArrayLike] | None = None,
) -> RateEstimate:
    """Estimate the heart rate from the cross-spectra of facial regions, optionally fused with a network.

    Args:
        segments: list of the waveforms of K regions in each segment of the recording, (K, T) each, K >= 2, systole up.
        fps: sampling rate in Hz.
        protocol: search range, detrending and window; a `Protocol`, or its name.
        networks: in each segment a network's BVP waveform (T,) of the whole face, weighted equally to the mean of the
            regions. Its systole has to point up as theirs does, since only power in phase counts as shared.

    Returns:
        The estimate over all segments, each weighted by its length. Its coherence is 0 where no peak exists: the
        waveforms are flat, or the highest power lies at the edge of the search range.

    Raises:
        TooShortError: a segment has fewer than 9 samples.
        UsageError: the waveforms are not finite arrays of these shapes, fps is not above zero, or no protocol has this
            name.
    """
    protocol, fps = find_protocol(protocol), as_fps(fps)
    waveforms = as_list(segments, "segments", "(K, T)", 2)
    if min(len(each) for each in waveforms) < 2:
        raise UsageError("each of segments must have the waveforms of at least two regions")
    seconds = max(each.shape[1] for each in waveforms) / fps
    spectra = RegionSpectra.of_segments(waveforms, _checked_networks(networks, waveforms), fps, protocol)
    hz = spectra.hz
    low, high = protocol.search_bpm
    band = (60 * hz >= low) & (60 * hz <= high)
    power = spectra.cross if networks is None else spectra.fused(band)
    bpm = peak_bpm(hz, power, protocol)
    half_width_hz = max(0.1, 2 / seconds)
    near = band & ((np.abs(hz - bpm / 60) <= half_width_hz) | (np.abs(hz - bpm / 30) <= half_width_hz))
    in_band, network_in_band = float(spectra.regions[band].sum()), float(spectra.network[band].sum())
    flat = in_band == 0.0 or (networks is not None and network_in_band == 0.0)
    # At the edge of the range the power is the flank of something outside it, not a peak.
    if flat or not low < bpm < high:
        return RateEstimate(hz, power, bpm, 0.0, seconds)
    coherence = min(float(spectra.cross[near].sum()) / in_band, 1.0)
    if networks is None:
        return RateEstimate(hz, power, bpm, coherence, seconds)
    fraction = float(spectra.network[near].sum()) / network_in_band
    return RateEstimate(hz, power, bpm, max(coherence, MINIMUM_COHERENCE), seconds, network=fraction)


def _checked_networks(networks: Sequence[npt.ArrayLike] | None, segments: Sequence[Floats]) -> list[Floats] | None:
    """Check that there is one waveform of the network a segment, as long as the segment."""
    if networks is None:
        return None
    waveforms = as_list(networks, "networks", "(T,)", 1)
    if [len(each) for each in waveforms] != [each.shape[1] for each in segments]:
        raise UsageError("networks must have one waveform for each segment, of the same number of samples")
    return waveforms


def _relative(power: Floats, total: float) -> Floats:
    """Power as a fraction of a total; zeros where the total is zero."""
    return power / total if total > 0 else np.zeros_like(power)

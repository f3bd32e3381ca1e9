"""Named protocols for reading a heart rate from a waveform: band, filter, spectrum and search range.

The choice of protocol changes the error of identical waveforms by a factor of three, so it is printed with every
number, and reference and estimate always go through the same one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from facepulse.errors import UsageError, shown
from facepulse.rppg.arguments import as_positive

Estimator = Literal["periodogram", "welch", "harmonic"]


@dataclass(frozen=True)
class Protocol:
    """Named choice of filter, spectrum and search range, from waveform to bpm and SNR.

    `paper` and both `toolbox` protocols detrend by λ = 100 at any sampling rate, as their sources do: above about 60 Hz
    that removes the fundamental of a pulse. Resample a fast reference to the frame rate before reading it.

    Attributes:
        name: key in `PROTOCOLS`.
        low_hz: lower edge of the band-pass.
        high_hz: upper edge of the band-pass.
        search_bpm: lowest and highest heart rate that can be estimated.
        regularization: λ of the detrending at 30 fps.
        estimator: `periodogram` and `welch` take the highest bin of the filtered waveform's spectrum; `harmonic`
            weights every peak of the unfiltered one by its second harmonic and interpolates between the bins.
        constant_cutoff: λ is scaled with fps squared, so that detrending has the same cut-off at every fps.

    Raises:
        UsageError: an unknown estimator, an empty band or search range, or a number that is not above zero.
    """

    name: str
    low_hz: float
    high_hz: float
    search_bpm: tuple[float, float]
    regularization: float
    estimator: Estimator
    constant_cutoff: bool = False

    def __post_init__(self) -> None:
        """Check the values: a wrong one would give wrong numbers without an error."""
        low_bpm, high_bpm = self.search_bpm
        for name, low, high in (("band", self.low_hz, self.high_hz), ("search range", low_bpm, high_bpm)):
            if not as_positive(low, f"lower edge of the {name}") < as_positive(high, f"upper edge of the {name}"):
                raise UsageError(f"the {name} {low:g} to {high:g} of protocol {self.name!r} is empty")
        as_positive(self.regularization, "regularization")
        if self.estimator not in get_args(Estimator):
            raise UsageError(f"estimator {self.estimator!r} is unknown: choose one of {', '.join(get_args(Estimator))}")

    def regularization_at(self, fps: float) -> float:
        """Return λ of the detrending at a sampling rate in Hz."""
        return self.regularization * ((fps / 30) ** 2 if self.constant_cutoff else 1.0)

    def __str__(self) -> str:
        """Return one line that names every choice, to be printed with the numbers."""
        spectrum_name = {
            "periodogram": "periodogram, highest bin",
            "welch": "Welch, highest bin",
            "harmonic": "Hann periodogram, interpolated peak weighted by its second harmonic",
        }[self.estimator]
        return (
            f"{self.name}: detrended λ={self.regularization:g}{' at 30 fps' * self.constant_cutoff}, "
            f"band-pass {self.low_hz:.3g}-{self.high_hz:.3g} Hz, {spectrum_name}, "
            f"{self.search_bpm[0]:g}-{self.search_bpm[1]:g} bpm"
        )


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("paper", 0.75, 2.5, (45, 150), 100, "welch"),
        Protocol("toolbox-2023", 0.75, 2.5, (45, 150), 100, "periodogram"),
        Protocol("toolbox", 0.6, 3.3, (36, 198), 100, "periodogram"),
        Protocol("facepulse", 40 / 60, 240 / 60, (40, 240), 600, "harmonic", constant_cutoff=True),
    )
}


def find_protocol(protocol: Protocol | str) -> Protocol:
    """Find a protocol by its name; a `Protocol` is returned as it is.

    Raises:
        UsageError: no protocol has this name.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, str) and protocol in PROTOCOLS:
        return PROTOCOLS[protocol]
    raise UsageError(f"no protocol is called {shown(protocol)}: choose one of {', '.join(PROTOCOLS)}")

"""Figure 2(b) as a study: where the network of table 2 looks on a face that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facepulse.datasets.cache import PreparedRecording, within_margin
from facepulse.inference.weights import load_model, read_card
from facepulse.studies.attention import plot_attention


@dataclass(frozen=True)
class AttentionFigure:
    """Attention over one clip.

    Attributes:
        weights: of the network.
        recording: whose first frames are looked at.
        failures: why there is no network.
    """

    weights: Path
    recording: PreparedRecording
    failures: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """What is shown."""
        said = " (simulated)" if self.recording.simulated else ""
        return f"# Attention over a face (Figure 2b)\n\n{self.recording.dataset} {self.recording.name}{said}\n"

    def write(self, folder: Path) -> list[Path]:
        """Write attention.png."""
        if self.failures:
            return []
        card = read_card(self.weights)
        frames = within_margin(self.recording.frames[: card.frames], self.recording.settings.margin, card.margin)
        path = folder / "attention.png"
        plot_attention(load_model(self.weights), frames, path)
        return [path]

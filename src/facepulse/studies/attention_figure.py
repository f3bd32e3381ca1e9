"""Figure 2(b) as a study: attention of the network of table 2 on a face outside its training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facepulse.datasets.cache import PreparedRecording, within_margin
from facepulse.inference.weights import load_model, read_card
from facepulse.studies.attention import plot_attention


@dataclass(frozen=True)
class AttentionFigure:
    """Attention masks of a network over the first frames of a recording.

    Attributes:
        weights: file of the weights.
        recording: prepared recording.
        failures: reasons for missing weights.
    """

    weights: Path
    recording: PreparedRecording
    failures: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """Return a heading and the name of the recording as Markdown."""
        simulated = " (simulated)" if self.recording.simulated else ""
        return f"# Attention over a face (Figure 2b)\n\n{self.recording.dataset} {self.recording.name}{simulated}\n"

    def write(self, folder: Path) -> list[Path]:
        """Write attention.png and return its path; nothing if there are no weights."""
        if self.failures:
            return []
        card = read_card(self.weights)
        frames = within_margin(self.recording.frames[: card.frames], self.recording.settings.margin, card.margin)
        path = folder / "attention.png"
        plot_attention(load_model(self.weights), frames, path)
        return [path]

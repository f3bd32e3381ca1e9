"""Folder of the sample recordings that lie beside the checkout and do not belong to the project."""

from pathlib import Path

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

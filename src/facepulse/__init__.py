"""facepulse: heart rate from a video of a face.

>>> import facepulse
>>> m = facepulse.measure("face.mp4")
>>> m.bpm, m.quality
"""

import logging
from typing import TYPE_CHECKING, Any

from facepulse.errors import FacepulseError, NoFaceError, TooShortError, UsageError, VideoError
from facepulse.measure import measure, measure_faces
from facepulse.measurement import Measurement, Window
from facepulse.stream import LiveReading, stream
from facepulse.video.frames import Frame

if TYPE_CHECKING:
    from facepulse.inference.listing import list_models
    from facepulse.inference.weights import load_model

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless the application configures logging

__all__ = [
    "FacepulseError",
    "Frame",
    "LiveReading",
    "Measurement",
    "NoFaceError",
    "TooShortError",
    "UsageError",
    "VideoError",
    "Window",
    "list_models",
    "load_model",
    "measure",
    "measure_faces",
    "stream",
]


def __getattr__(name: str) -> Any:
    """Import the functions of models on first use: measuring does not need them."""
    if name == "list_models":
        from facepulse.inference.listing import list_models

        return list_models
    if name == "load_model":
        from facepulse.inference.weights import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

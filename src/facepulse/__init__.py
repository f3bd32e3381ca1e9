"""facepulse: heart rate from a video of a face.

>>> import facepulse
>>> m = facepulse.measure("face.mp4")
>>> m.bpm, m.quality
"""

from facepulse.errors import FacepulseError, NoFaceError, TooShortError, UsageError, VideoError
from facepulse.measure import measure, measure_faces
from facepulse.measurement import Measurement, Window

__version__ = "0.1.0"

__all__ = [
    "FacepulseError",
    "Measurement",
    "NoFaceError",
    "TooShortError",
    "UsageError",
    "VideoError",
    "Window",
    "measure",
    "measure_faces",
]

"""facepulse: heart rate from a video of a face."""

__version__ = "0.1.0"

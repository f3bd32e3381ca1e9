"""Faces in frames: detection, tracking, crops on a uniform clock, and the mean colour of skin regions."""

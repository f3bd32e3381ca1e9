"""Face detection, tracking, crops on a uniform clock, and mean RGB traces of skin regions."""

"""Entry point of `python -m facepulse`, the same as the command `facepulse`."""

from facepulse.cli import main

main()

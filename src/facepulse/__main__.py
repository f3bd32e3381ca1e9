"""`python -m facepulse` is the command line too."""

from facepulse.cli import main

main()

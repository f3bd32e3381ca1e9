"""The live page: a browser's camera in, a pulse out, on this computer alone."""

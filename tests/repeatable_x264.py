"""Options of x264 for the same file in every run."""

# The code for AVX-512 writes a different file every few runs, which changes results near a threshold.
REPEATABLE = {"x264-params": "asm=avx2"}

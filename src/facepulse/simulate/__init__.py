"""Simulated face videos with a known pulse, from physics: three-dimensional heads whose skin changes with its blood."""

"""Simulated face videos with a known pulse: rendered heads whose skin reflectance follows a blood volume pulse."""

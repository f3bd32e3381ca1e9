"""Remote photoplethysmography on RGB traces: classical methods, spectra, heart rate, quality, beats and HRV."""

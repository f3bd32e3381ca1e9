"""From a video to an estimate of heart rate: extraction of traces, methods, estimation and advice."""

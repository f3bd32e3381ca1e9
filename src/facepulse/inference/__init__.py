"""Trained networks at run time: registry, model cards, weights, engines and overlapping windows."""

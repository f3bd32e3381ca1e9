"""The weights of evidence that make what was seen to be right or wrong most likely: a logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

RIDGE = 1e-4  # so that what never errs does not weigh without bounds


def most_likely(
    evidence: ArrayLike,
    right: ArrayLike,
    start: ArrayLike,
    *,
    known: ArrayLike = 0.0,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
) -> NDArray[np.float64]:
    """Fit weights (K,) of evidence (N, K), on top of log odds that are known (N,), to whether it was right (N,)."""
    parts, rights = np.asarray(evidence, float), np.asarray(right, bool)

    def surprise(weights: NDArray[np.float64]) -> float:
        odds = known + parts @ weights
        return float(np.mean(np.logaddexp(0, odds) - rights * odds) + RIDGE * np.sum(weights**2))

    return np.asarray(minimize(surprise, np.asarray(start, float), bounds=bounds).x)

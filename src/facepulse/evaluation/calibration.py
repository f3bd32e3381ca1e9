"""Logistic regression that calibrates quality: from evidence to the probability that a heart rate is correct."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from facepulse._types import Floats

RIDGE = 1e-4  # penalty on the squared coefficients: keeps them finite if the evidence separates perfectly


def fit_logistic(
    evidence: ArrayLike,
    correct: ArrayLike,
    start: ArrayLike,
    *,
    known: ArrayLike = 0.0,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
) -> Floats:
    """Fit the coefficients of a logistic regression by maximum likelihood with a small ridge penalty.

    Args:
        evidence: (N, K) features; a column of ones gives an intercept.
        correct: (N,) booleans, True if the heart rate was correct.
        start: (K,) initial coefficients.
        known: (N,) or scalar, fixed log odds that are added to those of the evidence.
        bounds: lower and upper bound of each coefficient, None for no bound.

    Returns:
        (K,) coefficients of the log odds.
    """
    features, labels = np.asarray(evidence, float), np.asarray(correct, bool)

    def penalised_loss(coefficients: Floats) -> float:
        log_odds = np.asarray(known, float) + features @ coefficients
        loss = np.mean(np.logaddexp(0, log_odds) - labels * log_odds)
        return float(loss + RIDGE * np.sum(coefficients**2))

    return np.asarray(minimize(penalised_loss, np.asarray(start, float), bounds=bounds).x)

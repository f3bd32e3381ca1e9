"""Logistic regression on data drawn from known coefficients."""

import numpy as np
import pytest

from facepulse.evaluation.calibration import fit_logistic

TRUE = np.array([0.5, -1.0, 2.0])


def drawn(count=20_000, known=0.0):
    """Evidence with an intercept, and labels drawn from the true coefficients."""
    rng = np.random.default_rng(0)
    evidence = np.column_stack([np.ones(count), rng.normal(size=(count, 2))])
    return evidence, rng.random(count) < 1 / (1 + np.exp(-(known + evidence @ TRUE)))


def test_known_coefficients_are_recovered():
    assert fit_logistic(*drawn(), np.zeros(3)) == pytest.approx(TRUE, abs=0.06)


def test_known_log_odds_are_taken_into_account():
    known = np.random.default_rng(1).normal(0, 2, 20_000)
    evidence, correct = drawn(known=known)
    assert fit_logistic(evidence, correct, np.zeros(3), known=known) == pytest.approx(TRUE, abs=0.08)
    assert fit_logistic(evidence, correct, np.zeros(3))[2] < 1.6, "without them the coefficients shrink"


def test_coefficients_stay_within_their_bounds():
    bounds = [(None, None), (0.0, None), (None, 1.0)]
    assert fit_logistic(*drawn(), np.full(3, 0.5), bounds=bounds)[1:] == pytest.approx([0.0, 1.0])


def test_coefficients_of_separable_data_stay_finite():
    evidence = np.column_stack([np.ones(20), np.linspace(-1, 1, 20)])
    assert 5 < fit_logistic(evidence, evidence[:, 1] > 0, np.zeros(2))[1] < 1000

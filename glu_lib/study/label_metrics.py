"""Metrics of labels that are 0 or 1, from their confusion counts."""

from __future__ import annotations

import numpy as np


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """F1 of class 1; as in scikit-learn, 0 if there is neither a positive nor a predicted positive.

    Args:
        counts: counts (n, 4) of the (gold, predicted) pairs 00, 01, 10, 11.
    """
    _, false_positive, false_negative, true_positive = counts.T
    total = 2 * true_positive + false_positive + false_negative
    scores: np.ndarray = np.divide(2 * true_positive, total, out=np.zeros_like(total), where=total > 0)
    return scores


def matthews_correlations(counts: np.ndarray) -> np.ndarray:
    """Matthews correlation coefficient; as in scikit-learn, 0 if a class is missing.

    Args:
        counts: counts (n, 4) of the (gold, predicted) pairs 00, 01, 10, 11.
    """
    tn, fp, fn, tp = counts.T
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    zeros = np.zeros_like(product)
    values: np.ndarray = np.divide(tp * tn - fp * fn, np.sqrt(product), out=zeros, where=product > 0)
    return values

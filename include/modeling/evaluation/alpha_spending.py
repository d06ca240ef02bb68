"""Spending of an error probability over attempts: however many there are, all together err no more often."""

from __future__ import annotations

import math

# Sum of 1 / (n ln² n) over n = 2, 3, 4 …
TOTAL = 2.109742801236892


def spent_share(attempt: int) -> float:
    """
    Return the share of the error probability that an attempt may use; the shares of all attempts add up to 1.

    It falls as 1 / (n ln² n), so that a late attempt keeps a chance: 0.49 for the first, 0.13 for the second,
    0.0013 for the thirtieth. By Bonferroni's inequality it does not matter how the attempts depend on each
    other: their test days overlap from night to night.
    """
    number = max(attempt, 1) + 1
    return 1 / (TOTAL * number * math.log(number) ** 2)


def spent_confidence(confidence: float, attempt: int) -> float:
    """
    Return the confidence that an attempt needs, so that all attempts together have `confidence`.

    Parameters
    ----------
    confidence : float
        Declared probability that no attempt passes by chance.
    attempt : int
        Number of the attempt against the same champion, from 1.
    """
    return 1 - (1 - confidence) * spent_share(attempt)

"""Uncertainty of the pixel size, added to the intervals of sizes.

After the Guide to the Expression of Uncertainty in Measurement (JCGM 100:2008), 5.1: independent
contributions add in quadrature. The pixel size is the same factor of all sizes of a study, so that
its uncertainty does not shrink with their number.
"""

import math

from scipy.stats import norm

from nanorender.statistics.bootstrap import Estimate

LARGEST_PERCENT = 25.0
"""Largest standard uncertainty of a pixel size; of a larger one, intervals would reach zero."""


def coverage_factor(confidence: float) -> float:
    """Find the factor from a standard uncertainty to the half-width of an interval.

    Parameters
    ----------
    confidence : level of the interval, such as 0.95

    Returns
    -------
    quantile of the normal distribution

    Examples
    --------
    >>> round(coverage_factor(0.95), 2)
    1.96
    """
    return float(norm.ppf((1 + confidence) / 2))


def widened(estimate: Estimate, relative: float, confidence: float) -> Estimate:
    """Add a relative uncertainty to an interval, in quadrature on either side.

    Parameters
    ----------
    estimate : positive value with its interval
    relative : relative standard uncertainty of a factor of the value
    confidence : level of the interval

    Returns
    -------
    the same value with a wider interval, whose lower limit is at least 0

    Examples
    --------
    >>> wide = widened(Estimate(100.0, 97.0, 104.0), 0.02, 0.95)
    >>> round(wide.low, 2), round(wide.high, 2)
    (95.06, 105.6)
    """
    half = coverage_factor(confidence) * relative * estimate.value
    low = estimate.value - math.hypot(estimate.value - estimate.low, half)
    high = estimate.value + math.hypot(estimate.high - estimate.value, half)
    return Estimate(estimate.value, low if math.isnan(low) else max(low, 0.0), high)

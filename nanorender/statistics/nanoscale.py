"""Share of particles below 100 nm, for the EU's definition of nanomaterial.

Commission Recommendation of 10 June 2022 on the definition of nanomaterial (2022/C 229/01): 50 %
or more of the particles, by number, with an external dimension of 1 nm to 100 nm. The verdict
applies to the particles in the images, not to the material.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm

from nanorender.statistics.bootstrap import (
    Estimate,
    Resampling,
    SizeSample,
    percentile_interval,
    resampled_ratios,
)
from nanorender.statistics.uncertainty import coverage_factor

LIMIT_NM = 100.0
DECISIVE_SHARE = 0.5


@dataclass(frozen=True)
class NanoscaleShare(Estimate):
    """Share by number of the particles smaller than LIMIT_NM, 0 to 1, with its interval.

    Attributes
    ----------
    quantity : the size that was compared with the limit, such as "min_feret"
    verdict : "above" if the whole interval reaches DECISIVE_SHARE, "below" if none of it does
    method : how the interval was obtained
    """

    quantity: str
    verdict: Literal["above", "below", "undecided"]
    method: str


def nanoscale_share(
    quantity: str,
    sample: SizeSample,
    resampling: Resampling,
    rng: np.random.Generator,
    pixel_size_uncertainty: float = 0.0,
) -> NanoscaleShare:
    """Estimate the share of particles smaller than LIMIT_NM.

    If images are resampled, the interval is a bootstrap percentile interval. If particles are, it
    is that of Wilson, J. Am. Statistical Association 22 (1927) 209, with the effective number of
    weighted particles (Kish, "Survey Sampling", 1965). The change of the share when all sizes are
    multiplied by one of the limits of the pixel size is added in quadrature.

    Parameters
    ----------
    quantity : name of the size
    sample : sizes in nm, weighted by number
    resampling : what is resampled, confidence level
    rng : source of the draws
    pixel_size_uncertainty : relative standard uncertainty of the pixel size

    Returns
    -------
    the share with its interval and verdict

    Examples
    --------
    >>> sizes = np.repeat([50.0, 150.0], [80, 20])
    >>> sample = SizeSample(sizes, np.ones(100), np.zeros(100, int), images=1)
    >>> resampling = Resampling("particles", count=100, confidence=0.95)
    >>> share = nanoscale_share("min_feret", sample, resampling, np.random.default_rng(0))
    >>> share.value, share.verdict
    (0.8, 'above')
    """
    weights = sample.weights
    if not len(weights):
        return _with_verdict(quantity, float("nan"), (0.0, 1.0), "no particles")
    small = sample.sizes < LIMIT_NM
    share = float(np.average(small, weights=weights))
    if resampling.unit == "particles":
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        interval = wilson_interval(share, effective, resampling.confidence)
        interval = _widened_share(share, interval, sample, resampling, pixel_size_uncertainty)
        return _with_verdict(quantity, share, interval, "Wilson score interval")
    total = np.bincount(sample.image_of, weights, sample.images)
    below = np.bincount(sample.image_of, weights * small, sample.images)
    interval = percentile_interval(resampled_ratios(below, total, resampling, rng), resampling)
    interval = _widened_share(share, interval, sample, resampling, pixel_size_uncertainty)
    return _with_verdict(quantity, share, interval, "bootstrap over images")


def _widened_share(
    share: float,
    interval: tuple[float, float],
    sample: SizeSample,
    resampling: Resampling,
    relative: float,
) -> tuple[float, float]:
    """Add the uncertainty of the pixel size to the interval of a share."""
    half = coverage_factor(resampling.confidence) * relative
    if not half:
        return interval
    least, most = (
        float(np.average(sample.sizes * factor < LIMIT_NM, weights=sample.weights))
        for factor in (1 + half, 1 - half)
    )
    low = share - np.hypot(share - interval[0], share - least)
    high = share + np.hypot(interval[1] - share, most - share)
    return max(float(low), 0.0), min(float(high), 1.0)


def wilson_interval(share: float, count: float, confidence: float) -> tuple[float, float]:
    """Find the score interval of a binomial proportion (Wilson 1927).

    Parameters
    ----------
    share : observed proportion, 0 to 1
    count : number of independent trials
    confidence : level of the interval, such as 0.95

    Returns
    -------
    lower and upper limit, within 0 to 1

    Examples
    --------
    >>> low, high = wilson_interval(0.5, 100.0, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.404, 0.596)
    """
    z = float(norm.ppf((1 + confidence) / 2))
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(float(center - half), 0.0), min(float(center + half), 1.0)


def _with_verdict(
    quantity: str, share: float, interval: tuple[float, float], method: str
) -> NanoscaleShare:
    """Compare the interval of a share with DECISIVE_SHARE."""
    low, high = interval
    verdict = "undecided"
    if low >= DECISIVE_SHARE:
        verdict = "above"
    elif high < DECISIVE_SHARE:
        verdict = "below"
    return NanoscaleShare(share, low, high, quantity, verdict, method)

"""The share of particles below 100 nm and what it says under the EU's definition of nanomaterial.

Commission Recommendation of 10 June 2022 on the definition of nanomaterial (2022/C 229/01): half
or more of the particles, by number, with an external dimension of 1 nm to 100 nm. The verdict is
on the particles that were seen, not on the material.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm

from nanorender.statistics.bootstrap import Resampling, SizeSample, draw_counts, interval

LIMIT_NM = 100.0
DECISIVE_SHARE = 0.5

Verdict = Literal["above", "below", "undecided"]


@dataclass(frozen=True)
class NanoscaleShare:
    """Share by number of the particles smaller than LIMIT_NM, with its interval.

    Attributes
    ----------
    quantity: the size that was compared with the limit
    value, low, high: share and confidence interval, 0 to 1
    verdict: "above" if the whole interval reaches DECISIVE_SHARE, "below" if none of it does
    method: how the interval was obtained
    """

    quantity: str
    value: float
    low: float
    high: float
    verdict: Verdict
    method: str


def nanoscale_share(
    quantity: str, sample: SizeSample, resampling: Resampling, rng: np.random.Generator
) -> NanoscaleShare:
    """Return the share of particles whose `quantity` is below LIMIT_NM; sizes in nm.

    Over images the interval is a bootstrap, over particles that of Wilson, J. Am. Statistical
    Association 22 (1927) 209, weighted particles counting with their effective number (Kish,
    "Survey Sampling", 1965).
    """
    weights = sample.weights
    if not len(weights):
        return _judged(quantity, float("nan"), (0.0, 1.0), "no particles")
    small = sample.sizes < LIMIT_NM
    share = float(np.average(small, weights=weights))
    if resampling.unit == "particles":
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        ends = wilson_interval(share, effective, resampling.confidence)
        return _judged(quantity, share, ends, "Wilson score interval")
    total = np.bincount(sample.image_of, weights, sample.images)
    below = np.bincount(sample.image_of, weights * small, sample.images)
    counts = draw_counts(rng, resampling.count, sample.images)
    counts = counts[counts @ total > 0]
    ends = interval(counts @ below / (counts @ total), resampling)
    return _judged(quantity, share, ends, "bootstrap over images")


def wilson_interval(share: float, count: float, confidence: float) -> tuple[float, float]:
    """Return the interval of a share of `count` independent trials."""
    z = float(norm.ppf((1 + confidence) / 2))
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(float(center - half), 0.0), min(float(center + half), 1.0)


def _judged(
    quantity: str, share: float, interval: tuple[float, float], method: str
) -> NanoscaleShare:
    """Return the share with its verdict."""
    low, high = interval
    verdict: Verdict = "undecided"
    if low >= DECISIVE_SHARE:
        verdict = "above"
    elif high < DECISIVE_SHARE:
        verdict = "below"
    return NanoscaleShare(quantity, share, low, high, verdict, method)

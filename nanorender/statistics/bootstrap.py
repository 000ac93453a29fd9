"""Weighted size statistics, and how much they vary when particles or images are drawn again.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6 and 13: percentile
intervals. Every resample is a row of weights, so that thousands are worked on in one array.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

# Weights held at once, to bound the memory of a batch of resamples.
BATCH_ENTRIES = 4_000_000
MODE_CLASSES = 256


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval; not numbers where there is nothing to estimate."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SizeSample:
    """Sizes of particles, each with a weight, from several images.

    Attributes
    ----------
    sizes: (n,) positive
    weights: (n,) positive
    image_of: (n,) image of each particle, 0 to images - 1
    images: number of images, those without particles included
    """

    sizes: Float[np.ndarray, "n"]
    weights: Float[np.ndarray, "n"]
    image_of: Int[np.ndarray, "n"]
    images: int

    def ascending(self) -> "SizeSample":
        """Return the sample from the smallest to the largest particle."""
        order = np.argsort(self.sizes, kind="stable")
        return SizeSample(self.sizes[order], self.weights[order], self.image_of[order], self.images)


@dataclass(frozen=True)
class Resampling:
    """How a sample is drawn again.

    Attributes
    ----------
    unit: what is drawn: single particles, or images with all of their particles
    count: number of resamples
    confidence: of the intervals, 0.95 for instance
    """

    unit: Literal["particles", "images"]
    count: int
    confidence: float

    @property
    def tails(self) -> tuple[float, float]:
        """Shares of the resamples below the two ends of an interval."""
        return (1 - self.confidence) / 2, (1 + self.confidence) / 2


# Statistics of ascending sizes (n,) under rows of weights (b, n): (b,) each.
Statistic = Callable[[Float[np.ndarray, "n"], Float[np.ndarray, "b n"]], Float[np.ndarray, "b"]]


def quantile(share: float) -> Statistic:
    """Return the statistic "smallest size up to which the weights reach `share` of their sum"."""

    def statistic(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        total = np.cumsum(weights, axis=1)
        # Sums of weights are exact to about 1e-12 only: a share met by rounding is met.
        below = (total < share * total[:, -1:] * (1 - 1e-12)).sum(axis=1)
        return sizes[np.minimum(below, len(sizes) - 1)]

    return statistic


def mean(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean."""
    return weights @ sizes / weights.sum(axis=1)


def standard_deviation(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted standard deviation with n - 1 in the denominator."""
    center = mean(sizes, weights)
    # Centered on one value for all rows first: the difference of large squares would cancel.
    shift = sizes - center.mean()
    second = weights @ shift**2 / weights.sum(axis=1) - (weights @ shift / weights.sum(axis=1)) ** 2
    return np.sqrt(np.maximum(second, 0) * len(sizes) / max(len(sizes) - 1, 1))


def geometric_standard_deviation(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the exponential of the standard deviation of the logarithms."""
    return np.exp(standard_deviation(np.log(sizes), weights))


def span(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (D90 - D10) / D50."""
    low, middle, high = (quantile(share)(sizes, weights) for share in (0.1, 0.5, 0.9))
    return (high - low) / middle


def mode(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the size of the highest density.

    Gaussian kernels on the logarithms, bandwidth after Silverman, "Density Estimation" (1986),
    equation 3.31, evaluated on fixed classes; the density is then taken per unit of length.
    """
    logs = np.log(sizes)
    quartiles = np.quantile(logs, (0.25, 0.75))
    spread = min(logs.std(), (quartiles[1] - quartiles[0]) / 1.349) or logs.std()
    if spread < 1e-9:  # all alike, but for rounding
        return np.full(len(weights), sizes[0])
    bandwidth = 0.9 * spread * len(sizes) ** -0.2
    low, high = logs[0] - 3 * bandwidth, logs[-1] + 3 * bandwidth
    classes = np.minimum(((logs - low) / (high - low) * MODE_CLASSES).astype(int), MODE_CLASSES - 1)
    starts = np.flatnonzero(np.diff(classes, prepend=-1))
    counts = np.zeros((len(weights), MODE_CLASSES))
    counts[:, classes[starts]] = np.add.reduceat(weights, starts, axis=1)
    density = ndimage.gaussian_filter1d(counts, bandwidth / (high - low) * MODE_CLASSES, axis=1)
    centers = np.exp(low + (np.arange(MODE_CLASSES) + 0.5) * (high - low) / MODE_CLASSES)
    return centers[np.argmax(density / centers, axis=1)]


STATISTICS: dict[str, Statistic] = {
    "d10": quantile(0.1),
    "d50": quantile(0.5),
    "d90": quantile(0.9),
    "mean": mean,
    "mode": mode,
    "standard_deviation": standard_deviation,
    "geometric_standard_deviation": geometric_standard_deviation,
    "span": span,
}


def draw_counts(
    rng: np.random.Generator, resamples: int, count: int
) -> Int[np.ndarray, "resamples count"]:
    """Return how often each of `count` things is drawn in `count` draws, for each resample."""
    drawn = rng.integers(0, count, (resamples, count))
    drawn += np.arange(resamples)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)


def interval(drawn: Float[np.ndarray, "b"], resampling: Resampling) -> tuple[float, float]:
    """Return the percentile interval of resampled values."""
    low, high = np.quantile(drawn, resampling.tails)
    return float(low), float(high)


def estimates(
    sample: SizeSample, resampling: Resampling, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Return every statistic of STATISTICS with its percentile interval."""
    if not len(sample.sizes):
        return {name: Estimate(*[float("nan")] * 3) for name in STATISTICS}
    sample = sample.ascending()
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in STATISTICS}
    batch = max(1, min(resampling.count, BATCH_ENTRIES // len(sample.sizes)))
    for start in range(0, resampling.count, batch):
        rows = min(batch, resampling.count - start)
        weights = _draw_weights(sample, resampling, rows, rng)
        for name, statistic in STATISTICS.items():
            drawn[name].append(statistic(sample.sizes, weights))
    found = {}
    for name, statistic in STATISTICS.items():
        value = float(statistic(sample.sizes, sample.weights[None])[0])
        found[name] = Estimate(value, *interval(np.concatenate(drawn[name]), resampling))
    return found


def _draw_weights(
    sample: SizeSample, resampling: Resampling, rows: int, rng: np.random.Generator
) -> Float[np.ndarray, "rows n"]:
    """Return the weights of resamples; those of images that hold no particle are left out."""
    if resampling.unit == "particles":
        return draw_counts(rng, rows, len(sample.sizes)) * sample.weights
    counts = draw_counts(rng, rows, sample.images)[:, sample.image_of]
    return counts[counts.any(axis=1)] * sample.weights

"""Weighted size statistics with percentile bootstrap intervals.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6 and 13. A resample is
a row of weights, so that one array operation evaluates a statistic on thousands of resamples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

# Limits the memory of a batch of resamples: number of weights held at once.
BATCH_ENTRIES = 1_000_000
MODE_CLASSES = 256

FEW_PARTICLES = 20
"""Number of particles below which percentile intervals are too narrow.

Those of D10 and D90 then contain the truth far less often than stated, see the tests.
"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its confidence interval; all NaN where there is no data.

    Attributes
    ----------
    value : point estimate
    low, high : limits of the interval
    """

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Estimate":
        """Convert to another unit.

        Parameters
        ----------
        factor : new units per old unit

        Returns
        -------
        the value and both limits, multiplied

        Examples
        --------
        >>> Estimate(0.5, 0.25, 0.75).scaled(100.0)
        Estimate(value=50.0, low=25.0, high=75.0)
        """
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class SizeSample:
    """Weighted particle sizes from one or more images.

    Attributes
    ----------
    sizes : (n,) positive
    weights : (n,) positive
    image_of : (n,) index of each particle's image, 0 to images - 1
    images : number of images, including those without particles
    """

    sizes: Float[np.ndarray, "n"]
    weights: Float[np.ndarray, "n"]
    image_of: Int[np.ndarray, "n"]
    images: int


@dataclass(frozen=True)
class Resampling:
    """Bootstrap design.

    Attributes
    ----------
    unit : what is drawn with replacement, single particles or images with all their particles
    count : number of resamples
    confidence : level of the intervals, such as 0.95
    """

    unit: Literal["particles", "images"]
    count: int
    confidence: float

    @property
    def tails(self) -> tuple[float, float]:
        """Quantiles of the resampled values that limit the interval."""
        return (1 - self.confidence) / 2, (1 + self.confidence) / 2


# Ascending sizes (n,) and resampled weights (b, n) give the statistic of each resample (b,).
Statistic = Callable[[Float[np.ndarray, "n"], Float[np.ndarray, "b n"]], Float[np.ndarray, "b"]]


def quantile(share: float) -> Statistic:
    """Make a statistic of a weighted quantile (the inverse of the cumulative distribution).

    Parameters
    ----------
    share : fraction of the total weight, 0 to 1

    Returns
    -------
    function that returns the smallest size at which the cumulative weight reaches `share`

    Examples
    --------
    >>> quantile(0.5)(np.array([10.0, 20.0, 30.0]), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 8.0]]))
    array([20., 30.])
    """

    def statistic(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        total = np.cumsum(weights, axis=1)
        # Cumulative weights are exact to about 1e-12 only: tolerate rounding below the share.
        below = (total < share * total[:, -1:] * (1 - 1e-12)).sum(axis=1)
        return sizes[np.minimum(below, len(sizes) - 1)]

    return statistic


def median_size(sizes: Float[np.ndarray, "n"]) -> float:
    """Find the median of unweighted sizes as reports do: one of the sizes, not between two.

    Parameters
    ----------
    sizes : at least one, in any order

    Returns
    -------
    smallest size that half of the sizes do not exceed

    Examples
    --------
    >>> median_size(np.array([30.0, 10.0, 20.0, 50.0]))
    20.0
    """
    return float(quantile(0.5)(np.sort(sizes), np.ones((1, len(sizes))))[0])


def _mean(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean."""
    return weights @ sizes / weights.sum(axis=1)


def _standard_deviation(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted standard deviation with n - 1 in the denominator."""
    center = _mean(sizes, weights)
    # Subtract one common value from all rows first: differences of large squares would cancel.
    shift = sizes - center.mean()
    second = weights @ shift**2 / weights.sum(axis=1) - (weights @ shift / weights.sum(axis=1)) ** 2
    return np.sqrt(np.maximum(second, 0) * len(sizes) / max(len(sizes) - 1, 1))


def _geometric_standard_deviation(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exponential of the standard deviation of the logarithms."""
    return np.exp(_standard_deviation(np.log(sizes), weights))


def _span(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D90 - D10) / D50."""
    low, middle, high = (quantile(share)(sizes, weights) for share in (0.1, 0.5, 0.9))
    return (high - low) / middle


def _mode(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Size of the highest density.

    Gaussian kernel density of the logarithms, bandwidth after Silverman, "Density Estimation"
    (1986), equation 3.31, evaluated on fixed classes and converted to density per unit length.
    """
    # Choose the bandwidth.
    logs = np.log(sizes)
    quartiles = np.quantile(logs, (0.25, 0.75))
    spread = min(logs.std(), (quartiles[1] - quartiles[0]) / 1.349) or logs.std()
    if spread < 1e-9:  # all sizes are equal up to rounding
        return np.full(len(weights), sizes[0])
    bandwidth = 0.9 * spread * len(sizes) ** -0.2
    # Add up the weights in classes.
    low, high = logs[0] - 3 * bandwidth, logs[-1] + 3 * bandwidth
    classes = np.minimum(((logs - low) / (high - low) * MODE_CLASSES).astype(int), MODE_CLASSES - 1)
    starts = np.flatnonzero(np.diff(classes, prepend=-1))
    counts = np.add.reduceat(weights, starts, axis=1)
    # Smooth them, and find the maximum of the density per unit length.
    middles = low + (np.arange(MODE_CLASSES) + 0.5) * (high - low) / MODE_CLASSES
    kernels = np.exp(-(((middles - middles[classes[starts], None]) / bandwidth) ** 2) / 2)
    return np.exp(middles)[np.argmax(counts @ (kernels / np.exp(middles)), axis=1)]


class SizeStatistic(NamedTuple):
    """An entry of the registry of size statistics.

    Attributes
    ----------
    compute : ascending sizes (n,) and weights (b, n) to values (b,)
    title : name in the report
    definition : how it is obtained, for the report
    is_length : whether it has the unit of the sizes
    """

    compute: Statistic
    title: str
    definition: str
    is_length: bool = True


STATISTICS = {
    "d10": SizeStatistic(quantile(0.1), "D10", "10 % of the particles are smaller"),
    "d50": SizeStatistic(quantile(0.5), "Median, D50", "half of the particles are smaller"),
    "d90": SizeStatistic(quantile(0.9), "D90", "90 % of the particles are smaller"),
    "mean": SizeStatistic(_mean, "Mean", "arithmetic mean"),
    "mode": SizeStatistic(_mode, "Mode", "most frequent size, by kernel density of the logarithms"),
    "standard_deviation": SizeStatistic(
        _standard_deviation, "Standard deviation", "with n - 1 in the denominator"
    ),
    "geometric_standard_deviation": SizeStatistic(
        _geometric_standard_deviation,
        "Geometric standard deviation",
        "exponential of the standard deviation of the logarithms",
        is_length=False,
    ),
    "span": SizeStatistic(_span, "Span", "(D90 - D10) / D50", is_length=False),
}


def draw_counts(
    rng: np.random.Generator, resamples: int, count: int
) -> Int[np.ndarray, "resamples count"]:
    """Draw with replacement, as counts.

    Parameters
    ----------
    rng : source of the draws
    resamples : number of rows
    count : number of items, and of draws per row

    Returns
    -------
    how often each item is drawn in each resample

    Examples
    --------
    >>> draw_counts(np.random.default_rng(0), 3, 5).sum(axis=1)
    array([5, 5, 5])
    """
    drawn = rng.integers(0, count, (resamples, count))
    drawn += np.arange(resamples)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)


def percentile_interval(
    values: Float[np.ndarray, "b"], resampling: Resampling
) -> tuple[float, float]:
    """Find the percentile interval of resampled values.

    Parameters
    ----------
    values : the statistic of each resample
    resampling : gives the confidence level

    Returns
    -------
    lower and upper limit

    Examples
    --------
    >>> percentile_interval(np.arange(101.0), Resampling("particles", 101, 0.5))
    (25.0, 75.0)
    """
    low, high = np.quantile(values, resampling.tails)
    return float(low), float(high)


def resampled_ratios(
    parts: Float[np.ndarray, "images"],
    wholes: Float[np.ndarray, "images"],
    resampling: Resampling,
    rng: np.random.Generator,
) -> Float[np.ndarray, "b"]:
    """Compute the ratio of two sums over images for resamples of whole images.

    Parameters
    ----------
    parts, wholes : (images,) what each image adds to the numerator and to the denominator
    resampling : number of resamples
    rng : source of the draws

    Returns
    -------
    ratio of each resample; resamples whose denominator is 0 are left out

    Examples
    --------
    >>> draws = Resampling("images", 4, 0.95)
    >>> resampled_ratios(np.ones(3), np.full(3, 2.0), draws, np.random.default_rng(0))
    array([0.5, 0.5, 0.5, 0.5])
    """
    ratios = []
    for rows in _batches(resampling.count, len(parts)):
        counts = draw_counts(rng, rows, len(parts))
        counts = counts[counts @ wholes > 0]
        ratios.append(counts @ parts / (counts @ wholes))
    return np.concatenate(ratios)


def _batches(resamples: int, entries: int) -> Iterator[int]:
    """Split resamples into batches that fit into memory."""
    batch = max(1, min(resamples, BATCH_ENTRIES // entries))
    for start in range(0, resamples, batch):
        yield min(batch, resamples - start)


def bootstrap_statistics(
    sample: SizeSample, resampling: Resampling, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Estimate every statistic of STATISTICS with its percentile interval.

    Parameters
    ----------
    sample : sizes and weights
    resampling : number of resamples, what is drawn, confidence level
    rng : source of the draws

    Returns
    -------
    estimates by the names in STATISTICS, all NaN for an empty sample

    Examples
    --------
    >>> sample = SizeSample(np.array([10.0, 20.0, 30.0]), np.ones(3), np.zeros(3, int), images=1)
    >>> resampling = Resampling("particles", count=200, confidence=0.95)
    >>> bootstrap_statistics(sample, resampling, np.random.default_rng(0))["mean"]
    Estimate(value=20.0, low=10.0, high=30.0)
    """
    if not len(sample.sizes):
        return {name: Estimate(*[float("nan")] * 3) for name in STATISTICS}
    order = np.argsort(sample.sizes, kind="stable")
    sample = SizeSample(
        sample.sizes[order], sample.weights[order], sample.image_of[order], sample.images
    )
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in STATISTICS}
    for rows in _batches(resampling.count, max(len(sample.sizes), sample.images)):
        weights = _draw_weights(sample, resampling, rows, rng)
        for name, statistic in STATISTICS.items():
            drawn[name].append(statistic.compute(sample.sizes, weights))
    estimates = {}
    for name, statistic in STATISTICS.items():
        value = float(statistic.compute(sample.sizes, sample.weights[None])[0])
        limits = percentile_interval(np.concatenate(drawn[name]), resampling)
        estimates[name] = Estimate(value, *limits)
    return estimates


def _draw_weights(
    sample: SizeSample, resampling: Resampling, rows: int, rng: np.random.Generator
) -> Float[np.ndarray, "rows n"]:
    """Weights of resamples; resamples of images without any particle are left out."""
    if resampling.unit == "particles":
        return draw_counts(rng, rows, len(sample.sizes)) * sample.weights
    counts = draw_counts(rng, rows, sample.images)[:, sample.image_of]
    return counts[counts.any(axis=1)] * sample.weights

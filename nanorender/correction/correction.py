"""Corrected size statistics, with an uncertainty that includes the segmentation.

Standard uncertainties are evaluated and combined as in the GUM (JCGM 100:2008): each contribution
is a standard deviation of the logarithm of the statistic (of the log odds of a share), the combined
variance is their sum, and the coverage factor is Student's for the effective degrees of freedom
(Welch and Satterthwaite, GUM annex G.4).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t

from nanorender.correction.response import TwinResponse
from nanorender.correction.unfolding import ResampledWeights, WeightedSizes, unfold
from nanorender.statistics.bootstrap import Estimate

RESAMPLES = 120
CONFIDENCE = 0.95

MODEL_SHARE = 0.25
"""Standard uncertainty of a correction, as a share of the correction: how far twins may differ from
the micrographs. A judgment (GUM, type B): on synthetic studies, 0.1 to 0.25 gave the same coverage,
but the twins of real micrographs are less alike."""

MODEL_FLOOR = 0.01
"""Standard uncertainty of the correction where twins say that there is nothing to correct."""

TWIN_DEGREES = 8
"""Degrees of freedom that the variance between twins counts for beside that between micrographs."""


class StudySizes(NamedTuple):
    """Sizes measured in the micrographs of a study, in the unit of the response.

    Attributes
    ----------
    sizes : (m,) measured sizes
    image_of : (m,) index of each particle's micrograph
    areas : of the micrographs
    """

    sizes: Float[np.ndarray, "m"]
    image_of: Int[np.ndarray, "m"]
    areas: Float[np.ndarray, "images"]


@dataclass(frozen=True)
class Budget:
    """Relative standard uncertainties of a statistic, by their cause.

    Attributes
    ----------
    sampling : which particles the micrographs happen to show
    response : number of twins
    model : difference between twins and micrographs
    pixel_size : of the pixel size
    degrees : effective degrees of freedom of the combination
    """

    sampling: float
    response: float
    model: float
    pixel_size: float
    degrees: float

    @property
    def combined(self) -> float:
        """Combined standard uncertainty."""
        parts = (self.sampling, self.response, self.model, self.pixel_size)
        return math.sqrt(sum(part**2 for part in parts))


@dataclass(frozen=True)
class Correction:
    """A statistic before and after the correction.

    Attributes
    ----------
    raw : as measured
    corrected : with its 95 % interval
    budget : of the uncertainty
    """

    raw: float
    corrected: Estimate
    budget: Budget


class CorrectedStatistic(NamedTuple):
    """A statistic that is corrected.

    Attributes
    ----------
    compute : function of sizes with weights, and the area
    is_share : whether it lies between 0 and 1, else it is positive
    """

    compute: Callable[[WeightedSizes, float], float]
    is_share: bool = False


def quantile_of(share: float) -> Callable[[WeightedSizes, float], float]:
    """Make the function that computes a quantile.

    Parameters
    ----------
    share : fraction of the particles that are smaller, 0 to 1

    Returns
    -------
    Function of sizes with weights, and the area.

    Examples
    --------
    >>> quantile_of(0.5)(WeightedSizes(np.array([1.0, 2.0, 3.0]), np.ones(3)), 1.0)
    2.0
    """

    def compute(of: WeightedSizes, area: float) -> float:
        order = np.argsort(of.sizes, kind="stable")
        weights = of.weights[order]
        below = np.cumsum(weights) - weights / 2
        return float(np.interp(share, below / weights.sum(), of.sizes[order]))

    return compute


def share_below(limit: float) -> CorrectedStatistic:
    """Make the statistic of the share of particles below a limit.

    Parameters
    ----------
    limit : size

    Returns
    -------
    The statistic.

    Examples
    --------
    >>> share_below(2.5).compute(WeightedSizes(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4)), 1.0)
    0.5
    """

    def compute(of: WeightedSizes, area: float) -> float:
        return float(np.average(of.sizes < limit, weights=of.weights))

    return CorrectedStatistic(compute, is_share=True)


def _mean(of: WeightedSizes, area: float) -> float:
    return float(np.average(of.sizes, weights=of.weights))


def _number_density(of: WeightedSizes, area: float) -> float:
    return 1e6 * float(of.weights.sum()) / area


STATISTICS = {
    "d10": CorrectedStatistic(quantile_of(0.1)),
    "d50": CorrectedStatistic(quantile_of(0.5)),
    "d90": CorrectedStatistic(quantile_of(0.9)),
    "mean": CorrectedStatistic(_mean),
    "number_density": CorrectedStatistic(_number_density),
}
"""Statistics that are always corrected; the number is per um2, or per million pixels."""


def correct(
    study: StudySizes,
    response: TwinResponse,
    least: float,
    statistics: Mapping[str, CorrectedStatistic],
    pixel_size_uncertainty: float,
    rng: np.random.Generator,
) -> dict[str, Correction]:
    """Correct statistics by the response of twins.

    Parameters
    ----------
    study : sizes measured in the micrographs, some of them at least `least`
    response : of the segmentation to their twins, with found particles of at least `least`
    least : size of the smallest particles that count, before and after the correction
    statistics : to correct, by name
    pixel_size_uncertainty : relative standard uncertainty of the pixel size
    rng : draws the resamples

    Returns
    -------
    Corrections by name.
    """
    scales = _Scales(statistics, least)
    area = float(study.areas.sum())
    measured = WeightedSizes(study.sizes, np.ones(len(study.sizes)))
    unfolded = unfold(study.sizes, area, response)
    before, after = scales.transform(measured, area), scales.transform(unfolded, area)
    raw, corrected = scales.values(measured, area), scales.values(unfolded, area)
    # Evaluate the contributions to the uncertainty.
    sampling = np.sqrt(_sampling_variance(study, response, scales, rng))
    of_response = np.sqrt(_response_variance(study, response, scales, rng))
    larger, smaller = (
        scales.transform(unfolded, area, factor)
        for factor in (1 + pixel_size_uncertainty, 1 / (1 + pixel_size_uncertainty))
    )
    degrees = len(study.areas) - 1 + TWIN_DEGREES
    result = {}
    for index, (name, statistic) in enumerate(statistics.items()):
        budget = _budget(
            float(sampling[index]),
            float(of_response[index]),
            math.hypot(MODEL_SHARE * float(after[index] - before[index]), MODEL_FLOOR),
            abs(float(larger[index] - smaller[index])) / 2,
            degrees,
        )
        half = float(t.ppf((1 + CONFIDENCE) / 2, budget.degrees)) * budget.combined
        back = _from_log_odds if statistic.is_share else math.exp
        low, high = back(float(after[index]) - half), back(float(after[index]) + half)
        value = float(corrected[index])
        # Shares of 0 and 1 have no log odds: their interval begins or ends with them.
        interval = Estimate(value, min(low, value), max(high, value))
        result[name] = Correction(float(raw[index]), interval, budget)
    return result


class _Scales(NamedTuple):
    """Statistics on the scales of their uncertainties: logarithms, and log odds of shares."""

    statistics: Mapping[str, CorrectedStatistic]
    least: float

    def values(self, sizes: WeightedSizes, area: float) -> Float[np.ndarray, "s"]:
        """Return the statistics of the particles that count."""
        some = self._counted(sizes)
        return np.array([one.compute(some, area) for one in self.statistics.values()])

    def transform(
        self, sizes: WeightedSizes, area: float, factor: float = 1.0
    ) -> Float[np.ndarray, "s"]:
        """Return the transformed statistics, for pixels larger by a factor."""
        some = self._counted(sizes)
        scaled = WeightedSizes(some.sizes * factor, some.weights)
        number = float(some.weights.sum())
        transformed = []
        for one in self.statistics.values():
            value = one.compute(scaled, area * factor**2)
            transformed.append(_log_odds(value, number) if one.is_share else math.log(value))
        return np.array(transformed)

    def some_count(self, sizes: WeightedSizes) -> bool:
        """Return whether there are particles that count."""
        return float(self._counted(sizes).weights.sum()) > 0

    def _counted(self, sizes: WeightedSizes) -> WeightedSizes:
        large = sizes.sizes >= self.least
        return WeightedSizes(sizes.sizes[large], sizes.weights[large])


def _sampling_variance(
    study: StudySizes, response: TwinResponse, scales: _Scales, rng: np.random.Generator
) -> Float[np.ndarray, "s"]:
    """Return the variance between studies of the same sample.

    It is that of resampled micrographs, unbiased for their number, and that of as many twins in
    their place, for the area of the micrographs, weighted by their degrees of freedom.
    """
    images = len(study.areas)
    weights = ResampledWeights.equal(study.sizes, response)
    of_images = []
    for _ in range(RESAMPLES if images > 1 else 0):
        number = _draw(rng, images)
        area = float(number @ study.areas)
        drawn = weights._replace(measured=number[study.image_of])
        of_images.append((unfold(study.sizes, area, response, drawn), area))
    # Let twins stand for the micrographs.
    found = response.found
    sizes = np.concatenate([response.measured[found], response.false])
    twin_of = np.concatenate([response.true_twin[found], response.false_twin])
    weights = ResampledWeights.equal(sizes, response)
    area = response.area * images / response.twins
    of_twins = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, response.twins, images)
        number = np.bincount(chosen, minlength=response.twins).astype(float)
        drawn = weights._replace(measured=number[twin_of])
        of_twins.append((unfold(sizes, area, response, drawn), area))
    degrees = images - 1
    unbiased = _variance(of_images, scales) * (images / degrees if degrees else 0.0)
    of_same_area = _variance(of_twins, scales) * area / float(study.areas.sum())
    return (degrees * unbiased + TWIN_DEGREES * of_same_area) / (degrees + TWIN_DEGREES)


def _response_variance(
    study: StudySizes, response: TwinResponse, scales: _Scales, rng: np.random.Generator
) -> Float[np.ndarray, "s"]:
    """Return the variance between sets of as many twins."""
    area = float(study.areas.sum())
    drawn = []
    for _ in range(RESAMPLES):
        number = _draw(rng, response.twins)
        weights = ResampledWeights(
            np.ones(len(study.sizes)), number[response.true_twin], number[response.false_twin]
        )
        drawn.append((unfold(study.sizes, area, response, weights), area))
    return _variance(drawn, scales)


def _draw(rng: np.random.Generator, count: int) -> Float[np.ndarray, "count"]:
    """Return how often each of several items is drawn with replacement."""
    return np.bincount(rng.integers(0, count, count), minlength=count).astype(float)


def _variance(
    drawn: Sequence[tuple[WeightedSizes, float]], scales: _Scales
) -> Float[np.ndarray, "s"]:
    """Return the variance of transformed statistics, leaving out draws without particles."""
    rows = [scales.transform(sizes, area) for sizes, area in drawn if scales.some_count(sizes)]
    if len(rows) < 2:
        return np.zeros(len(scales.statistics))
    return np.var(np.array(rows), axis=0, ddof=1)


def _budget(
    sampling: float, response: float, model: float, pixel_size: float, degrees: int
) -> Budget:
    """Combine contributions; only that of sampling has few degrees of freedom."""
    combined = sampling**2 + response**2 + model**2 + pixel_size**2
    effective = degrees * combined**2 / sampling**4 if sampling > 0 else math.inf
    return Budget(sampling, response, model, pixel_size, min(effective, 1e6))


def _log_odds(share: float, number: float) -> float:
    """Return the log odds of a share of a number of particles, finite at 0 and 1."""
    least = 0.5 / max(number, 1.0)
    share = min(max(share, least), 1 - least)
    return math.log(share / (1 - share))


def _from_log_odds(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))

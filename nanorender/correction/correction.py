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
the micrographs. Chosen on synthetic studies, see docs/twins.md."""

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
    compute : from sizes with weights, and the area
    powers : power of the pixel size in the statistic
    is_share : whether it lies between 0 and 1
    """

    compute: Callable[[WeightedSizes, float], float]
    power: float
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
    CorrectedStatistic.

    Examples
    --------
    >>> share_below(2.5).compute(WeightedSizes(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4)), 1.0)
    0.5
    """

    def compute(of: WeightedSizes, area: float) -> float:
        return float(np.average(of.sizes < limit, weights=of.weights))

    return CorrectedStatistic(compute, 0.0, True)


def _mean(of: WeightedSizes, area: float) -> float:
    return float(np.average(of.sizes, weights=of.weights))


def _number_density(of: WeightedSizes, area: float) -> float:
    return 1e6 * float(of.weights.sum()) / area


STATISTICS = {
    "d10": CorrectedStatistic(quantile_of(0.1), 1.0),
    "d50": CorrectedStatistic(quantile_of(0.5), 1.0),
    "d90": CorrectedStatistic(quantile_of(0.9), 1.0),
    "mean": CorrectedStatistic(
        lambda of, area: float(np.average(of.sizes, weights=of.weights)), 1.0
    ),
    "number_density": CorrectedStatistic(
        lambda of, area: 1e6 * float(of.weights.sum()) / area, -2.0
    ),
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
    study : sizes measured in the micrographs
    response : of the segmentation to their twins
    least : size of the smallest particles that count, before and after the correction
    statistics : to correct, by name
    pixel_size_uncertainty : relative standard uncertainty of the pixel size
    rng : draws the resamples

    Returns
    -------
    Corrections by name.
    """
    area = float(study.areas.sum())
    images = len(study.areas)

    def evaluate(sizes: WeightedSizes, of_area: float) -> Float[np.ndarray, "s"]:
        counted = sizes.sizes >= least
        some = WeightedSizes(sizes.sizes[counted], sizes.weights[counted])
        values = [one.compute(some, of_area) for one in statistics.values()]
        return np.array(
            [
                _log_odds(value, some.weights.sum()) if one.is_share else math.log(value)
                for one, value in zip(statistics.values(), values, strict=True)
            ]
        )

    raw = evaluate(WeightedSizes(study.sizes, np.ones(len(study.sizes))), area)
    corrected = evaluate(unfold(study.sizes, area, response), area)

    # Sampling, from other draws of the same micrographs and from draws of as many twins.
    counts = [_draw(rng, images) for _ in range(RESAMPLES if images > 1 else 0)]
    of_images = _variance(
        [
            _of_study(
                study, response, number[study.image_of], float(number @ study.areas), evaluate
            )
            for number in counts
        ],
        len(raw),
    )
    scale = float(study.areas.sum()) / response.area * response.twins / images
    of_twins = _variance(
        [
            _of_twins(response, rng.integers(0, response.twins, images), evaluate)
            for _ in range(RESAMPLES)
        ],
        len(raw),
    ) / max(scale, 1e-9)
    degrees = max(images - 1, 0)
    unbiased = of_images * (images / degrees if degrees else 0.0)
    sampling = (degrees * unbiased + TWIN_DEGREES * of_twins) / (degrees + TWIN_DEGREES)

    # Number of twins.
    drawn = [
        _with_other_twins(study, response, area, _draw(rng, response.twins), evaluate)
        for _ in range(RESAMPLES)
    ]
    of_response = _variance(drawn, len(raw))

    result = {}
    for index, (name, statistic) in enumerate(statistics.items()):
        change = float(corrected[index] - raw[index])
        budget = _budget(
            math.sqrt(float(sampling[index])),
            math.sqrt(float(of_response[index])),
            math.hypot(MODEL_SHARE * change, MODEL_FLOOR),
            abs(statistic.power) * pixel_size_uncertainty,
            degrees + TWIN_DEGREES,
        )
        half = float(t.ppf((1 + CONFIDENCE) / 2, budget.degrees)) * budget.combined
        back = _from_log_odds if statistic.is_share else math.exp
        low, middle, high = (back(float(corrected[index]) + by) for by in (-half, 0.0, half))
        result[name] = Correction(back(float(raw[index])), Estimate(middle, low, high), budget)
    return result


Evaluate = Callable[[WeightedSizes, float], Float[np.ndarray, "s"]]


def _of_study(
    study: StudySizes,
    response: TwinResponse,
    weights: Float[np.ndarray, "m"],
    area: float,
    evaluate: Evaluate,
) -> Float[np.ndarray, "s"] | None:
    """Evaluate a resample of the micrographs; None without particles."""
    if not weights.any():
        return None
    full = ResampledWeights.equal(study.sizes, response)
    return evaluate(unfold(study.sizes, area, response, full._replace(measured=weights)), area)


def _of_twins(
    response: TwinResponse, chosen: Int[np.ndarray, "images"], evaluate: Evaluate
) -> Float[np.ndarray, "s"] | None:
    """Evaluate a study of twins in place of the micrographs; None without particles."""
    number = np.bincount(chosen, minlength=response.twins).astype(float)
    found = response.found
    sizes = np.concatenate([response.measured[found], response.false])
    weights = np.concatenate([number[response.true_twin[found]], number[response.false_twin]])
    if not weights.any():
        return None
    area = response.area * len(chosen) / response.twins
    full = ResampledWeights.equal(sizes, response)
    return evaluate(unfold(sizes, area, response, full._replace(measured=weights)), area)


def _with_other_twins(
    study: StudySizes,
    response: TwinResponse,
    area: float,
    number: Float[np.ndarray, "twins"],
    evaluate: Evaluate,
) -> Float[np.ndarray, "s"]:
    """Evaluate the study with a resample of the twins."""
    weights = ResampledWeights(
        np.ones(len(study.sizes)), number[response.true_twin], number[response.false_twin]
    )
    return evaluate(unfold(study.sizes, area, response, weights), area)


def _draw(rng: np.random.Generator, count: int) -> Float[np.ndarray, "count"]:
    """Return how often each of several items is drawn with replacement."""
    return np.bincount(rng.integers(0, count, count), minlength=count).astype(float)


def _variance(rows: Sequence[Float[np.ndarray, "s"] | None], width: int) -> Float[np.ndarray, "s"]:
    """Return the variance of each column, 0 where there are fewer than two rows."""
    known = [row for row in rows if row is not None]
    if len(known) < 2:
        return np.zeros(width)
    return np.var(np.array(known), axis=0, ddof=1)


def _budget(
    sampling: float, response: float, model: float, pixel_size: float, degrees: int
) -> Budget:
    """Combine contributions; only that of sampling has few degrees of freedom."""
    combined = sampling**2 + response**2 + model**2 + pixel_size**2
    effective = degrees * combined**2 / sampling**4 if sampling > 0 else math.inf
    return Budget(sampling, response, model, pixel_size, min(effective, 1e6))


def _log_odds(share: float, number: float) -> float:
    """Return the log odds of a share of a number of particles, finite at 0 and 1."""
    least = 0.5 / max(float(number), 1.0)
    share = min(max(share, least), 1 - least)
    return math.log(share / (1 - share))


def _from_log_odds(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))

"""Unfolding: the true size distribution behind a measured one, by the response of twins."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from nanorender.correction.response import TwinResponse

DEGREE = 2
"""Degree of the tilt: number, typical size and spread of the twins are changed."""

RIDGE = 10.0
"""Precision of the prior on the tilt, in particles: chosen on synthetic studies."""

_PARTICLES_PER_CLASS = 15  # measured ones, at least: counts in smaller classes are mostly chance
_FEWEST_CLASSES, _MOST_CLASSES = 6, 24
_PARTICLES_PER_NARROW_CLASS = 6
_LARGEST_TERM = 4.0  # of the polynomials: the few smallest and largest particles do not decide


class WeightedSizes(NamedTuple):
    """A size distribution as particles with weights.

    Attributes
    ----------
    sizes : (n,) sizes
    weights : (n,) number of particles that each stands for
    """

    sizes: Float[np.ndarray, "n"]
    weights: Float[np.ndarray, "n"]


class ResampledWeights(NamedTuple):
    """How often each particle counts when particles are resampled.

    Attributes
    ----------
    measured : (m,) of the micrographs
    true, false : (n,) and (k,) of the response
    """

    measured: Float[np.ndarray, "m"]
    true: Float[np.ndarray, "n"]
    false: Float[np.ndarray, "k"]

    @classmethod
    def equal(cls, measured: Float[np.ndarray, "m"], response: TwinResponse) -> "ResampledWeights":
        """Count each particle once.

        Parameters
        ----------
        measured : sizes measured in the micrographs
        response : of the segmentation

        Returns
        -------
        Weights of 1.
        """
        return cls(*(np.ones(len(part)) for part in (measured, response.true, response.false)))


def unfold(
    measured: Float[np.ndarray, "m"],
    area: float,
    response: TwinResponse,
    weights: ResampledWeights | None = None,
) -> WeightedSizes:
    """Estimate the true sizes behind measured ones.

    First, the truth of the twins is reweighted until what the segmentation makes of it, missed,
    merged and false particles included, agrees with what was measured (forward folding). The
    weights are exponentials of a quadratic polynomial of the logarithm of the size, the density
    ratio model of Qin (Biometrika 85 (1998) 619), and maximize the Poisson likelihood of the
    measured counts with a normal prior around the twins. Second, the particles that were found in
    the twins are reweighted in narrow classes of the measured size, as in one iteration of Bayesian
    unfolding (D'Agostini, Nucl. Instrum. Methods A 362 (1995) 487). Those that were missed keep
    their smooth weights: in further iterations, chance in the few particles found would decide on
    the many missed.

    Parameters
    ----------
    measured : (m,) sizes measured in the micrographs
    area : of the micrographs, in squares of the unit of sizes
    response : of the segmentation to twins
    weights : how often each particle counts, None for once

    Returns
    -------
    True sizes of the twins with weights that add up to the number of particles in the micrographs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = rng.lognormal(3.0, 0.3, 8000)
    >>> seen = np.where(rng.random(8000) < true / 40, 1.1 * true, np.nan)  # small ones are missed
    >>> first = slice(0, 4000)
    >>> twins = TwinResponse(true[first], seen[first], np.zeros(0), np.zeros(4000, int),
    ...                  np.zeros(0, int), 1, 1.0)
    >>> found = 1.2 * seen[4000:][~np.isnan(seen[4000:])]  # in reality, particles are larger
    >>> unfolded = unfold(found, 1.0, twins)
    >>> round(float(np.average(unfolded.sizes, weights=unfolded.weights) / true.mean()), 1)
    1.2
    """
    count = weights or ResampledWeights.equal(measured, response)
    terms = _tilt_terms(response.true)
    found, ratio = response.found, area / response.area
    # Count what was measured, and the false particles expected, in classes of the measured size.
    seen = np.concatenate([response.measured[found], response.false])
    classes = int(np.clip(len(measured) // _PARTICLES_PER_CLASS, _FEWEST_CLASSES, _MOST_CLASSES))
    edges = np.unique(np.quantile(seen, np.arange(1, classes) / classes))
    classes = len(edges) + 1
    counts = np.bincount(np.digitize(measured, edges), count.measured, classes)
    background = np.bincount(np.digitize(response.false, edges), count.false, classes) * ratio
    class_of = np.digitize(response.measured[found], edges)
    terms_found, expected = terms[found], count.true[found] * ratio
    precision = np.full(DEGREE + 1, RIDGE)
    precision[0] = 0.0  # the number is free

    def loss(tilt: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative logarithm of the posterior, and its gradient."""
        numbers = expected * np.exp(terms_found @ tilt)
        folded = np.bincount(class_of, numbers, classes) + background + 1e-9
        excess = counts / folded - 1
        value = folded.sum() - counts @ np.log(folded) + precision @ tilt**2 / 2
        return float(value), precision * tilt - (numbers * excess[class_of]) @ terms_found

    tilt = minimize(loss, np.zeros(DEGREE + 1), jac=True, method="BFGS").x
    smooth = count.true * ratio * np.exp(terms @ tilt)

    # Reweight found particles to agree with the measured ones in narrow classes.
    classes = max(len(measured) // _PARTICLES_PER_NARROW_CLASS, 1)
    edges = np.unique(np.quantile(measured, np.arange(1, classes) / classes))
    classes = len(edges) + 1
    class_of = np.digitize(response.measured[found], edges)
    folded = np.bincount(class_of, smooth[found], classes)
    folded += ratio * np.bincount(np.digitize(response.false, edges), count.false, classes)
    counts = np.bincount(np.digitize(measured, edges), count.measured, classes)
    share = np.where(folded > 0, counts / np.maximum(folded, 1e-9), 1.0)
    agreeing = smooth.copy()
    agreeing[found] *= share[class_of]
    return WeightedSizes(response.true, agreeing)


def _tilt_terms(sizes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n terms"]:
    """Return normalized Hermite polynomials of the logarithm of sizes, up to DEGREE."""
    logs = np.log(sizes)
    scaled = (logs - logs.mean()) / max(float(logs.std()), 1e-9)
    norms = [math.sqrt(math.factorial(power)) for power in range(DEGREE + 1)]
    terms = np.polynomial.hermite_e.hermevander(scaled, DEGREE) / norms
    return np.clip(terms, -_LARGEST_TERM, _LARGEST_TERM)

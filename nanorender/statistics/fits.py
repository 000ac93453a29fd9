"""Normal, log-normal and mixed log-normal distributions fitted to sizes, and their selection."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import norm

InformationCriterion = Literal["aic", "bic"]

MAX_COMPONENTS = 3
MAX_STEPS = 500
# Sizes are quantized by the pixels: without this limit a component could fit a single size.
MIN_LOG_SD = 0.01
MIN_PER_COMPONENT = 10
# Expectation-maximization uses classes of the logarithms; more classes do not change the result.
CLASSES = 500


class Component(NamedTuple):
    """One component of a fitted distribution.

    Attributes
    ----------
    weight : share of the particles
    center : mean if normal, median if log-normal
    spread : standard deviation if normal, geometric standard deviation if log-normal
    """

    weight: float
    center: float
    spread: float


@dataclass(frozen=True)
class Fit:
    """A fitted size distribution.

    Attributes
    ----------
    kind : "normal" or "lognormal"; several components make a mixture
    weights, centers, spreads : of the components, see `Component`
    log_likelihood : of the sizes
    aic : information criterion of Akaike (1974); lower is better
    bic : information criterion of Schwarz (1978); lower is better
    """

    kind: Literal["normal", "lognormal"]
    weights: tuple[float, ...]
    centers: tuple[float, ...]
    spreads: tuple[float, ...]
    log_likelihood: float
    aic: float
    bic: float

    @property
    def name(self) -> str:
        """Name for the report, such as "log-normal"."""
        kind = {"normal": "normal", "lognormal": "log-normal"}[self.kind]
        if len(self.weights) == 1:
            return kind
        return f"mixture of {len(self.weights)} {kind} components"

    @property
    def components(self) -> list[Component]:
        """Components from the smallest to the largest center."""
        return list(map(Component, self.weights, self.centers, self.spreads))

    def density(self, sizes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Evaluate the probability density.

        Parameters
        ----------
        sizes : positive

        Returns
        -------
        density at each size, per unit of length
        """
        if self.kind == "normal":
            return norm.pdf(sizes, self.centers[0], self.spreads[0])
        z, scale = self._standardized(sizes)
        return norm.pdf(z) / scale @ np.array(self.weights) / sizes

    def cumulative(self, sizes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Evaluate the cumulative distribution.

        Parameters
        ----------
        sizes : positive

        Returns
        -------
        share of the particles up to each size
        """
        if self.kind == "normal":
            return norm.cdf(sizes, self.centers[0], self.spreads[0])
        z, _ = self._standardized(sizes)
        return norm.cdf(z) @ np.array(self.weights)

    def _standardized(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return standard scores (n, k) and spreads (k,) of the logarithms."""
        scale = np.log(self.spreads)
        return (np.log(sizes)[:, None] - np.log(self.centers)) / scale, scale


def fit_sizes(sizes: Float[np.ndarray, "n"], weights: Float[np.ndarray, "n"]) -> tuple[Fit, ...]:
    """Fit the distributions that the number of sizes allows.

    Weighted maximum likelihood, with weights scaled to their effective number (Kish, "Survey
    Sampling", 1965). A mixture needs MIN_PER_COMPONENT sizes per component.

    Parameters
    ----------
    sizes : positive
    weights : positive

    Returns
    -------
    fits from simple to complex; empty for fewer than three different sizes

    Examples
    --------
    >>> sizes = np.random.default_rng(0).lognormal(np.log(80), 0.3, 500)
    >>> fits = fit_sizes(sizes, np.ones(500))
    >>> best_fit(fits, "bic").name
    'log-normal'
    """
    if len(np.unique(sizes)) < 3:
        return ()
    weights = weights * (weights.sum() / (weights**2).sum())
    fits = [_fit_normal(sizes, weights), _fit_lognormals(sizes, weights, 1)]
    for components in range(2, MAX_COMPONENTS + 1):
        if len(sizes) >= components * MIN_PER_COMPONENT:
            fits.append(_fit_lognormals(sizes, weights, components))
    return tuple(fits)


def best_fit(fits: tuple[Fit, ...], criterion: InformationCriterion) -> Fit | None:
    """Choose the fit with the lowest information criterion.

    Parameters
    ----------
    fits : as `fit_sizes` returns them
    criterion : "aic" or "bic"

    Returns
    -------
    the chosen fit, or None without fits
    """
    return min(fits, key=lambda fit: getattr(fit, criterion), default=None)


def _fit_normal(sizes: np.ndarray, weights: np.ndarray) -> Fit:
    """Fit a normal distribution by mean and standard deviation."""
    center = float(np.average(sizes, weights=weights))
    spread = float(np.sqrt(np.average((sizes - center) ** 2, weights=weights)))
    likelihood = float(weights @ norm.logpdf(sizes, center, spread))
    aic, bic = _criteria(likelihood, 2, weights)
    return Fit("normal", (1.0,), (center,), (spread,), likelihood, aic, bic)


def _fit_lognormals(sizes: np.ndarray, weights: np.ndarray, components: int) -> Fit:
    """Fit a mixture of log-normal distributions by expectation-maximization.

    Dempster, Laird and Rubin, J. Royal Statistical Society B 39 (1977) 1. It starts from equal
    parts of the sorted sizes, so the result depends on the data alone.
    """
    # Assign equal parts of the sorted sizes to the components.
    logs = np.log(sizes)
    values, mass = (logs, weights) if components == 1 else _classes(logs, weights)
    rank = (np.cumsum(mass) - mass / 2) / mass.sum()
    belongs = np.eye(components)[np.minimum((rank * components).astype(int), components - 1)]
    share, center, spread = _maximize(values, mass, belongs)
    # Alternate memberships and parameters until the likelihood stops rising.
    before = -np.inf
    for _ in range(MAX_STEPS if components > 1 else 0):
        joint, total = _log_densities(values, share, center, spread)
        likelihood = float(mass @ total)
        if likelihood - before < 1e-8 * abs(likelihood):
            break
        before = likelihood
        share, center, spread = _maximize(values, mass, np.exp(joint - total[:, None]))
    # Convert the density of the logarithms to that of the sizes.
    likelihood = float(weights @ (_log_densities(logs, share, center, spread)[1] - logs))
    # Sort the components by their center.
    order = np.argsort(center)
    share, median, gsd = (
        tuple(float(value) for value in values[order])
        for values in (share, np.exp(center), np.exp(spread))
    )
    aic, bic = _criteria(likelihood, 3 * components - 1, weights)
    return Fit("lognormal", share, median, gsd, likelihood, aic, bic)


def _classes(logs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and weight of the values in narrow classes, ascending."""
    low, high = logs.min(), logs.max()
    number = np.minimum(((logs - low) / (high - low) * CLASSES).astype(int), CLASSES - 1)
    mass = np.bincount(number, weights)
    total = np.bincount(number, weights * logs)
    return total[mass > 0] / mass[mass > 0], mass[mass > 0]


def _log_densities(
    logs: np.ndarray, share: np.ndarray, center: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of each component's density (n, k) and of their sum (n,)."""
    z = (logs[:, None] - center) / spread
    joint = np.log(share / spread) - 0.5 * np.log(2 * np.pi) - z**2 / 2
    return joint, np.asarray(logsumexp(joint, axis=1))


def _maximize(
    logs: np.ndarray, weights: np.ndarray, belongs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share, mean and standard deviation of each component from memberships (n, k)."""
    held = weights[:, None] * belongs
    mass = np.maximum(held.sum(axis=0), 1e-12)
    center = logs @ held / mass
    variance = ((logs[:, None] - center) ** 2 * held).sum(axis=0) / mass
    return mass / mass.sum(), center, np.sqrt(np.maximum(variance, MIN_LOG_SD**2))


def _criteria(likelihood: float, parameters: int, weights: np.ndarray) -> tuple[float, float]:
    """AIC and BIC."""
    penalty = float(np.log(weights.sum())) * parameters
    return 2 * parameters - 2 * likelihood, penalty - 2 * likelihood

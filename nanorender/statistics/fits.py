"""Normal, log-normal and mixed log-normal distributions fitted to sizes, and the choice of one."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import norm

Criterion = Literal["aic", "bic"]

MAX_COMPONENTS = 3
MAX_STEPS = 500
# Sizes come in steps of a pixel: no component may be narrower than 1 %, or it fits one step.
LEAST_LOG_SD = 0.01
LEAST_PER_COMPONENT = 10
# Expectation and maximization run on as many classes of the logarithms: finer changes nothing.
CLASSES = 500


@dataclass(frozen=True)
class Fit:
    """A fitted distribution of sizes.

    Attributes
    ----------
    kind: "normal" or "lognormal"; several components make a mixture
    weights: share of each component
    centers: mean of each component if normal, median if log-normal
    spreads: standard deviation if normal, geometric standard deviation if log-normal
    log_likelihood: of the sizes
    aic: information criterion of Akaike (1974), the lower the better
    bic: of Schwarz (1978)
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
        """What it is, in words."""
        kind = {"normal": "normal", "lognormal": "log-normal"}[self.kind]
        if len(self.weights) == 1:
            return kind
        return f"mixture of {len(self.weights)} {kind} components"

    def density(self, sizes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Return the probability density at each size, per unit of length."""
        if self.kind == "normal":
            return norm.pdf(sizes, self.centers[0], self.spreads[0])
        z, scale = self._standardized(sizes)
        return norm.pdf(z) / scale @ np.array(self.weights) / sizes

    def cumulative(self, sizes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Return the share of particles up to each size."""
        if self.kind == "normal":
            return norm.cdf(sizes, self.centers[0], self.spreads[0])
        z, _ = self._standardized(sizes)
        return norm.cdf(z) @ np.array(self.weights)

    def _standardized(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = np.log(self.spreads)
        return (np.log(sizes)[:, None] - np.log(self.centers)) / scale, scale


def fit_sizes(sizes: Float[np.ndarray, "n"], weights: Float[np.ndarray, "n"]) -> tuple[Fit, ...]:
    """Return the fits that the number of sizes allows, simplest first; none of two or fewer.

    Weighted maximum likelihood, the weights scaled to their effective number (Kish, "Survey
    Sampling", 1965). A mixture needs LEAST_PER_COMPONENT sizes for each component.
    """
    if len(np.unique(sizes)) < 3:
        return ()
    weights = weights * (weights.sum() / (weights**2).sum())
    fits = [_fit_normal(sizes, weights), _fit_lognormals(sizes, weights, 1)]
    for components in range(2, MAX_COMPONENTS + 1):
        if len(sizes) >= components * LEAST_PER_COMPONENT:
            fits.append(_fit_lognormals(sizes, weights, components))
    return tuple(fits)


def best_fit(fits: tuple[Fit, ...], criterion: Criterion) -> Fit | None:
    """Return the fit of the lowest criterion; None of none."""
    return min(fits, key=lambda fit: getattr(fit, criterion), default=None)


def _fit_normal(sizes: np.ndarray, weights: np.ndarray) -> Fit:
    """Return the normal distribution of the sizes' mean and standard deviation."""
    center = float(np.average(sizes, weights=weights))
    spread = float(np.sqrt(np.average((sizes - center) ** 2, weights=weights)))
    likelihood = float(weights @ norm.logpdf(sizes, center, spread))
    aic, bic = _criteria(likelihood, 2, weights)
    return Fit("normal", (1.0,), (center,), (spread,), likelihood, aic, bic)


def _fit_lognormals(sizes: np.ndarray, weights: np.ndarray, components: int) -> Fit:
    """Return a mixture fitted by expectation and maximization.

    Dempster, Laird and Rubin, J. Royal Statistical Society B 39 (1977) 1. It starts from equal
    parts of the sorted sizes, so the result depends on the data alone.
    """
    logs = np.log(sizes)
    values, mass = (logs, weights) if components == 1 else _classes(logs, weights)
    rank = (np.cumsum(mass) - mass / 2) / mass.sum()
    belongs = np.eye(components)[np.minimum((rank * components).astype(int), components - 1)]
    share, center, spread = _maximize(values, mass, belongs)
    before = -np.inf
    for _ in range(MAX_STEPS if components > 1 else 0):
        joint, total = _log_densities(values, share, center, spread)
        likelihood = float(mass @ total)
        if likelihood - before < 1e-8 * abs(likelihood):
            break
        before = likelihood
        share, center, spread = _maximize(values, mass, np.exp(joint - total[:, None]))
    # From the density of the logarithms to that of the sizes.
    likelihood = float(weights @ (_log_densities(logs, share, center, spread)[1] - logs))
    order = np.argsort(center)
    share, median, gsd = (
        tuple(float(value) for value in values[order])
        for values in (share, np.exp(center), np.exp(spread))
    )
    aic, bic = _criteria(likelihood, 3 * components - 1, weights)
    return Fit("lognormal", share, median, gsd, likelihood, aic, bic)


def _classes(logs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and weight of the values in narrow classes, ascending."""
    low, high = logs.min(), logs.max()
    number = np.minimum(((logs - low) / (high - low) * CLASSES).astype(int), CLASSES - 1)
    mass = np.bincount(number, weights)
    total = np.bincount(number, weights * logs)
    return total[mass > 0] / mass[mass > 0], mass[mass > 0]


def _log_densities(
    logs: np.ndarray, share: np.ndarray, center: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithm of each component's density (n, k) and that of their sum (n,)."""
    z = (logs[:, None] - center) / spread
    joint = np.log(share / spread) - 0.5 * np.log(2 * np.pi) - z**2 / 2
    return joint, np.asarray(logsumexp(joint, axis=1))


def _maximize(
    logs: np.ndarray, weights: np.ndarray, belongs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return share, mean and standard deviation of each component from memberships (n, k)."""
    held = weights[:, None] * belongs
    mass = np.maximum(held.sum(axis=0), 1e-12)
    center = logs @ held / mass
    variance = ((logs[:, None] - center) ** 2 * held).sum(axis=0) / mass
    return mass / mass.sum(), center, np.sqrt(np.maximum(variance, LEAST_LOG_SD**2))


def _criteria(likelihood: float, parameters: int, weights: np.ndarray) -> tuple[float, float]:
    """Return AIC and BIC."""
    penalty = float(np.log(weights.sum())) * parameters
    return 2 * parameters - 2 * likelihood, penalty - 2 * likelihood

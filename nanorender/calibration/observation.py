"""Observations: statistics of a set of views, and the loss between two sets.

Real and synthetic views are observed in the same way. Every term of the loss is a distance between
distributions in units of the spread of the reference (real) images. It is therefore a pure number,
about 1 where nothing agrees, for any contrast of the images; and as the compared (synthetic)
images are in no denominator, no term becomes small for a black image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag

from nanorender.calibration.estimates import Estimates, direct_estimates, mean_estimates
from nanorender.calibration.image_statistics import (
    LEVELS,
    OCTAVES,
    RUN_BINS,
    RUN_BINS_PER_OCTAVE,
    SPECTRUM_BANDS,
    WINDOWS_PX,
    GrayImage,
    ImageStatistics,
    image_statistics,
    sum_statistics,
)
from nanorender.errors import InputError

_QUANTILES = 128  # of each histogram
_PARTICLE_WEIGHTS = (2.0, 1.0, 1.0, 0.5)  # of size, its spread, coverage and members
_SHADING_WEIGHTS = (4.0, 2.0, 1.0, 1.0, 0.5, 0.5)  # of levels, rim, halo, spread and mottle
_NO_PARTICLES = 2.0  # difference in each estimate from views without particles


class LossTerms(NamedTuple):
    """The terms of the loss, each 0 for equal images and about 1 where nothing agrees.

    Attributes
    ----------
    gray : distance between gray-level histograms, over the reference's standard deviation
    spectrum : mean difference of the logarithm to base 10 of the radial power spectra
    gradients : distance between gradient magnitudes, over the reference's mean, over three octaves
    contrast : distance between local standard deviations, over the reference's mean, in two windows
    runs : distance between logarithms of run lengths, below and above the threshold
    particles : mean difference of size, size spread, coverage and agglomeration, as logarithms
    shading : mean difference of the levels of particles and substrate, of rims, of the substrate
        beside particles, and of the brightness variation between and within particles
    """

    gray: float
    spectrum: float
    gradients: float
    contrast: float
    runs: float
    particles: float
    shading: float

    def loss(self) -> float:
        """Combine the terms into one number.

        Returns
        -------
        Mean of the terms after compressing each to at most 2, so that none can dominate.

        Examples
        --------
        >>> LossTerms(0, 0, 0, 0, 0, 0, 0).loss()
        0.0
        """
        return float(np.mean([term / (1 + 0.5 * term) for term in self]))


@dataclass(frozen=True, eq=False)
class Observation:
    """Statistics of a set of real or synthetic views.

    Attributes
    ----------
    statistics : sums over the views
    view_estimates : direct estimates from each view, None for a view without particles
    dark : whether particles are darker than the substrate
    threshold : level that separates dark from bright runs; sets to be compared share it
    """

    statistics: ImageStatistics
    view_estimates: tuple[Estimates | None, ...]
    dark: bool
    threshold: float

    @cached_property
    def estimates(self) -> Estimates | None:
        """Mean of the direct estimates, None where no view shows particles."""
        return mean_estimates(self.view_estimates)

    @cached_property
    def features(self) -> Float[np.ndarray, "features"]:
        """Features that respond nearly linearly to the settings of a recipe.

        Histograms are represented by quantiles, which shift with brightness; run lengths by
        cumulative shares; power and sizes by logarithms. With quantiles as with cumulative shares,
        the sum of absolute differences is the earth mover's distance between histograms. Features
        of particles are NaN where no view shows any.
        """
        of = self.statistics
        # Each image's histogram adds up to 1, so their sum is the number of images.
        power = np.log10(np.maximum(of.spectrum / of.gray.sum(), 1e-9))
        gray, *others = map(_quantiles, (of.gray, *of.gradients, *of.contrasts))
        runs = np.cumsum(of.runs.ravel() / of.runs.sum())
        return np.concatenate([gray, power, *others, runs, _particle_features(self.estimates)])

    @cached_property
    def _weights(self) -> Float[np.ndarray, "terms features"]:
        """Weights of absolute feature differences in each term, with this set as the reference."""
        real = self.statistics
        level = real.gray / real.gray.sum()
        mean = float(level @ np.arange(LEVELS))
        deviation = float(np.sqrt(level @ (np.arange(LEVELS) - mean) ** 2))
        terms = [
            [_quantile_weights(1 / max(deviation, 1.0))],
            [np.full(SPECTRUM_BANDS, 1 / SPECTRUM_BANDS)],
            [_quantile_weights(1 / mean / OCTAVES) for mean in _means(real.gradients)],
            [_quantile_weights(1 / mean / len(WINDOWS_PX)) for mean in _means(real.contrasts)],
            [np.full(2 * RUN_BINS, 1 / RUN_BINS_PER_OCTAVE)],
            [np.array(_PARTICLE_WEIGHTS) / len(_PARTICLE_WEIGHTS)],
            [np.array(_SHADING_WEIGHTS) / len(_SHADING_WEIGHTS)],
        ]
        return np.asarray(block_diag(*(np.concatenate(rows) for rows in terms)))

    def loss_terms(self, features: Float[np.ndarray, "features"]) -> LossTerms:
        """Compute the distance of other views from these, the reference.

        Parameters
        ----------
        features : features of the other views

        Returns
        -------
        Terms of the loss.
        """
        difference = np.nan_to_num(np.abs(features - self.features), nan=_NO_PARTICLES)
        return LossTerms(*(self._weights @ difference).tolist())


def observe_reference(views: Iterable[GrayImage], dark: bool) -> Observation:
    """Observe reference views.

    Parameters
    ----------
    views : gray images at one scale, which are gone through twice
    dark : whether particles are darker than the substrate

    Returns
    -------
    Observation with a threshold halfway between the levels of substrate and particles.

    Raises
    ------
    InputError
        If no view shows particles.

    Examples
    --------
    >>> import numpy as np
    >>> rows, columns = np.mgrid[:200, :200] % 50
    >>> view = np.where(np.hypot(rows - 25, columns - 25) <= 12, 180, 40).astype(np.float32)
    >>> reference = observe_reference([view], dark=False)
    >>> brighter = observe_like(reference, view + 10)
    >>> round(reference.loss_terms(brighter.features).gray, 2)
    0.19
    """
    found = [direct_estimates(view, dark) for view in views]
    mean = mean_estimates(found)
    if mean is None:
        raise InputError(
            "no particles stand out from the background of these images; choose others, or check "
            "--dark-particles"
        )
    threshold = (mean.substrate_level + mean.particle_level) / 2
    threshold = 255 - threshold if dark else threshold
    statistics = sum_statistics(image_statistics(view, threshold) for view in views)
    return Observation(statistics, tuple(found), dark, threshold)


def observe_like(reference: Observation, view: GrayImage) -> Observation:
    """Observe one view with the polarity and threshold of a reference.

    Parameters
    ----------
    reference : observation of the views to compare with
    view : gray image at the same scale

    Returns
    -------
    Observation with the polarity and threshold of the reference.
    """
    return Observation(
        image_statistics(view, reference.threshold),
        (direct_estimates(view, reference.dark),),
        reference.dark,
        reference.threshold,
    )


def pool_observations(parts: Iterable[Observation]) -> Observation:
    """Combine observations of the same polarity and threshold.

    Parameters
    ----------
    parts : one or more observations

    Returns
    -------
    Observation of all views together.
    """
    parts = iter(parts)
    first = next(parts)
    statistics, found = first.statistics, list(first.view_estimates)
    for part in parts:
        statistics = sum_statistics((statistics, part.statistics))
        found += part.view_estimates
    return Observation(statistics, tuple(found), first.dark, first.threshold)


def noise_floor(views: Sequence[Observation], count: int) -> float | None:
    """Estimate the loss that sampling alone causes between sets of views of one recipe.

    Parameters
    ----------
    views : observations of single views of one recipe
    count : size of the smaller set, usually the number of real views

    Returns
    -------
    Mean loss of groups of `count` views against all other views, None if there are too few views.
    Differences below this noise floor are not significant.
    """
    losses = []
    for first in range(0, len(views) - count, count):
        rest = pool_observations([*views[:first], *views[first + count :]])
        if rest.estimates is not None:
            part = pool_observations(views[first : first + count])
            losses.append(rest.loss_terms(part.features).loss())
    return float(np.mean(losses)) if losses else None


def _quantiles(histogram: Float[np.ndarray, "n"]) -> Float[np.ndarray, "quantiles"]:
    """Return evenly spaced quantiles of a histogram, in bins."""
    below = np.concatenate([[0.0], np.cumsum(histogram)]) / histogram.sum()
    return np.interp((np.arange(_QUANTILES) + 0.5) / _QUANTILES, below, np.arange(below.size))


def _particle_features(estimates: Estimates | None) -> Float[np.ndarray, "10"]:
    if estimates is None:
        return np.full(len(_PARTICLE_WEIGHTS) + len(_SHADING_WEIGHTS), np.nan)
    return np.array(
        [
            estimates.log_diameter,
            estimates.log_diameter_spread,
            np.log(max(estimates.coverage, 1e-4)),
            np.log(estimates.members),
            np.log(max(estimates.particle_level, 1.0)),
            np.log(max(estimates.substrate_level, 1.0)),
            estimates.rim,
            estimates.halo,
            np.log(max(estimates.brightness_spread, 0.01)),
            np.log(max(estimates.mottle, 0.005)),
        ]
    )


def _quantile_weights(weight: float) -> Float[np.ndarray, "quantiles"]:
    """Return equal weights of all quantiles of a histogram that add up to `weight`."""
    return np.full(_QUANTILES, weight / _QUANTILES)


def _means(histograms: Float[np.ndarray, "m n"]) -> list[float]:
    """Return the mean of each histogram, in bins."""
    return (histograms @ np.arange(LEVELS) / histograms.sum(axis=1)).tolist()

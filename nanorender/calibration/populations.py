"""Populations of a recipe that the micrographs do not show.

Synthetic views tell what the discs of each population look like, and how many there should be. The
discs on the micrographs are a mixture of the populations in proportions to be found.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int

from nanorender.calibration.image_statistics import GrayImage
from nanorender.calibration.inscribed_discs import (
    SMOOTHING_PX,
    InscribedDiscs,
    inscribed_discs,
    split_at_valleys,
)
from nanorender.calibration.views import (
    RenderPlan,
    Target,
    Tone,
    bin_view,
    map_views,
    particles_in_field,
    recipe_of_view,
    render_view,
)
from nanorender.recipe import Recipe

_VIEWS = 8
_FEWEST_DISCS = 40  # on the micrographs: fewer say nothing about proportions
_LEAST_CONTRAST = 0.4  # of a disc, relative to that of particles: else dirt or noise
_LEAST_EXPLAINED = 0.5  # share of the discs on the micrographs that the recipe explains
_LEAST_SHARE = 0.1  # of synthetic discs: fewer may be missed for other reasons
_LEAST_SUPPORT = 0.2  # share on the micrographs relative to that of the recipe
_LEAST_EVIDENCE = 10.0  # of the absence: difference of log likelihoods
_NO_PARTICLE = -1  # population of discs that are on no particle
_STEPS = 300  # of expectation and maximization


class Discs(NamedTuple):
    """What discs look like.

    Attributes
    ----------
    features : (n, 2) logarithm of the diameter in px, gray level in the middle
    population : (n) of the particle in the middle, -1 for none
    """

    features: Float[np.ndarray, "n 2"]
    population: Int[np.ndarray, "n"]

    def brighter_than(self, level: float) -> "Discs":
        """Select discs of at least a gray level: dark ones are in noise and dirt.

        Parameters
        ----------
        level : least gray level in the middle

        Returns
        -------
        These discs.
        """
        bright = self.features[:, 1] >= level
        return Discs(self.features[bright], self.population[bright])


def absent_population(
    recipe: Recipe,
    targets: Sequence[Target],
    views: Sequence[Sequence[GrayImage]],
    tones: Sequence[Tone],
    seed: int,
) -> int | None:
    """Find the population of which the micrographs show least, if they show nearly nothing of it.

    Parameters
    ----------
    recipe : fitted by direct estimates
    targets : geometry and polarity of the views at each scale
    views : real views at each scale
    tones : of the micrographs
    seed : of the synthetic views

    Returns
    -------
    Its index; None if all populations are needed, or it cannot be told.
    """
    if len(recipe.particles) == 1:
        return None
    evidence = np.full((len(targets), len(recipe.particles)), np.nan)
    for row, target, real in zip(evidence, targets, views, strict=True):
        level, dark = _least_level(target), target.observation.dark
        synthetic = synthetic_discs(recipe, target, tones, seed).brighter_than(level)
        features = np.concatenate([disc_features(view, dark) for view in real])
        row[:] = evidence_of_absence(features[features[:, 1] >= level], synthetic, len(row))
    # Scales at which a population has hardly any discs do not count
    least = np.min(np.nan_to_num(evidence, nan=np.inf), axis=0)
    least[np.isnan(evidence).all(axis=0)] = -np.inf
    return int(least.argmax()) if least.max() > _LEAST_EVIDENCE else None


def keep_populations(recipe: Recipe, indices: Sequence[int]) -> Recipe:
    """Keep some populations, and leave out the others with the materials of them alone.

    Parameters
    ----------
    recipe : with several populations
    indices : of the populations to keep, ascending

    Returns
    -------
    Recipe with as many particles, all of them of these populations.

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> sorted(keep_populations(read_recipe("sio2"), [0, 1]).materials)
    ['diffuse']
    """
    kept = tuple(recipe.particles[index] for index in indices)
    unused = {kind.material for kind in recipe.particles} - {kind.material for kind in kept}
    materials = {name: one for name, one in recipe.materials.items() if name not in unused}
    return recipe.model_copy(update={"particles": kept, "materials": materials})


def synthetic_discs(recipe: Recipe, target: Target, tones: Sequence[Tone], seed: int) -> Discs:
    """Render views and find their discs.

    Parameters
    ----------
    recipe : of the sample
    target : geometry and polarity of the views
    tones : of the micrographs
    seed : of the views

    Returns
    -------
    Discs with the populations of their particles.
    """
    geometry = target.geometry
    plan = RenderPlan(seed, _VIEWS, tones, particles_in_field(recipe, geometry))
    drawn = recipe_of_view(recipe, geometry, plan.particles)
    dark, binning = target.observation.dark, geometry.binning

    def find(index: int) -> Discs:
        sample = render_view(drawn, plan, index)
        levels = _bright(bin_view(sample.image.astype(np.float32), binning), dark)
        found = _grains(levels)
        middle = (found.rows * binning + binning // 2, found.columns * binning + binning // 2)
        population = np.append(sample.truth["population"], _NO_PARTICLE)  # also of label 0
        return Discs(_features(levels, found), population[sample.labels[middle] - 1])

    return Discs(*map(np.concatenate, zip(*map_views(find, _VIEWS), strict=True)))


def disc_features(view: GrayImage, dark: bool) -> Float[np.ndarray, "n 2"]:
    """Find the discs of a real view.

    Parameters
    ----------
    view : gray levels
    dark : whether particles are darker than the substrate; levels are then counted from white

    Returns
    -------
    (n, 2) logarithm of the diameter in px, gray level in the middle.
    """
    levels = _bright(view, dark)
    return _features(levels, _grains(levels))


def _least_level(target: Target) -> float:
    """Return the level from which on a disc is a particle, by the estimates of real views."""
    seen = target.observation.estimates
    if seen is None:
        return 0.0
    return seen.substrate_level + _LEAST_CONTRAST * (seen.particle_level - seen.substrate_level)


def _bright(view: GrayImage, dark: bool) -> GrayImage:
    return np.float32(255) - view if dark else view


def _grains(levels: GrayImage) -> InscribedDiscs:
    return split_at_valleys(levels, inscribed_discs(levels))


def _features(levels: GrayImage, found: InscribedDiscs) -> Float[np.ndarray, "n 2"]:
    smooth = cv2.GaussianBlur(levels, (0, 0), SMOOTHING_PX)
    return np.column_stack((np.log(found.diameters_px), smooth[found.rows, found.columns]))


def evidence_of_absence(
    real: Float[np.ndarray, "n 2"], synthetic: Discs, populations: int
) -> Float[np.ndarray, "populations"]:
    """Compute for each population how sure it is that there is nearly nothing of it.

    The densities of the features in each population, and of discs without a particle, are those of
    the synthetic discs (kernel estimates; Scott 1992, Multivariate Density Estimation, chapter 6),
    beside an even one for what the recipe does not explain. Their proportions on the micrographs
    maximize the likelihood (Dempster, Laird & Rubin 1977, J. R. Stat. Soc. B 39, 1). Evidence of
    absence is how much larger the logarithm of this likelihood is than with half as much of the
    population as the recipe has. Where populations look alike there is none, since each of them
    explains the discs.

    Parameters
    ----------
    real : (n, 2) features of the discs on the micrographs
    synthetic : discs of the recipe
    populations : number of populations

    Returns
    -------
    (populations) evidence; negative infinity for what is present, NaN where it cannot be told: too
    few discs of a population are found on synthetic images, too, or the recipe explains too few of
    those on the micrographs.
    """
    evidence = np.full(populations, np.nan)
    if len(real) < _FEWEST_DISCS or len(synthetic.features) < _FEWEST_DISCS:
        return evidence
    kinds, counts = np.unique(synthetic.population, return_counts=True)
    kinds, counts = kinds[counts > 2], counts[counts > 2]
    extent = np.ptp(np.concatenate((real, synthetic.features)), axis=0)
    least_width = 0.1 * synthetic.features.std(axis=0) + 1e-6
    densities = np.array(
        [_density(real, synthetic.features[synthetic.population == k], least_width) for k in kinds]
        + [np.full(len(real), 1 / np.prod(extent + 1e-6))]
    )
    shares, likelihood = fit_mixture(densities)
    # Compare proportions among the discs that the recipe explains
    explained = float(shares[: len(kinds)].sum())
    if explained < _LEAST_EXPLAINED:
        return evidence
    for row, (kind, count) in enumerate(zip(kinds, counts, strict=True)):
        if kind == _NO_PARTICLE or count < _LEAST_SHARE * counts.sum():
            continue
        expected = explained * count / counts.sum()
        evidence[kind] = -np.inf
        if shares[row] < _LEAST_SUPPORT * expected:
            evidence[kind] = likelihood - fit_mixture(densities, row, expected / 2)[1]
    return evidence


def _density(
    at: Float[np.ndarray, "n 2"], points: Float[np.ndarray, "m 2"], least: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "n"]:
    """Estimate a density with Gaussian kernels, of a width of at least `least`."""
    width = np.maximum(points.std(axis=0) * len(points) ** (-1 / 6), least)
    squared = ((((points - one) / width) ** 2).sum(axis=1) for one in at)
    kernels = np.array([np.exp(-each / 2).mean() for each in squared])
    return kernels / (2 * np.pi * np.prod(width))


def fit_mixture(
    densities: Float[np.ndarray, "kinds n"], fixed: int | None = None, share: float = 0.0
) -> tuple[Float[np.ndarray, "kinds"], float]:
    """Find the proportions of a mixture that maximize its likelihood.

    Parameters
    ----------
    densities : (kinds, n) density of each kind at each point, positive for one kind or more
    fixed : kind of a given proportion
    share : its proportion

    Returns
    -------
    (kinds) proportions, and the logarithm of the likelihood.

    Examples
    --------
    >>> shares, _ = fit_mixture(np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
    >>> shares.round(3).tolist()
    [0.75, 0.25]
    """
    shares = np.full(len(densities), 1 / len(densities))
    total = shares @ densities
    for _ in range(_STEPS):
        shares = (shares[:, None] * densities / total).mean(axis=1)
        if fixed is not None:
            shares[fixed] = 0.0
            shares *= (1 - share) / shares.sum()
            shares[fixed] = share
        total = shares @ densities
    return shares, float(np.log(total).sum())

"""Sizes of twins: changed until as much is found in the twins as in the micrographs.

What the segmentation misses or merges is thus not taken for absent (indirect inference; Gourieroux,
Monfort & Renault 1993, J. Appl. Econometrics 8, S85).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.calibration import parameters as free
from nanorender.twins.look import TwinRecipe

_FEWEST_PARTICLES = 5  # of a micrograph whose sizes say anything
_LARGEST_FACTOR = 2.0  # of the spread in one round
_LEAST_CHANGE = 0.15  # of the logarithm of the number, to see whether what is found follows it
_LEAST_SLOPE = 0.5  # of the logarithm of the number found over that of particles


class SeriesSizes(NamedTuple):
    """What was found in the images of a series, for comparison with twins.

    Attributes
    ----------
    log_diameters : of each image, (n,) sorted logarithms of diameters in px
    areas_px : of each image
    """

    log_diameters: tuple[Float[np.ndarray, "_"], ...]
    areas_px: tuple[int, ...]

    def medians(self) -> Float[np.ndarray, "images"]:
        """Compute the median logarithm of each image.

        Returns
        -------
        medians : NaN where there are too few particles
        """
        return np.array(
            [
                np.median(sizes) if len(sizes) >= _FEWEST_PARTICLES else np.nan
                for sizes in self.log_diameters
            ]
        )

    def log_densities(self) -> Float[np.ndarray, "images"]:
        """Compute the logarithm of the number of particles per px2 of each image.

        Returns
        -------
        logarithms : as of half a particle where there is none
        """
        counts = np.array([max(len(sizes), 0.5) for sizes in self.log_diameters])
        return np.log(counts / np.array(self.areas_px))

    def spread(self) -> float:
        """Compute the spread of the logarithms about the medians of the images.

        Returns
        -------
        spread : half the distance of the 16 % and 84 % quantiles, NaN without enough particles
        """
        medians = self.medians()
        apart = [
            sizes - median
            for sizes, median in zip(self.log_diameters, medians, strict=True)
            if not math.isnan(median)
        ]
        if not apart:
            return math.nan
        low, high = np.quantile(np.concatenate(apart), (0.16, 0.84))
        return max(float(high - low) / 2, 0.01)


class FoundInTwins(NamedTuple):
    """Twins of one round and what was found in them.

    Attributes
    ----------
    recipes : of each micrograph
    micrograph_of : index of the micrograph of each twin
    sizes : what was found in each twin
    """

    recipes: Sequence[TwinRecipe]
    micrograph_of: Sequence[int]
    sizes: SeriesSizes


def match_sizes(rounds: Sequence[FoundInTwins], real: SeriesSizes) -> list[TwinRecipe]:
    """Change sizes and numbers so that as much is found in the twins as in the micrographs.

    Where the number found does not follow the number of particles, as in beds that cover
    themselves, the number of the first round is kept: that of the same coverage.

    Parameters
    ----------
    rounds : twins of the earlier rounds, the last of which is changed
    real : what was found in the micrographs

    Returns
    -------
    Recipe of each micrograph.
    """
    last, twins = rounds[-1], rounds[-1].sizes
    sizes = _matched(free.DIAMETER, last, real.medians(), twins.medians())
    if _number_follows(rounds):
        numbers = _matched(free.DENSITY, last, real.log_densities(), twins.log_densities())
    else:
        numbers = np.exp(_logarithms(free.DENSITY, rounds[0].recipes))
    ratio = real.spread() / twins.spread()
    wider = 1.0 if math.isnan(ratio) else min(max(ratio, 1 / _LARGEST_FACTOR), _LARGEST_FACTOR)
    changed = []
    for one, size, number in zip(last.recipes, sizes, numbers, strict=True):
        recipe = free.DENSITY.write(free.DIAMETER.write(one.recipe, size), number)
        spread = free.SIZE_SPREAD.clip((free.SIZE_SPREAD.read(recipe) or 1.0) * wider)
        changed.append(one._replace(recipe=free.SIZE_SPREAD.write(recipe, spread)))
    return changed


def _number_follows(rounds: Sequence[FoundInTwins]) -> bool:
    """Return whether more is found where more particles are, by the first and last round."""
    first, last = rounds[0], rounds[-1]
    more = float(np.mean(_logarithms(free.DENSITY, last.recipes)))
    more -= float(np.mean(_logarithms(free.DENSITY, first.recipes)))
    if abs(more) < _LEAST_CHANGE:
        return True
    found = float(np.mean(last.sizes.log_densities()) - np.mean(first.sizes.log_densities()))
    return found / more > _LEAST_SLOPE


def _logarithms(
    parameter: free.Parameter, recipes: Sequence[TwinRecipe]
) -> Float[np.ndarray, "images"]:
    return np.log([parameter.read(one.recipe) or 1.0 for one in recipes])


def _matched(
    parameter: free.Parameter,
    last: FoundInTwins,
    real: Float[np.ndarray, "images"],
    twins: Float[np.ndarray, "twins"],
) -> Float[np.ndarray, "images"]:
    """Return the setting of each micrograph from logarithms of what was found.

    What is found is proportional to the setting, but for chance, which the twins show. Micrographs
    differ by chance, too: their deviations from the series are shrunk to the share of the variance
    that chance does not explain (empirical Bayes; DerSimonian & Laird 1986, Controlled Clinical
    Trials 7, 177).
    """
    settings = _logarithms(parameter, last.recipes)
    response = twins - settings[np.asarray(last.micrograph_of)]
    response = response[np.isfinite(response)]
    known = np.isfinite(real)
    if len(response) == 0 or not known.any():
        return np.exp(settings)
    chance = float(np.var(response, ddof=1)) if len(response) > 1 else 0.0
    series = float(real[known].mean())
    spread = float(np.var(real[known], ddof=1)) if known.sum() > 1 else 0.0
    kept = max(spread - chance, 0.0) / spread if spread > 0 else 0.0
    deviation = np.where(known, real - series, 0.0)
    return np.exp(series - float(response.mean()) + kept * deviation)

"""Choice of the recipe that a calibration begins with."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nanorender.calibration.calibrate import (
    CalibrationSettings,
    assumed_pixel_size_nm,
    calibrate,
    dark_particles,
)
from nanorender.calibration.screening import show_dark_particles
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import read_recipe
from nanorender.recipes import preset_names

ANY = "any"
"""Name that stands for the built-in recipe that fits best."""

SMALLEST_SCALE = 0.25
"""Size of a recipe's particles, relative to those of the micrographs, below which it is not fitted:
its views would show very many particles, which take long to render."""

_CORRECTIONS = 4
_CHECKED_VIEWS = 20


class FittedBase(NamedTuple):
    """A base recipe, and how well it fits by direct estimates alone.

    Attributes
    ----------
    name : name of the built-in recipe
    loss : loss of the fitted recipe
    """

    name: str
    loss: float


def rank_bases(
    micrographs: Sequence[Micrograph],
    settings: CalibrationSettings,
    names: Sequence[str] | None = None,
    on_progress: Callable[[int, int, str], None] = lambda done, total, name: None,
    dark: bool | None = None,
) -> list[FittedBase]:
    """Fit recipes to micrographs by direct estimates, and compare the losses.

    A fit takes from 15 seconds of two cores to two minutes for a bed of small spheres. Recipes of
    the other polarity are left out, and those of far smaller particles, see `SMALLEST_SCALE`.

    Parameters
    ----------
    micrographs : one to ten images of similar pixel size
    settings : seed and polarity
    names : names of the recipes to choose from; None for all built-in ones
    on_progress : called with the number of recipes fitted, their total and the next one's name
    dark : whether particles are darker than the background; None to look at the micrographs

    Returns
    -------
    Recipes, the best first.

    Raises
    ------
    InputError
        If the micrographs cannot be calibrated, see `calibrate`.
    """
    dark = show_dark_particles(micrographs) if dark is None else dark
    names = _of_same_polarity(preset_names() if names is None else names, dark, settings)
    names = _of_similar_size(micrographs, names, settings)
    quick = settings.model_copy(
        update={
            "evaluations": 0,
            "corrections": _CORRECTIONS,
            "checked_views": _CHECKED_VIEWS,
        }
    )
    fitted = []
    for done, name in enumerate(names):
        on_progress(done, len(names), name)
        loss = calibrate(micrographs, read_recipe(name), quick).after.loss()
        fitted.append(FittedBase(name, loss))
    on_progress(len(names), len(names), "")
    return sorted(fitted, key=lambda one: one.loss)


def _of_same_polarity(names: Sequence[str], dark: bool, settings: CalibrationSettings) -> list[str]:
    """Leave out recipes of bright particles for micrographs of dark ones, and vice versa.

    Particles of reflecting materials are dark only where the user says so.
    """
    dark = dark or settings.dark_particles
    recipes = {name: read_recipe(name) for name in names}
    return [
        name
        for name, recipe in recipes.items()
        if dark == (recipe.has_dark_particles if recipe.transmission else settings.dark_particles)
    ]


def _of_similar_size(
    micrographs: Sequence[Micrograph], names: Sequence[str], settings: CalibrationSettings
) -> list[str]:
    """Leave out recipes of far smaller particles; keep that of the largest in any case.

    Recipes of transmission images are fitted to particles of any size.
    """
    known_nm = [one.pixel_size_nm for one in micrographs if one.pixel_size_nm is not None]
    if not known_nm:  # recipes are drawn to the scale of the particles
        return list(names)
    recipes = {name: read_recipe(name) for name in names}
    scale = {
        name: assumed_pixel_size_nm(micrographs, recipe, dark_particles(recipe, settings))
        / float(np.median(known_nm))
        for name, recipe in recipes.items()
        if recipe.transmission is None
    }
    least = min(SMALLEST_SCALE, max(scale.values(), default=0.0))
    return [name for name in names if scale.get(name, 1.0) >= least]


def describe_ranking(ranked: Sequence[FittedBase]) -> str:
    """Describe the recipes and their losses in one line.

    Parameters
    ----------
    ranked : recipes, the best first

    Returns
    -------
    Text.

    Examples
    --------
    >>> describe_ranking([FittedBase("tio2", 0.081), FittedBase("sio2", 0.22)])
    'the recipe tio2 fits best: loss 0.081; sio2 0.220'
    """
    best, *others = ranked
    rest = ", ".join(f"{one.name} {one.loss:.3f}" for one in others)
    return f"the recipe {best.name} fits best: loss {best.loss:.3f}" + (f"; {rest}" if rest else "")


def misfit(loss: float, relative_loss: float, base: str, ranked: Sequence[FittedBase]) -> str:
    """Say that a recipe does not fit, and which one fits better.

    Parameters
    ----------
    loss : loss of the fitted recipe
    relative_loss : loss in noise floors
    base : name or file of its base recipe
    ranked : recipes compared by `rank_bases`, the best first

    Returns
    -------
    Text.

    Examples
    --------
    >>> misfit(0.3, 4.0, "mine.toml", [FittedBase("tio2", 0.31)])
    'the recipe does not fit: its loss is 4.0 noise floors, and no preset fits better; write...'
    """
    said = f"the recipe does not fit: its loss is {relative_loss:.1f} noise floors"
    best = ranked[0]
    if best.name == base or best.loss >= loss:
        return f"{said}, and no preset fits better; write a recipe of your own"
    return f"{said}; {best.name} fits better (loss {best.loss:.3f}): give --recipe {best.name}"

"""The free parameters of a calibration: what of a recipe is fitted, and how it is written back.

A parameter is one number that stands for a setting of all populations or materials at once: the
recipe keeps its proportions. What trades against another parameter is left out: gain and gamma
against albedo and gray, the cap of the edge effect against its exponent; and how deep grains lie in
each other and how many on each other, which a search moved at the cost of their sizes (by +13 % and
-8 % on images of a hidden recipe, with neither by 1 %).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nanorender.distributions import Constant, Distribution, LogNormal, scaled, widened
from nanorender.imaging.materials import MaterialBase
from nanorender.recipe import Recipe
from nanorender.scenes.placement import Agglomerates


class Parameter(NamedTuple):
    """One free parameter.

    name: as reports call it, with its unit
    read: its value in a recipe; None where the recipe has no such setting
    write: a recipe with another value
    low, high: bounds
    step: unit of the changes that a search makes, of the logarithm where `logarithmic`
    logarithmic: whether it is searched for on a logarithmic scale
    leaps: whether particles come to lie elsewhere with any change of it, however small
    """

    name: str
    read: Callable[[Recipe], float | None]
    write: Callable[[Recipe, float], Recipe]
    low: float
    high: float
    step: float
    logarithmic: bool
    leaps: bool = False

    def coordinate(self, value: float) -> float:
        """Return the value on the scale of the search."""
        bounded = min(max(value, self.low), self.high)
        return math.log(bounded) if self.logarithmic else bounded

    def value(self, coordinate: float) -> float:
        """Return the value within its bounds of a coordinate of the search."""
        plain = math.exp(min(coordinate, 50.0)) if self.logarithmic else coordinate
        return min(max(plain, self.low), self.high)


def _mean(recipe: Recipe, of: Callable) -> float:
    """Return the mean over populations, weighted by their shares."""
    return float(np.average([of(kind) for kind in recipe.particles], weights=_shares(recipe)))


def _shares(recipe: Recipe) -> list[float]:
    return [kind.share for kind in recipe.particles]


def _each_kind(recipe: Recipe, change: Callable) -> Recipe:
    kinds = tuple(kind.model_copy(update=change(kind)) for kind in recipe.particles)
    return recipe.model_copy(update={"particles": kinds})


def _each_material(recipe: Recipe, change: Callable) -> Recipe:
    changed = {name: m.model_copy(update=change(m)) for name, m in recipe.materials.items()}
    return recipe.model_copy(update={"materials": changed})


def _diameter_nm(recipe: Recipe) -> float:
    return math.exp(_mean(recipe, lambda kind: math.log(kind.diameter_nm.typical())))


def _with_diameter_nm(recipe: Recipe, value: float) -> Recipe:
    factor = value / _diameter_nm(recipe)

    def change(kind):
        lengths = {"diameter_nm": scaled(kind.diameter_nm, factor)}
        if kind.length_nm is not None:
            lengths["length_nm"] = scaled(kind.length_nm, factor)
        return lengths

    return _each_kind(recipe, change)


def spread_of(distribution: Distribution) -> float:
    """Return the standard deviation of the logarithm, estimated from many quantiles."""
    drawn = distribution.sample(np.random.default_rng(0), 4000)
    return float(np.std(np.log(np.maximum(drawn, 1e-9))))


def _size_spread(recipe: Recipe) -> float:
    """Return the standard deviation of the logarithm within populations."""
    return max(math.sqrt(_mean(recipe, lambda kind: spread_of(kind.diameter_nm) ** 2)), 1e-3)


def _with_size_spread(recipe: Recipe, value: float) -> Recipe:
    factor = value / _size_spread(recipe)
    return _each_kind(recipe, lambda kind: {"diameter_nm": widened(kind.diameter_nm, factor)})


def _density(recipe: Recipe) -> float:
    return recipe.particle_count.typical() / (recipe.field_nm / 1000) ** 2


def _with_density(recipe: Recipe, value: float) -> Recipe:
    count = scaled(recipe.particle_count, value / _density(recipe))
    return recipe.model_copy(update={"particle_count": count})


def _members(recipe: Recipe) -> float | None:
    placement = recipe.placement
    return placement.members.typical() if isinstance(placement, Agglomerates) else None


def _with_members(recipe: Recipe, value: float) -> Recipe:
    placement = recipe.placement
    assert isinstance(placement, Agglomerates)
    changed = placement.model_copy(update={"members": _rescaled(placement.members, value)})
    return recipe.model_copy(update={"placement": changed})


def _rescaled(distribution: Distribution, typical: float) -> Distribution:
    """Return a distribution with another typical value and the same relative spread."""
    if distribution.typical() <= 0:
        return Constant(value=typical)
    return scaled(distribution, typical / distribution.typical())


def _albedo(recipe: Recipe) -> float:
    return _mean(
        recipe, lambda kind: recipe.materials[kind.material].albedo * kind.brightness.typical()
    )


def _with_albedo(recipe: Recipe, value: float) -> Recipe:
    factor = value / _albedo(recipe)
    return _each_material(recipe, lambda m: {"albedo": min(m.albedo * factor, 1.0)})


def _brightness_spread(recipe: Recipe) -> float:
    return max(_mean(recipe, lambda kind: spread_of(kind.brightness)), 1e-3)


def _with_brightness_spread(recipe: Recipe, value: float) -> Recipe:
    def change(kind):
        return {"brightness": LogNormal(median=kind.brightness.typical(), gsd=math.exp(value))}

    return _each_kind(recipe, change)


def _finish(
    name: str, applies: Callable[[MaterialBase], bool] = lambda material: True
) -> tuple[Callable, Callable]:
    """Return functions that read and write a setting of all materials that have it."""

    def has(material: MaterialBase) -> bool:
        return name in type(material).model_fields and applies(material)

    def read(recipe: Recipe) -> float | None:
        found = [getattr(m, name) for m in recipe.materials.values() if has(m)]
        return float(np.mean(found)) if found else None

    def write(recipe: Recipe, value: float) -> Recipe:
        return _each_material(recipe, lambda m: {name: value} if has(m) else {})

    return read, write


def _ridged(material: MaterialBase) -> bool:
    return material.ridges > 0


def _group(group: str, name: str) -> tuple[Callable, Callable]:
    """Return how to read and write a setting of the substrate, the dirt or the detector."""

    def read(recipe: Recipe) -> float:
        setting = getattr(getattr(recipe, group), name)
        return setting if isinstance(setting, float) else setting.typical()

    def write(recipe: Recipe, value: float) -> Recipe:
        old = getattr(getattr(recipe, group), name)
        changed = getattr(recipe, group).model_copy(update={name: value})
        if not isinstance(old, float):
            new = Constant(value=value) if group == "detector" else _rescaled(old, value)
            changed = getattr(recipe, group).model_copy(update={name: new})
        return recipe.model_copy(update={group: changed})

    return read, write


DIAMETER = Parameter(
    "diameter_nm", _diameter_nm, _with_diameter_nm, 1e-2, 1e9, 0.08, True, leaps=True
)
SIZE_SPREAD = Parameter(
    "size_spread", _size_spread, _with_size_spread, 0.01, 1.0, 0.15, True, leaps=True
)
DENSITY = Parameter("particles_per_um2", _density, _with_density, 1e-9, 1e9, 0.15, True, leaps=True)
MEMBERS = Parameter("members", _members, _with_members, 1.0, 1000.0, 0.25, True, leaps=True)
ALBEDO = Parameter("albedo", _albedo, _with_albedo, 0.01, 1.0, 0.08, True)
GRAY = Parameter("substrate_gray", *_group("substrate", "gray"), 0.0, 1.0, 0.01, False)
BRIGHTNESS_SPREAD = Parameter(
    "brightness_spread", _brightness_spread, _with_brightness_spread, 0.005, 0.7, 0.3, True
)
EDGE = Parameter("exponent", *_finish("exponent"), 0.0, 2.0, 0.15, False)
RIM = Parameter("rim", *_finish("rim"), 0.0, 1.0, 0.1, False)
OCCLUSION = Parameter("occlusion", *_finish("occlusion"), 0.0, 1.0, 0.15, False)
HALO = Parameter("substrate_occlusion", *_group("substrate", "occlusion"), 0.0, 1.0, 0.15, False)
MOTTLE = Parameter("mottle", *_finish("mottle"), 0.0, 1.0, 0.1, False)
RIDGES = Parameter("ridges", *_finish("ridges", _ridged), 0.01, 0.6, 0.2, True)
RIDGE_SPACING = Parameter(
    "ridge_spacing_nm", *_finish("ridge_spacing_nm", _ridged), 1e-2, 1e9, 0.25, True
)
HEIGHT_GAIN = Parameter("height_gain_per_um", *_finish("height_gain_per_um"), 0.0, 5.0, 0.15, False)
GRAIN_SLOPE = Parameter("grain_slope", *_finish("grain_slope"), 0.0, 0.6, 0.06, False)
PATCHES = Parameter("patch_strength", *_group("dirt", "patch_strength"), 1e-3, 1.0, 0.3, True)
RINGS = Parameter("ring_strength", *_group("dirt", "ring_strength"), 1e-3, 5.0, 0.3, True)
BLUR = Parameter("blur_px", *_group("detector", "blur_px"), 0.05, 6.0, 0.1, True)
COUNTS = Parameter("counts_at_white", *_group("detector", "counts_at_white"), 0.0, 1e7, 0.2, True)
NOISE = Parameter("noise_levels", *_group("detector", "noise_levels"), 0.0, 80.0, 0.2, True)
ALONG = Parameter(
    "noise_correlation", *_group("detector", "noise_correlation"), 0.0, 0.5, 0.05, False
)
ACROSS = Parameter(
    "line_correlation", *_group("detector", "line_correlation"), 0.0, 0.5, 0.05, False
)

SEARCHED = (
    DIAMETER,
    SIZE_SPREAD,
    DENSITY,
    MEMBERS,
    ALBEDO,
    GRAY,
    BRIGHTNESS_SPREAD,
    EDGE,
    RIM,
    OCCLUSION,
    HALO,
    HEIGHT_GAIN,
    GRAIN_SLOPE,
    MOTTLE,
    RIDGES,
    RIDGE_SPACING,
    PATCHES,
    RINGS,
)
"""What the search changes: all but the detector."""

MATCHED = (BLUR, COUNTS, NOISE, ALONG, ACROSS)
"""What direct estimates alone decide: physics gives them without a search."""

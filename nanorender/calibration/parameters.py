"""Free parameters of a calibration, and how they are read from and written to a recipe.

A parameter is one number that stands for a setting of all populations or materials at once, so the
recipe keeps its proportions. What is confounded with another parameter is left out: gain and gamma
(with albedo and gray level), the cap of the edge effect (with its exponent), and how deep grains
overlap and how many lie on each other, which a search changed at the cost of their sizes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nanorender.distributions import Constant, Distribution, LogNormal
from nanorender.imaging.materials import Material, MaterialBase, Transmission
from nanorender.imaging.materials.transmission import Core
from nanorender.recipe import Recipe
from nanorender.scenes.placement import Agglomerates
from nanorender.scenes.scene import Population


class Parameter(NamedTuple):
    """One free parameter.

    Attributes
    ----------
    name : name in reports, with its unit
    read : returns the value in a recipe, None where the recipe has no such setting
    write : returns a recipe with another value
    low, high : bounds
    step : unit of changes in the search, of the logarithm where `logarithmic`
    logarithmic : whether to search on a logarithmic scale
    rearranges : whether any change, however small, moves particles elsewhere

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> ALBEDO.read(ALBEDO.write(read_recipe("ag"), 0.5))
    0.5
    """

    name: str
    read: Callable[[Recipe], float | None]
    write: Callable[[Recipe, float], Recipe]
    low: float
    high: float
    step: float
    logarithmic: bool = False
    rearranges: bool = False

    def clip(self, value: float) -> float:
        """Limit a value to the bounds.

        Parameters
        ----------
        value : any number

        Returns
        -------
        Nearest value within the bounds.
        """
        return min(max(value, self.low), self.high)

    def coordinate(self, value: float) -> float:
        """Convert a value to the scale of the search.

        Parameters
        ----------
        value : limited to the bounds

        Returns
        -------
        Value or its logarithm.
        """
        return math.log(self.clip(value)) if self.logarithmic else self.clip(value)

    def value(self, coordinate: float) -> float:
        """Convert a coordinate of the search to a value.

        Parameters
        ----------
        coordinate : value or its logarithm

        Returns
        -------
        Value within the bounds.
        """
        return self.clip(math.exp(min(coordinate, 50.0)) if self.logarithmic else coordinate)


def with_settings(recipe: Recipe, group: str, **settings: Any) -> Recipe:
    """Change settings in one group of a recipe, without validation.

    Parameters
    ----------
    recipe : to change
    group : name of the group, such as "camera"
    settings : new values

    Returns
    -------
    Changed recipe.

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> with_settings(read_recipe("ag"), "detector", bits=16).detector.bits
    16
    """
    changed = getattr(recipe, group).model_copy(update=settings)
    return recipe.model_copy(update={group: changed})


# Settings of particle populations


def _mean(recipe: Recipe, of: Callable[[Any], float]) -> float:
    """Return the mean over populations, weighted by their shares."""
    shares = [kind.share for kind in recipe.particles]
    return float(np.average([of(kind) for kind in recipe.particles], weights=shares))


def _each_kind(recipe: Recipe, change: Callable[[Any], dict[str, Any]]) -> Recipe:
    kinds = tuple(kind.model_copy(update=change(kind)) for kind in recipe.particles)
    return recipe.model_copy(update={"particles": kinds})


def _diameter_nm(recipe: Recipe) -> float:
    return math.exp(_mean(recipe, lambda kind: math.log(kind.diameter_nm.typical())))


def _with_diameter_nm(recipe: Recipe, value: float) -> Recipe:
    factor = value / _diameter_nm(recipe)
    lengths = ("diameter_nm", "length_nm")
    return _each_kind(
        recipe,
        lambda kind: {
            name: getattr(kind, name).scaled(factor)
            for name in lengths
            if getattr(kind, name) is not None
        },
    )


def log_deviation(distribution: Distribution) -> float:
    """Estimate the standard deviation of the logarithm of a random quantity.

    Parameters
    ----------
    distribution : of a positive quantity

    Returns
    -------
    Estimate from 4000 samples.
    """
    drawn = distribution.sample(np.random.default_rng(0), 4000)
    return float(np.std(np.log(np.maximum(drawn, 1e-9))))


def _size_spread(recipe: Recipe) -> float:
    """Return the root mean square of the log deviation within populations."""
    return max(math.sqrt(_mean(recipe, lambda kind: log_deviation(kind.diameter_nm) ** 2)), 1e-3)


def _with_size_spread(recipe: Recipe, value: float) -> Recipe:
    factor = value / _size_spread(recipe)
    return _each_kind(recipe, lambda kind: {"diameter_nm": kind.diameter_nm.widened(factor)})


def _brightness_spread(recipe: Recipe) -> float:
    return max(_mean(recipe, lambda kind: log_deviation(kind.brightness)), 1e-3)


def _with_brightness_spread(recipe: Recipe, value: float) -> Recipe:
    gsd = math.exp(value)
    return _each_kind(
        recipe, lambda kind: {"brightness": LogNormal(median=kind.brightness.typical(), gsd=gsd)}
    )


# Settings of the arrangement


def _density(recipe: Recipe) -> float:
    return recipe.particle_count.typical() / (recipe.field_nm / 1000) ** 2


def _with_density(recipe: Recipe, value: float) -> Recipe:
    count = recipe.particle_count.scaled(value / _density(recipe))
    return recipe.model_copy(update={"particle_count": count})


def layers(recipe: Recipe) -> float:
    """Compute how often the outlines of all particles together cover the sample.

    Parameters
    ----------
    recipe : of the sample; diameters are taken for log-normal

    Returns
    -------
    Area of the outlines over that of the sample.

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> layers(read_recipe("sio2")) < 0.5 < layers(read_recipe("layers"))
    True
    """

    def outline_um2(kind: Population) -> float:
        diameter_um = kind.diameter_nm.typical() / 1000
        if kind.length_nm is not None:  # a rod or a wire of this thickness
            return diameter_um * kind.length_nm.typical() / 1000
        mean_square = math.exp(2 * log_deviation(kind.diameter_nm) ** 2)
        return math.pi / 4 * diameter_um**2 * mean_square

    return _density(recipe) * _mean(recipe, outline_um2)


def _members(recipe: Recipe) -> float | None:
    placement = recipe.placement
    return placement.members.typical() if isinstance(placement, Agglomerates) else None


def _with_members(recipe: Recipe, value: float) -> Recipe:
    placement = recipe.placement
    assert isinstance(placement, Agglomerates)
    return with_settings(recipe, "placement", members=_rescaled(placement.members, value))


def _rescaled(distribution: Distribution, typical: float) -> Distribution:
    """Return a distribution with another typical value and the same relative spread."""
    if distribution.typical() <= 0:
        return Constant(value=typical)
    return distribution.scaled(typical / distribution.typical())


# Settings of materials


def _each_material(recipe: Recipe, change: Callable[[Any], dict[str, Any]]) -> Recipe:
    changed = {name: m.model_copy(update=change(m)) for name, m in recipe.materials.items()}
    return recipe.model_copy(update={"materials": changed})


def _albedo(recipe: Recipe) -> float | None:
    if recipe.transmission is not None:
        return None

    def gray(kind: Population) -> float:
        material = recipe.materials[kind.material]
        assert isinstance(material, MaterialBase)
        return material.albedo * kind.brightness.typical()

    return _mean(recipe, gray)


def _with_albedo(recipe: Recipe, value: float) -> Recipe:
    factor = value / (_albedo(recipe) or 1.0)
    return _each_material(recipe, lambda m: {"albedo": min(m.albedo * factor, 1.0)})


def _attenuation(recipe: Recipe) -> float | None:
    """Return the mean attenuation of the populations, per um."""
    if recipe.transmission is None:
        return None

    def of_kind(kind: Population) -> float:
        material = recipe.materials[kind.material]
        assert isinstance(material, Transmission)
        return 1000 / material.attenuation_length_nm * kind.brightness.typical()

    return _mean(recipe, of_kind)


def _with_attenuation(recipe: Recipe, value: float) -> Recipe:
    factor = (_attenuation(recipe) or 1.0) / value

    def longer(matter: Transmission | Core) -> dict[str, Any]:
        length = matter.attenuation_length_nm
        return {} if length is None else {"attenuation_length_nm": length * factor}

    def change(material: Transmission) -> dict[str, Any]:
        core = material.core and material.core.model_copy(update=longer(material.core))
        return longer(material) | {"core": core}

    return _each_material(recipe, change)


def _material(
    name: str, concerns: Callable[[Any], bool] = lambda material: True
) -> tuple[Callable, Callable]:
    """Return functions that read and write a setting of all materials that have it."""

    def has(material: Material) -> bool:
        return name in type(material).model_fields and concerns(material)

    def read(recipe: Recipe) -> float | None:
        found = [getattr(m, name) for m in recipe.materials.values() if has(m)]
        return float(np.mean(found)) if found else None

    def write(recipe: Recipe, value: float) -> Recipe:
        return _each_material(recipe, lambda m: {name: value} if has(m) else {})

    return read, write


def _has_ridges(material: MaterialBase) -> bool:
    return material.ridges > 0


# Settings of the substrate, the dirt and the detector


def _group(group: str, name: str) -> tuple[Callable, Callable]:
    """Return functions that read and write a setting of the substrate, dirt or detector."""

    def read(recipe: Recipe) -> float | None:
        if group == "substrate" and recipe.transmission is not None:
            return None
        setting = getattr(getattr(recipe, group), name)
        return setting if isinstance(setting, float) else setting.typical()

    def write(recipe: Recipe, value: float) -> Recipe:
        old = getattr(getattr(recipe, group), name)
        if isinstance(old, float):
            return with_settings(recipe, group, **{name: value})
        new = Constant(value=value) if group == "detector" else _rescaled(old, value)
        return with_settings(recipe, group, **{name: new})

    return read, write


def _imaged(part: str, name: str) -> tuple[Callable, Callable]:
    """Return functions that read and write a setting of the beam or the film."""

    def read(recipe: Recipe) -> float | None:
        if recipe.transmission is None:
            return None
        setting = getattr(getattr(recipe.transmission, part), name)
        return setting if isinstance(setting, float) else setting.typical()

    def write(recipe: Recipe, value: float) -> Recipe:
        assert recipe.transmission is not None
        old = getattr(recipe.transmission, part)
        setting = getattr(old, name)
        new = value if isinstance(setting, float) else _rescaled(setting, value)
        changed = old.model_copy(update={name: new})
        return with_settings(recipe, "transmission", **{part: changed})

    return read, write


DIAMETER = Parameter("diameter_nm", _diameter_nm, _with_diameter_nm, 1e-2, 1e9, 0.08, True, True)
SIZE_SPREAD = Parameter("size_spread", _size_spread, _with_size_spread, 0.01, 1.0, 0.15, True, True)
DENSITY = Parameter("particles_per_um2", _density, _with_density, 1e-9, 1e9, 0.15, True, True)
MEMBERS = Parameter("members", _members, _with_members, 1.0, 1000.0, 0.25, True, True)
ALBEDO = Parameter("albedo", _albedo, _with_albedo, 0.01, 1.0, 0.08, True)
GRAY = Parameter("substrate_gray", *_group("substrate", "gray"), 0.0, 1.0, 0.01)
ATTENUATION = Parameter(
    "attenuation_per_um", _attenuation, _with_attenuation, 1e-3, 1e6, 0.08, True
)
BEAM = Parameter("beam_level", *_imaged("beam", "level"), 0.02, 1.0, 0.02)
FILM = Parameter("film_thickness_nm", *_imaged("film", "thickness_nm"), 1e-2, 1e6, 0.15, True)
SPECKLE = Parameter("speckle_rad", *_imaged("film", "speckle_rad"), 1e-3, 3.0, 0.2, True)
BRIGHTNESS_SPREAD = Parameter(
    "brightness_spread", _brightness_spread, _with_brightness_spread, 0.005, 0.7, 0.3, True
)
EDGE = Parameter("exponent", *_material("exponent"), 0.0, 2.0, 0.15)
RIM = Parameter("rim", *_material("rim"), 0.0, 1.0, 0.1)
OCCLUSION = Parameter("occlusion", *_material("occlusion"), 0.0, 1.0, 0.15)
HALO = Parameter("substrate_occlusion", *_group("substrate", "occlusion"), 0.0, 1.0, 0.15)
MOTTLE = Parameter("mottle", *_material("mottle"), 0.0, 1.0, 0.1)
RIDGES = Parameter("ridges", *_material("ridges", _has_ridges), 0.01, 0.6, 0.2, True)
RIDGE_SPACING = Parameter(
    "ridge_spacing_nm", *_material("ridge_spacing_nm", _has_ridges), 1e-2, 1e9, 0.25, True
)
HEIGHT_GAIN = Parameter("height_gain_per_um", *_material("height_gain_per_um"), 0.0, 5.0, 0.15)
GRAIN_SLOPE = Parameter("grain_slope", *_material("grain_slope"), 0.0, 0.6, 0.06)
PATCHES = Parameter("patch_strength", *_group("dirt", "patch_strength"), 1e-3, 1.0, 0.3, True)
RINGS = Parameter("ring_strength", *_group("dirt", "ring_strength"), 1e-3, 5.0, 0.3, True)
BLUR = Parameter("blur_px", *_group("detector", "blur_px"), 0.05, 6.0, 0.1, True)
COUNTS_AT_WHITE = Parameter(
    "counts_at_white", *_group("detector", "counts_at_white"), 0.0, 1e7, 0.2, True
)
NOISE = Parameter("noise_levels", *_group("detector", "noise_levels"), 0.0, 80.0, 0.2, True)
ALONG = Parameter("noise_correlation", *_group("detector", "noise_correlation"), 0.0, 0.5, 0.05)
ACROSS = Parameter("line_correlation", *_group("detector", "line_correlation"), 0.0, 0.5, 0.05)

SEARCHED = (
    DIAMETER,
    SIZE_SPREAD,
    DENSITY,
    MEMBERS,
    ALBEDO,
    GRAY,
    ATTENUATION,
    BEAM,
    FILM,
    SPECKLE,
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
"""Parameters that the search changes: all but those of the detector."""

MATCHED = (BLUR, COUNTS_AT_WHITE, NOISE, ALONG, ACROSS)
"""Parameters that direct estimates alone decide, as physics gives them without a search."""

"""Matching: recipes moved until synthetic images give the same direct estimates as real ones.

Each estimate belongs to one parameter, which it follows nearly in proportion. A few corrections
therefore suffice where a search would need hundreds of renderings.
"""

import math

from nanorender.calibration.estimate import Estimates
from nanorender.calibration.parameters import (
    ACROSS,
    ALBEDO,
    ALONG,
    BLUR,
    BRIGHTNESS_SPREAD,
    COUNTS,
    DENSITY,
    DIAMETER,
    EDGE,
    GRAY,
    HALO,
    MEMBERS,
    MOTTLE,
    NOISE,
    PATCHES,
    RIDGES,
    RINGS,
    SIZE_SPREAD,
    Parameter,
)
from nanorender.recipe import Recipe

LARGEST_FACTOR = 2.0  # of a parameter in one step


def _times(recipe: Recipe, parameter: Parameter, ratio: float, power: float = 1.0) -> Recipe:
    """Return the recipe with a parameter multiplied by a bounded power of a ratio."""
    value = parameter.read(recipe)
    if value is None:
        return recipe
    factor = min(max(ratio**power, 1 / LARGEST_FACTOR), LARGEST_FACTOR)
    return parameter.write(recipe, _bounded(parameter, max(value, 1e-3) * factor))


def _plus(recipe: Recipe, parameter: Parameter, difference: float) -> Recipe:
    value = parameter.read(recipe)
    if value is None:
        return recipe
    return parameter.write(recipe, _bounded(parameter, value + difference))


def _bounded(parameter: Parameter, value: float) -> float:
    return min(max(value, parameter.low), parameter.high)


def match_sizes(recipe: Recipe, real: Estimates, synthetic: Estimates, base: Recipe) -> Recipe:
    """Return the recipe after one correction of size, coverage and agglomeration.

    What Poisson-placed particles leave uncovered falls as exp(-number), so that numbers follow the
    logarithm of it. Discs tell little of the spread of sizes, as small particles give none beside
    large ones: it goes half of the way from that of `base` to what they say.
    """
    larger = math.exp(real.log_diameter - synthetic.log_diameter)
    wider = max(real.log_diameter_spread, 0.02) / max(synthetic.log_diameter_spread, 0.02)
    nearer = (SIZE_SPREAD.read(base) or 1.0) / (SIZE_SPREAD.read(recipe) or 1.0)
    denser = math.log1p(-min(real.coverage, 0.98)) / math.log1p(-min(synthetic.coverage, 0.98))
    recipe = _times(recipe, DIAMETER, larger)
    recipe = _times(recipe, SIZE_SPREAD, wider * nearer, 0.5)
    recipe = _times(recipe, DENSITY, denser / larger**2)
    return _times(recipe, MEMBERS, real.members / synthetic.members, 0.5)


def match_coverage(recipe: Recipe, share: float, expected: float) -> Recipe:
    """Return the recipe with as many particles as cover a share of large samples.

    Few agglomerates are in the views, so that their coverage is more or less than what the recipe
    gives on average, which is `expected`.
    """
    ratio = math.log1p(-min(share, 0.98)) / math.log1p(-min(expected, 0.98))
    return _times(recipe, DENSITY, ratio)


def match_levels(recipe: Recipe, real: Estimates, synthetic: Estimates) -> Recipe:
    """Return the recipe after one correction of the gray levels of particles and substrate."""
    contrast = real.particle_level / max(synthetic.particle_level, 1.0)
    darker = (real.substrate_level - synthetic.substrate_level) / 255
    return _plus(_times(recipe, ALBEDO, contrast), GRAY, darker)


def match_shading(recipe: Recipe, real: Estimates, synthetic: Estimates) -> Recipe:
    """Return the recipe after one correction of what changes gray levels from place to place."""
    spread = max(real.brightness_spread, 0.01) / max(synthetic.brightness_spread, 0.01)
    # Saturated levels hide both of these, and what does not show must not run away.
    recipe = _times(recipe, BRIGHTNESS_SPREAD, spread, 0.2)
    recipe = _plus(recipe, EDGE, 0.25 * (real.rim - synthetic.rim))
    recipe = _plus(recipe, HALO, synthetic.halo - real.halo)
    recipe = _times(recipe, PATCHES, real.patches / synthetic.patches, 0.7)
    return _times(recipe, RINGS, real.rings / synthetic.rings, 0.7)


def match_texture(recipe: Recipe, real: Estimates, synthetic: Estimates) -> Recipe:
    """Return the recipe after one correction of what particles' surfaces show: ridges or mottle."""
    if RIDGES.read(recipe) is None:
        return _plus(recipe, MOTTLE, 2.0 * (real.mottle - synthetic.mottle))
    return _times(recipe, RIDGES, real.mottle / max(synthetic.mottle, 1e-3))


def match_detector(
    recipe: Recipe, real: Estimates, synthetic: Estimates, damping: float = 1.0
) -> Recipe:
    """Return the recipe after one correction of point spread and noise.

    The variance of noise is that of the amplifier and, in proportion to the level, that of counting
    (Foi et al. 2008, IEEE Trans. Image Processing 17, 1737): two levels give both.
    """
    blur = BLUR.read(recipe) or 0.0
    squared = blur**2 + 0.6 * damping * (real.blur_variance - synthetic.blur_variance)
    recipe = BLUR.write(recipe, _bounded(BLUR, math.sqrt(max(squared, 0.09 * blur**2))))
    along = real.noise_correlation - synthetic.noise_correlation
    across = real.line_correlation - synthetic.line_correlation
    recipe = _plus(recipe, ALONG, damping * along)
    recipe = _plus(recipe, ACROSS, damping * across)
    return _with_noise(recipe, real, synthetic, damping)


def _with_noise(recipe: Recipe, real: Estimates, synthetic: Estimates, damping: float) -> Recipe:
    gaussian, counts = NOISE.read(recipe) or 0.0, COUNTS.read(recipe) or 0.0
    per_level = 255 / counts if counts > 0 else 0.0
    levels = [synthetic.substrate_level, synthetic.particle_level]
    if recipe.detector.polarity == "dark":
        levels = [255 - level for level in levels]
    wanted = [
        (gaussian**2 + per_level * level) * min(max(now / before, 0.5), 2.0) ** (damping * power)
        for level, now, before, power in zip(
            levels,
            (real.substrate_noise, real.particle_noise),
            (synthetic.substrate_noise, synthetic.particle_noise),
            (2.0, 0.7),  # particles are few, and their own structure is in it
            strict=True,
        )
    ]
    apart = levels[1] - levels[0]
    per_level = max(0.0, (wanted[1] - wanted[0]) / apart) if abs(apart) > 5 else per_level
    at_dark = 0 if levels[0] < levels[1] else 1
    # Noise of the darker level is what most pixels show; what counting leaves of it is Gaussian.
    per_level = min(per_level, wanted[at_dark] / max(levels[at_dark], 1.0))
    squared = max(wanted[at_dark] - per_level * levels[at_dark], 0.0)
    recipe = NOISE.write(recipe, math.sqrt(squared))
    return COUNTS.write(recipe, min(255 / per_level, COUNTS.high) if per_level > 1e-4 else 0.0)

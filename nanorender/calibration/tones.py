"""Tones: how the gray levels of micrographs of one series differ from image to image."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from nanorender.calibration.estimate import estimates, with_particles
from nanorender.calibration.views import Tone, View
from nanorender.distributions import Constant, Distribution, Uniform
from nanorender.recipe import Recipe

LEAST_VARIATION = 0.05  # of the gain: even one micrograph is one of a series
DARKEST_LEVEL = 2.0  # of the substrate, over what the detector adds


def tones_of(images: Sequence[View], dark: bool) -> tuple[Tone, ...]:
    """Return the tone of each micrograph against the mean of all.

    Contrast is the difference of particles and substrate. Of a dark-particle series the tone is
    taken as one, since what its detector adds cannot be told from its gain.
    """
    found = with_particles([estimates(image, dark) for image in images])
    if dark or not found:
        return (Tone(0.0, 1.0),)
    substrate = np.array([estimate.substrate_level for estimate in found])
    contrast = np.array([estimate.particle_level for estimate in found]) - substrate
    gain = np.maximum(contrast, 1.0) / max(contrast.mean(), 1.0)
    # The recipe's substrate must stay bright enough that no tone needs to take levels away.
    room = max(float((substrate / gain).min()), DARKEST_LEVEL)
    black = np.maximum(substrate - gain * room, 0.0)
    return tuple(Tone(float(b), float(g)) for b, g in zip(black, gain, strict=True))


def with_tones(recipe: Recipe, tones: Sequence[Tone]) -> Recipe:
    """Return the recipe with tones that spread as those of micrographs do.

    Gamma and contrast are fixed at 1: albedo and gray levels are fitted in their place.
    """
    black = np.array([tone.black for tone in tones]) / 255
    gain = np.array([tone.gain for tone in tones])
    levels = {
        "black_level": _spread(black, 0.0),
        "gain": _spread(gain, LEAST_VARIATION),
        "gamma": Constant(value=1.0),
        "contrast": Constant(value=1.0),
    }
    return recipe.model_copy(update={"detector": recipe.detector.model_copy(update=levels)})


def _spread(values: Float[np.ndarray, "n"], least: float) -> Distribution:
    """Return a uniform distribution of the mean and the standard deviation of positive values."""
    mean, half = float(values.mean()), max(float(values.std()) * 3**0.5, least)
    half = min(half, mean)
    return Uniform(low=mean - half, high=mean + half) if half > 0 else Constant(value=mean)

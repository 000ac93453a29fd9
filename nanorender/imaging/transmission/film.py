"""Supporting films of transmission specimens: continuous, holey or lacey amorphous carbon."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float32
from pydantic import NonNegativeFloat, PositiveFloat

from nanorender.distributions import NonNegativeDistribution, PositiveDistribution, Uniform
from nanorender.imaging.smooth_noise import smooth_noise
from nanorender.settings import Fraction, Settings


class FilmSettings(Settings):
    """The film that carries the particles of a transmission specimen."""

    kind: Literal["continuous", "holey", "lacey"] = "continuous"
    """Continuous, with round holes, or a net of strands."""
    thickness_nm: NonNegativeFloat = 10.0
    """Thickness of the film, in nm; 0 for none."""
    attenuation_length_nm: PositiveFloat = 150.0
    """Thickness that transmits 1/e of the beam, in nm."""
    speckle_rad: NonNegativeDistribution = Uniform(low=0.05, high=0.2)
    """Standard deviation of the phase behind the film, which is granular out of focus, in rad."""
    speckle_size_nm: PositiveFloat = 0.6
    """Size of the grains of the phase, in nm."""
    hole_diameter_nm: PositiveDistribution = Uniform(low=300.0, high=1000.0)
    """Diameter of the holes, or width of the meshes of a lacey film, in nm."""
    open_fraction: Fraction = 0.3
    """Share of the area without film, of holey and lacey films."""


def film_presence(
    film: FilmSettings, shape: tuple[int, int], pixel_size_nm: float, rng: np.random.Generator
) -> Float32[np.ndarray, "h w"]:
    """Return where there is film, from 0 (hole) to 1.

    Parameters
    ----------
    film : kind of the film, and its holes
    shape : rows and columns
    pixel_size_nm : size of a pixel
    rng : source of the places of the holes

    Returns
    -------
    numpy.ndarray
        (h, w) share of each pixel that is film.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> holey = FilmSettings(kind="holey", open_fraction=0.3, hole_diameter_nm=40.0)
    >>> 0.2 < 1 - film_presence(holey, (400, 400), 1.0, rng).mean() < 0.4
    np.True_
    """
    hole_px = float(film.hole_diameter_nm.sample(rng, 1)[0]) / pixel_size_nm
    match film.kind:
        case "continuous":
            return np.ones(shape, np.float32)
        case "holey":
            distance = _distance_to_holes(hole_px, film.open_fraction, shape, rng)
        case "lacey":
            distance = _distance_to_meshes(hole_px, film.open_fraction, shape, rng)
    return np.clip(distance + 0.5, 0, 1).astype(np.float32)


def _distance_to_holes(hole_px, open_fraction, shape, rng):
    """Return the distance from the rim of the nearest of random round holes, px.

    Holes that may overlap leave exp(-number times area) uncovered (Boolean model; Matheron 1975).
    """
    height, width = shape
    reach = 0.75 * hole_px
    field = (height + 2 * reach) * (width + 2 * reach)
    per_area = -math.log1p(-min(open_fraction, 0.95)) / (math.pi / 4 * hole_px**2)
    distance = np.full(shape, np.inf)
    y, x = np.ogrid[:height, :width]
    for _ in range(rng.poisson(per_area * field)):
        center_x = rng.uniform(-reach, width + reach)
        center_y = rng.uniform(-reach, height + reach)
        radius = hole_px / 2 * rng.uniform(0.8, 1.2)
        np.minimum(distance, np.hypot(x - center_x, y - center_y) - radius, out=distance)
    return distance


def _distance_to_meshes(mesh_px, open_fraction, shape, rng):
    """Return the distance from the edges of strands along the zeros of smooth noise, px."""
    level = np.abs(smooth_noise(shape, mesh_px, rng))
    edge = np.quantile(level, 1 - open_fraction)
    slope = np.hypot(*np.gradient(level))
    return (edge - level) / np.maximum(slope, 1e-6)

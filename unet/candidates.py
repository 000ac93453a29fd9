"""Candidate particles found at several magnifications, and the choice among them.

Small particles are found in the image itself, large ones in reduced images. Of candidates that
overlap, the one of the highest confidence is chosen (greedy non-maximum suppression, as in object
detectors; Felzenszwalb et al., IEEE TPAMI 32 (2010) 1627).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int32

from nanorender.separation.separate import Separation, number_by_position, separate
from unet.confidence import Confidence, particle_features
from unet.predict import Model, Prepared, Window, predict_window

FREE_SHARE = 0.6
"""Share of the area of a candidate that no chosen particle may cover."""


class FoundParticles(NamedTuple):
    """Particles found in an image.

    Attributes
    ----------
    labels : (h, w) label map, numbered from 1 by their first pixel, row by row
    confidence : (n,) probability that each particle is real
    """

    labels: Int32[np.ndarray, "h w"]
    confidence: Float[np.ndarray, "n"]


class Candidates(NamedTuple):
    """Particles found at one magnification, before the choice.

    Attributes
    ----------
    labels : (h, w) label map
    features : (n, f) features of each particle, see `unet.confidence.particle_features`
    """

    labels: Int32[np.ndarray, "h w"]
    features: Float[np.ndarray, "n f"]

    def graded(self, confidence: Confidence | None) -> FoundParticles:
        """Return the particles with their confidence.

        Parameters
        ----------
        confidence : fitted confidence; None for the mean foreground

        Returns
        -------
        particles : all particles
        """
        if confidence is None:
            return FoundParticles(self.labels, 1 / (1 + np.exp(-self.features[:, 0])))
        return FoundParticles(self.labels, confidence.probability(self.features))


class Search(NamedTuple):
    """Outcome of a search for particles.

    Attributes
    ----------
    candidates : particles found at each magnification
    foreground : (h, w) probability of a particle, at the first magnification
    """

    candidates: list[Candidates]
    foreground: Float[np.ndarray, "h w"]


def search(
    model: Model,
    prepared: Sequence[Prepared],
    window: Window,
    separation: Separation,
    averaged: bool,
) -> Search:
    """Search a window of a micrograph for particles at each magnification.

    Parameters
    ----------
    model : trained network
    prepared : image at each magnification, the highest first
    window : rows and columns of the micrograph
    separation : separation settings
    averaged : whether to average predictions over flips and zooms

    Returns
    -------
    found : candidates and foreground
    """
    candidates, foreground = [], np.zeros((0, 0), np.float32)
    for image in prepared:
        maps = predict_window(model, image, window, averaged)
        labels = separate(maps, _at_zoom(separation, image.zoom))
        features = particle_features(labels, maps, image.zoom)
        if not candidates:
            foreground = maps["foreground"]
        candidates.append(Candidates(labels, features))
    return Search(candidates, foreground)


def choose(candidates: Sequence[FoundParticles], min_confidence: float) -> FoundParticles:
    """Choose particles in the order of their confidence.

    Parameters
    ----------
    candidates : particles found at each magnification
    min_confidence : confidence below which particles are discarded

    Returns
    -------
    particles : particles that hardly overlap others of higher confidence, without the overlap

    Examples
    --------
    >>> import numpy as np
    >>> halves = FoundParticles(np.array([[1, 1, 2, 2, 0]], np.int32), np.array([0.6, 0.7]))
    >>> whole = FoundParticles(np.array([[1, 1, 1, 1, 0]], np.int32), np.array([0.9]))
    >>> choose([halves, whole], 0.5)
    FoundParticles(labels=array([[1, 1, 1, 1, 0]], dtype=int32), confidence=array([0.9]))
    """
    chosen = np.zeros(candidates[0].labels.size, np.int32)
    pixels = [_pixels_by_label(each.labels) for each in candidates]
    ranked = sorted(
        (-confidence, level, row)
        for level, each in enumerate(candidates)
        for row, confidence in enumerate(each.confidence.tolist())
        if confidence >= min_confidence
    )
    kept = [0.0]
    for negative, level, row in ranked:
        area = pixels[level][row]
        free = area[chosen[area] == 0]
        if len(free) > 0 and len(free) >= FREE_SHARE * len(area):
            chosen[free] = len(kept)
            kept.append(-negative)
    ranks = chosen.reshape(candidates[0].labels.shape)
    labels = number_by_position(ranks)
    confidence = np.zeros(len(kept))
    confidence[labels] = np.array(kept)[ranks]
    return FoundParticles(labels, confidence[1:])


def _pixels_by_label(labels: Int32[np.ndarray, "h w"]) -> list[np.ndarray]:
    """Flat indices of the pixels of labels 1 to n."""
    flat = labels.ravel()
    inside = np.flatnonzero(flat)
    order = inside[np.argsort(flat[inside], kind="stable")]
    return np.split(order, np.cumsum(np.bincount(flat)[1:])[:-1])


def _at_zoom(separation: Separation, zoom: float) -> Separation:
    """Convert sizes in pixels of the reduced image to those of the micrograph."""
    if zoom == 1:
        return separation
    return separation.model_copy(
        update={
            "area_opening_px": round(separation.area_opening_px / zoom**2),
            "hole_filling_px": round(separation.hole_filling_px / zoom**2),
            "marker_area_px": round(separation.marker_area_px / zoom**2),
            "dynamic": separation.dynamic / zoom,
            "marker_dynamic_px": separation.marker_dynamic_px / zoom,
            "interior_smoothing_px": separation.interior_smoothing_px / zoom,
        }
    )

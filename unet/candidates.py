"""Candidate particles of a search, and the choice among them.

A model without a scale searches at several magnifications, since large particles are found in
reduced images, and separates the particles there more and less readily, since rods and facets look
like several particles in contact. Of candidates that overlap, the one of the highest confidence is
chosen (greedy non-maximum suppression, as in object detectors; Felzenszwalb et al., IEEE TPAMI 32
(2010) 1627).
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int32

from nanorender.separation.separate import Separation, number_by_position, separate
from unet.confidence import Confidence, particle_features
from unet.predict import Model, Prepared, Window, predict_window

NECKS = (1.0, 2.5, 1e6)
"""Depths of the necks at which a model without a scale divides particles, as multiples of the
separation's; at the last one, none is divided. On held-out synthetic images, mean object F1 was
0.626 with the first alone and 0.656 with all."""

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
    """Particles found at one magnification and depth of necks, before the choice.

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
    candidates : particles found at each magnification and depth of necks
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
    """Search a window of a micrograph for particles.

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
        # Reduced images are separated as they are, which saves time
        reduced = replace(image, shape=_shape(image)) if image.zoom < 1 else image
        part = _reduced_window(window, image) if image.zoom < 1 else window
        maps = predict_window(model, reduced, part, averaged)
        if not candidates:
            foreground = maps["foreground"]
        before = None
        for settings in _separations(model, separation):
            labels = separate(maps, settings)
            if before is not None and np.array_equal(labels, before):
                continue
            before = labels
            features = particle_features(labels, maps)
            if image.zoom < 1:
                labels = _magnified(labels, maps["foreground"], window, part, image, separation)
            candidates.append(Candidates(labels, features))
    return Search(candidates, foreground)


def _separations(model: Model, separation: Separation) -> list[Separation]:
    """Return the settings by which particles are separated."""
    if model.card.pixel_sizes is not None:
        return [separation]
    depth_px = separation.marker_dynamic_px
    return [
        separation.model_copy(update={"marker_dynamic_px": factor * depth_px}) for factor in NECKS
    ]


def _shape(image: Prepared) -> tuple[int, int]:
    """Height and width of a reduced image."""
    height, width = image.equalized.shape
    return height, width


def _reduced_window(window: Window, image: Prepared) -> Window:
    """Find the pixels of a reduced image that cover a window of the micrograph."""
    rows, columns = (
        slice(floor(part.start * scale), min(ceil(part.stop * scale), length))
        for part, scale, length in zip(window, image.scale, _shape(image), strict=True)
    )
    return rows, columns


def _magnified(
    labels: Int32[np.ndarray, "a b"],
    foreground: Float[np.ndarray, "a b"],
    window: Window,
    part: Window,
    image: Prepared,
    separation: Separation,
) -> Int32[np.ndarray, "h w"]:
    """Magnify the labels of a reduced image; outlines are those of the interpolated foreground."""
    places = [
        (np.arange(whole.start, whole.stop) + 0.5) * scale - inner.start
        for whole, inner, scale in zip(window, part, image.scale, strict=True)
    ]
    rows, columns = (
        np.clip(place.astype(np.int64), 0, length - 1)
        for place, length in zip(places, labels.shape, strict=True)
    )
    blocks = labels[np.ix_(rows, columns)]
    if separation.grow_px:
        return blocks
    # Outlines move by less than a pixel of the reduced image
    near = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    grown = np.where(labels > 0, labels, near)[np.ix_(rows, columns)]
    x, y = np.meshgrid(*(place.astype(np.float32) - 0.5 for place in reversed(places)))
    probability = cv2.remap(foreground, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    smooth = np.where(probability > separation.threshold, grown, 0)
    lost = np.bincount(smooth.ravel(), minlength=int(labels.max(initial=0)) + 1) == 0
    return np.where(lost[blocks], blocks, smooth)


def choose(candidates: Sequence[FoundParticles], min_confidence: float) -> FoundParticles:
    """Choose particles in the order of their confidence.

    Parameters
    ----------
    candidates : particles found at each magnification and depth of necks
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

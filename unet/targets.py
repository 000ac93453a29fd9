"""Training targets of a label map, and the registry of their names."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Shaped, UInt8

from nanorender.measuring.distance import distance_to_background
from unet.presets import TargetName, TrainSettings

_FOUR_NEIGHBORS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_EIGHT_NEIGHBORS = np.ones((3, 3), np.uint8)
_FAR_PX = 1e4


def targets(labels: Int[np.ndarray, "h w"], settings: TrainSettings) -> UInt8[np.ndarray, "h w t"]:
    """Compute the outputs that a network should predict for a label map.

    Parameters
    ----------
    labels : (h, w) label map
    settings : names of the targets, erosion of the labels and width of borders

    Returns
    -------
    channels : (h, w, t) targets in the order of `settings.targets`, scaled to 0 to 255

    Examples
    --------
    >>> import numpy as np
    >>> from unet.presets import preset
    >>> targets(np.eye(64, dtype=np.int32), preset("cpu")).shape
    (64, 64, 4)
    """
    labels = erode_labels(labels, settings.erosion_px) if settings.erosion_px else labels
    channels = [TARGETS[name](labels, settings.border_px) for name in settings.targets]
    return np.stack([(255 * c.astype(np.float32)).round().astype(np.uint8) for c in channels], -1)


def boundary_distance(labels: Int[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Compute the distance of particle pixels to the boundary of their own particle.

    Boundaries run between pixels, half a pixel from the centers of the outermost ones. The edge of
    the image is not a boundary.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    distance : (h, w) distance in pixels, 0 in the background

    Examples
    --------
    >>> import numpy as np
    >>> boundary_distance(np.array([[1, 1, 1, 0, 2, 2]])).tolist()
    [[2.5, 1.5, 0.5, 0.0, 0.5, 1.5]]
    """
    values = labels.astype(np.float64)
    edges = cv2.dilate(values, _FOUR_NEIGHBORS) != cv2.erode(values, _FOUR_NEIGHBORS)
    return np.where(labels > 0, _distance_to(edges) + 0.5, 0).astype(np.float32)


def erode_labels(labels: Int[np.ndarray, "h w"], border_px: float) -> Int[np.ndarray, "h w"]:
    """Erode every particle by a border, and small ones by less so that none vanishes.

    Parameters
    ----------
    labels : (h, w) label map
    border_px : width of the border; at most half the inscribed radius of a particle is removed

    Returns
    -------
    eroded : (h, w) label map

    Examples
    --------
    >>> import numpy as np
    >>> erode_labels(np.array([[0, 1, 1, 1, 1, 1, 0]]), 1.0).tolist()
    [[0, 0, 1, 1, 1, 0, 0]]
    """
    depth = boundary_distance(labels)
    return np.where(depth > np.minimum(border_px, _inscribed_radius(labels, depth) / 2), labels, 0)


def close_gaps(labels: Int[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Assign background lines one pixel wide between two particles to one of the particles.

    Annotators separate touching particles by such lines, but contacts can only be learned from
    label maps in which particles touch.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    closed : (h, w) label map

    Examples
    --------
    >>> import numpy as np
    >>> close_gaps(np.array([[1, 1, 0, 2, 2]])).tolist()
    [[1, 1, 2, 2, 2]]
    """
    lowest, highest = _neighboring_labels(labels, _EIGHT_NEIGHBORS)
    gap = (labels == 0) & (highest > 0) & (highest != lowest)
    return np.where(gap, highest, labels).astype(np.int32)


def _foreground(labels: Int[np.ndarray, "h w"], border_px: float) -> Bool[np.ndarray, "h w"]:
    """Mark the particles."""
    return labels > 0


def _interior(labels: Int[np.ndarray, "h w"], border_px: float) -> Bool[np.ndarray, "h w"]:
    """Mark the particles without a border."""
    return erode_labels(labels, border_px) > 0


def _boundary(labels: Int[np.ndarray, "h w"], border_px: float) -> Bool[np.ndarray, "h w"]:
    """Mark particle pixels near the contact with another particle."""
    lowest, highest = _neighboring_labels(labels, _FOUR_NEIGHBORS)
    contact = (labels > 0) & (lowest != highest)
    return (labels > 0) & (_distance_to(contact) < border_px)


def _distance(labels: Int[np.ndarray, "h w"], border_px: float) -> Float[np.ndarray, "h w"]:
    """Distance to the particle's own boundary, 1 where it is largest."""
    depth = boundary_distance(labels)
    return depth / np.maximum(_inscribed_radius(labels, depth), 0.5)


TARGETS: dict[TargetName, Callable[[np.ndarray, float], Shaped[np.ndarray, "h w"]]] = {
    "foreground": _foreground,
    "interior": _interior,
    "boundary": _boundary,
    "distance": _distance,
}


def _inscribed_radius(
    labels: Int[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Look up at each pixel the largest boundary distance within its particle."""
    radius = np.zeros(labels.max(initial=0) + 1, np.float32)
    np.maximum.at(radius, labels, depth)
    return radius[labels]


def _neighboring_labels(
    labels: Int[np.ndarray, "h w"], neighbors: UInt8[np.ndarray, "3 3"]
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Find the lowest and the highest particle label among each pixel and its neighbors."""
    particles = np.where(labels > 0, labels, np.inf)
    return cv2.erode(particles, neighbors), cv2.dilate(labels.astype(np.float64), neighbors)


def _distance_to(marked: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Distance of each pixel to the nearest marked one, in px; very large where there is none."""
    if not marked.any():
        return np.full(marked.shape, _FAR_PX, np.float32)
    return distance_to_background(~marked).astype(np.float32)

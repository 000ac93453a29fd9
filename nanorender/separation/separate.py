"""Label maps of particles from predicted maps.

The watershed of distances follows the plugin Distance Transform Watershed of MorphoLibJ. With
`dams` and `whole_distances`, the partition is identical to that of the Java plugin for 16-bit
output up to MorphoLibJ 1.4.3; since 1.5.0, Java rounds 16-bit distances instead of flooring them.
The 32-bit default of the plugin does not impose minima: 0.4 to 0.7 % of the pixels of TiO2 masks
differ.
"""

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, Integer
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from nanorender.errors import InputError
from nanorender.separation.chamfer import CHAMFER_WEIGHTS, chamfer_distance
from nanorender.separation.connectivity import Connectivity, connected_regions
from nanorender.separation.flooding import flood, flood_with_dams
from nanorender.separation.watershed import extended_maxima, impose_maxima
from nanorender.settings import Fraction, Settings


class Separation(Settings):
    """How particles are found in predicted maps and separated where they touch."""

    threshold: Fraction = 0.51
    """Foreground probability above which a pixel belongs to a particle."""

    area_opening_px: NonNegativeInt = 10
    """Connected regions of fewer pixels are removed."""

    hole_filling_px: NonNegativeInt = 0
    """Holes of at most this many pixels are filled; 0 fills none."""

    chamfer: Literal["borgefors", "chessknight", "quasi_euclidean", "city_block"] = "borgefors"
    """Chamfer weights of the distance to the background, named as in MorphoLibJ."""

    normalized: bool = True
    """Whether `dynamic` is in pixels rather than in units of the chamfer weights."""

    whole_distances: bool = False
    """Whether normalized distances are rounded down (floored) to whole pixels, as in the 16-bit
    output of MorphoLibJ up to 1.4.3; since 1.5.0 MorphoLibJ rounds them to the nearest pixel."""

    dynamic: PositiveFloat = 1.0
    """A maximum of the distance marks a particle if it exceeds its saddles by more than this."""

    connectivity: Connectivity = 4
    """Number of neighbors of a pixel: 4 or 8."""

    markers: Literal["interior", "distance"] = "interior"
    """Map that separates touching particles: the predicted interior, or the distance to the
    background as in Mill et al. (2021). The distance is also used if no interior is predicted."""

    dams: bool = False
    """Whether touching particles are separated by a line of background one pixel wide, as in
    MorphoLibJ; otherwise every foreground pixel belongs to a particle."""

    grow_px: NonNegativeFloat = 0.0
    """Dilation of the finished particles, for networks trained on eroded labels."""

    interior_threshold: Fraction = 0.5
    """Interior probability above which a pixel can belong to a marker."""

    interior_smoothing_px: NonNegativeFloat = 0.0
    """Standard deviation of the Gaussian filter applied to the interior map."""

    boundary_weight: NonNegativeFloat = 1.0
    """Weight of the boundary map that is subtracted from the interior map."""

    marker_area_px: NonNegativeInt = 10
    """Smaller markers are removed, unless a region has no other."""

    marker_dynamic_px: PositiveFloat = 2.0
    """Markers are split at necks of the interior deeper than this."""


def separate(
    maps: Mapping[str, Float[np.ndarray, "h w"]], settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Separate the particles of predicted maps.

    Parameters
    ----------
    maps : (h, w) maps by name. "foreground", the probability of a particle, is required. Markers
        come from "interior", the probability of a particle away from its border, less "boundary";
        they are flooded over "distance" if it is predicted, otherwise over the interior. Without
        "interior", a watershed of the distance to the background separates the particles.
    settings : thresholds and parameters of the watershed

    Returns
    -------
    labels : (h, w) label map, particles numbered from 1 by their first pixel, row by row

    Raises
    ------
    InputError
        If the foreground is missing or the maps differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> foreground = np.zeros((40, 60))
    >>> foreground[5:15, 5:15] = foreground[20:35, 30:50] = 0.9
    >>> labels = separate({"foreground": foreground}, Separation())
    >>> np.bincount(labels.ravel())[1:].tolist()
    [100, 300]
    """
    _check(maps)
    mask = foreground_mask(maps["foreground"], settings)
    if "interior" in maps and settings.markers == "interior":
        labels = _flood_from_interior(maps, mask, settings)
    else:
        labels = distance_watershed(mask, settings)
    return number_by_position(grow(labels, settings.grow_px))


def _check(maps: Mapping[str, np.ndarray]) -> None:
    if "foreground" not in maps:
        raise InputError(
            f"maps must contain 'foreground', got {sorted(maps)}; rename the map of particle "
            "probabilities"
        )
    shapes = {name: values.shape for name, values in maps.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"maps must have the same shape, got {shapes}")


def foreground_mask(
    foreground: Float[np.ndarray, "h w"], settings: Separation
) -> Bool[np.ndarray, "h w"]:
    """Threshold the foreground, remove small regions and fill small holes.

    Parameters
    ----------
    foreground : (h, w) probability of a particle
    settings : `threshold`, `area_opening_px`, `hole_filling_px` and `connectivity` are used

    Returns
    -------
    mask : (h, w) whether a pixel belongs to a particle
    """
    mask = foreground > settings.threshold
    mask = _without_small_regions(mask, settings.area_opening_px, settings.connectivity)
    if settings.hole_filling_px:
        # Use the dual connectivity for the background, or lines could cross each other.
        other: Connectivity = 8 if settings.connectivity == 4 else 4
        mask = ~_without_small_regions(~mask, settings.hole_filling_px + 1, other)
    return mask


def _without_small_regions(
    mask: np.ndarray, least_px: int, connectivity: Connectivity
) -> Bool[np.ndarray, "h w"]:
    """Return the regions of at least `least_px` pixels."""
    regions = connected_regions(mask, connectivity)
    kept = np.bincount(regions.ravel()) >= least_px
    kept[0] = False
    return kept[regions]


def distance_watershed(
    mask: Bool[np.ndarray, "h w"], settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Separate touching particles by a watershed of the distance to the background.

    Distances stay multiples of the chamfer weights and the dynamic is scaled instead, so that ties
    are exact.

    Parameters
    ----------
    mask : (h, w) foreground
    settings : parameters of the watershed

    Returns
    -------
    labels : (h, w) label map, in no particular order
    """
    weights = CHAMFER_WEIGHTS[settings.chamfer]
    distance = chamfer_distance(mask, weights)
    # A mask without background is one basin.
    distance[np.isinf(distance)] = 1
    dynamic = settings.dynamic
    if settings.normalized and settings.whole_distances:
        distance = np.floor(distance / np.float32(weights.side))
    elif settings.normalized:
        dynamic *= weights.side
    markers = extended_maxima(distance, dynamic, settings.connectivity)
    return _basins(distance, markers, mask, settings)


def _basins(
    height: np.ndarray, markers: np.ndarray, mask: np.ndarray, settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return the basins of the markers; a region with one marker or none is one basin.

    Unlike MorphoLibJ, keep regions too thin for a maximum above the dynamic: the area opening
    kept them, so they count.
    """
    # Count the markers in each region.
    regions = connected_regions(mask, settings.connectivity)
    count = regions.max(initial=0) + 1
    marked = markers > 0
    # Code each pair as one number: numpy sorts them a hundred times faster than pairs.
    span = int(markers.max(initial=0)) + 1
    pairs = np.divmod(np.unique(regions[marked] * np.int64(span) + markers[marked]), span)
    markers_in = np.bincount(pairs[0], minlength=count)

    # Label regions with one marker or none.
    only = np.zeros(count, np.int32)
    only[pairs[0]] = pairs[1]
    only[markers_in > 1] = 0
    unmarked = np.flatnonzero(markers_in[1:] == 0) + 1
    only[unmarked] = markers.max(initial=0) + 1 + np.arange(len(unmarked))
    basins = only[regions]

    # Flood regions with several markers, in the window that contains them.
    crowded = markers_in > 1
    if crowded.any():
        inside = crowded[regions]
        y, x = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        window = (slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
        inside = inside[window]
        seeds = np.where(inside, markers[window], 0).astype(np.int32)
        hill = impose_maxima(height[window], seeds, settings.connectivity)
        spread = flood_with_dams if settings.dams else flood
        flooded = spread(hill, seeds, inside, settings.connectivity)
        basins[window][inside] = flooded[inside]
    return basins


def _flood_from_interior(
    maps: Mapping[str, np.ndarray], mask: np.ndarray, settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return the basins, within the foreground, of markers found in the interior map."""
    interior = maps["interior"].astype(np.float32)
    if "boundary" in maps:
        interior = interior - np.float32(settings.boundary_weight) * maps["boundary"]
    if settings.interior_smoothing_px > 0:
        interior = cv2.GaussianBlur(interior, (0, 0), settings.interior_smoothing_px)
    inside = (interior > settings.interior_threshold) & mask
    markers = _interior_markers(inside, mask, settings)
    height = maps.get("distance", interior)
    # 1000 levels of height are finer than the precision of a network, and fast to sort.
    height = np.round(1000 * height.astype(np.float32))
    return _basins(height, markers, mask, settings)


def _interior_markers(
    inside: np.ndarray, mask: np.ndarray, settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return one marker for each particle; a foreground region without any is a marker."""
    # Split the interior at its necks.
    weights = CHAMFER_WEIGHTS[settings.chamfer]
    distance = chamfer_distance(inside, weights)
    distance[np.isinf(distance)] = 1
    dynamic = settings.marker_dynamic_px * weights.side
    markers = extended_maxima(distance, dynamic, settings.connectivity)
    seeds = _basins(distance, markers, inside, settings)
    area = np.bincount(seeds.ravel())
    regions = connected_regions(mask, settings.connectivity)
    seeded = np.zeros(regions.max(initial=0) + 1, bool)
    seeded[regions[(area >= settings.marker_area_px)[seeds] & (seeds > 0)]] = True
    small = (area < settings.marker_area_px)[seeds]
    kept = np.where(small, 0, seeds)
    # Mark particles too small for a marker by their whole foreground.
    alone = ~seeded
    alone[0] = False
    return np.where(alone[regions], regions + kept.max(), kept).astype(np.int32)


def grow(labels: Integer[np.ndarray, "h w"], distance_px: float) -> Int32[np.ndarray, "h w"]:
    """Dilate the particles of a label map without merging them.

    Parameters
    ----------
    labels : (h, w) label map
    distance_px : width of the margin that is added, in pixels

    Returns
    -------
    grown : (h, w) label map, each added pixel with the label of the nearest particle
    """
    labels = labels.astype(np.int32)
    if distance_px == 0 or not labels.any():
        return labels
    distance, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8),
        cv2.DIST_L2,
        cv2.DIST_MASK_5,
        labelType=cv2.DIST_LABEL_PIXEL,
    )
    owner = np.zeros(nearest.max() + 1, np.int32)
    owner[nearest[labels > 0]] = labels[labels > 0]
    return np.where(distance <= distance_px, owner[nearest], 0).astype(np.int32)


def number_by_position(labels: Integer[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Renumber the regions of a label map by their first pixels, row by row.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    renumbered : (h, w) label map with the labels 1 to n

    Examples
    --------
    >>> import numpy as np
    >>> number_by_position(np.array([[0, 7, 7], [3, 0, 7]])).tolist()
    [[0, 1, 1], [2, 0, 1]]
    """
    flat = labels.ravel()
    pixels = np.flatnonzero(flat)
    first = np.full(int(labels.max(initial=0)) + 1, -1, np.int64)
    # Of repeated indices the last assignment holds: that of the first pixel.
    first[flat[pixels[::-1]]] = pixels[::-1]
    present = np.flatnonzero(first >= 0)
    number = np.zeros(len(first), np.int32)
    number[present[np.argsort(first[present])]] = np.arange(1, len(present) + 1)
    return number[labels]

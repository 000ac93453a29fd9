"""Label maps of particles from the maps that a network predicts."""

from collections.abc import Mapping
from typing import Annotated, Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, Integer
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from nanorender.errors import InputError
from nanorender.separation.chamfer import CHAMFER_WEIGHTS, chamfer_distance
from nanorender.separation.connectivity import Connectivity, connected_regions
from nanorender.separation.flooding import flood, flood_with_dams
from nanorender.separation.watershed import extended_maxima, impose_maxima
from nanorender.settings import Settings

Probability = Annotated[float, Field(ge=0, le=1)]


class Separation(Settings):
    """How particles are found in predicted maps and separated where they touch."""

    threshold: Probability = Field(
        default=0.51, description="foreground probability above which a pixel belongs to a particle"
    )
    area_opening_px: NonNegativeInt = Field(
        default=10, description="connected regions of fewer pixels are removed"
    )
    hole_filling_px: NonNegativeInt = Field(
        default=0, description="holes of at most this many pixels are filled; 0 fills none"
    )
    chamfer: Literal["borgefors", "chessknight", "quasi_euclidean", "city_block"] = Field(
        default="borgefors", description="chamfer weights of the distance, named as in MorphoLibJ"
    )
    normalized: bool = Field(
        default=True,
        description="whether `dynamic` is in pixels rather than in units of the chamfer weights",
    )
    whole_distances: bool = Field(
        default=False,
        description="whether normalized distances are rounded down (floored) to whole pixels, as "
        "in the 16-bit output of MorphoLibJ up to 1.4.3; later versions round to nearest",
    )
    dynamic: PositiveFloat = Field(
        default=1.0,
        description="height by which a maximum of the distance must exceed its saddles to count as "
        "a particle",
    )
    connectivity: Connectivity = Field(default=4, description="neighbors of a pixel: 4 or 8")
    markers: Literal["interior", "distance"] = Field(
        default="interior",
        description="map that separates touching particles: the predicted interior, or the "
        "distance to the background as in Mill et al. (2021), which is also used if no interior is "
        "predicted",
    )
    dams: bool = Field(
        default=False,
        description="whether touching particles are separated by a line of background one pixel "
        "wide, as in MorphoLibJ; otherwise each foreground pixel belongs to a particle",
    )
    grow_px: NonNegativeFloat = Field(
        default=0.0, description="dilation of the particles, for networks trained on eroded labels"
    )
    interior_threshold: Probability = Field(
        default=0.5, description="interior probability above which a pixel can belong to a marker"
    )
    interior_smoothing_px: NonNegativeFloat = Field(
        default=0.0, description="standard deviation of the Gaussian filter on the interior map"
    )
    boundary_weight: NonNegativeFloat = Field(
        default=1.0,
        description="weight of the boundary map that is subtracted from the interior map",
    )
    marker_area_px: NonNegativeInt = Field(
        default=10, description="smaller markers are removed, except the only one of a region"
    )
    marker_dynamic_px: PositiveFloat = Field(
        default=2.0, description="markers are split at necks of the interior deeper than this"
    )


def separate(
    maps: Mapping[str, Float[np.ndarray, "h w"]], settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return the label map of the particles, numbered 1 to n from top to bottom, left to right.

    Parameters
    ----------
    maps: (h, w) each. "foreground", the probability of a particle, is required. With "interior",
        the probability of being inside and off the border, markers come from it and from
        "boundary"; they are flooded over "distance" where that is predicted, over the interior
        else. Without it, particles are parted by a watershed of the distance to the background.
    settings: thresholds and the watershed's parameters

    Raises
    ------
    InputError
        If the foreground is missing or the maps differ in shape.
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
            f"maps hold {sorted(maps)} but no 'foreground'; predict it with the network or name "
            "the probability map so"
        )
    shapes = {name: values.shape for name, values in maps.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"maps must have one shape, but have {shapes}")


def foreground_mask(
    foreground: Float[np.ndarray, "h w"], settings: Separation
) -> Bool[np.ndarray, "h w"]:
    """Return the pixels above the threshold, small regions removed and small holes filled."""
    mask = foreground > settings.threshold
    mask = _without_small_regions(mask, settings.area_opening_px, settings.connectivity)
    if settings.hole_filling_px:
        # Background is connected the other way around, or lines would cross each other.
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
    """Return the basins of the distance to the background, as MorphoLibJ's plugin parts them.

    Strategy: distances stay multiples of the chamfer weights and the dynamic is scaled instead,
    so that ties are exact; whole regions with one maximum need no flooding.
    """
    weights = CHAMFER_WEIGHTS[settings.chamfer]
    distance = chamfer_distance(mask, weights)
    # Without any background there is nothing to be distant from: one basin.
    distance[np.isinf(distance)] = 1
    dynamic = settings.dynamic
    if settings.normalized and settings.whole_distances:
        distance = np.floor(distance / np.float32(weights.side))
    elif settings.normalized:
        dynamic *= weights.side
    markers = extended_maxima(distance, dynamic, settings.connectivity)
    return _part(distance, markers, mask, settings)


def _part(
    height: np.ndarray, markers: np.ndarray, mask: np.ndarray, settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return the basins of the markers; a region with one marker or none is taken whole.

    MorphoLibJ loses regions too thin to hold a maximum deeper than the dynamic: they would be
    missing in the counts although the area opening kept them, so they stay here.
    """
    regions = connected_regions(mask, settings.connectivity)
    count = regions.max(initial=0) + 1
    marked = markers > 0
    # One number for each pair: numpy sorts these a hundred times faster than pairs.
    span = int(markers.max(initial=0)) + 1
    pairs = np.divmod(np.unique(regions[marked] * np.int64(span) + markers[marked]), span)
    markers_in = np.bincount(pairs[0], minlength=count)
    only = np.zeros(count, np.int32)
    only[pairs[0]] = pairs[1]
    only[markers_in > 1] = 0
    unmarked = np.flatnonzero(markers_in[1:] == 0) + 1
    only[unmarked] = markers.max(initial=0) + 1 + np.arange(len(unmarked))
    crowded = markers_in > 1
    basins = only[regions]
    if crowded.any():
        # Strategy: flood crowded regions only, in the window that holds them.
        inside = crowded[regions]
        y, x = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        window = (slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
        inside = inside[window]
        seeds = np.where(inside, markers[window], 0).astype(np.int32)
        hill = impose_maxima(height[window], seeds, settings.connectivity)
        spread = flood_with_dams if settings.dams else flood
        parted = spread(hill, seeds, inside, settings.connectivity)
        basins[window][inside] = parted[inside]
    return basins


def _flood_from_interior(
    maps: Mapping[str, np.ndarray], mask: np.ndarray, settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return the basins of markers found in the interior map, within the foreground."""
    interior = maps["interior"].astype(np.float32)
    if "boundary" in maps:
        interior = interior - np.float32(settings.boundary_weight) * maps["boundary"]
    if settings.interior_smoothing_px > 0:
        interior = cv2.GaussianBlur(interior, (0, 0), settings.interior_smoothing_px)
    inside = (interior > settings.interior_threshold) & mask
    markers = _interior_markers(inside, mask, settings)
    height = maps.get("distance", interior)
    # 1000 steps of height are finer than any network is sure of, and fast to sort.
    height = np.round(1000 * height.astype(np.float32))
    return _part(height, markers, mask, settings)


def _interior_markers(
    inside: np.ndarray, mask: np.ndarray, settings: Separation
) -> Int32[np.ndarray, "h w"]:
    """Return one marker for each particle; a foreground region without any becomes its own."""
    weights = CHAMFER_WEIGHTS[settings.chamfer]
    # A marker's depth counts from the outside of its region: a frame of background around the
    # image would erode particles cut by it.
    distance = chamfer_distance(inside, weights)
    distance[np.isinf(distance)] = 1
    dynamic = settings.marker_dynamic_px * weights.side
    markers = extended_maxima(distance, dynamic, settings.connectivity)
    seeds = _part(distance, markers, inside, settings)
    area = np.bincount(seeds.ravel())
    regions = connected_regions(mask, settings.connectivity)
    seeded = np.zeros(regions.max(initial=0) + 1, bool)
    seeded[regions[(area >= settings.marker_area_px)[seeds] & (seeds > 0)]] = True
    small = (area < settings.marker_area_px)[seeds]
    kept = np.where(small, 0, seeds)
    # Particles too small for a marker are found by their foreground alone.
    alone = ~seeded
    alone[0] = False
    return np.where(alone[regions], regions + kept.max(), kept).astype(np.int32)


def grow(labels: Integer[np.ndarray, "h w"], distance_px: float) -> Int32[np.ndarray, "h w"]:
    """Return the particles widened by `distance_px`, each pixel to the nearest particle.

    Pixels between two particles go to the nearer one: basins stay basins.
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
    """Return the same regions numbered 1 to n by their first pixel, row by row."""
    flat = labels.ravel()
    pixels = np.flatnonzero(flat)
    first = np.full(int(labels.max(initial=0)) + 1, -1, np.int64)
    # Where an index is repeated, the last assignment counts: the first pixel.
    first[flat[pixels[::-1]]] = pixels[::-1]
    present = np.flatnonzero(first >= 0)
    number = np.zeros(len(first), np.int32)
    number[present[np.argsort(first[present])]] = np.arange(1, len(present) + 1)
    return number[labels]

"""One row of measurements for each particle of a label map."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Integer, Real

from nanorender.errors import InputError
from nanorender.measuring.contacts import agglomerates, contacts, neighbor_counts
from nanorender.measuring.region import Region, regions
from nanorender.measuring.skeleton import capsule_width, skeleton_length

# A region this many times larger than the square of its width is a rod.
ROD_AREA_RATIO = 2.0

# Several measurements of one region need the same length: the last region's is kept.
remembered = lru_cache(maxsize=1)


def area(region: Region) -> int:
    """Return the area: the number of pixels, times that of one."""
    return region.area


def sqrt_area(region: Region) -> float:
    """Return the square root of the area: the edge of a square as large."""
    return float(np.sqrt(region.area))


def equivalent_diameter(region: Region) -> float:
    """Return the diameter of the circle of equal area (ISO 9276-6)."""
    return float(np.sqrt(4 * region.area / np.pi))


@remembered
def min_feret(region: Region) -> float:
    """Return the least distance of two parallels that hold the particle's pixel corners.

    One of the parallels lies on an edge of the hull (Freeman and Shapira, Comm. ACM 18 (1975)
    409).
    """
    hull = region.corner_hull
    edges = np.roll(hull, -1, axis=0) - hull
    edges /= np.hypot(edges[:, 0], edges[:, 1])[:, None]
    heights = np.outer(edges[:, 0], hull[:, 1]) - np.outer(edges[:, 1], hull[:, 0])
    return float((heights.max(axis=1) - heights.min(axis=1)).min())


@remembered
def max_feret(region: Region) -> float:
    """Return the greatest distance of two pixel corners of the particle."""
    x, y = region.corner_hull.T
    return float(np.sqrt(((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2).max()))


def inscribed_diameter(region: Region) -> float:
    """Return the diameter of the largest circle inside the particle.

    Twice the greatest distance of a pixel center to the next center outside, which errs by less
    than a pixel for discs, squares and rods alike, and never more than the least Feret diameter.
    """
    return min(2 * float(region.distance.max()), min_feret(region))


@remembered
def perimeter(region: Region) -> float:
    """Return the perimeter after Crofton, from the crossings of lines in four directions.

    Legland, Kieu and Devaux, "Computation of Minkowski measures on 2D and 3D binary images",
    Image Analysis and Stereology 26 (2007) 83; the same as scikit-image's `perimeter_crofton`.
    """
    mask = region.mask
    straight = np.count_nonzero(mask[1:] > mask[:-1]) + np.count_nonzero(mask[:, 1:] > mask[:, :-1])
    slanted = np.count_nonzero(mask[1:, 1:] > mask[:-1, :-1])
    slanted += np.count_nonzero(mask[1:, :-1] > mask[:-1, 1:])
    return float(np.pi / 4 * (straight + slanted / np.sqrt(2)))


def circularity(region: Region) -> float:
    """Return 4 pi area / perimeter^2: 1 for a disc, up to 6 % more or less for its pixels."""
    return 4 * np.pi * region.area / perimeter(region) ** 2


def aspect_ratio(region: Region) -> float:
    """Return the least over the greatest Feret diameter, at most 1 (ISO 9276-6)."""
    return min_feret(region) / max_feret(region)


def elongation(region: Region) -> float:
    """Return 1 - minor / major axis of the ellipse of equal second moments, 0 for a disc."""
    major, minor = region.axes
    return 1 - minor / major


def convexity(region: Region) -> float:
    """Return the perimeter of the convex hull over the perimeter, at most 1 (ISO 9276-6).

    Both after Crofton: a convex outline crosses each line between its extremes once.
    """
    x, y = region.center_hull.T
    straight = np.ptp(x) + np.ptp(y) + 2
    slanted = np.ptp(x + y) + np.ptp(x - y) + 2
    return float(np.pi / 4 * (straight + slanted / np.sqrt(2))) / perimeter(region)


def solidity(region: Region) -> float:
    """Return the area over the pixels in the convex hull, at most 1 (ISO 9276-6).

    The pixels in the hull of the centers are counted by Pick's theorem.
    """
    hull = region.center_hull
    following = np.roll(hull, -1, axis=0)
    twice = abs((hull[:, 0] * following[:, 1] - hull[:, 1] * following[:, 0]).sum())
    border = np.gcd(*np.abs(following - hull).T).sum()
    return region.area / float(twice / 2 + border / 2 + 1)


def orientation(region: Region) -> float:
    """Return the angle of the major axis to the x axis, counter-clockwise, -90 to 90 degrees."""
    xx, yy, xy = region.covariance
    return float(np.degrees(np.arctan2(-2 * xy, xx - yy)) / 2)


def center_x(region: Region) -> float:
    """Return the distance of the centroid from the image's left edge."""
    return float(region.pixels[1].mean()) + region.left + 0.5


def center_y(region: Region) -> float:
    """Return the distance of the centroid from the image's upper edge."""
    return float(region.pixels[0].mean()) + region.top + 0.5


def is_rod(region: Region) -> bool:
    """Whether the particle is at least about twice as long as wide, along its middle line."""
    return region.area >= ROD_AREA_RATIO * inscribed_diameter(region) ** 2


@remembered
def rod_length(region: Region) -> float:
    """Return the length along the skeleton; not a number for particles that are no rods."""
    return skeleton_length(region.mask, region.distance) if is_rod(region) else float("nan")


def rod_width(region: Region) -> float:
    """Return the width of a round-ended rod of the same area and length, as `rod_length`."""
    return capsule_width(region.area, rod_length(region)) if is_rod(region) else float("nan")


def mean_intensity(region: Region) -> float:
    """Return the mean gray value; not a number without an image."""
    return float("nan") if region.intensity is None else float(region.intensity.mean())


def sd_intensity(region: Region) -> float:
    """Return the standard deviation of the gray values; not a number without an image."""
    return float("nan") if region.intensity is None else float(region.intensity.std())


def bbox_left(region: Region) -> int:
    """Return the first column."""
    return region.left + 1


def bbox_top(region: Region) -> int:
    """Return the first row."""
    return region.top + 1


def bbox_width(region: Region) -> int:
    """Return the number of columns."""
    return region.mask.shape[1] - 2


def bbox_height(region: Region) -> int:
    """Return the number of rows."""
    return region.mask.shape[0] - 2


def touches_frame(region: Region) -> bool:
    """Whether a pixel lies in the outermost rows or columns of the image."""
    height, width = region.image_shape
    right, bottom = region.left + region.mask.shape[1] - 1, region.top + region.mask.shape[0] - 1
    return region.left < 0 or region.top < 0 or right >= width or bottom >= height


class Measurement(NamedTuple):
    """A column of the particle table.

    Attributes
    ----------
    name: of the column, without the unit
    power: of the length unit: 1 for lengths, 2 for areas, 0 for pure numbers
    function: the value of one region, in px to that power
    kind: type of the column
    """

    name: str
    power: int
    function: Callable[[Region], float | int | bool]
    kind: type = float

    def column(self, pixel_size_nm: float | None) -> str:
        """Return the name with its unit."""
        unit = "px" if pixel_size_nm is None else "nm"
        return self.name + ("", f"_{unit}", f"_{unit}2")[self.power]


MEASUREMENTS = (
    Measurement("area", 2, area),
    Measurement("sqrt_area", 1, sqrt_area),
    Measurement("equivalent_diameter", 1, equivalent_diameter),
    Measurement("min_feret", 1, min_feret),
    Measurement("max_feret", 1, max_feret),
    Measurement("inscribed_diameter", 1, inscribed_diameter),
    Measurement("perimeter", 1, perimeter),
    Measurement("circularity", 0, circularity),
    Measurement("aspect_ratio", 0, aspect_ratio),
    Measurement("elongation", 0, elongation),
    Measurement("convexity", 0, convexity),
    Measurement("solidity", 0, solidity),
    Measurement("orientation_deg", 0, orientation),
    Measurement("center_x", 1, center_x),
    Measurement("center_y", 1, center_y),
    Measurement("rod_length", 1, rod_length),
    Measurement("rod_width", 1, rod_width),
    Measurement("mean_intensity", 0, mean_intensity),
    Measurement("sd_intensity", 0, sd_intensity),
    Measurement("bbox_left_px", 0, bbox_left, int),
    Measurement("bbox_top_px", 0, bbox_top, int),
    Measurement("bbox_width_px", 0, bbox_width, int),
    Measurement("bbox_height_px", 0, bbox_height, int),
    Measurement("touches_frame", 0, touches_frame, bool),
)


def measure(
    labels: Integer[np.ndarray, "h w"],
    pixel_size_nm: float | None,
    image: Real[np.ndarray, "rows columns"] | None = None,
    measurements: tuple[Measurement, ...] = MEASUREMENTS,
) -> pd.DataFrame:
    """Return one row per particle: its label, the measurements, its contacts.

    Lengths are in nm, or in px (and named so) where the pixel size is unknown. "neighbors" counts
    the particles in contact, "agglomerate" numbers the groups that hang together by contacts. An
    empty label map gives an empty table with all columns.

    Parameters
    ----------
    labels: (h, w) 0 for background, one number per particle
    pixel_size_nm: edge of a pixel, nm
    image: (h, w) gray values, for the intensities
    measurements: columns to measure; MEASUREMENTS + (one of your own,) adds one

    Raises
    ------
    InputError
        If the pixel size is not positive or the image differs in shape.
    """
    if pixel_size_nm is not None and not pixel_size_nm > 0:
        raise InputError(f"pixel_size_nm (={pixel_size_nm}) must be positive")
    if image is not None and image.shape != labels.shape:
        raise InputError(
            f"the image {image.shape} and its labels {labels.shape} must have one shape; "
            "crop both alike"
        )
    rows = [
        (region.label, *(measurement.function(region) for measurement in measurements))
        for region in regions(labels, image)
    ]
    columns = [measurement.column(pixel_size_nm) for measurement in measurements]
    table = pd.DataFrame.from_records(rows, columns=["label", *columns])
    table = table.astype(
        {"label": int} | {c: m.kind for c, m in zip(columns, measurements, strict=True)}
    )
    if pixel_size_nm is not None:
        for column, measurement in zip(columns, measurements, strict=True):
            if measurement.power:
                table[column] *= pixel_size_nm**measurement.power
    numbers = table["label"].to_numpy(np.int64)
    pairs = contacts(labels)
    table["neighbors"] = neighbor_counts(pairs, numbers)
    table["agglomerate"] = agglomerates(pairs, numbers)
    return table

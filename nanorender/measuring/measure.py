"""Measurements of the particles of a label map: one function and one line of the registry each.

A measurement is a function from a `Region` to a number, in pixels. Its name is the column of the
table, and the first line of its docstring the description in reports. To add one, write the
function and enter it in `MEASUREMENTS` with its dimension: 1 length, 2 area, 0 ratio.
"""

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer, Real

from nanorender.errors import InputError
from nanorender.measuring.contacts import agglomerates, contacts, neighbor_counts
from nanorender.measuring.occlusion import hidden_areas
from nanorender.measuring.region import Region, regions
from nanorender.measuring.skeleton import capsule_width, skeleton_length

# A rod is at least this many times larger than the square of its width.
_ROD_AREA_RATIO = 2.0

# Largest difference of the mean width of a rod from the diameter of its inscribed circle, relative
# (a spindle has 0.2) and in pixels (the circle of thin rods has an error of about one pixel).
_ROD_WIDTH_TOLERANCE, _ROD_WIDTH_TOLERANCE_PX = 0.25, 1.25

# Above this solidity a rod is straight: its sagitta is below a sixth of its width.
_STRAIGHT_SOLIDITY = 0.9

PARTLY_HIDDEN = 0.95
"""Visible share below which the size of a particle is a lower bound."""

# Several measurements of a region share a length: keep the value of the last region.
_keep_last = lru_cache(maxsize=1)


def area(region: Region) -> int:
    """Area: number of pixels times the area of one."""
    return region.area


def sqrt_area(region: Region) -> float:
    """Square root of the area: edge of a square of equal area."""
    return float(np.sqrt(region.area))


def equivalent_diameter(region: Region) -> float:
    """Diameter of the circle of equal area (ISO 9276-6)."""
    return float(np.sqrt(4 * region.area / np.pi))


def _following(corners: np.ndarray) -> np.ndarray:
    """Return the next corner of a polygon for each of its corners."""
    return np.concatenate([corners[1:], corners[:1]])


@_keep_last
def min_feret(region: Region) -> float:
    """Smallest distance between two parallel lines that enclose the corners of the pixels.

    One of the lines contains an edge of the convex hull (Freeman and Shapira, Comm. ACM 18 (1975)
    409).
    """
    # `labeling.feret` has the same in Numba for the truth of rendered scenes: measuring must not
    # load a compiler.
    hull = region.corner_hull
    edges = _following(hull) - hull
    edges /= np.hypot(edges[:, 0], edges[:, 1])[:, None]
    heights = np.outer(edges[:, 0], hull[:, 1]) - np.outer(edges[:, 1], hull[:, 0])
    return float((heights.max(axis=1) - heights.min(axis=1)).min())


@_keep_last
def max_feret(region: Region) -> float:
    """Largest distance between two corners of pixels."""
    x, y = region.corner_hull.T
    return float(np.sqrt(((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2).max()))


def inscribed_diameter(region: Region) -> float:
    """Diameter of the largest circle inside the particle.

    Twice the largest distance from a pixel center to the nearest center outside, at most the
    minimum Feret diameter. The error is below one pixel for discs, squares and rods.
    """
    return min(2 * float(region.distance.max()), min_feret(region))


@_keep_last
def perimeter(region: Region) -> float:
    """Perimeter by the Crofton formula in four directions.

    Legland, Kieu and Devaux, "Computation of Minkowski measures on 2D and 3D binary images",
    Image Analysis and Stereology 26 (2007) 83; equals scikit-image's `perimeter_crofton`.
    """
    mask = region.mask
    straight = np.count_nonzero(mask[1:] > mask[:-1]) + np.count_nonzero(mask[:, 1:] > mask[:, :-1])
    diagonal = np.count_nonzero(mask[1:, 1:] > mask[:-1, :-1])
    diagonal += np.count_nonzero(mask[1:, :-1] > mask[:-1, 1:])
    return float(np.pi / 4 * (straight + diagonal / np.sqrt(2)))


def circularity(region: Region) -> float:
    """4 pi area / perimeter^2: 1 for a disc, within 6 % when digitized."""
    return 4 * np.pi * region.area / perimeter(region) ** 2


def aspect_ratio(region: Region) -> float:
    """Minimum over maximum Feret diameter, at most 1 (ISO 9276-6)."""
    return min_feret(region) / max_feret(region)


def elongation(region: Region) -> float:
    """1 - minor / major axis of the ellipse with the same second moments, 0 for a disc."""
    major, minor = region.axes
    return 1 - minor / major


def convexity(region: Region) -> float:
    """Perimeter of the convex hull over the perimeter, at most 1 (ISO 9276-6).

    Both by the Crofton formula: a line crosses a convex outline once between its extremes.
    """
    x, y = region.center_hull.T
    straight = np.ptp(x) + np.ptp(y) + 2
    diagonal = np.ptp(x + y) + np.ptp(x - y) + 2
    return float(np.pi / 4 * (straight + diagonal / np.sqrt(2))) / perimeter(region)


def solidity(region: Region) -> float:
    """Area over the number of pixels in the convex hull, at most 1 (ISO 9276-6).

    Pixels in the hull of the centers are counted by Pick's theorem.
    """
    hull = region.center_hull
    following = _following(hull)
    twice_area = abs((hull[:, 0] * following[:, 1] - hull[:, 1] * following[:, 0]).sum())
    on_border = np.gcd(*np.abs(following - hull).T).sum()
    return region.area / float(twice_area / 2 + on_border / 2 + 1)


def orientation_deg(region: Region) -> float:
    """Angle of the major axis to the x axis, counterclockwise, -90 to 90 degrees."""
    xx, yy, xy = region.covariance
    return float(np.degrees(np.arctan2(-2 * xy, xx - yy)) / 2)


def center_x(region: Region) -> float:
    """Distance of the centroid from the left edge of the image."""
    return float(region.pixels[1].mean()) + region.left + 0.5


def center_y(region: Region) -> float:
    """Distance of the centroid from the upper edge of the image."""
    return float(region.pixels[0].mean()) + region.top + 0.5


@_keep_last
def _rod_size(region: Region) -> tuple[float, float]:
    """Return length and width of a rod, not numbers for other particles."""
    # The area alone does not tell a rod from a grain with a notch, whose inscribed circle is small,
    # or from a wire cut into parts: the width of a rod is that of its inscribed circle everywhere.
    inscribed = inscribed_diameter(region)
    if region.area < _ROD_AREA_RATIO * inscribed**2:
        return float("nan"), float("nan")
    length = skeleton_length(region.mask, region.distance)
    if solidity(region) > _STRAIGHT_SOLIDITY:
        # The skeleton of a straight rod may end in a corner, on a path longer than the rod.
        length = min(length, max_feret(region))
    width = capsule_width(region.area, length)
    if abs(width - inscribed) > max(_ROD_WIDTH_TOLERANCE * inscribed, _ROD_WIDTH_TOLERANCE_PX):
        return float("nan"), float("nan")
    return length, width


def rod_length(region: Region) -> float:
    """Length along the skeleton; empty for particles that are not rods.

    A rod is at least about twice as long as wide, and equally wide everywhere. Only a bent rod is
    longer than its maximum Feret diameter.
    """
    return _rod_size(region)[0]


def rod_width(region: Region) -> float:
    """Width of a rod with round ends and the same area and length; empty for other particles."""
    return _rod_size(region)[1]


def mean_intensity(region: Region) -> float:
    """Mean gray level; empty without an image."""
    return float("nan") if region.intensity is None else float(region.intensity.mean())


def sd_intensity(region: Region) -> float:
    """Gray-level standard deviation; empty without an image."""
    return float("nan") if region.intensity is None else float(region.intensity.std())


def bbox_left_px(region: Region) -> int:
    """First column of the bounding box."""
    return region.left + 1


def bbox_top_px(region: Region) -> int:
    """First row of the bounding box."""
    return region.top + 1


def bbox_width_px(region: Region) -> int:
    """Width of the bounding box in columns."""
    return region.mask.shape[1] - 2


def bbox_height_px(region: Region) -> int:
    """Height of the bounding box in rows."""
    return region.mask.shape[0] - 2


def touches_frame(region: Region) -> bool:
    """Whether a pixel lies in the outermost rows or columns of the image."""
    height, width = region.image_shape
    right, bottom = region.left + region.mask.shape[1] - 1, region.top + region.mask.shape[0] - 1
    return region.left < 0 or region.top < 0 or right >= width or bottom >= height


def visible_share(region: Region) -> float:
    """Visible share of the area, estimated: the rest lies under other particles."""
    return region.area / (region.area + region.hidden_area)


def amodal_diameter(region: Region) -> float:
    """Diameter of the circle of equal area with the part estimated to lie under others."""
    return float(np.sqrt(4 * (region.area + region.hidden_area) / np.pi))


def size_is_lower_bound(region: Region) -> bool:
    """Whether others hide more than 5 % of the particle, or the frame cuts it."""
    return touches_frame(region) or visible_share(region) < PARTLY_HIDDEN


class Measurement(NamedTuple):
    """A column of the particle table.

    Attributes
    ----------
    function : measures a region; its name is that of the column
    power : power of the length unit: 1 for lengths, 2 for areas, 0 for pure numbers
    kind : type of the values
    """

    function: Callable[[Region], float]
    power: int
    kind: type = float

    @property
    def name(self) -> str:
        """Name of the column without its unit."""
        return self.function.__name__

    @property
    def description(self) -> str:
        """First line of the docstring of the function, without its period."""
        return (self.function.__doc__ or "").partition("\n")[0].removesuffix(".")

    def column(self, pixel_size_nm: float | None) -> str:
        """Name the column with its unit.

        Parameters
        ----------
        pixel_size_nm : edge of a pixel; None where it is unknown

        Returns
        -------
        name : name of the column, such as "min_feret_nm"

        Examples
        --------
        >>> Measurement(area, 2).column(1.5), Measurement(area, 2).column(None)
        ('area_nm2', 'area_px2')
        """
        unit = "px" if pixel_size_nm is None else "nm"
        return self.name + ("", f"_{unit}", f"_{unit}2")[self.power]


MEASUREMENTS = (
    Measurement(area, 2),
    Measurement(sqrt_area, 1),
    Measurement(equivalent_diameter, 1),
    Measurement(min_feret, 1),
    Measurement(max_feret, 1),
    Measurement(inscribed_diameter, 1),
    Measurement(perimeter, 1),
    Measurement(circularity, 0),
    Measurement(aspect_ratio, 0),
    Measurement(elongation, 0),
    Measurement(convexity, 0),
    Measurement(solidity, 0),
    Measurement(orientation_deg, 0),
    Measurement(center_x, 1),
    Measurement(center_y, 1),
    Measurement(rod_length, 1),
    Measurement(rod_width, 1),
    Measurement(mean_intensity, 0),
    Measurement(sd_intensity, 0),
    Measurement(bbox_left_px, 0, int),
    Measurement(bbox_top_px, 0, int),
    Measurement(bbox_width_px, 0, int),
    Measurement(bbox_height_px, 0, int),
    Measurement(touches_frame, 0, bool),
    Measurement(visible_share, 0),
    Measurement(amodal_diameter, 1),
    Measurement(size_is_lower_bound, 0, bool),
)


def measure(
    labels: Integer[np.ndarray, "h w"],
    pixel_size_nm: float | None,
    image: Real[np.ndarray, "rows columns"] | None = None,
    measurements: Iterable[Measurement] = MEASUREMENTS,
    confidence: Float[np.ndarray, "n"] | None = None,
) -> pd.DataFrame:
    """Measure the particles of a label map.

    Parameters
    ----------
    labels : (h, w) label map, 0 for background
    pixel_size_nm : edge of a pixel; None where it is unknown, which gives lengths in pixels
    image : (h, w) gray levels, for the intensities
    measurements : columns to measure; `(*MEASUREMENTS, your_own)` adds one
    confidence : (n,) probability that particles 1 to n are real, n at least the highest label; None
        if unknown

    Returns
    -------
    table : one row per particle: "label", the measurements with their units in the names,
        "neighbors", the number of particles in contact, "agglomerate", the number of the group
        connected by contacts, and "confidence", not a number where it is unknown; without
        particles, an empty table of the same columns

    Raises
    ------
    InputError
        If the pixel size is not positive, a label is negative, the image and the labels differ in
        shape, or there are fewer confidences than labels.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((20, 30), int)
    >>> labels[2:12, 3:9], labels[2:12, 9:15] = 1, 2
    >>> measure(labels, 0.5)[["label", "area_nm2", "min_feret_nm", "neighbors"]]
       label  area_nm2  min_feret_nm  neighbors
    0      1      15.0           3.0          1
    1      2      15.0           3.0          1
    """
    if pixel_size_nm is not None and not pixel_size_nm > 0:
        raise InputError(f"pixel_size_nm must be positive, got {pixel_size_nm}")
    if labels.min(initial=0) < 0:
        raise InputError(f"labels must not be negative, got {labels.min()}; background is 0")
    if image is not None and image.shape != labels.shape:
        raise InputError(
            f"image {image.shape} and labels {labels.shape} must have the same shape; "
            "crop both to the same region"
        )
    if confidence is not None and len(confidence) < labels.max(initial=0):
        raise InputError(
            f"{len(confidence)} confidences are too few for labels up to {labels.max()}; give one "
            "for each label"
        )
    columns = {each.column(pixel_size_nm): each for each in measurements}
    pairs = contacts(labels)
    rows = [
        (region.label, *(each.function(region) for each in columns.values()))
        for region in regions(labels, image, hidden_areas(labels, pairs))
    ]
    values = np.array(rows, np.float64).reshape(len(rows), len(columns) + 1).T
    table = pd.DataFrame(
        {"label": values[0].astype(np.int64)}
        | {
            name: (value * (pixel_size_nm or 1.0) ** each.power).astype(each.kind)
            for (name, each), value in zip(columns.items(), values[1:], strict=True)
        }
    )
    numbers = table["label"].to_numpy(np.int64)
    table["neighbors"] = neighbor_counts(pairs, numbers)
    table["agglomerate"] = agglomerates(pairs, numbers)
    table["confidence"] = np.nan if confidence is None else confidence[numbers - 1]
    return table


def mark_struck_out(table: pd.DataFrame, labels: Collection[int]) -> pd.DataFrame:
    """Add the column "struck_out", which marks particles that are not to be counted.

    Parameters
    ----------
    table : as `measure` returns it
    labels : of the particles

    Returns
    -------
    table with the column

    Examples
    --------
    >>> mark_struck_out(pd.DataFrame({"label": [1, 4]}), {4})["struck_out"].tolist()
    [False, True]
    """
    return table.assign(struck_out=table["label"].isin(list(labels)).astype(bool))


def column_descriptions(pixel_size_nm: float | None) -> dict[str, str]:
    """Describe the columns of the particle table.

    Parameters
    ----------
    pixel_size_nm : edge of a pixel; None where it is unknown

    Returns
    -------
    descriptions : description of each column by its name, in the order of the table
    """
    return {each.column(pixel_size_nm): each.description for each in MEASUREMENTS} | {
        "neighbors": "Number of particles in contact",
        "agglomerate": "Group of particles connected by contacts, numbered from 1",
        "confidence": "Probability that the particle is real if fitted, else its mean foreground",
    }

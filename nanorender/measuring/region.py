"""Particles of a label map: their pixels and properties shared by several measurements."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer, Real
from scipy import ndimage

from nanorender.measuring.distance import distance_to_background


@dataclass(frozen=True, eq=False)
class Region:
    """The pixels of one particle, in a window with a margin of one pixel of background.

    Attributes
    ----------
    label : label of the particle
    mask : (h, w) window with the pixels of the particle
    left, top : column and row in the image of the first pixel of the window; -1 at the frame
    intensity : (n,) gray levels of the pixels in raster order; None without an image
    image_shape : rows and columns of the image
    hidden_area : number of pixels under other particles
    """

    label: int
    mask: Bool[np.ndarray, "h w"]
    left: int
    top: int
    intensity: Float[np.ndarray, "n"] | None
    image_shape: tuple[int, int]
    hidden_area: int = 0

    @cached_property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the pixels in the window."""
        y, x = np.nonzero(self.mask)
        return y, x

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return len(self.pixels[0])

    @cached_property
    def covariance(self) -> tuple[float, float, float]:
        """Normalized second central moments xx, yy and xy of pixels as squares, in px2."""
        y, x = self.pixels
        x = x - x.mean()
        y = y - y.mean()
        extent = 1 / 12  # variance of a position within a pixel
        return float(x @ x) / len(x) + extent, float(y @ y) / len(y) + extent, float(x @ y) / len(x)

    @cached_property
    def axes(self) -> tuple[float, float]:
        """Major and minor axis of the ellipse with the same second moments, in px."""
        xx, yy, xy = self.covariance
        spread = np.hypot((xx - yy) / 2, xy)
        mean = (xx + yy) / 2
        return 4 * float(np.sqrt(mean + spread)), 4 * float(np.sqrt(max(mean - spread, 0.0)))

    @cached_property
    def center_hull(self) -> np.ndarray:
        """Convex hull of the pixel centers: (n, 2) x and y."""
        first, last = self._row_ends
        rows = np.flatnonzero(last)
        ends = np.concatenate([[first[rows], rows], [last[rows] - 1, rows]], axis=1).T
        return cv2.convexHull(np.ascontiguousarray(ends, np.int32))[:, 0].astype(np.int64)

    @cached_property
    def corner_hull(self) -> np.ndarray:
        """Convex hull of the pixel corners: (n, 2) x and y."""
        first, last = self._row_ends
        rows = np.flatnonzero(last)
        corners = [[edge, row] for edge in (first[rows], last[rows]) for row in (rows, rows + 1)]
        points = np.concatenate(corners, axis=1).T
        return cv2.convexHull(np.ascontiguousarray(points, np.int32))[:, 0].astype(np.float64)

    @cached_property
    def _row_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """First column of each row and the column after its last, 0 in rows without pixels."""
        first = self.mask.argmax(axis=1)
        last = self.mask.shape[1] - self.mask[:, ::-1].argmax(axis=1)
        return first, np.where(self.mask.any(axis=1), last, 0)

    @cached_property
    def distance(self) -> Float[np.ndarray, "h w"]:
        """Euclidean distance from each pixel center to the nearest center outside, in px."""
        return distance_to_background(self.mask)


def regions(
    labels: Integer[np.ndarray, "h w"],
    image: Real[np.ndarray, "h w"] | None,
    hidden_areas: Integer[np.ndarray, "labels"] | None = None,
) -> Iterator[Region]:
    """Iterate over the particles of a label map.

    Parameters
    ----------
    labels : (h, w) label map
    image : (h, w) gray levels, or None
    hidden_areas : number of pixels of each label under other particles; None for 0

    Yields
    ------
    region : each particle in the order of the labels

    Examples
    --------
    >>> import numpy as np
    >>> [region.area for region in regions(np.array([[1, 1, 0], [0, 2, 2]]), None)]
    [2, 2]
    """
    shape = (labels.shape[0], labels.shape[1])
    for index, window in enumerate(ndimage.find_objects(labels)):
        if window is None:
            continue
        rows, columns = window
        inside = labels[window] == index + 1
        mask = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2), bool)
        mask[1:-1, 1:-1] = inside
        intensity = None if image is None else image[window][inside].astype(np.float64)
        hidden = 0 if hidden_areas is None else int(hidden_areas[index + 1])
        yield Region(index + 1, mask, columns.start - 1, rows.start - 1, intensity, shape, hidden)

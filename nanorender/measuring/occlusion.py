"""Parts of particles hidden under others, estimated from a label map alone.

Of two particles in contact, the one that bulges into the other lies in front: a border is taken as
the outline of the side on which it is convex (Kanizsa and Gerbino, "Convexity and symmetry in
figure-ground organization", 1976). The outline of the other one is completed under its neighbors by
its convex hull, which suits facets and rods, and by an ellipse fitted to the outline that is its
own (Zafari et al., "Segmentation of overlapping elliptical objects in silhouette images", IEEE
Trans. Image Processing 24 (2015) 5942), which suits spheres and grains.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Shaped

# Steps from a pixel of background beside a particle, away from it and along its outline, at which
# another particle is still in contact.
_STEPS_ACROSS_LINE = ((1, 0), (1, 1), (1, -1))

# Mean depth of one particle in the hull of the other, in px, from which it lies in front.
_LEAST_DEPTH_PX = 0.1

# Weight of the equations that favor circles, relative to those of the points, times the mean square
# distance of the points from their center: the outlines of small particles are less exact.
_CIRCLE_WEIGHT_PX2 = 12.0

# The neighborhood of a pixel.
_BLOCK = np.ones((3, 3), np.uint8)

# Rows of the label map whose pixels are counted at once.
_BLOCK_ROWS = 256

# Weight that keeps the equations solvable for points on a line.
_REGULARIZATION = 1e-9

# Least number of points to fit an ellipse to.
_LEAST_POINTS = 8

# Least share of a particle that its ellipse covers, less the background that it covers.
_LEAST_AGREEMENT = 0.88

# Largest area of an ellipse, and of the window around it, relative to the visible area.
_LARGEST_AREA, _LARGEST_WINDOW = 10.0, 100.0


class _Points(NamedTuple):
    """Points of particles beside or under others, in ascending order of the particles.

    Attributes
    ----------
    label : particle
    other : the particle there, 0 for background
    x, y : position in half pixels, where pixel centers are even
    """

    label: Int[np.ndarray, "n"]
    other: Int[np.ndarray, "n"]
    x: Int[np.ndarray, "n"]
    y: Int[np.ndarray, "n"]

    def codes(self, count: int) -> Int[np.ndarray, "n"]:
        """Return a number for each pair of particles, which have labels below a count."""
        return self.label * count + self.other

    def select(self, which: Shaped[np.ndarray, "k"] | slice) -> "_Points":
        """Return some of the points."""
        return type(self)(*(column[which] for column in self))

    def of(self, label: int) -> "_Points":
        """Return the points of a particle."""
        return self.select(slice(*np.searchsorted(self.label, [label, label + 1])))


class _Ellipse(NamedTuple):
    """Points with xx (x - x0)^2 + 2 xy (x - x0) (y - y0) + yy (y - y0)^2 < 1."""

    x0: float
    y0: float
    xx: float
    xy: float
    yy: float

    @property
    def determinant(self) -> float:
        """Determinant of the quadratic form."""
        return self.xx * self.yy - self.xy**2

    @property
    def area(self) -> float:
        """Area in px2."""
        return float(np.pi / np.sqrt(self.determinant))

    def contains(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return whether points are inside."""
        x, y = x - self.x0, y - self.y0
        return (self.xx * x + 2 * self.xy * y) * x + self.yy * y**2 < 1

    def window(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Return rows and columns of an image that may contain points of the ellipse."""
        width, height = np.sqrt([self.yy / self.determinant, self.xx / self.determinant])
        top, left = max(int(self.y0 - height), 0), max(int(self.x0 - width), 0)
        bottom, right = int(self.y0 + height) + 1, int(self.x0 + width) + 1
        return slice(top, min(bottom, shape[0] - 1) + 1), slice(left, min(right, shape[1] - 1) + 1)


def hidden_areas(
    labels: Integer[np.ndarray, "h w"],
    pairs: Integer[np.ndarray, "n 2"],
) -> Int[np.ndarray, "labels"]:
    """Estimate the area of each particle that lies under others.

    Particles are assumed to be convex. Where less than a third of a particle is visible, the
    estimate is too small. What lies beyond the frame of the image is not counted.

    Parameters
    ----------
    labels : (h, w) label map
    pairs : (n, 2) pairs of labels in contact, as `contacts` returns them

    Returns
    -------
    areas : number of pixels of other particles under which a particle lies, by its label; entry 0
        has no meaning

    Examples
    --------
    A disc of 305 pixels lies partly under another one:

    >>> import numpy as np
    >>> from nanorender.measuring.contacts import contacts
    >>> y, x = np.mgrid[:24, :40]
    >>> front, behind = np.hypot(x - 25, y - 12) < 10, np.hypot(x - 13, y - 12) < 10
    >>> labels = np.where(front, 1, np.where(behind, 2, 0))
    >>> int(np.sum(labels == 2)), hidden_areas(labels, contacts(labels)).tolist()
    (220, [0, 0, 83])
    """
    count = int(labels.max(initial=0)) + 1
    hidden = np.zeros(count, np.int64)
    if not len(pairs):
        return hidden
    touching = np.zeros(count, bool)
    touching[pairs] = True
    outline = _outlines(labels, touching)
    in_hull = _others_in_hulls(labels, outline)
    front = _pairs_in_front(outline, in_hull, count)
    if not len(front):
        return hidden
    # Keep the outline that is a particle's own, and the pixels of its hull under those in front
    own = outline.select(~np.isin(outline.codes(count), front))
    under = in_hull.select(np.isin(in_hull.codes(count), front))
    areas = _areas(labels, count)
    behind, first = np.unique(front // count, return_index=True)
    is_front = np.zeros(count, bool)
    for label, others in zip(behind.tolist(), np.split(front % count, first[1:]), strict=True):
        is_front[others] = True
        hidden[label] = _hidden_area(
            labels, int(areas[label]), own.of(label), under.of(label), is_front
        )
        is_front[others] = False
    return hidden


def _areas(labels: Integer[np.ndarray, "h w"], count: int) -> Int[np.ndarray, "labels"]:
    """Count the pixels of each label, in blocks of rows that take little memory."""
    areas = np.zeros(count, np.int64)
    for first in range(0, len(labels), _BLOCK_ROWS):
        areas += np.bincount(labels[first : first + _BLOCK_ROWS].ravel(), minlength=count)
    return areas


def _outlines(labels: Integer[np.ndarray, "h w"], wanted: Bool[np.ndarray, "n"]) -> _Points:
    """Find the edges between pixels of particles and those beside them, within the image."""
    height, width = labels.shape
    parts = []
    for down, right in ((0, 1), (1, 0)):
        y, x = np.nonzero(labels[: height - down, : width - right] != labels[down:, right:])
        # The particle is before the edge, or after it
        for side, y_in, x_in in ((1, y, x), (-1, y + down, x + right)):
            kept = wanted[labels[y_in, x_in]]
            y_in, x_in = y_in[kept], x_in[kept]
            label = labels[y_in, x_in].astype(np.int64)
            y_out, x_out = y_in + side * down, x_in + side * right
            other = labels[y_out, x_out].astype(np.int64)
            # A line of background one pixel wide is part of the edge
            beyond = np.zeros_like(other)
            for ahead, aside in _STEPS_ACROSS_LINE:
                y_far = np.clip(y_out + ahead * side * down + aside * right, 0, height - 1)
                x_far = np.clip(x_out + ahead * side * right + aside * down, 0, width - 1)
                far = labels[y_far, x_far].astype(np.int64)
                beyond = np.maximum(beyond, np.where(far == label, 0, far))
            other = np.where(other == 0, beyond, other)
            parts.append((label, other, 2 * x_in + side * right, 2 * y_in + side * down))
    found = _Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return found.select(np.argsort(found.label, kind="stable"))


def _others_in_hulls(labels: Integer[np.ndarray, "h w"], outline: _Points) -> _Points:
    """Find the pixels of other particles whose centers are in the convex hulls of outlines."""
    points = np.stack([outline.x, outline.y], axis=1).astype(np.int32)
    first = np.flatnonzero(np.diff(outline.label, prepend=0))
    none = np.zeros(0, np.int64)
    parts = [(none, none, none, none)]
    for label, part in zip(outline.label[first], np.split(points, first[1:]), strict=True):
        hull = cv2.convexHull(part)[:, 0]
        left, top, width, height = cv2.boundingRect(hull)
        left, top = left // 2, top // 2
        window = labels[top : top + height // 2 + 2, left : left + width // 2 + 2]
        # OpenCV fills polygons to within a pixel, so test the centers near the outline exactly
        filled = np.zeros(window.shape, np.uint8)
        cv2.fillConvexPoly(filled, hull - (2 * left, 2 * top), 1, shift=1)
        others = (window != label) & (window > 0)
        inner = cv2.erode(filled, _BLOCK, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        near_y, near_x = np.nonzero(others & (cv2.dilate(filled, _BLOCK) > 0) & ~inner)
        inside = _are_in_polygon(hull, 2 * (near_x + left), 2 * (near_y + top))
        inner &= others
        inner[near_y[inside], near_x[inside]] = True
        y, x = np.nonzero(inner)
        x, y = x + left, y + top
        other = labels[y, x].astype(np.int64)
        parts.append((np.full(len(x), label), other, 2 * x, 2 * y))
    return _Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _are_in_polygon(
    polygon: Integer[np.ndarray, "n 2"], x: Int[np.ndarray, "k"], y: Int[np.ndarray, "k"]
) -> Bool[np.ndarray, "k"]:
    """Return whether points are inside a convex polygon, not on its outline."""
    # Distances to the lines through the edges, times the lengths of these
    corners = polygon.astype(np.float64)
    (dx, dy), (x0, y0) = (corners[np.arange(1 - len(corners), 1)] - corners).T, corners.T
    lines = np.array([-dy, dx, dy * x0 - dx * y0])
    distances = np.array([x, y, np.ones(len(x))]).T @ lines
    to_one_side = (distances > 0).all(axis=1), (distances < 0).all(axis=1)
    return np.logical_or(*to_one_side)


def _pairs_in_front(outline: _Points, in_hull: _Points, count: int) -> Int[np.ndarray, "n"]:
    """Return the codes of pairs, in ascending order, of which the second particle is in front."""
    pairs, lengths = np.unique(outline.codes(count)[outline.other > 0], return_counts=True)
    covered = np.sort(in_hull.codes(count))
    swapped = pairs % count * count + pairs // count
    depths = _occurrences(covered, pairs) - _occurrences(covered, swapped)
    return pairs[depths > _LEAST_DEPTH_PX * lengths]


def _occurrences(
    ascending: Int[np.ndarray, "n"], values: Int[np.ndarray, "k"]
) -> Int[np.ndarray, "k"]:
    """Count how often values occur."""
    return np.searchsorted(ascending, values, "right") - np.searchsorted(ascending, values)


def _hidden_area(
    labels: Integer[np.ndarray, "h w"],
    area: int,
    own: _Points,
    under: _Points,
    is_front: Bool[np.ndarray, "n"],
) -> int:
    """Count the pixels of particles in front in the hull or the ellipse of one behind them."""
    ellipse = _fit_ellipse(own.x / 2, own.y / 2)
    if ellipse is None or ellipse.area > _LARGEST_AREA * area:
        return len(under.x)
    rows, columns = ellipse.window(labels.shape)
    window = labels[rows, columns]
    if window.size > _LARGEST_WINDOW * area:
        return len(under.x)
    y, x = np.ogrid[rows, columns]
    found = window[ellipse.contains(x, y)]
    visible = np.count_nonzero(found == own.label[0]) - np.count_nonzero(found == 0)
    if visible < _LEAST_AGREEMENT * area:
        return len(under.x)
    beside_ellipse = ~ellipse.contains(under.x / 2, under.y / 2)
    return int(np.count_nonzero(is_front[found]) + np.count_nonzero(beside_ellipse))


def _fit_ellipse(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> _Ellipse | None:
    """Fit an ellipse, the rounder the less the points determine it; None if there is none.

    Least squares of the algebraic distance at constant trace, with equations that favor circles
    (Gander, Golub and Strebel, "Least-squares fitting of circles and ellipses", BIT 34 (1994) 558,
    section 7.3).
    """
    if len(x) < _LEAST_POINTS:
        return None
    # Unknowns of (1 + p) x^2 + 2 q x y + (1 - p) y^2 + r x + s y + t = 0, in units of the spread
    count, mean_x, mean_y = len(x), x.mean(), y.mean()
    x, y = x - mean_x, y - mean_y
    unit = np.sqrt((x @ x + y @ y) / count)
    x, y = x / unit, y / unit
    xx, yy = x * x, y * y
    equations = np.array([xx - yy, 2 * x * y, x, y, np.ones(count)])
    circle = _CIRCLE_WEIGHT_PX2 / unit**2
    weights = np.array([circle, circle, _REGULARIZATION, _REGULARIZATION, _REGULARIZATION])
    normal = equations @ equations.T + np.diag(count * weights)
    p, q, r, s, t = np.linalg.solve(normal, -equations @ (xx + yy))
    determinant = 1 - p**2 - q**2
    if not determinant > 0:
        return None
    # Move the origin to the center, where the linear terms vanish
    x0 = (q * s - (1 - p) * r) / (2 * determinant)
    y0 = (q * r - (1 + p) * s) / (2 * determinant)
    level = -(r * x0 + s * y0) / 2 - t
    if not level > 0:
        return None
    scale = 1 / (level * unit**2)
    return _Ellipse(
        x0=float(mean_x + unit * x0),
        y0=float(mean_y + unit * y0),
        xx=float((1 + p) * scale),
        xy=float(q * scale),
        yy=float((1 - p) * scale),
    )

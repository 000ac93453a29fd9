"""Length and width of rods and bent wires."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize

_STEP_PX = 8  # longer steps cut corners of bends, shorter ones follow the staircase of pixels


def skeleton_length(mask: Bool[np.ndarray, "h w"], distance: Float[np.ndarray, "h w"]) -> float:
    """Compute the length of the longest path through the skeleton of a region.

    The skeleton (Zhang and Suen, Comm. ACM 27 (1984) 236) ends before the tips of the region, so
    both ends are extended to the outline.

    Parameters
    ----------
    mask : (h, w) one connected region with a margin of background
    distance : (h, w) distance to the background in pixels

    Returns
    -------
    length : length from tip to tip in pixels

    Examples
    --------
    >>> import numpy as np
    >>> from nanorender.measuring.distance import distance_to_background
    >>> mask = np.zeros((9, 50), bool)
    >>> mask[2:7, 5:45] = True
    >>> round(skeleton_length(mask, distance_to_background(mask)))
    40
    """
    # Thin the region to its longest path.
    y, x = np.nonzero(skeletonize(mask))
    if len(y) == 0:  # too thin to be thinned
        return float(2 * distance.max())
    path = _longest_path(y, x)
    y, x = y[path].astype(np.float64), x[path].astype(np.float64)

    # Measure the path as a polyline of long steps.
    knots = np.unique(np.append(np.arange(0, len(path), _STEP_PX), len(path) - 1))
    length = np.hypot(np.diff(y[knots]), np.diff(x[knots])).sum()

    # Extend both ends to the outline.
    points = np.stack([y, x], axis=1)
    back = min(max(_STEP_PX, round(float(distance.max()))), len(path) - 1)
    tips = [
        _to_the_outline(mask, points[end], points[end] - points[before])
        for end, before in ((0, back), (-1, -1 - back))
    ]
    return float(length + sum(tips))


def _to_the_outline(mask: np.ndarray, end: np.ndarray, direction: np.ndarray) -> float:
    """Return the distance from a point to the outline, to a tenth of a pixel."""
    size = np.hypot(*direction)
    if size == 0:
        return 0.5
    steps = np.arange(0, np.hypot(*mask.shape), 0.1)
    y, x = np.round(end[:, None] + direction[:, None] / size * steps).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < mask.shape[0]) & (x < mask.shape[1])
    inside[inside] = mask[y[inside], x[inside]]
    return float(steps[np.argmin(inside)])


def _longest_path(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the indices of the skeleton pixels along its longest shortest path.

    In a tree, the pixel farthest from any pixel is one end of it, and the pixel farthest from that
    end the other.
    """
    # Connect neighboring pixels.
    count = len(y)
    index = np.full((y.max() + 3, x.max() + 3), -1)
    index[y + 1, x + 1] = np.arange(count)
    start, end, length = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbor = index[y + 1 + down, x + 1 + right]
        joined = np.flatnonzero(neighbor >= 0)
        start.append(joined)
        end.append(neighbor[joined])
        length.append(np.full(len(joined), np.hypot(down, right)))
    graph = csr_array(
        (np.concatenate(length), (np.concatenate(start), np.concatenate(end))), (count, count)
    )

    # Find both ends.
    reach = dijkstra(graph, directed=False, indices=0)
    first = int(np.argmax(np.where(np.isfinite(reach), reach, -1)))
    reach, before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
    pixel = int(np.argmax(np.where(np.isfinite(reach), reach, -1)))

    # Trace the path back from the second end.
    path = [pixel]
    while pixel != first:
        pixel = int(before[pixel])
        path.append(pixel)
    return np.array(path)


def capsule_width(area: int, length: float) -> float:
    """Compute the width of a rod with round ends from its area and length.

    The area of a capsule is width length - (1 - pi / 4) width^2.

    Parameters
    ----------
    area : area in square pixels
    length : length from tip to tip in pixels

    Returns
    -------
    width : width in pixels

    Examples
    --------
    >>> import numpy as np
    >>> round(capsule_width(round(10 * 30 + np.pi * 5**2), 40.0), 1)
    10.0
    """
    bulge = 1 - np.pi / 4
    root = max(length**2 - 4 * bulge * area, 0.0)
    return float((length - np.sqrt(root)) / (2 * bulge))

"""Colored overlays of label maps on micrographs, with different colors for neighbors."""

import colorsys

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, UInt8
from scipy import ndimage

from nanorender.measuring.contacts import nearby_pairs

# Distinguishable for color-blind readers (Okabe and Ito, Color Universal Design, 2008), no black.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
NEARBY_PX = 3  # largest gap between neighbors; their outlines nearly touch on the screen
FILL = 0.25
OUTLINES_ACROSS = 700  # width of outlines: image size divided by this, at least one pixel


def neighbor_colors(labels: Integer[np.ndarray, "h w"]) -> Int[np.ndarray, "n"]:
    """Color labels so that neighbors have different colors.

    Greedy coloring in smallest-last order (Matula and Beck, J. ACM 30, 417, 1983), which needs at
    most six colors on planar maps. The least used of the available colors is taken, which makes
    all colors about equally frequent.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    index into the palette for each label from 0 (background) to the largest

    Examples
    --------
    >>> colors = neighbor_colors(np.array([[1, 1, 2], [3, 3, 2]]))
    >>> len(set(colors[1:]))
    3
    """
    # Collect the neighbors of each label.
    neighbors: list[set[int]] = [set() for _ in range(int(labels.max(initial=0)) + 1)]
    for one, other in nearby_pairs(labels, NEARBY_PX).tolist():
        neighbors[one].add(other)
        neighbors[other].add(one)
    # Give each label the least used color that none of its neighbors has.
    colors = np.full(len(neighbors), -1)
    uses = [0] * len(OKABE_ITO)
    for label in reversed(_smallest_last(neighbors)):
        taken = {int(colors[other]) for other in neighbors[label]}
        allowed = [color for color in range(len(uses)) if color not in taken]
        if not allowed:
            allowed = [len(uses)]
            uses.append(0)
        colors[label] = min(allowed, key=uses.__getitem__)
        uses[colors[label]] += 1
    return colors


def _smallest_last(neighbors: list[set[int]]) -> list[int]:
    """Order the labels by repeatedly removing one with the fewest remaining neighbors."""
    degree = [len(each) for each in neighbors]
    waiting: list[list[int]] = [[] for _ in range(max(degree) + 1)]
    for label, count in enumerate(degree):
        waiting[count].append(label)
    removed = [False] * len(neighbors)
    order = []
    fewest = 0
    while len(order) < len(neighbors):
        if not waiting[fewest]:
            fewest += 1
            continue
        label = waiting[fewest].pop()
        if removed[label] or degree[label] != fewest:
            continue  # moved to another list when it lost a neighbor
        removed[label] = True
        order.append(label)
        for other in neighbors[label]:
            if not removed[other]:
                degree[other] -= 1
                waiting[degree[other]].append(other)
        fewest = max(0, fewest - 1)
    return order


def palette(count: int) -> UInt8[np.ndarray, "count 3"]:
    """List distinct colors: those of Okabe and Ito, then hues spaced by the golden ratio.

    Parameters
    ----------
    count : number of colors

    Returns
    -------
    (count, 3) RGB values

    Examples
    --------
    >>> palette(2)
    array([[230, 159,   0],
           [ 86, 180, 233]], dtype=uint8)
    """
    extra = [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index * 0.618 % 1, 0.55, 0.95))
        for index in range(count - len(OKABE_ITO))
    ]
    return np.array([*OKABE_ITO, *extra][:count], np.uint8).reshape(count, 3)


def to_uint8(image: Integer[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Convert a gray image to 8 bits.

    Parameters
    ----------
    image : (h, w) gray image

    Returns
    -------
    8-bit images unchanged; others scaled from their minimum and maximum to 0 and 255

    Examples
    --------
    >>> to_uint8(np.array([[1000, 2000, 3000]], np.uint16))
    array([[  0, 128, 255]], dtype=uint8)
    """
    if image.dtype == np.uint8:
        return image
    low, high = int(image.min()), int(image.max())
    return np.round((image.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)


def overlay(
    image: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the outlines of particles on an image, and tint the particles.

    Parameters
    ----------
    image : (h, w) gray image
    labels : (h, w) label map

    Returns
    -------
    (h, w, 3) RGB image

    Examples
    --------
    >>> overlay(np.full((1, 2), 90, np.uint8), np.array([[0, 1]])).tolist()
    [[[90, 90, 90], [86, 180, 233]]]
    """
    colors = neighbor_colors(labels)
    rgb = palette(int(colors.max()) + 1)[colors][labels].astype(np.float32)
    opacity = np.where(labels > 0, FILL, 0.0)
    opacity[inner_edges(labels, max(1, round(max(labels.shape) / OUTLINES_ACROSS)))] = 1.0
    gray = to_uint8(image)[..., None].astype(np.float32)
    blend = gray + opacity[..., None].astype(np.float32) * (rgb - gray)
    return np.round(blend).astype(np.uint8)


def inner_edges(labels: Integer[np.ndarray, "h w"], width_px: int) -> Bool[np.ndarray, "h w"]:
    """Find the pixels of particles near another label or the background.

    Parameters
    ----------
    labels : (h, w) label map
    width_px : largest distance along rows, columns and diagonals

    Returns
    -------
    (h, w) mask

    Examples
    --------
    >>> inner_edges(np.array([[1, 1, 1, 2, 2]]), 1).astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    size = 2 * width_px + 1
    highest = ndimage.maximum_filter(labels, size, mode="nearest")
    lowest = ndimage.minimum_filter(labels, size, mode="nearest")
    return (labels > 0) & (highest != lowest)


def number_places(labels: Integer[np.ndarray, "h w"]) -> Float[np.ndarray, "n 3"]:
    """Find where to write the number of each particle.

    The position is the pixel farthest from the particle's edge. Unlike the centroid, it lies
    inside bent particles.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    (n, 3) label, x and y of each particle, in pixels

    Examples
    --------
    >>> number_places(np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]))
    array([[1. , 2.5, 1.5]])
    """
    places = []
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(labels[box] == index + 1, 1)))
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        places.append((index + 1, box[1].start + column - 0.5, box[0].start + row - 0.5))
    return np.array(places, np.float64).reshape(-1, 3)

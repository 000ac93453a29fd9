"""Colored overlays of label maps on micrographs, neighbors never in the same color."""

import colorsys

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, UInt8
from scipy import ndimage

from nanorender.measuring.contacts import nearby_pairs

# Told apart by color-blind readers (Okabe and Ito, Color Universal Design, 2008); black left out.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
NEARBY_PX = 3  # particles this close count as neighbors: their outlines nearly touch on the screen
FILL = 0.25
OUTLINES_ACROSS = 700  # an outline is one pixel wide for every so many pixels of the image


def neighbor_colors(labels: Integer[np.ndarray, "h w"]) -> Int[np.ndarray, "n"]:
    """Return a color number for every label, 0 to the largest, neighbors never alike.

    Greedy coloring in smallest-last order (Matula and Beck, J. ACM 30, 417, 1983), which needs at
    most six colors on planar maps; among the allowed colors the one used least is taken, so
    that the colors come out equally frequent.
    """
    neighbors: list[set[int]] = [set() for _ in range(int(labels.max(initial=0)) + 1)]
    for one, other in nearby_pairs(labels, NEARBY_PX).tolist():
        neighbors[one].add(other)
        neighbors[other].add(one)

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
    """Return the labels in the order in which they are removed, fewest neighbors left first."""
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
            continue  # waits in another list since it lost a neighbor
        removed[label] = True
        order.append(label)
        for other in neighbors[label]:
            if not removed[other]:
                degree[other] -= 1
                waiting[degree[other]].append(other)
        fewest = max(0, fewest - 1)
    return order


def palette(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Return `count` RGB colors: Okabe and Ito's, then hues by the golden ratio where needed."""
    extra = [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index * 0.618 % 1, 0.55, 0.95))
        for index in range(count - len(OKABE_ITO))
    ]
    return np.array([*OKABE_ITO, *extra][:count], np.uint8).reshape(count, 3)


def to_uint8(image: Integer[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Return the gray image in 8 bits: as it is, or 16 bits stretched from darkest to brightest."""
    if image.dtype == np.uint8:
        return image
    low, high = int(image.min()), int(image.max())
    return np.round((image.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)


def overlay(
    image: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the gray image in RGB, every particle outlined and tinted in its color."""
    colors = neighbor_colors(labels)
    rgb = palette(int(colors.max()) + 1)[colors][labels].astype(np.float32)
    opacity = np.where(labels > 0, FILL, 0.0)
    opacity[inner_edges(labels, max(1, round(max(labels.shape) / OUTLINES_ACROSS)))] = 1.0
    gray = to_uint8(image)[..., None].astype(np.float32)
    blend = gray + opacity[..., None].astype(np.float32) * (rgb - gray)
    return np.round(blend).astype(np.uint8)


def inner_edges(labels: Integer[np.ndarray, "h w"], width_px: int) -> Bool[np.ndarray, "h w"]:
    """Return which pixels of particles lie within `width_px` of another label or background."""
    size = 2 * width_px + 1
    highest = ndimage.maximum_filter(labels, size, mode="nearest")
    lowest = ndimage.minimum_filter(labels, size, mode="nearest")
    return (labels > 0) & (highest != lowest)


def number_places(labels: Integer[np.ndarray, "h w"]) -> Float[np.ndarray, "n 3"]:
    """Return (label, x, y) in pixels for every particle: where its number is best written.

    The place is the pixel farthest from the particle's edge, which lies inside even where the
    centroid of a bent particle does not.
    """
    places = []
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(labels[box] == index + 1, 1)))
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        places.append((index + 1, box[1].start + column - 0.5, box[0].start + row - 0.5))
    return np.array(places, np.float64).reshape(-1, 3)

"""Amodal outlines of particles: areas and Feret diameters, hidden parts included."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32

from nanorender.jit import kernel, subroutine
from nanorender.labeling.feret import convex_hull, feret_diameters
from nanorender.labeling.masks import first_and_last, whole_masks
from nanorender.scenes.scene import Scene, View
from nanorender.tracing.instances import Instances, camera_from_scene, view_middle_nm


class Outlines(NamedTuple):
    """Properties of outlines on the grid of pixels, continued beyond the frame.

    Attributes
    ----------
    row : (k) the particle's row in the scene
    center_nm : (k, 2) projected center x, y of the particle, from the view's upper left corner
    area_px : (k) number of pixel centers inside the outline
    min_feret_px, max_feret_px : (k) smallest and largest distance of parallel tangents to the hull
        of these pixel centers, plus one pixel for the mean extent of the outline beyond them
    """

    row: Int[np.ndarray, "k"]
    center_nm: Float[np.ndarray, "k 2"]
    area_px: Int[np.ndarray, "k"]
    min_feret_px: Float[np.ndarray, "k"]
    max_feret_px: Float[np.ndarray, "k"]


def amodal_outlines(
    scene: Scene,
    instances: Instances,
    view: View,
    seen: Int32[np.ndarray, "h w"],
    rows: Int[np.ndarray, "k"],
) -> Outlines:
    """Measure the outlines of particles as if each were alone on the substrate.

    Parameters
    ----------
    scene
        Scene with the particles.
    instances, view, seen, rows
        As in `masks.whole_masks`.

    Returns
    -------
    Outlines
        One row for each of `rows`.
    """
    area, min_feret, max_feret = _measured(whole_masks(instances, view, seen, rows))
    center = (scene.particles.center_nm[rows] - view_middle_nm(view)) @ camera_from_scene(view).T
    corner = np.array([view.width_px, view.height_px]) * view.pixel_size_nm / 2
    return Outlines(rows, center[:, :2] + corner, area, min_feret, max_feret)


@kernel
def _measured(masks):
    """Return area, minimum and maximum Feret diameter of each mask, in pixels."""
    count = masks.first.size - 1
    area = np.zeros(count, np.int64)
    min_feret, max_feret = np.zeros(count), np.zeros(count)
    for k in range(count):
        points, area[k] = _outer_points(masks, masks.first[k], masks.first[k + 1])
        narrowest, longest = feret_diameters(convex_hull(points))
        min_feret[k], max_feret[k] = narrowest + 1, longest + 1
    return area, min_feret, max_feret


@subroutine
def _outer_points(masks, start, stop):
    """Return column and row of the first and last set pixel of runs, and the number of pixels."""
    points = np.empty((2 * (stop - start), 2), np.int64)
    count = area = 0
    for i in range(start, stop):
        run = masks.member[masks.start[i] : masks.start[i + 1]]
        inside = np.int32(0)
        for c in range(run.size):
            inside += np.int32(run[c])
        if inside == 0:
            continue
        area += inside
        low, high = first_and_last(run)
        points[count, 0], points[count + 1, 0] = masks.left[i] + low, masks.left[i] + high
        points[count, 1] = points[count + 1, 1] = i
        count += 2
    return points[:count], area

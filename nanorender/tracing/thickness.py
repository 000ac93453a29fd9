"""Projected thickness: path length through each particle of rays along the beam."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from nanorender.jit import kernel, subroutine
from nanorender.scenes.scene import View
from nanorender.tracing.instances import Instances, Items
from nanorender.tracing.march import BLOCK, march_block, new_block
from nanorender.tracing.raymarch import column_range, row_range

_FAR = np.float32(1e30)
_ZERO = np.float32(0)
_ONE = np.float32(1)


class ContrastBands(NamedTuple):
    """Variation of the contrast within each particle, along a direction in the image.

    Attributes
    ----------
    direction : (n, 2) unit vector x, y
    twin_offset_nm : (n,) distance of the twin boundary from the middle of the particle
    twin_contrast : (n,) relative change beyond the boundary; before it, the opposite
    bend_offset_nm : (n,) distance of the bend contour from the middle of the particle
    bend_width_nm : (n,) width of the bend contour, above 0
    bend_contrast : (n,) relative change in the middle of the bend contour
    """

    direction: Float32[np.ndarray, "n 2"]
    twin_offset_nm: Float32[np.ndarray, "n"]
    twin_contrast: Float32[np.ndarray, "n"]
    bend_offset_nm: Float32[np.ndarray, "n"]
    bend_width_nm: Float32[np.ndarray, "n"]
    bend_contrast: Float32[np.ndarray, "n"]


def no_bands(count: int) -> ContrastBands:
    """Return bands without contrast for `count` particles.

    Parameters
    ----------
    count : number of particles

    Returns
    -------
    ContrastBands
        Bands of contrast 0.
    """
    zero = np.zeros(count, np.float32)
    return ContrastBands(np.zeros((count, 2), np.float32), zero, zero, zero, zero + _ONE, zero)


def projected_thickness(
    instances: Instances,
    view: View,
    weights: Float[np.ndarray, "n k"],
    bands: ContrastBands,
) -> Float32[np.ndarray, "k h w"]:
    """Return the sum over particles of weight times thickness along each ray.

    The thickness of a particle is the distance from where a ray enters it to where it leaves it, so
    that gaps inside a particle count as matter. Particles that overlap in the image add up.

    Parameters
    ----------
    instances : particles placed in the field of view
    view : camera
    weights : (n, k) weights of each particle of the scene; the bands change the first one
    bands : variation of the first weight within each particle

    Returns
    -------
    numpy.ndarray
        (k, h, w) weighted thickness, in nm times the unit of the weights.
    """
    order = np.argsort(instances.items.particle, kind="stable")
    upright = Instances(Items(*(column[order] for column in instances.items)), instances.placed)
    return _project(
        upright,
        _upside_down(upright),
        np.asarray(weights, np.float32),
        bands,
        np.float32(view.pixel_size_nm),
        np.empty((view.height_px, view.width_px), np.float32),
        np.empty((view.height_px, view.width_px), np.float32),
    )


def _upside_down(instances: Instances) -> Instances:
    """Return the mirror image at the plane z = 0, in which rays from above meet the underside."""
    items, placed = instances
    flip = np.array([1, 1, -1], np.float32)
    planes = placed.planes.copy()
    planes[:, :, 2] *= -1
    # Bounds reach as far below the origin as above it
    items = items._replace(origin=items.origin * flip, top=items.top - 2 * items.origin[:, 2])
    placed = placed._replace(center=placed.center * flip, axes=placed.axes * flip, planes=planes)
    return Instances(items, placed)


@kernel
def _project(upright, mirrored, weights, bands, pixel_size, upper, lower):
    """Trace each particle alone from above and from below, and add the distance between.

    upper, lower: (h, w) buffers of the heights where rays enter and leave a particle
    """
    items = upright.items
    height, width = upper.shape
    projected = np.zeros((weights.shape[1], height, width), np.float32)
    upper[:], lower[:] = -_FAR, -_FAR
    blocks = new_block(), new_block(), new_block()
    t = 0
    while t < items.particle.size:
        first, row = t, items.particle[t] - 1
        while t < items.particle.size and items.particle[t] - 1 == row:
            _trace_alone(upright.items, t, upright.placed, pixel_size, blocks, upper)
            _trace_alone(mirrored.items, t, mirrored.placed, pixel_size, blocks, lower)
            t += 1
        for item in range(first, t):
            _add_item(projected, upper, lower, items, item, first, weights[row], bands, pixel_size)
    return projected


@subroutine
def _trace_alone(items, t, placed, pixel_size, blocks, surface):
    """Raise `surface` to item t, ignoring all other items."""
    height, width = surface.shape
    rays, floor, pixel = blocks[0].rays, blocks[0].floor, blocks[0].pixel
    flat = surface.ravel()
    ox, oy, oz = items.origin[t, 0], items.origin[t, 1], items.origin[t, 2]
    r0, r1 = row_range(items, t, pixel_size, height)
    count = np.int64(0)  # a literal 0 would be compiled for on its own
    for r in range(max(0, r0), min(height, r1)):
        y = np.float32((r + 0.5 - height / 2) * pixel_size) - oy
        c0, c1 = column_range(items, t, r, pixel_size, height, width)
        for c in range(max(0, c0), min(width, c1)):
            rays.x[count] = np.float32((c + 0.5 - width / 2) * pixel_size) - ox
            rays.y[count] = y
            rays.z[count] = items.top[t] - oz
            floor[count] = -_FAR  # nothing hides it
            pixel[count] = r * width + c
            count += 1
            if count == BLOCK:
                reached = march_block(items, t, placed, pixel_size, blocks, count)
                _raise(flat, blocks[2], reached, oz)
                count = np.int64(0)
    if count:
        reached = march_block(items, t, placed, pixel_size, blocks, count)
        _raise(flat, blocks[2], reached, oz)


@subroutine
def _raise(flat, arrived, reached, oz):
    for i in range(reached):
        pixel = arrived.pixel[i]
        flat[pixel] = max(flat[pixel], arrived.rays.z[i] + oz)


@subroutine
def _add_item(projected, upper, lower, items, t, first, weight, bands, pixel_size):
    """Add the thickness in the bounds of item t, and clear the buffers there.

    first: item at whose origin the middle of the particle is taken to be
    """
    height, width = upper.shape
    row = items.particle[t] - 1
    dx, dy = bands.direction[row, 0], bands.direction[row, 1]
    twin, bend = bands.twin_contrast[row], bands.bend_contrast[row]
    r0, r1 = row_range(items, t, pixel_size, height)
    for r in range(max(0, r0), min(height, r1)):
        y = np.float32((r + 0.5 - height / 2) * pixel_size) - items.origin[first, 1]
        c0, c1 = column_range(items, t, r, pixel_size, height, width)
        for c in range(max(0, c0), min(width, c1)):
            if upper[r, c] <= -_FAR:
                continue
            x = np.float32((c + 0.5 - width / 2) * pixel_size) - items.origin[first, 0]
            along = dx * x + dy * y
            contour = (along - bands.bend_offset_nm[row]) / bands.bend_width_nm[row]
            contrast = _ONE + bend * math.exp(-contour * contour)
            contrast += twin if along > bands.twin_offset_nm[row] else -twin
            thickness = max(upper[r, c] + lower[r, c], _ZERO)
            upper[r, c] = lower[r, c] = -_FAR
            projected[0, r, c] += weight[0] * thickness * contrast
            for j in range(1, weight.size):
                projected[j, r, c] += weight[j] * thickness

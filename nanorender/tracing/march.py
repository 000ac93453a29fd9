"""Ray marching: blocks of rays lowered to a convex primitive or to a smooth union of several."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from nanorender.jit import subroutine
from nanorender.scenes.primitives import Rays, enter, signed_distance

BLOCK = 1024
_MAX_STEPS = 512  # near misses take steps of a tenth of a pixel over tens of pixels
_SETTLED_PX = np.float32(0.002)  # a Newton step shorter than this ends a march
_NEAR_PX = np.float32(0.1)  # closer to a smooth union than this, steps are Newton's
_GRAZING = np.float32(0.1)  # smallest slope of such a step, which then moves at most one pixel

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_FLAT = np.float32(1e-6)
_FAR_BELOW = np.float32(-1e30)


class _Block(NamedTuple):
    """Rays towards one item, either under way or arrived at its surface.

    Attributes
    ----------
    rays : positions, distances and gradients, relative to the item's origin
    pixel : (n) flat index of each ray's pixel
    floor : (n) height that the ray's pixel holds already, nm above the item's origin
    slot : (n) index of the ray in the block before any were dropped
    part : (n) primitive hit
    """

    rays: Rays
    pixel: Int32[np.ndarray, "n"]
    floor: Float32[np.ndarray, "n"]
    slot: Int32[np.ndarray, "n"]
    part: Int32[np.ndarray, "n"]


@subroutine
def new_block():
    """Return an empty block of rays."""
    return _Block(
        Rays(
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
        ),
        np.empty(BLOCK, np.int32),
        np.empty(BLOCK, np.float32),
        np.empty(BLOCK, np.int32),
        np.zeros(BLOCK, np.int32),
    )


@subroutine
def _copy_ray(block, source, target):
    """Copy x, y and the pixel data of a ray within a block."""
    block.rays.x[target] = block.rays.x[source]
    block.rays.y[target] = block.rays.y[source]
    block.pixel[target] = block.pixel[source]
    block.floor[target] = block.floor[source]
    block.slot[target] = block.slot[source]


@subroutine
def _arrive(block, source, z, arrived, target):
    """Copy a ray that hit the surface, with its gradient, to the block of arrived rays."""
    arrived.rays.z[target] = z
    arrived.rays.gx[target] = block.rays.gx[source]
    arrived.rays.gy[target] = block.rays.gy[source]
    arrived.rays.gz[target] = block.rays.gz[source]
    arrived.pixel[target] = block.pixel[source]
    arrived.slot[target] = block.slot[source]
    arrived.part[target] = block.part[source]


@subroutine
def _step(block, active, settled, arrived, reached):
    """Lower each ray by its `distance`, which holds its step; drop rays below the floor or arrived.

    Returns the number of active rays and of arrived rays. Reorders the block.
    """
    rays, kept = block.rays, 0
    for i in range(active):
        step = rays.distance[i]
        z = rays.z[i] - step
        if z <= block.floor[i]:
            continue
        if abs(step) < settled:
            _arrive(block, i, z, arrived, reached)
            reached += 1
        else:
            _copy_ray(block, i, kept)
            rays.z[kept] = z
            kept += 1
    return kept, reached


@subroutine
def _drop_hidden(block, count):
    """Drop rays that enter nothing above their floor; return the number of active rays."""
    kept = 0
    for i in range(count):
        if block.rays.z[i] > block.floor[i]:
            _copy_ray(block, i, kept)
            block.rays.z[kept] = block.rays.z[i]
            kept += 1
    return kept


@subroutine
def _descend(placed, k, level, settled, block, count, arrived):
    """Lower rays to the surface distance = `level` of a convex primitive by Newton's method.

    The distance along a ray is convex, so steps from above never pass the surface, and a ray
    along which it grows misses. Returns the number of arrived rays. Reorders the block.
    """
    reached, rays = np.int64(0), block.rays  # a literal 0 would be compiled for on its own
    active = _drop_hidden(block, count)
    for _ in range(_MAX_STEPS):
        if active == 0:
            break
        signed_distance(placed, k, rays, active)
        for i in range(active):
            above, slope = rays.distance[i] - level, rays.gz[i]
            lost = slope <= _FLAT and above > _ZERO
            rays.distance[i] = -_FAR_BELOW if lost else above / max(slope, _FLAT)
        active, reached = _step(block, active, settled, arrived, reached)
    return reached


@subroutine
def _march_union(placed, first, last, smoothness, settled, near, block, count, each, arrived):
    """Lower rays to the smooth union of primitives first to last: sphere tracing.

    The quadratic smooth minimum (Quilez, "Smooth minimum", 2013) is 1-Lipschitz, so its value is
    a safe step; close to the surface Newton's step replaces it. Returns the number of arrived rays.
    """
    active, reached = count, np.int64(0)
    rays = block.rays
    share_scale = _HALF / smoothness
    for _ in range(_MAX_STEPS):
        if active == 0:
            break
        # Evaluate the first primitive
        signed_distance(placed, first, rays, active)
        for i in range(active):
            block.part[i] = 0
            each.floor[i] = rays.distance[i]
            each.rays.x[i] = rays.x[i]
            each.rays.y[i] = rays.y[i]
            each.rays.z[i] = rays.z[i]
        # Blend in the distances and gradients of the others
        for j in range(first + 1, last):
            signed_distance(placed, j, each.rays, active)
            for i in range(active):
                a, b = rays.distance[i], each.rays.distance[i]
                blend = max(smoothness - abs(a - b), _ZERO)
                share = share_scale * blend
                rays.distance[i] = min(a, b) - _HALF * share * blend
                share = _ONE - share if b < a else share
                rays.gx[i] += share * (each.rays.gx[i] - rays.gx[i])
                rays.gy[i] += share * (each.rays.gy[i] - rays.gy[i])
                rays.gz[i] += share * (each.rays.gz[i] - rays.gz[i])
                if b < each.floor[i]:
                    each.floor[i] = b
                    block.part[i] = j - first
        # Step by the distance, or by Newton's step close to the surface
        for i in range(active):
            above = rays.distance[i]
            rays.distance[i] = above / max(rays.gz[i], _GRAZING) if abs(above) < near else above
        active, reached = _step(block, active, settled, arrived, reached)
    return reached


@subroutine
def _start_union(placed, first, last, inflation, settled, block, count, each, arrived):
    """Set z of each ray to where it first hits an inflated primitive; drop rays that hit none.

    Outside of all inflated primitives, their smooth union is positive. Returns the number of
    active rays.
    """
    # Find the highest hit of each ray
    highest = np.full(count, _FAR_BELOW)
    for j in range(first, last):
        for i in range(count):
            each.rays.x[i], each.rays.y[i] = block.rays.x[i], block.rays.y[i]
            each.rays.z[i] = block.rays.z[i]
            each.floor[i] = max(block.floor[i], highest[i])
            each.slot[i] = i
        enter(placed, j, inflation, each.rays, count)
        reached = _descend(placed, j, inflation, settled, each, count, arrived)
        for i in range(reached):
            highest[arrived.slot[i]] = arrived.rays.z[i]
    # Drop rays without a hit
    kept = 0
    for i in range(count):
        if highest[i] > _FAR_BELOW:
            _copy_ray(block, i, kept)
            block.rays.z[kept] = highest[i]
            kept += 1
    return kept


@subroutine
def march_block(items, t, placed, pixel_size, blocks, count):
    """March the rays in `blocks[0]` to item t; hits occupy `blocks[2][:n_hits]`. Return n_hits."""
    block, each, arrived = blocks
    settled = _SETTLED_PX * pixel_size
    first, last = items.first[t], items.last[t]
    if last - first == 1:
        enter(placed, first, _ZERO, block.rays, count)
        return _descend(placed, first, _ZERO, settled, block, count, arrived)
    left = _start_union(
        placed, first, last, items.inflation[t], settled, block, count, each, arrived
    )
    near = _NEAR_PX * pixel_size
    return _march_union(
        placed, first, last, items.smoothness[t], settled, near, block, left, each, arrived
    )

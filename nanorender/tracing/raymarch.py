"""Ray marcher: the surface of a scene that is visible to a parallel camera."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from nanorender.jit import kernel, subroutine
from nanorender.scenes.scene import Scene, View
from nanorender.tracing.instances import Instances, build_instances
from nanorender.tracing.march import BLOCK, march_block, new_block
from nanorender.tracing.spans import Spans, whole_rows

_ONE = np.float32(1)
_FLAT = np.float32(1e-6)


class Surface(NamedTuple):
    """The visible surface. Without tilt, the frames of scene and camera coincide.

    Attributes
    ----------
    height_nm : (h, w) z of the visible point in the scene's frame, above the substrate at 0. With
        tilt, it equals the depth between point and substrate along the ray, times cos(tilt)
    normal : (3, h, w) unit normal x, y, z in the camera's frame, z towards the detector
    particle : (h, w) label of the particle, its row in the scene plus one; 0 on the substrate
    part : (h, w) index of the template's nearest primitive; 0 on the substrate
    pixel_size_nm : edge length of a pixel
    """

    height_nm: Float32[np.ndarray, "h w"]
    normal: Float32[np.ndarray, "3 h w"]
    particle: Int32[np.ndarray, "h w"]
    part: Int32[np.ndarray, "h w"]
    pixel_size_nm: float


class Buffers(NamedTuple):
    """Pixel buffers that tracing fills.

    Attributes
    ----------
    depth : (h, w) height of the nearest point so far in the camera's frame, nm
    normal, particle, part : as in `Surface`; normal and part of size 0 are not recorded
    """

    depth: Float32[np.ndarray, "h w"]
    normal: Float32[np.ndarray, "3 a b"]
    particle: Int32[np.ndarray, "h w"]
    part: Int32[np.ndarray, "a b"]


def trace(scene: Scene, view: View) -> Surface:
    """Trace one ray through the center of each pixel of a view.

    Parameters
    ----------
    scene
        Particles and templates; its own view is not used.
    view
        Field of view, number of pixels and tilt.

    Returns
    -------
    Surface
        The visible surface in the pixels of `view`.

    Examples
    --------
    >>> import numpy as np
    >>> from nanorender.recipe import read_recipe
    >>> from nanorender.scenes.scene import sample_scene
    >>> scene = sample_scene(read_recipe("tio2"), np.random.default_rng(0))
    >>> surface = trace(scene, scene.view.resampled(64, 64))
    >>> surface.height_nm.shape, bool(surface.height_nm.max() > 0)
    ((64, 64), True)
    """
    return trace_instances(build_instances(scene, view), view)


def trace_instances(instances: Instances, view: View) -> Surface:
    """Trace instances that were built for the field of view of `view`.

    Parameters
    ----------
    instances
        From `build_instances` for the same field of view, in any number of pixels.
    view
        Field of view, number of pixels and tilt.

    Returns
    -------
    Surface
        The visible surface in the pixels of `view`.
    """
    tilt = math.radians(view.tilt_deg)
    shape = (view.height_px, view.width_px)
    substrate = substrate_depth_nm(view)[:, None]
    normal = np.zeros((3, *shape), np.float32)
    normal[1], normal[2] = -math.sin(tilt), math.cos(tilt)
    buffers = Buffers(
        depth=np.repeat(substrate, shape[1], axis=1),
        normal=normal,
        particle=np.zeros(shape, np.int32),
        part=np.zeros(shape, np.int32),
    )
    trace_spans(instances, view, whole_rows(*shape), buffers)
    height = buffers.depth
    if tilt:
        height = (height - substrate) * np.float32(math.cos(tilt))
    return Surface(height, normal, buffers.particle, buffers.part, view.pixel_size_nm)


def trace_spans(instances: Instances, view: View, spans: Spans, buffers: Buffers) -> None:
    """Trace the pixels of some spans, in place.

    Parameters
    ----------
    instances
        From `build_instances` for the field of view of `view`.
    view
        Field of view, number of pixels and tilt.
    spans
        The pixels to trace.
    buffers
        Updated where a surface is nearer than the one recorded; start from `substrate_depth_nm`
        and label 0.
    """
    _trace(*instances, np.float32(view.pixel_size_nm), spans, buffers)


def substrate_depth_nm(view: View) -> Float32[np.ndarray, "h"]:
    """Return the height of the substrate in each row of pixels, in the camera's frame.

    Parameters
    ----------
    view
        The camera's frame has its origin in the middle of the view.

    Returns
    -------
    (h) array
        Heights in nm; all 0 without tilt.
    """
    rows = (np.arange(view.height_px) + 0.5 - view.height_px / 2) * view.pixel_size_nm
    return rows.astype(np.float32) * np.float32(math.tan(math.radians(view.tilt_deg)))


@subroutine
def row_range(items, t, pixel_size, height):
    """Return first and last row, exclusive, of the pixels in the bounds of item t.

    Pixel (r, c) is centered at ((c + 1/2 - width/2) p, (r + 1/2 - height/2) p); ranges are not
    clipped to the frame.
    """
    middle, reach = items.origin[t, 1] / pixel_size, items.reach[t, 1] / pixel_size
    offset = height / 2 - 0.5
    return math.ceil(middle - reach + offset), math.floor(middle + reach + offset) + 1


@subroutine
def column_range(items, t, r, pixel_size, height, width):
    """Return first and last column, exclusive, of the pixels of row r in the bounds of item t."""
    y = np.float32((r + 0.5 - height / 2) * pixel_size) - items.origin[t, 1]
    reach = items.reach[t, 0]
    left, right = _row_span(items.strips[t], y, -reach, reach)
    middle, offset = items.origin[t, 0], width / 2 - 0.5
    c0 = math.ceil((middle + left) / pixel_size + offset)
    return c0, max(c0, math.floor((middle + right) / pixel_size + offset) + 1)


@subroutine
def _row_span(strips, y, left, right):
    """Intersect a row with the three strips (normal x, normal y, half width) about the origin."""
    for s in range(3):
        nx, ny, half = strips[s, 0], strips[s, 1], strips[s, 2]
        if abs(nx) > _FLAT:
            middle, reach = -ny * y / nx, half / abs(nx)
            left = max(left, middle - reach)
            right = min(right, middle + reach)
        elif abs(ny * y) > half:
            right = left - _ONE
    return left, right


@kernel
def _trace(items, placed, pixel_size, spans, buffers):
    """Trace all items, highest first, in blocks of the rays that nothing nearer hides."""
    height, width = buffers.depth.shape
    blocks = new_block(), new_block(), new_block()
    rays, floor, pixel = blocks[0].rays, blocks[0].floor, blocks[0].pixel
    for t in range(items.first.size):
        top = items.top[t]
        ox, oy, oz = items.origin[t, 0], items.origin[t, 1], items.origin[t, 2]
        r0, r1 = row_range(items, t, pixel_size, height)
        count = np.int64(0)  # a literal 0 would be compiled for on its own
        for r in range(max(0, r0), min(height, r1)):
            # Find the spans of the row in the bounds of the item
            start = spans.start[spans.first[r] : spans.last[r]]
            stop = spans.stop[spans.first[r] : spans.last[r]]
            if start.size == 0:
                continue
            depth, y = buffers.depth[r], np.float32((r + 0.5 - height / 2) * pixel_size) - oy
            c0, c1 = column_range(items, t, r, pixel_size, height, width)
            c0, c1 = max(0, c0), min(width, c1)
            if c0 >= c1:
                continue
            for n in range(np.searchsorted(stop, c0 + 1), start.size):
                if start[n] >= c1:
                    break
                # Gather the rays that may meet the item above what their pixels hold
                for c in range(max(c0, start[n]), min(c1, stop[n])):
                    if depth[c] < top:
                        rays.x[count] = np.float32((c + 0.5 - width / 2) * pixel_size) - ox
                        rays.y[count] = y
                        rays.z[count] = top - oz
                        floor[count] = depth[c] - oz
                        pixel[count] = r * width + c
                        count += 1
                        if count == BLOCK:
                            _march(items, t, placed, pixel_size, blocks, count, buffers)
                            count = np.int64(0)
        # March the remaining rays
        if count:
            _march(items, t, placed, pixel_size, blocks, count, buffers)


@subroutine
def _march(items, t, placed, pixel_size, blocks, count, buffers):
    """March a block of rays towards item t and record hits nearer than those in the buffers."""
    reached = march_block(items, t, placed, pixel_size, blocks, count)
    lone, arrived = items.last[t] - items.first[t] == 1, blocks[2]
    depth, particle, part = buffers.depth.ravel(), buffers.particle.ravel(), buffers.part.ravel()
    normal = buffers.normal.reshape(3, -1)
    for i in range(reached):
        pixel = arrived.pixel[i]
        height = arrived.rays.z[i] + items.origin[t, 2]
        if height > depth[pixel]:
            depth[pixel] = height
            particle[pixel] = items.particle[t]
            if part.size == 0:
                continue
            part[pixel] = items.part[t] if lone else arrived.part[i]
            gx, gy, gz = arrived.rays.gx[i], arrived.rays.gy[i], arrived.rays.gz[i]
            scale = _ONE / math.sqrt(gx * gx + gy * gy + gz * gz)
            normal[0, pixel] = gx * scale
            normal[1, pixel] = gy * scale
            normal[2, pixel] = gz * scale

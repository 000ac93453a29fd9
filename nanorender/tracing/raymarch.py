"""The ray marcher: from a scene to what each pixel of a parallel camera sees."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from nanorender.jit import kernel, subroutine
from nanorender.scenes.scene import Scene, View
from nanorender.tracing.instances import Instances, build_instances
from nanorender.tracing.march import BLOCK, hits, new_block
from nanorender.upsampling.cells import one_cell

_ONE = np.float32(1)
_FLAT = np.float32(1e-6)


class Surface(NamedTuple):
    """What each pixel sees. Without tilt, the frames of the scene and of the camera are the same.

    height_nm: (h, w) z of the point in the scene, above the substrate at 0. With tilt, it is also
        the depth between substrate and point along the ray, times the cosine of the tilt.
    normal: (3, h, w) unit normal x, y, z in the camera's frame, z towards the detector
    particle: (h, w) label of the particle: its row plus one; 0 on the substrate
    part: (h, w) primitive of the template that is nearest to the point, from 0; 0 on the substrate
    pixel_size_nm: edge length of a pixel
    """

    height_nm: Float32[np.ndarray, "h w"]
    normal: Float32[np.ndarray, "3 h w"]
    particle: Int32[np.ndarray, "h w"]
    part: Int32[np.ndarray, "h w"]
    pixel_size_nm: float


class Buffers(NamedTuple):
    """The pixels while they are traced.

    depth: (h, w) height of the nearest point so far in the camera's frame, nm
    normal, particle, part: as in `Surface`; normal and part without pixels are not kept
    """

    depth: Float32[np.ndarray, "h w"]
    normal: Float32[np.ndarray, "3 h w"]
    particle: Int32[np.ndarray, "h w"]
    part: Int32[np.ndarray, "h w"]


def trace(scene: Scene, view: View) -> Surface:
    """Return the surface that `view` shows of a scene."""
    return trace_instances(build_instances(scene, view), view)


def trace_instances(instances: Instances, view: View) -> Surface:
    """Return the surface that `view` shows of a scene's instances, placed for its field of view."""
    tilt = math.radians(view.tilt_deg)
    buffers = empty_buffers(view)
    whole = one_cell(view.height_px, view.width_px)
    trace_cells(*instances, np.float32(view.pixel_size_nm), whole, buffers)
    height = buffers.depth
    if tilt:
        y = rows_nm(view)[:, None]
        height = (buffers.depth - y * np.float32(math.tan(tilt))) * np.float32(math.cos(tilt))
    return Surface(height, buffers.normal, buffers.particle, buffers.part, view.pixel_size_nm)


def empty_buffers(view: View) -> Buffers:
    """Return the buffers of a bare substrate."""
    tilt = math.radians(view.tilt_deg)
    shape = (view.height_px, view.width_px)
    depth = np.repeat(rows_nm(view)[:, None] * np.float32(math.tan(tilt)), shape[1], axis=1)
    normal = np.zeros((3, *shape), np.float32)
    normal[1], normal[2] = -math.sin(tilt), math.cos(tilt)
    return Buffers(depth, normal, np.zeros(shape, np.int32), np.zeros(shape, np.int32))


def rows_nm(view: View) -> Float32[np.ndarray, "h"]:
    """Return y of each row of pixels in the camera's frame, whose origin is the view's middle."""
    rows = (np.arange(view.height_px) + 0.5 - view.height_px / 2) * view.pixel_size_nm
    return rows.astype(np.float32)


@subroutine
def _keep_nearest(items, t, arrived, reached, buffers):
    """Keep what rays of item t met where it is nearer than what their pixels hold."""
    lone = items.last[t] - items.first[t] == 1
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


@subroutine
def row_range(items, t, pixel_size, height):
    """Return first and last row, exclusive, of the pixels in the bounds of item t.

    Pixel (r, c) is centered at ((c + 1/2 - width/2) p, (r + 1/2 - height/2) p); ranges are not cut
    to the frame.
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
    """Return where a row crosses a parallelogram-sided outline: the intersection of its strips.

    strips: (3, 3) normal x, y and half width of each strip about the origin
    """
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
def trace_cells(items, placed, pixel_size, cells, buffers):
    """Trace all items, highest first, in blocks of rays that something nearer does not hide."""
    height, width = buffers.depth.shape
    blocks = new_block(), new_block(), new_block()
    rays, floor, pixel = blocks[0].rays, blocks[0].floor, blocks[0].pixel
    for t in range(items.first.size):
        top = items.top[t]
        ox, oy, oz = items.origin[t, 0], items.origin[t, 1], items.origin[t, 2]
        r0, r1 = row_range(items, t, pixel_size, height)
        count = np.int64(0)  # a literal 0 would be compiled for on its own
        for r in range(max(0, r0), min(height, r1)):
            depth, a = buffers.depth[r], cells.row_cell[r]
            chosen = cells.chosen[cells.first_chosen[a] : cells.first_chosen[a + 1]]
            if chosen.size == 0:
                continue
            y = np.float32((r + 0.5 - height / 2) * pixel_size) - oy
            c0, c1 = column_range(items, t, r, pixel_size, height, width)
            c0, c1 = max(0, c0), min(width, c1)
            if c0 >= c1:
                continue
            for n in range(np.searchsorted(chosen, cells.column_cell[c0]), chosen.size):
                cell = chosen[n]
                if cell > cells.column_cell[c1 - 1]:
                    break
                start, stop = cells.column_edges[cell], cells.column_edges[cell + 1]
                for c in range(max(c0, start), min(c1, stop)):
                    if depth[c] < top:
                        rays.x[count] = np.float32((c + 0.5 - width / 2) * pixel_size) - ox
                        rays.y[count] = y
                        rays.z[count] = top - oz
                        floor[count] = depth[c] - oz
                        pixel[count] = r * width + c
                        count += 1
                        if count == BLOCK:
                            reached = hits(items, t, placed, pixel_size, blocks, count)
                            _keep_nearest(items, t, blocks[2], reached, buffers)
                            count = np.int64(0)
        if count:
            reached = hits(items, t, placed, pixel_size, blocks, count)
            _keep_nearest(items, t, blocks[2], reached, buffers)

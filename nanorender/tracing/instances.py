"""Particles in view as bounded primitives in the camera's frame."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from nanorender.scenes.primitives import PlacedPrimitives
from nanorender.scenes.scene import Particles, Scene, TemplateTable, View


class Items(NamedTuple):
    """Items to trace, highest top first: a primitive, or a smooth union of several.

    The primitives of a sharp union are separate items: the nearest one hides the others.

    Attributes
    ----------
    particle : (t) label of the particle
    part : (t) index in its template of the first primitive
    first, last : (t) range of rows of the placed primitives
    origin : (t, 3) center of the bounds in the camera's frame, nm; primitives are relative to it
    top : (t) upper bound of the item's height in the camera's frame, nm
    reach : (t, 2) half width and half height of its bounds, nm
    strips : (t, 3, 3) normal x, y and half width, nm, of three strips that contain its outline
    smoothness : (t) width of the smooth union, nm
    inflation : (t) greatest distance of the smooth union from the nearest primitive, nm
    """

    particle: Int32[np.ndarray, "t"]
    part: Int32[np.ndarray, "t"]
    first: Int64[np.ndarray, "t"]
    last: Int64[np.ndarray, "t"]
    origin: Float32[np.ndarray, "t 3"]
    top: Float32[np.ndarray, "t"]
    reach: Float32[np.ndarray, "t 2"]
    strips: Float32[np.ndarray, "t 3 3"]
    smoothness: Float32[np.ndarray, "t"]
    inflation: Float32[np.ndarray, "t"]


class Instances(NamedTuple):
    """Primitives that may be visible in a field of view, independent of the pixel size.

    Attributes
    ----------
    items : highest first
    placed : the primitives of all items
    """

    items: Items
    placed: PlacedPrimitives


def camera_from_scene(view: View) -> Float[np.ndarray, "3 3"]:
    """Return the rotation from the scene's frame to the camera's, about the middle of the view.

    The camera's x points right, y down, z from the substrate towards the detector.

    Parameters
    ----------
    view
        Only its tilt matters.

    Returns
    -------
    (3, 3) array
        Rotation matrix.
    """
    cosine, sine = math.cos(math.radians(view.tilt_deg)), math.sin(math.radians(view.tilt_deg))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def view_middle_nm(view: View) -> Float[np.ndarray, "3"]:
    """Return the point of the substrate in the middle of the view, the camera's origin.

    Parameters
    ----------
    view
        Field of view.

    Returns
    -------
    (3) array
        x, y, z in the scene's frame, nm.
    """
    return np.array(
        [
            view.left_nm + view.width_px * view.pixel_size_nm / 2,
            view.top_nm + view.height_px * view.pixel_size_nm / 2,
            0.0,
        ]
    )


def in_view(scene: Scene, view: View) -> Int64[np.ndarray, "k"]:
    """Return the rows of the particles that may be in view.

    Bounds are spheres about the particles' boxes, scaled to contain primitives that stick out.

    Parameters
    ----------
    scene
        Particles and templates.
    view
        Field of view and tilt.

    Returns
    -------
    (k) array
        Rows of the scene, ascending.
    """
    particles = scene.particles
    reach = (
        0.5
        * np.sqrt((particles.size_nm**2).sum(1))
        * _protrusion(scene.templates)[particles.template]
    )
    # A matrix product would start threads, which takes longer than the product.
    relative = particles.center_nm - view_middle_nm(view)
    center = np.einsum("ij,nj->ni", camera_from_scene(view), relative)
    half_width = view.width_px * view.pixel_size_nm / 2
    half_height = view.height_px * view.pixel_size_nm / 2
    return np.flatnonzero(
        (np.abs(center[:, 0]) <= half_width + reach) & (np.abs(center[:, 1]) <= half_height + reach)
    )


def _protrusion(templates: TemplateTable) -> Float[np.ndarray, "t"]:
    """Return the radius, in half diagonals of its box, of a sphere that contains each template.

    A primitive at c of extents e, scaled by a size s, stays within |c s| + |e| |s| / 2 of the
    center, and |c s| is at most max|c| |s|.
    """
    primitives = templates.primitives
    farthest = 2 * np.abs(primitives.center).max(1) + np.linalg.norm(primitives.extents, axis=1)
    reach = np.maximum.reduceat(farthest, templates.first[:-1])
    return reach + 2 * templates.smoothness


def build_instances(scene: Scene, view: View) -> Instances:
    """Build the items that may be in view, highest first, and their primitives.

    Parameters
    ----------
    scene
        Particles and templates.
    view
        Field of view and tilt; the number of pixels does not matter.

    Returns
    -------
    Instances
        For `trace_instances` and for labels.
    """
    # Find the primitives of the particles in view
    rows = in_view(scene, view)
    particles = Particles(*(column[rows] for column in scene.particles))
    templates = scene.templates
    first = templates.first[particles.template]
    count = templates.first[particles.template + 1] - first
    owner = np.repeat(np.arange(len(rows)), count)
    part = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    primitive = first[owner] + part

    # Transform them to the camera's frame
    to_camera = camera_from_scene(view)
    axes = to_camera @ particles.rotation
    center = (particles.center_nm - view_middle_nm(view)) @ to_camera.T
    smooth = (templates.smoothness[particles.template] > 0) & (count > 1)

    half, own_axes, offset = _stretched(templates, primitive, particles.size_nm[owner])
    shift = np.einsum("mij,mj->mi", axes[owner], offset)
    turned = axes[owner] @ own_axes
    width = templates.smoothness[particles.template] * particles.size_nm.min(1)
    inflation = np.where(smooth, width * _union_depth(count), 0.0)

    # Make items of single primitives and of smooth unions
    single = np.flatnonzero(~smooth[owner])
    lone_origin = center[owner[single]] + shift[single]
    unions = np.flatnonzero(smooth)
    middle, union_half = _union_box(owner, own_axes, offset, half, unions, inflation)
    union_origin = center[unions] + np.einsum("uij,uj->ui", axes[unions], middle)

    origin = np.concatenate([lone_origin, union_origin])
    box_axes = np.concatenate([turned[single], axes[unions]])
    box_half = np.concatenate([half[single], union_half])
    item_owner = np.concatenate([owner[single], unions])
    start = np.cumsum(count) - count
    item_first = np.concatenate([single, start[unions]])
    item_last = np.concatenate([single + 1, start[unions] + count[unions]])

    # Place the primitives of smooth unions relative to their item
    relative = np.zeros_like(shift)
    union_of = np.full(len(rows), -1)
    union_of[unions] = np.arange(len(unions))
    blended = np.flatnonzero(smooth[owner])
    relative[blended] = (
        center[owner[blended]] + shift[blended] - union_origin[union_of[owner[blended]]]
    )

    # Sort the items by the top of their bounds
    reach = np.einsum("tij,tj->ti", np.abs(box_axes), box_half)
    order = np.argsort(-(origin[:, 2] + reach[:, 2]), kind="stable")
    items = Items(
        particle=(rows[item_owner] + 1).astype(np.int32),
        part=np.concatenate([part[single], np.zeros(len(unions), int)]).astype(np.int32),
        first=item_first,
        last=item_last,
        origin=origin.astype(np.float32),
        top=(origin[:, 2] + reach[:, 2]).astype(np.float32),
        reach=reach[:, :2].astype(np.float32),
        strips=_strips(box_axes, box_half),
        smoothness=width[item_owner].astype(np.float32),
        inflation=inflation[item_owner].astype(np.float32),
    )
    rounding = templates.primitives.rounding[primitive] * half.min(1)
    placed = PlacedPrimitives(
        kind=templates.primitives.kind[primitive].astype(np.int32),
        center=relative.astype(np.float32),
        axes=np.ascontiguousarray(turned.transpose(0, 2, 1), np.float32),
        half=half.astype(np.float32),
        rounding=rounding.astype(np.float32),
        planes=_turned_planes(templates, primitive, half, turned),
        facets=templates.primitives.facets[primitive].astype(np.int32),
    )
    return Instances(Items(*(column[order] for column in items)), placed)


def _stretched(templates: TemplateTable, primitive, size_nm):
    """Return half edges, axes (as columns) and centers in the particle's frame, in nm.

    An edge is scaled like a line along it, so boxes remain boxes.
    """
    rotation = templates.primitives.rotation[primitive]
    stretch = np.linalg.norm(size_nm[:, :, None] * rotation, axis=1)
    half = templates.primitives.extents[primitive] * stretch / 2
    return half, rotation, templates.primitives.center[primitive] * size_nm


def _union_depth(count):
    """Return the depth of the smooth minimum of `count` equal values, in smoothing widths."""
    depths = [0.0, 0.0]
    for _ in range(int(count.max(initial=1))):
        depths.append(depths[-1] + (1 - depths[-1]) ** 2 / 4)
    return np.array(depths)[count]


def _union_box(owner, own_axes, offset, half, unions, inflation):
    """Return center and half edges, in the particle's frame, of a box around each smooth union."""
    reach = np.einsum("mij,mj->mi", np.abs(own_axes), half)
    low, high = np.empty((2, len(unions), 3))
    starts = np.searchsorted(owner, unions)
    ends = np.searchsorted(owner, unions, side="right")
    for u, (start, end) in enumerate(zip(starts, ends, strict=True)):
        low[u] = (offset[start:end] - reach[start:end]).min(0)
        high[u] = (offset[start:end] + reach[start:end]).max(0)
    grown = (high - low) / 2 + inflation[unions, None]
    return (high + low) / 2, grown


def _strips(axes, half) -> Float32[np.ndarray, "t 3 3"]:
    """Return the strips whose intersection is the outline of each box, projected along z.

    The outline has edges along the three axes of the box; each pair of edges bounds a strip.
    """
    flat = axes[:, :2, :]
    normal = np.stack([-flat[:, 1], flat[:, 0]], axis=2)
    width = np.einsum("tsj,tj->ts", np.abs(np.einsum("tsk,tkj->tsj", normal, flat)), half)
    return np.concatenate([normal, width[:, :, None]], axis=2).astype(np.float32)


def _turned_planes(templates: TemplateTable, primitive, half, axes) -> Float32[np.ndarray, "m p 4"]:
    """Return the facets scaled to the box and rotated to the camera's frame.

    n . p <= d in the unit box, with p = q / e, is (n / e) . q <= d.
    """
    planes = templates.primitives.planes[primitive]
    normal = planes[:, :, :3] / (2 * half[:, None, :])
    length = np.linalg.norm(normal, axis=2, keepdims=True)
    length[length == 0] = 1
    turned = np.einsum("mij,mpj->mpi", axes, normal / length)
    return np.concatenate([turned, planes[:, :, 3:] / length], axis=2).astype(np.float32)

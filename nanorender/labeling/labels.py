"""Label maps at any resolution, exact to the pixel, and the table of what they show."""

import math
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32, Int64
from pydantic import Field

from nanorender.labeling.borders import shrink_from_background, widen_borders
from nanorender.labeling.outlines import Outlines, amodal_outlines
from nanorender.scenes.scene import Scene, View
from nanorender.settings import Settings
from nanorender.tracing.instances import Instances
from nanorender.tracing.raymarch import Buffers, Surface, rows_nm, trace_cells
from nanorender.upsampling.cells import (
    Cells,
    cells_between,
    choose_waiting,
    count_pixels,
    fill_uniform,
    renumber,
    spread,
)
from nanorender.upsampling.silhouettes import Silhouettes, find_silhouettes


class LabelSettings(Settings):
    """What becomes of the exact outlines in the label map that is written."""

    border_px: Annotated[
        float,
        Field(ge=0, le=50, description="pixels this close to another particle become background"),
    ] = 0.0
    background_border_px: Annotated[
        float,
        Field(ge=0, le=50, description="pixels this close to the background join it"),
    ] = 0.0
    min_visible_px: Annotated[
        int, Field(ge=1, description="particles that show fewer pixels are left out")
    ] = 1


class LabeledView(NamedTuple):
    """A label map and its truth table.

    labels: (h, w) 0 for background; label k is row k - 1 of the table
    truth: columns of one length, described at `truth_table`
    particle: row of the scene that each row of the table is
    silhouettes: along the exact outlines, whatever became of them in the map
    """

    labels: Int32[np.ndarray, "h w"]
    truth: dict[str, np.ndarray]
    particle: Int[np.ndarray, "k"]
    silhouettes: Silhouettes


def label_view(
    scene: Scene, instances: Instances, surface: Surface, view: View, settings: LabelSettings
) -> LabeledView:
    """Return the label map of a view with labels 1, 2, 3 ... and one row of truth for each.

    `instances` are the scene's in this view; `surface` is as in `label`.
    """
    labels, cells = _refined(instances, surface, view)
    silhouettes = find_silhouettes(surface.particle, cells, labels)
    least = settings.min_visible_px
    size = len(scene.particles.template) + 1
    rows = np.flatnonzero(count_pixels(cells, labels, size)[1:] >= least)
    outlines = amodal_outlines(scene, instances, view, labels, rows)
    widen_borders(labels, cells, settings.border_px)
    shrink_from_background(labels, cells, settings.background_border_px)
    counts = count_pixels(cells, labels, size)
    truth = truth_table(scene, view, outlines, labels, counts, least)
    numbers = np.zeros(size, np.int32)
    numbers[truth["label"]] = np.arange(1, len(truth["label"]) + 1)
    renumber(cells, labels, numbers)
    particle = truth["label"] - 1
    truth = {**truth, "label": numbers[truth["label"]]}
    return LabeledView(labels, truth, particle, silhouettes)


def label(instances: Instances, surface: Surface, view: View) -> Int32[np.ndarray, "h w"]:
    """Return the particle that each pixel of a view sees: its row in the scene plus one, or 0.

    `surface` is the same field of view in fewer pixels. Between four equal pixels of it lie
    cells of their label; other cells are traced, and so is every cell beside which a traced cell
    ends in another label. Only what fits unseen between the pixels of `surface` escapes.
    """
    return _refined(instances, surface, view)[0]


def _refined(
    instances: Instances, surface: Surface, view: View
) -> tuple[Int32[np.ndarray, "h w"], Cells]:
    """Return the map of `label`, and its cells."""
    cells = cells_between(surface.particle, view.height_px, view.width_px)
    shape = (view.height_px, view.width_px)
    buffers = Buffers(
        depth=np.empty(shape, np.float32),
        normal=np.empty((3, 0, 0), np.float32),
        particle=np.empty(shape, np.int32),
        part=np.empty((0, 0), np.int32),
    )
    substrate = rows_nm(view) * np.float32(math.tan(math.radians(view.tilt_deg)))
    fill_uniform(surface.particle, cells, buffers.particle)
    while choose_waiting(cells, substrate, buffers.depth, buffers.particle):
        trace_cells(*instances, np.float32(view.pixel_size_nm), cells, buffers)
        spread(cells, buffers.particle)
    return buffers.particle, cells


def truth_table(
    scene: Scene,
    view: View,
    outlines: Outlines,
    labels: Int32[np.ndarray, "h w"],
    counts: Int64[np.ndarray, "n"],
    min_visible_px: int,
) -> dict[str, np.ndarray]:
    """Return one row for each particle of which `labels` shows enough pixels, as columns.

    `outlines` are those of all such particles, and perhaps of more; `counts` are the
    numbers of pixels of all labels.

    label: as in `labels`; template, agglomerate, population: as in the scene
    center_x_nm, center_y_nm: projected middle of the particle, from the view's upper left corner
    rotation_x_deg, rotation_y_deg, rotation_z_deg: turns about the scene's fixed axes, in this
        order, from the template to the particle
    min_feret_nm, max_feret_nm, amodal_area_nm2: of the whole outline, as if the particle were
        alone on the substrate and the frame unbounded, on the grid of pixels
    diameter_nm: of the disc of the amodal area
    visible_area_nm2: of the particle's mask in `labels`
    visible_fraction: visible over amodal area
    touches_frame: whether the mask has pixels in the outermost rows or columns
    """
    visible = counts[outlines.row + 1]
    enough = visible >= max(min_visible_px, 1)
    outlines, visible = Outlines(*(column[enough] for column in outlines)), visible[enough]
    rows, pixel_area = outlines.row, view.pixel_size_nm**2
    frame = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    particles = scene.particles
    rotation_deg = _euler_angles_deg(particles.rotation[rows])
    return {
        "label": (rows + 1).astype(np.int32),
        "template": particles.template[rows],
        "center_x_nm": outlines.center_nm[:, 0],
        "center_y_nm": outlines.center_nm[:, 1],
        "rotation_x_deg": rotation_deg[:, 0],
        "rotation_y_deg": rotation_deg[:, 1],
        "rotation_z_deg": rotation_deg[:, 2],
        "diameter_nm": np.sqrt(4 / np.pi * outlines.area_px * pixel_area),
        "min_feret_nm": outlines.min_feret_px * view.pixel_size_nm,
        "max_feret_nm": outlines.max_feret_px * view.pixel_size_nm,
        "visible_area_nm2": visible * pixel_area,
        "amodal_area_nm2": outlines.area_px * pixel_area,
        "visible_fraction": visible / outlines.area_px,
        "touches_frame": np.isin(rows + 1, frame),
        "agglomerate": particles.agglomerate[rows],
        "population": particles.population[rows],
    }


def _euler_angles_deg(rotation: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3"]:
    """Return the turns about the fixed x, y and z axis, in this order, that rotations consist of.

    At 90 degrees about y, turns about x and z do the same: x is then 0.
    """
    sine = np.clip(-rotation[:, 2, 0], -1.0, 1.0)
    upright = np.abs(sine) > 1 - 1e-6
    x = np.where(upright, 0.0, np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2]))
    z = np.where(
        upright,
        np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1]),
        np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]),
    )
    return np.degrees(np.stack([x, np.arcsin(sine), z], axis=1))

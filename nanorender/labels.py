"""Label maps at any resolution, exact to the pixel, and the table of what they show."""

import math
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import Field

from nanorender.borders import shrink_from_background, widen_borders
from nanorender.instances import place
from nanorender.jit import kernel
from nanorender.outlines import Outlines, amodal_outlines
from nanorender.raymarch import Buffers, Cells, Surface, rows_nm, trace_cells
from nanorender.scene import Scene, View
from nanorender.settings import Settings


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


class Labelled(NamedTuple):
    """A label map and its truth table.

    labels: (h, w) 0 for background; label k is row k - 1 of the table
    truth: columns of one length, described at `truth_table`
    """

    labels: Int32[np.ndarray, "h w"]
    truth: dict[str, np.ndarray]


def labelled(scene: Scene, surface: Surface, view: View, settings: LabelSettings) -> Labelled:
    """Return the label map of a view with labels 1, 2, 3 ... and one row of truth for each."""
    seen = label(scene, surface, view)
    labels = widen_borders(seen, settings.border_px)
    labels = shrink_from_background(labels, settings.background_border_px)
    truth = truth_table(scene, view, seen, labels, settings.min_visible_px)
    numbers = np.zeros(len(scene.particles.template) + 1, np.int32)
    numbers[truth["label"]] = np.arange(1, len(truth["label"]) + 1)
    _renumber(labels, numbers)
    return Labelled(labels, {**truth, "label": numbers[truth["label"]]})


def label(scene: Scene, surface: Surface, view: View) -> Int32[np.ndarray, "h w"]:
    """Return the particle that each pixel of a view sees: its row in the scene plus one, or 0.

    `surface` is the same field of view in fewer pixels. Between four equal pixels of it lie
    cells of their label; other cells are traced, and so is every cell beside which a traced cell
    ends in another label. Only what fits unseen between the pixels of `surface` escapes.
    """
    cells = _mixed_cells(surface.particle, view.height_px, view.width_px)
    items, placed = place(scene, view)
    shape = (view.height_px, view.width_px)
    buffers = Buffers(
        depth=np.empty(shape, np.float32),
        normal=np.empty((3, 0, 0), np.float32),
        particle=np.empty(shape, np.int32),
        part=np.empty((0, 0), np.int32),
    )
    substrate = rows_nm(view) * np.float32(math.tan(math.radians(view.tilt_deg)))
    _fill_uniform(surface.particle, cells, buffers.particle)
    while _prepare(cells, substrate, buffers.depth, buffers.particle):
        trace_cells(items, placed, np.float32(view.pixel_size_nm), cells, buffers)
        _spread(cells, buffers.particle)
    return buffers.particle


_UNIFORM, _WAITING, _TRACED = range(3)
_BLOCK = 16  # pixels that are compared at one go


def _mixed_cells(coarse: Int32[np.ndarray, "a b"], height: int, width: int) -> Cells:
    """Return cells between the centers of coarse pixels; those of several labels are waiting."""
    state = _mixed(coarse)
    row_cell, column_cell = _cells(height, coarse.shape[0]), _cells(width, coarse.shape[1])
    return Cells(
        state,
        np.empty(state.size, np.int64),
        np.empty(len(state) + 1, np.int64),
        np.searchsorted(row_cell, np.arange(len(state) + 1)),
        np.searchsorted(column_cell, np.arange(state.shape[1] + 1)),
        row_cell,
        column_cell,
    )


@kernel
def _mixed(coarse):
    """Return the state of each cell. Beyond the outermost centers, no coarse pixel knows."""
    rows, columns = coarse.shape
    state = np.full((rows + 1, columns + 1), _WAITING, np.uint8)
    for a in range(1, rows):
        above, below, row = coarse[a - 1], coarse[a], state[a]
        for b in range(1, columns):
            left = (above[b - 1] ^ below[b]) | (below[b - 1] ^ below[b])
            row[b] = _WAITING if left | (above[b] ^ below[b]) else _UNIFORM
    return state


def _cells(fine: int, coarse: int) -> Int64[np.ndarray, "n"]:
    """Return between which coarse pixel centers each fine pixel center lies: 0 is before all."""
    return np.floor((np.arange(fine) + 0.5) * (coarse / fine) + 0.5).astype(np.int64)


@kernel
def _fill_uniform(coarse, cells, labels):
    """Give the pixels of every cell the label of its lower right coarse pixel."""
    for a in range(cells.state.shape[0]):
        start, stop = cells.row_edges[a], cells.row_edges[a + 1]
        if start == stop:
            continue
        known = coarse[min(a, coarse.shape[0] - 1)]
        for c in range(labels.shape[1]):
            labels[start, c] = known[min(cells.column_cell[c], known.size - 1)]
        for r in range(start + 1, stop):
            labels[r] = labels[start]


@kernel
def _prepare(cells, substrate, depth, labels):
    """Choose waiting cells and clear their pixels; return how many cells these are."""
    count = 0
    for a in range(cells.state.shape[0]):
        cells.first_chosen[a] = count
        for b in range(cells.state.shape[1]):
            if cells.state[a, b] != _WAITING:
                continue
            cells.state[a, b] = _TRACED
            cells.chosen[count] = b
            count += 1
            for r in range(cells.row_edges[a], cells.row_edges[a + 1]):
                for c in range(cells.column_edges[b], cells.column_edges[b + 1]):
                    depth[r, c] = substrate[r]
                    labels[r, c] = 0
    cells.first_chosen[-1] = count
    return count


@kernel
def _spread(cells, labels):
    """Make uniform cells wait beside which a pixel of a cell just traced has another label."""
    state = cells.state
    for a in range(state.shape[0]):
        r0, r1 = cells.row_edges[a], cells.row_edges[a + 1]
        for b in cells.chosen[cells.first_chosen[a] : cells.first_chosen[a + 1]]:
            c0, c1 = cells.column_edges[b], cells.column_edges[b + 1]
            if r0 == r1 or c0 == c1:
                continue
            for r in range(r0, r1):
                if c0 > 0 and labels[r, c0] != labels[r, c0 - 1]:
                    _wait(state, a, b - 1)
                if c1 < labels.shape[1] and labels[r, c1 - 1] != labels[r, c1]:
                    _wait(state, a, b + 1)
            for c in range(c0, c1):
                if r0 > 0 and labels[r0, c] != labels[r0 - 1, c]:
                    _wait(state, a - 1, b)
                if r1 < labels.shape[0] and labels[r1 - 1, c] != labels[r1, c]:
                    _wait(state, a + 1, b)


@kernel
def _wait(state, a, b):
    if state[a, b] == _UNIFORM:
        state[a, b] = _WAITING


@kernel
def _count(labels, size):
    """Return how many pixels each label below `size` has."""
    counts = np.zeros(size, np.int64)
    flat = labels.ravel()
    for start in range(0, flat.size - _BLOCK + 1, _BLOCK):
        block = flat[start : start + _BLOCK]
        first, differ = block[0], np.int32(0)
        for i in range(_BLOCK):
            differ |= block[i] ^ first
        if differ == 0:
            counts[first] += _BLOCK
        else:
            for i in range(_BLOCK):
                counts[block[i]] += 1
    for i in range(flat.size // _BLOCK * _BLOCK, flat.size):
        counts[flat[i]] += 1
    return counts


@kernel
def _renumber(labels, numbers):
    """Replace each label k by numbers[k]."""
    for r in range(labels.shape[0]):
        row = labels[r]
        for c in range(row.size):
            row[c] = numbers[row[c]]


def truth_table(
    scene: Scene,
    view: View,
    seen: Int32[np.ndarray, "h w"],
    labels: Int32[np.ndarray, "h w"],
    min_visible_px: int,
) -> dict[str, np.ndarray]:
    """Return one row for each particle of which `labels` shows enough pixels, as columns.

    `seen` is the exact label map of the view, `labels` the one that is written: the same, but for
    pixels that became background.

    label: as in `labels`; template, agglomerate, population: as in the scene
    center_x_nm, center_y_nm: projected middle of the particle, from the view's upper left corner
    min_feret_nm, max_feret_nm, amodal_area_nm2: of the whole outline, as if the particle were
        alone on the substrate and the frame unbounded, on the grid of pixels
    diameter_nm: of the disc of the amodal area
    visible_area_nm2: of the particle's mask in `labels`
    visible_fraction: visible over amodal area
    touches_frame: whether the mask has pixels in the outermost rows or columns
    """
    counts = _count(labels, len(scene.particles.template) + 1)
    counts[0] = 0
    shown = np.flatnonzero(counts >= max(min_visible_px, 1))
    rows = shown - 1
    outlines: Outlines = amodal_outlines(scene, view, seen, rows)
    pixel_area = view.pixel_size_nm**2
    frame = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    particles = scene.particles
    return {
        "label": shown.astype(np.int32),
        "template": particles.template[rows],
        "center_x_nm": outlines.center_nm[:, 0],
        "center_y_nm": outlines.center_nm[:, 1],
        "diameter_nm": np.sqrt(4 / np.pi * outlines.area_px * pixel_area),
        "min_feret_nm": outlines.min_feret_px * view.pixel_size_nm,
        "max_feret_nm": outlines.max_feret_px * view.pixel_size_nm,
        "visible_area_nm2": counts[shown] * pixel_area,
        "amodal_area_nm2": outlines.area_px * pixel_area,
        "visible_fraction": counts[shown] / outlines.area_px,
        "touches_frame": np.isin(shown, frame),
        "agglomerate": particles.agglomerate[rows],
        "population": particles.population[rows],
    }

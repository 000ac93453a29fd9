"""Exact label maps of a view, with their truth tables."""

from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32
from pydantic import Field

from nanorender.jit import kernel
from nanorender.labeling.borders import shrink_from_background, widen_borders
from nanorender.labeling.label_image import LabelImage
from nanorender.labeling.outlines import amodal_outlines
from nanorender.labeling.truth import truth_table
from nanorender.scenes.scene import Scene, View
from nanorender.settings import Settings
from nanorender.tracing.instances import Instances
from nanorender.tracing.raymarch import Buffers, Surface, substrate_depth_nm, trace_spans
from nanorender.tracing.spans import spans_where


class LabelSettings(Settings):
    """Settings of the label map: borders and the smallest labeled particle."""

    border_px: Annotated[
        float,
        Field(ge=0, le=50, description="pixels this close to another particle become background"),
    ] = 0.0
    background_border_px: Annotated[
        float,
        Field(ge=0, le=50, description="pixels this close to the background join it"),
    ] = 0.0
    min_visible_px: Annotated[
        int, Field(ge=1, description="particles with fewer visible pixels are left out")
    ] = 1


class LabeledView(NamedTuple):
    """A label map and its truth table.

    Attributes
    ----------
    labels : (h, w) 0 for background; label k is row k - 1 of the table
    truth : columns of one length, described at `truth_table`
    particle : (k) row in the scene of each row of the table
    """

    labels: Int32[np.ndarray, "h w"]
    truth: dict[str, np.ndarray]
    particle: Int[np.ndarray, "k"]


def label_view(
    scene: Scene,
    instances: Instances,
    exact: LabelImage,
    view: View,
    settings: LabelSettings,
    hidden: Bool[np.ndarray, "h w"] | None = None,
) -> LabeledView:
    """Build the label map of a view with labels 1, 2, 3 ... and one row of truth for each.

    Parameters
    ----------
    scene
        Scene with the particles.
    instances
        The scene's, built for this view.
    exact
        Exact labels: the particle's row in the scene plus one. Changed in place.
    view
        The view that the labels belong to.
    settings
        Borders, and the least number of visible pixels of a particle.
    hidden
        Mask of pixels covered by marks such as an info bar; None if there are none.

    Returns
    -------
    LabeledView
        Label map and truth table.
    """
    least = settings.min_visible_px
    size = len(scene.particles.template) + 1
    # Measure whole outlines before borders are widened
    rows = np.flatnonzero(exact.counts(size)[1:] >= least)
    outlines = amodal_outlines(scene, instances, view, exact.labels, rows)
    if hidden is not None:
        exact.clear(np.flatnonzero(hidden))
    widen_borders(exact, settings.border_px)
    shrink_from_background(exact, settings.background_border_px)
    truth = truth_table(scene, view, outlines, exact.labels, exact.counts(size), least)
    # Number the particles that are left consecutively
    numbers = np.zeros(size, np.int32)
    numbers[truth["label"]] = np.arange(1, len(truth["label"]) + 1)
    exact.renumber(numbers)
    particle = truth["label"] - 1
    return LabeledView(exact.labels, {**truth, "label": numbers[truth["label"]]}, particle)


def trace_labels(instances: Instances, surface: Surface, view: View) -> LabelImage:
    """Return the exact labels of a view of which at least as many pixels were traced.

    If the surface has the same pixels, they are its particle buffer. If it has more, a pixel whose
    four nearest rays hit the same particle has its label, and only the other pixels are traced.

    Parameters
    ----------
    instances
        The scene's, built for this field of view.
    surface
        The same field of view in as many or more pixels.
    view
        The view to label.

    Returns
    -------
    LabelImage
        The particle's row in the scene plus one, or 0.
    """
    shape = (view.height_px, view.width_px)
    if surface.particle.shape == shape:
        return LabelImage(surface.particle.copy())
    rows, columns = (
        np.floor((np.arange(fine) + 0.5) * (count / fine) + 0.5).astype(np.int64)
        for fine, count in zip(shape, surface.particle.shape, strict=True)
    )
    labels = _agreed(surface.particle, rows, columns)
    unknown = labels < 0
    labels[unknown] = 0
    buffers = Buffers(
        depth=np.repeat(substrate_depth_nm(view)[:, None], shape[1], axis=1),
        normal=np.empty((3, 0, 0), np.float32),
        particle=labels,
        part=np.empty((0, 0), np.int32),
    )
    trace_spans(instances, view, spans_where(unknown), buffers)
    return LabelImage(labels)


@kernel
def _agreed(rays, rows, columns):
    """Return the label of four rays around each pixel, or -1 where they differ.

    rows, columns: (h), (w) the first row and column of rays beyond the pixel's center
    """
    labels = np.empty((rows.size, columns.size), np.int32)
    for r in range(rows.size):
        above, below = rays[rows[r] - 1], rays[rows[r]]
        for c in range(columns.size):
            b = columns[c]
            here = below[b]
            differ = (above[b - 1] ^ here) | (below[b - 1] ^ here) | (above[b] ^ here)
            labels[r, c] = -1 if differ else here
    return labels

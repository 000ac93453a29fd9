"""Exact labels of a view from a surface with fewer pixels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64

from nanorender.labeling.label_image import LabelImage
from nanorender.scenes.scene import View
from nanorender.tracing.instances import Instances
from nanorender.tracing.raymarch import Buffers, Surface, substrate_depth_nm, trace_spans
from nanorender.tracing.spans import Spans
from nanorender.upsampling.cells import (
    MIXED,
    TRACED,
    WAITING,
    Cells,
    cells_between,
    clear_pixels,
    clear_spans,
    count_pixels,
    fill_uniform,
    renumber,
    spans_of,
    spread,
)


@dataclass
class RefinedLabels(LabelImage):
    """A label map that is processed cell by cell where cells have one label.

    Attributes
    ----------
    labels : (h, w) 0 for background
    cells : of the label map, kept up to date
    """

    cells: Cells

    def counts(self, size: int) -> Int64[np.ndarray, "n"]:
        """Count the pixels of each label; see `LabelImage.counts`."""
        return count_pixels(self.cells, self.labels, size)

    def border_spans(self) -> Spans:
        """Return the spans of the mixed cells; see `LabelImage.border_spans`."""
        return spans_of(self.cells, self.cells.state == MIXED)

    def clear(self, pixels: Int[np.ndarray, "n"]) -> None:
        """Make pixels background; see `LabelImage.clear`."""
        clear_pixels(self.cells, self.labels, pixels)

    def renumber(self, numbers: Int32[np.ndarray, "n"]) -> None:
        """Replace each label k by ``numbers[k]``; see `LabelImage.renumber`."""
        renumber(self.cells, self.labels, numbers)


def refine_labels(instances: Instances, surface: Surface, view: View) -> RefinedLabels:
    """Return the exact labels of a view of which fewer pixels were traced.

    Cells between four traced pixels of the same label have this label. Other cells are traced, and
    so is every cell next to a traced cell that ends in another label. The labels are those of
    tracing all pixels, except for features too small to show in any traced cell.

    Parameters
    ----------
    instances
        The scene's, built for this field of view.
    surface
        The same field of view in fewer pixels.
    view
        The view to label.

    Returns
    -------
    RefinedLabels
        The particle's row in the scene plus one, or 0.
    """
    shape = (view.height_px, view.width_px)
    cells = cells_between(surface.particle, *shape)
    buffers = Buffers(
        depth=np.empty(shape, np.float32),
        normal=np.empty((3, 0, 0), np.float32),
        particle=np.empty(shape, np.int32),
        part=np.empty((0, 0), np.int32),
    )
    substrate = substrate_depth_nm(view)
    fill_uniform(surface.particle, cells, buffers.particle)
    while (waiting := cells.state == WAITING).any():
        cells.state[waiting] = TRACED
        spans = spans_of(cells, waiting)
        clear_spans(spans, substrate, buffers.depth, buffers.particle)
        trace_spans(instances, view, spans, buffers)
        spread(cells, buffers.particle)
    return RefinedLabels(buffers.particle, cells)

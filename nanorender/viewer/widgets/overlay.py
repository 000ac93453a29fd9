"""Layer that shows the chosen particle and the line of a cut."""

import numpy as np
from jaxtyping import Bool
from napari.layers import Labels, Shapes
from napari.viewer import Viewer
from skimage.measure import find_contours

from nanorender.viewer.editing import Point

NAME = "chosen particle"
COLOR = "#ffd400"
WIDTH_PX = 3.0  # on the screen


class Overlay:
    """Outline of the chosen particle, points clicked first, and the line of a cut.

    Parameters
    ----------
    viewer
        Where it is shown.
    labels
        Layer of the label map.
    """

    def __init__(self, viewer: Viewer, labels: Labels) -> None:
        self._viewer = viewer
        self._labels = labels
        self._layer: Shapes | None = None
        self._outlines: list[np.ndarray] = []
        self._marks: list[np.ndarray] = []

    def outline(self, mask: Bool[np.ndarray, "h w"] | None) -> None:
        """Outline a particle, or none.

        Parameters
        ----------
        mask
            (h, w) pixels of the particle, None for none.
        """
        self._outlines = []
        if mask is not None and mask.any():
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            shift = np.array([rows[0] - 1, columns[0] - 1])
            contours = find_contours(np.pad(window, 1).astype(np.uint8), 0.5)
            self._outlines = [contour + shift for contour in contours]
        self._show()

    def mark(self, *points: Point) -> None:
        """Mark a point by a cross, or a line by two points, or nothing."""
        self._marks = []
        if len(points) == 1:
            arm = 6 / self._pixels_per_data()
            (y, x) = points[0]
            self._marks = [
                np.array([[y - arm, x], [y + arm, x]]),
                np.array([[y, x - arm], [y, x + arm]]),
            ]
        elif points:
            self._marks = [np.array(points, float)]
        self._show()

    def remove(self) -> None:
        """Remove the layer."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def _pixels_per_data(self) -> float:
        """Pixels of the screen per pixel of the image."""
        return float(self._viewer.camera.zoom * self._labels.scale[-1])

    def _show(self) -> None:
        """Draw all lines; create the layer when it is first needed."""
        paths = [*self._outlines, *self._marks]
        if self._layer is None or self._layer not in self._viewer.layers:
            if not paths:
                return
            active = self._viewer.layers.selection.active
            self._layer = Shapes(
                name=NAME, scale=self._labels.scale, units=self._labels.units, edge_color=COLOR
            )
            self._viewer.add_layer(self._layer)
            self._viewer.layers.selection.active = active
        width = WIDTH_PX / self._pixels_per_data()
        self._layer.data = []
        if paths:
            self._layer.add_paths(paths, edge_color=COLOR, edge_width=width)
        self._layer.selected_data = set()

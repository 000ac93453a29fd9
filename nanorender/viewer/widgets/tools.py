"""Tools of the mouse: select, merge, split and delete particles by clicks on the image."""

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer

from nanorender.errors import InputError
from nanorender.viewer.editing import (
    Edit,
    Point,
    delete_particle,
    label_at,
    merge_particles,
    split_by_line,
    split_by_seeds,
)
from nanorender.viewer.widgets.overlay import Overlay

CLICK_PX = 4
"""Distance on the screen up to which a press and a release of the button are a click."""


class Tool(Enum):
    """What a click does; the value is the hint that is shown."""

    SELECT = "Click a particle to find its row."
    MERGE = "Click two particles to make them one."
    SPLIT = "Drag a line across a particle, or click a point in each of its halves."
    DELETE = "Click a particle to delete it."


class MouseTools:
    """Corrections by the mouse on the layer of a label map.

    Parameters
    ----------
    viewer
        The viewer.
    layer
        The label map.
    overlay
        Where points and lines are shown.
    first_new_label
        Returns a label that no particle has had.
    on_choice
        Called with the label of a particle that was clicked, 0 for background.
    on_message
        Called with what went wrong or what to do next.
    """

    def __init__(
        self,
        viewer: Viewer,
        layer: Labels,
        overlay: Overlay,
        first_new_label: Callable[[], int],
        on_choice: Callable[[int], None],
        on_message: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._layer = layer
        self._overlay = overlay
        self._first_new_label = first_new_label
        self._on_choice = on_choice
        self._on_message = on_message
        self._pending: Point | None = None
        self.tool: Tool | None = None
        viewer.mouse_drag_callbacks.append(self._on_drag)

    def remove(self) -> None:
        """Stop listening to the mouse."""
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)

    def use(self, tool: Tool | None) -> None:
        """Choose a tool; None leaves the mouse to napari's own.

        Parameters
        ----------
        tool
            The tool.
        """
        self.tool = tool
        self.cancel()
        if tool is None:
            return
        self._viewer.layers.selection.active = self._layer
        self._layer.mode = "pan_zoom"
        self._layer.mouse_pan = tool is not Tool.SPLIT  # a drag draws a line
        self._on_message(tool.value)

    def cancel(self) -> None:
        """Forget a first click."""
        self._pending = None
        self._overlay.mark()

    def _on_drag(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        """Follow the mouse from the press of the left button to its release."""
        if self.tool is None or event.button != 1 or not self._is_free():
            return
        start, pressed_at = self._point(event), np.array(event.pos)
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = dragged or bool(np.abs(np.array(event.pos) - pressed_at).max() > CLICK_PX)
            if dragged and self.tool is Tool.SPLIT:
                self._overlay.mark(start, self._point(event))
            yield
        try:
            if not dragged:
                self._click(start)
            elif self.tool is Tool.SPLIT:
                self.cancel()
                label = self._first_new_label()
                self._commit(split_by_line(self._layer.data, start, self._point(event), label))
        except InputError as error:
            self._on_message(f"Nothing changed: {error}.")

    def _is_free(self) -> bool:
        """Whether the mouse is not used by a tool of napari."""
        return self._layer in self._viewer.layers and self._layer.mode == "pan_zoom"

    def _point(self, event: Any) -> Point:
        """Return the row and column under the mouse."""
        row, column = self._layer.world_to_data(event.position)[-2:]
        return float(row), float(column)

    def _click(self, point: Point) -> None:
        """Do what the tool does at a point."""
        labels: np.ndarray = self._layer.data
        label = label_at(labels, point)
        if self.tool is Tool.SELECT:
            self._on_choice(label)
        elif not label:
            self.cancel()
            self._on_message("There is no particle; click on one.")
        elif self.tool is Tool.DELETE:
            self._commit(delete_particle(labels, label))
        elif self._pending is None:
            self._pending = point
            self._overlay.mark(point)
            self._on_choice(label)
            next_click = "the other particle" if self.tool is Tool.MERGE else "its other half"
            self._on_message(f"Now click {next_click}.")
        else:
            first = self._pending
            self.cancel()
            if self.tool is Tool.MERGE:
                self._commit(merge_particles(labels, label_at(labels, first), label))
            else:
                self._commit(split_by_seeds(labels, first, point, self._first_new_label()))

    def _commit(self, edit: Edit) -> None:
        """Apply a correction so that napari can undo it."""
        label = int(edit.values[0]) if len(edit.values) else 0
        self._layer.data_setitem((edit.rows, edit.columns), edit.values)
        self._on_choice(label)
        assert self.tool is not None
        self._on_message(self.tool.value)

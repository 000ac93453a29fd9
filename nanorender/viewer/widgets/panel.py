"""Dock widget "Segment and measure": segmentation, corrections, particle table and histogram."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.qt.threading import create_worker
from napari.viewer import Viewer
from qtpy.QtCore import QThreadPool, QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

import nanorender
from nanorender.errors import InputError
from nanorender.viewer.document import Document, find_images, open_document, save_document
from nanorender.viewer.live_table import confidence_column, measure_again
from nanorender.viewer.reader import DOCUMENT, IMAGES, document_layers
from nanorender.viewer.threshold import apply_threshold, edited_labels
from nanorender.viewer.widgets.form import Form
from nanorender.viewer.widgets.overlay import Overlay
from nanorender.viewer.widgets.tools import MouseTools, Tool

MEASURING_DELAY_MS = 150
"""Pause after a change before particles are measured again."""

FEATURES = "^(index|confidence|equivalent_diameter.*)$"
"""Columns that napari shows of the particle under the mouse."""

STACK_BYTES = 64 << 20
"""Stack of the thread of the segmentation: compilers need more than threads have on macOS."""


class Panel(QWidget):
    """Segment a micrograph, correct its particles and measure them.

    Parameters
    ----------
    viewer
        The viewer, which napari passes on.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.form = Form(self)
        self.document: Document | None = None
        self.images: tuple[Path, ...] = ()
        self.image_layer: Image | None = None
        self.layer: Labels | None = None
        self.chosen: int | None = None
        self.worker = None
        self._overlay: Overlay | None = None
        self._tools: MouseTools | None = None
        self._saved: np.ndarray | None = None  # label map as it was opened or saved
        self._measured: np.ndarray | None = None  # label map to which the table belongs
        self._table = None
        self._busy = False  # while the program itself changes layers
        self._timer = QTimer(self, singleShot=True, interval=MEASURING_DELAY_MS)
        self._timer.timeout.connect(self.measure)
        self._connect()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        self._adopt_open_layers()

    def _connect(self) -> None:
        """Connect the controls."""
        form = self.form
        form.open_image.clicked.connect(self._ask_for_image)
        form.open_folder.clicked.connect(self._ask_for_folder)
        form.image.activated.connect(self._on_image_chosen)
        form.segment.clicked.connect(self.segment)
        form.least.valueChanged.connect(lambda _: self._measure_soon())
        for tool, button in form.tools.items():
            button.toggled.connect(lambda on, tool=tool: self._use(tool, on))
        form.undo.clicked.connect(lambda: self.layer and self.layer.undo())
        form.redo.clicked.connect(lambda: self.layer and self.layer.redo())
        form.table.chosen.connect(lambda label: self.choose(label, center=True))
        form.browse.clicked.connect(self._ask_for_output)
        form.save.clicked.connect(self.save)

    # Opening

    def open(self, path: Path) -> None:
        """Open an image, or the first one of a folder."""
        try:
            images = find_images(path)
            self._open_one(images[0], images)
        except InputError as error:
            self._fail(error)

    def _open_one(self, path: Path, images: list[Path] | tuple[Path, ...]) -> None:
        """Show an image in place of the one before."""
        if not self._may_discard():
            self._show_names()
            return
        document = open_document(path)
        self._close()
        self._show(document, tuple(images))

    def _show(self, document: Document, images: tuple[Path, ...]) -> None:
        """Add the layers of a document to the viewer."""
        self._busy = True
        added = [self.viewer.add_layer(Layer.create(*each)) for each in document_layers(document)]
        self._busy = False
        self._adopt(document, images, added[0], added[1] if len(added) > 1 else None)
        self.viewer.reset_view()

    def _adopt_open_layers(self, document: Document | None = None) -> None:
        """Take over the layers of a document, or the last ones opened with the reader."""
        known = [each for each in self.viewer.layers if DOCUMENT in each.metadata]
        if not known:
            return
        document = document or known[-1].metadata[DOCUMENT]
        same = [each for each in known if each.metadata[DOCUMENT] is document]
        images = same[-1].metadata[IMAGES]
        image = next((each for each in same if isinstance(each, Image)), None)
        labels = next((each for each in same if isinstance(each, Labels)), None)
        if image is not None and (labels is not None or document.labels is None):
            self._adopt(document, images, image, labels)

    def _adopt(
        self, document: Document, images: tuple[Path, ...], image: Image, labels: Labels | None
    ) -> None:
        """Work on a document and its layers."""
        self._release()
        self.document, self.images, self.image_layer = document, images, image
        self._saved = document.labels
        self.form.folder.setText(str(document.path.parent))
        self.viewer.scale_bar.visible = document.micrograph.pixel_size_nm is not None
        self._show_names()
        self._show_threshold()
        notes = document.micrograph.notes
        self.form.message(notes[-1] if notes else f"{document.micrograph.name} is open.")
        if labels is not None:
            self._work_on(labels)
        self.measure()

    def _work_on(self, layer: Labels) -> None:
        """Connect the layer of a label map."""
        self.layer = layer
        self._overlay = Overlay(self.viewer, layer)
        self._tools = MouseTools(
            *(self.viewer, layer, self._overlay, self._first_new_label, self.choose),
            self.form.message,
        )
        layer.events.labels_update.connect(self._measure_soon)
        layer.events.set_data.connect(self._measure_soon)
        layer.events.mode.connect(self._on_mode)
        self.viewer.layers.selection.active = layer
        self.form.tools[Tool.SELECT].setChecked(True)
        self._use(Tool.SELECT, True)

    def _release(self) -> None:
        """Leave the layers as they are, with what is needed to go on with them."""
        for layer in (self.layer, self.image_layer):
            if layer is not None:
                layer.metadata = layer.metadata | {DOCUMENT: self.document}
        if self._tools is not None:
            self._tools.remove()
        if self._overlay is not None:
            self._overlay.remove()
        if self.layer is not None:
            self.layer.events.labels_update.disconnect(self._measure_soon)
            self.layer.events.set_data.disconnect(self._measure_soon)
            self.layer.events.mode.disconnect(self._on_mode)
        self.layer = self.image_layer = self.document = self._tools = self._overlay = None
        self.chosen = self._table = self._measured = self._saved = None

    def _close(self) -> None:
        """Remove the layers of the document."""
        layers = [self.layer, self.image_layer]
        self._release()
        self._busy = True
        for layer in layers:
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._busy = False

    def _on_inserted(self, event: object) -> None:
        if not self._busy and DOCUMENT in event.value.metadata and event.value is not self.layer:
            self._adopt_open_layers()

    def _on_active(self, event: object) -> None:
        """Go on with another image that is open when one of its layers is selected."""
        layer = event.value
        mine = layer is None or layer in (self.layer, self.image_layer)
        if not (self._busy or mine) and DOCUMENT in layer.metadata:
            self._adopt_open_layers(layer.metadata[DOCUMENT])

    def _on_removed(self, event: object) -> None:
        if not self._busy and event.value in (self.layer, self.image_layer):
            self._release()
            self.measure()

    def _on_image_chosen(self, row: int) -> None:
        try:
            self._open_one(self.images[row], self.images)
        except InputError as error:
            self._show_names()
            self._fail(error)

    def _ask_for_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a micrograph or a label map")
        if path:
            self.open(Path(path))

    def _ask_for_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a study or a folder of micrographs")
        if path:
            self.open(Path(path))

    def _ask_for_output(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of label maps")
        if path:
            self.form.folder.setText(path)

    def _may_discard(self) -> bool:
        """Ask what to do with unsaved corrections; return whether to go on."""
        if not self.is_unsaved():
            return True
        buttons = QMessageBox.StandardButton
        asked = buttons.Save | buttons.Discard | buttons.Cancel
        text = "The particles of this image have not been saved."
        answer = QMessageBox.question(self, "nanorender", text, asked)
        if answer == buttons.Save:
            return self.save()
        return answer == buttons.Discard

    def is_unsaved(self) -> bool:
        """Return whether there are particles that no file has."""
        if self.layer is None:
            return False
        return self._saved is None or not np.array_equal(self.layer.data, self._saved)

    # Segmentation

    def segment(self) -> None:
        """Find the particles of the image, in another thread."""
        document = self.document
        if document is None or self.worker is not None:
            return
        if self.layer is not None and document.changes(self.layer.data)[1:] != (0, 0, 0):
            question = "Segment again and discard the corrections of this image?"
            answer = QMessageBox.question(self, "nanorender", question)
            if answer != QMessageBox.StandardButton.Yes:
                return
        QThreadPool.globalInstance().setStackSize(STACK_BYTES)
        self.form.set_segmenting(True)
        self.form.message("Finding particles ...")
        self.worker = create_worker(
            nanorender.segment_micrograph,
            document.micrograph,
            None,
            0.0,
            _start_thread=False,
        )
        self.worker.returned.connect(lambda result: self._on_segmented(document, result))
        self.worker.errored.connect(self._fail)
        self.worker.finished.connect(self._on_finished)
        self.worker.start()

    def _on_finished(self) -> None:
        self.worker = None
        self.form.set_segmenting(False)

    def _on_segmented(self, asked: Document, result: object) -> None:
        """Show the particles that were found, unless another image was opened meanwhile."""
        now = self.document
        if now is None or now.micrograph is not asked.micrograph:
            self.form.message(f"{asked.micrograph.name} was closed before it was segmented.")
            return
        found, record = result.particles, result.record
        images, image = self.images, self.image_layer
        document = replace(
            now,
            found=found.labels,
            labels=found.labels,
            confidence=found.confidence,
            record=record,
            dropped=frozenset(),
        )
        before = self.layer
        self._release()
        self._busy = True
        if before is not None and before in self.viewer.layers:
            self.viewer.layers.remove(before)
        image.metadata = image.metadata | {DOCUMENT: document}
        layer = self.viewer.add_layer(Layer.create(*document_layers(document, images)[1]))
        self._busy = False
        self._adopt(document, images, image, layer)
        self._saved = None
        self.form.show_confidence(result.usual_confidence)
        self.measure()

    # Corrections

    def _use(self, tool: Tool, on: bool) -> None:
        """Use a tool while its button is down."""
        if self._tools is None:
            return
        if on:
            self._tools.use(tool)
        elif self.form.tool() is None:
            self._tools.use(None)

    def _on_mode(self, event: object) -> None:
        """Leave the mouse to a tool of napari when one is chosen there."""
        if self.layer is not None and self.layer.mode != "pan_zoom":
            self.form.release_tools()

    def _first_new_label(self) -> int:
        """Return a label that no particle has, nor had before the corrections."""
        assert self.layer is not None
        assert self.document is not None
        before = 0 if self.document.found is None else int(self.document.found.max(initial=0))
        return max(int(self.layer.data.max(initial=0)), before) + 1

    def _threshold(self) -> None:
        """Leave out the particles below the least confidence."""
        document, layer = self.document, self.layer
        if document is None or layer is None or document.confidence is None:
            return
        assert document.found is not None
        edit, dropped = apply_threshold(
            layer.data,
            document.found,
            document.confidence,
            self.form.confidence(),
            document.dropped,
        )
        self.document = replace(document, dropped=dropped)
        if len(edit.rows):
            # Not a correction by hand: the history of napari leaves it out.
            edit.apply_to(layer.data)
            layer.refresh()

    def _measure_soon(self, event: object = None) -> None:
        """Measure after a pause; while changes go on, at most once in that time."""
        if not self._timer.isActive():
            self._timer.start()

    def choose(self, label: int, center: bool = False) -> None:
        """Outline a particle and select its row; 0 for none."""
        self.chosen = label or None
        if self.layer is None or self._overlay is None:
            return
        mask = self.layer.data == label if label else None
        self._overlay.outline(mask)
        self.form.table.select(self.chosen)
        if label:
            self.layer.selected_label = label
            if center and mask.any():
                place = np.mean(np.nonzero(mask), axis=1)
                self.viewer.camera.center = (0, *self.layer.data_to_world(place))

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 (named by Qt)
        """Leave the mouse to napari while the tools cannot be seen."""
        super().hideEvent(event)
        if self._tools is not None:
            self._tools.use(None)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (named by Qt)
        """Use the chosen tool again."""
        super().showEvent(event)
        tool = self.form.tool()
        if tool is not None:
            self._use(tool, True)

    # Results

    def measure(self) -> None:
        """Measure the particles that changed, and show table, histogram and counts."""
        self._threshold()
        document, layer = self.document, self.layer
        self.form.set_open(document is not None, layer is not None)
        if document is None or layer is None:
            self.form.show_no_particles()
            return
        labels = np.array(layer.data)
        edited = set() if document.found is None else edited_labels(labels, document.found)
        micrograph = document.micrograph
        self._table = measure_again(
            self._table, self._measured, labels, micrograph.image, micrograph.pixel_size_nm
        )
        self._measured = labels
        table = self._table.copy()
        if document.confidence is not None:
            table["confidence"] = confidence_column(table, document.confidence, edited)
        layer.features = table.rename(columns={"label": "index"}).filter(regex=FEATURES)
        unit = "px" if micrograph.pixel_size_nm is None else "nm"
        if self.chosen is not None and self._overlay is not None:
            self._overlay.outline(labels == self.chosen)
        self.form.show_particles(table, unit, self.chosen, document.changes(labels))

    def save(self) -> bool:
        """Save the label map; return whether it was."""
        if self.document is None or self.layer is None:
            return False
        try:
            if not self.form.folder.text().strip():
                raise InputError("there is no folder to save in; give one beside the button Save")
            labels = np.array(self.layer.data)
            folder = Path(self.form.folder.text()).expanduser()
            least = self.form.confidence() if self.document.confidence is not None else 0.0
            self.document = save_document(self.document, labels, folder, least)
        except InputError as error:
            self._fail(error)
            return False
        self._saved = labels
        _, added, removed, changed = self.document.changes(labels)
        self.form.message(
            f"Saved {self.document.path}: {added} added, {removed} removed, {changed} changed."
        )
        return True

    def _show_names(self) -> None:
        names = [path.stem for path in self.images]
        current = self.document.path.stem if self.document is not None else ""
        self.form.show_images(names, current)

    def _show_threshold(self) -> None:
        known = self.document is not None and self.document.confidence is not None
        least = 0.0
        if known and self.document.record is not None:
            least = self.document.record.min_confidence
        self.form.enable_confidence(known)
        self.form.show_confidence(least)

    def _fail(self, error: Exception) -> None:
        """Show what went wrong in one line; errors in the program itself go on to napari."""
        self.form.message(f"{error}.")
        if not isinstance(error, InputError):
            raise error

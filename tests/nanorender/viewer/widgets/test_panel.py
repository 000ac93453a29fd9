"""The plugin in napari's window, with clicks of the mouse on its canvas and its table."""

import os
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed; see 'make test-napari'")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("no display; run 'make test-napari', which uses xvfb", allow_module_level=True)

from napari import Viewer
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

import nanorender
from nanorender.files.checksums import file_sha256
from nanorender.files.segmentation import SegmentationRecord, read_segmented, write_segmentation
from nanorender.files.tiff import write_image
from nanorender.viewer.widgets import panel as panel_module
from nanorender.viewer.widgets.tools import Tool

LEFT = Qt.MouseButton.LeftButton
PIXEL_NM = 2.5


def discs():
    """Draw a disc, two discs in contact as one particle, and two halves of a disc as two."""
    y, x = np.mgrid[:200, :300]

    def disc(row, column, radius):
        return np.hypot(y - row, x - column) <= radius

    labels = np.zeros((200, 300), np.int32)
    labels[disc(50, 50, 25)] = 1
    labels[disc(50, 150, 22) | disc(50, 188, 22)] = 2
    labels[disc(140, 80, 30) & (x < 80)] = 3
    labels[disc(140, 80, 30) & (x >= 80)] = 4
    labels[disc(140, 220, 18)] = 5
    return labels


@pytest.fixture
def study(tmp_path):
    """Two micrographs and their label maps, as `nanorender segment` writes them."""
    gray = np.where(discs() > 0, 180, 60).astype(np.uint8)
    (tmp_path / "micrographs").mkdir()
    for name in ("a", "b"):
        image = tmp_path / "micrographs" / f"{name}.tif"
        write_image(image, gray, PIXEL_NM)
        record = SegmentationRecord(
            image=image,
            image_sha256=file_sha256(image),
            crop=(0, 200, 0, 300),
            pixel_size_nm=PIXEL_NM,
            pixel_size_source="ImageJ calibration",
            model_sha256="0" * 64,
            training_pixel_sizes_nm=None,
            separation={},
            confidence=(0.9, 0.8, 0.7, 0.6, 0.3),
            version="0",
        )
        write_segmentation(tmp_path / "labels", discs(), record)
    return tmp_path


class Window:
    """The window of napari with the plugin, and a hand for the mouse."""

    def __init__(self):
        self.viewer = Viewer(show=True)
        self.viewer.window.resize(1300, 850)
        _, self.panel = self.viewer.window.add_plugin_dock_widget(
            "nanorender", "Segment and measure"
        )
        self.form = self.panel.form
        self.canvas = self.viewer.window._qt_viewer.canvas.native

    def open(self, path):
        self.viewer.open(str(path), plugin="nanorender")
        self.settle()
        self.viewer.reset_view()
        self.settle()

    def settle(self, seconds=0.4):
        """Let the window react, and the delayed measurement happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end or self.panel._timer.isActive():
            QApplication.processEvents()
            time.sleep(0.005)

    def place(self, row, column):
        """Position on the canvas of a pixel of the image."""
        camera = self.viewer.camera
        world = np.array([row, column]) * self.viewer.layers[0].scale
        away = (world - np.array(camera.center[-2:])) * camera.zoom
        x, y = self.canvas.width() / 2 + away[1], self.canvas.height() / 2 + away[0]
        assert 0 < x < self.canvas.width()
        assert 0 < y < self.canvas.height()
        return QPoint(round(x), round(y))

    def click(self, row, column):
        QTest.mouseClick(self.canvas, LEFT, pos=self.place(row, column))
        self.settle()

    def drag(self, start, end):
        QTest.mousePress(self.canvas, LEFT, pos=self.place(*start))
        for share in np.linspace(0, 1, 9):
            # QTest's own moves carry no button.
            at = np.array(start) + share * (np.array(end) - start)
            self._move(self.place(*at))
            self.settle(0.02)
        QTest.mouseRelease(self.canvas, LEFT, pos=self.place(*end))
        self.settle()

    def _move(self, place):
        event = QMouseEvent(
            *(QEvent.Type.MouseMove, QPointF(place), QPointF(self.canvas.mapToGlobal(place))),
            *(Qt.MouseButton.NoButton, LEFT, Qt.KeyboardModifier.NoModifier),
        )
        QApplication.sendEvent(self.canvas, event)

    def press(self, button):
        QTest.mouseClick(button, LEFT)
        self.settle()

    def rows(self):
        model = self.form.table.sorted
        return [
            [model.index(row, column).data() for column in range(model.columnCount())]
            for row in range(model.rowCount())
        ]

    def click_row(self, row):
        table = self.form.table
        place = table.visualRect(table.sorted.index(row, 1)).center()
        QTest.mouseClick(table.viewport(), LEFT, pos=place)
        self.settle()

    @property
    def labels(self):
        return self.panel.layer.data


@pytest.fixture(scope="module")
def napari_window():
    """One window for all tests, since opening it takes long."""
    window = Window()
    yield window
    window.viewer.close()
    QApplication.processEvents()


@pytest.fixture
def window(napari_window):
    yield napari_window
    napari_window.viewer.layers.clear()
    napari_window.form.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    napari_window.settle()


def test_a_study_opens_with_image_particles_table_and_histogram(window, study):
    window.open(study)
    assert [layer.name for layer in window.viewer.layers] == ["a", "a particles"]
    assert window.viewer.layers[0].scale.tolist() == [PIXEL_NM, PIXEL_NM]
    assert np.array_equal(window.labels, discs())
    assert [row[0] for row in window.rows()] == ["1", "2", "3", "4", "5"]
    diameter = 2 * PIXEL_NM * np.sqrt((discs() == 1).sum() / np.pi)
    assert window.rows()[0][1] == f"{diameter:#.4g}"
    assert [row[2] for row in window.rows()] == ["0.9000", "0.8000", "0.7000", "0.6000", "0.3000"]
    assert "<b>5</b> particles, median diameter" in window.form.summary.text()
    assert sum(bar.get_height() for bar in window.form.histogram.axes.patches) == 5


def test_a_click_on_a_particle_selects_its_row_and_one_on_a_row_its_particle(window, study):
    window.open(study)
    window.click(140, 220)
    (index,) = window.form.table.selectionModel().selectedRows()
    assert index.data() == "5"
    assert window.panel.layer.selected_label == 5
    window.viewer.camera.zoom *= 2
    window.click_row(2)
    assert window.panel.chosen == 3
    center = np.mean(np.nonzero(discs() == 3), axis=1) * PIXEL_NM
    assert np.allclose(window.viewer.camera.center[-2:], center, atol=0.01)
    (outline,) = window.viewer.layers["chosen particle"].data
    assert outline.min(axis=0) == pytest.approx([110, 50], abs=0.6)


def test_the_table_sorts_by_the_size_of_numbers(window, study):
    window.open(study)
    window.form.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    diameters = [float(row[1]) for row in window.rows()]
    assert diameters == sorted(diameters, reverse=True)
    window.click_row(0)
    assert window.panel.chosen == 2


def test_two_clicks_merge_two_particles_and_undo_divides_them_again(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.MERGE])
    window.click(140, 65)
    window.click(140, 95)
    assert np.array_equal(window.labels, np.where(discs() == 4, 3, discs()))
    assert window.form.counts.text() == "By hand: 0 added, 1 removed, 1 changed"
    assert len(window.rows()) == 4
    assert [row[2] for row in window.rows()] == ["0.9000", "0.8000", "", "0.3000"]
    window.press(window.form.undo)
    assert np.array_equal(window.labels, discs())
    assert len(window.rows()) == 5
    window.press(window.form.redo)
    assert len(window.rows()) == 4


def test_dragging_a_line_divides_a_particle(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.SPLIT])
    center = window.viewer.camera.center
    window.drag((15, 169), (85, 169))
    assert window.viewer.camera.center == center  # the image has not been moved
    assert window.form.counts.text() == "By hand: 1 added, 0 removed, 1 changed"
    assert window.labels[50, 150] != window.labels[50, 188]
    assert {int(window.labels[50, 150]), int(window.labels[50, 188])} == {2, 6}
    assert len(window.rows()) == 6


def test_two_clicks_divide_a_particle_at_its_neck(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.SPLIT])
    window.click(45, 142)
    window.click(55, 195)
    halves = window.labels[discs() == 2]
    assert set(np.unique(halves)) == {2, 6}
    columns = np.nonzero(window.labels == window.labels[50, 188])[1]
    assert abs(columns.min() - 169) <= 1


def test_a_click_deletes_a_particle(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.DELETE])
    window.click(50, 50)
    assert np.array_equal(window.labels, np.where(discs() == 1, 0, discs()))
    window.click(100, 150)
    assert window.form.text.text().startswith("There is no particle")
    assert len(window.rows()) == 4


def test_dragging_with_another_tool_moves_the_image_and_changes_nothing(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.DELETE])
    center = window.viewer.camera.center
    QTest.mousePress(window.canvas, LEFT, pos=window.place(50, 50))
    for column in (60, 80, 100):
        window._move(window.place(50, column))
        window.settle(0.05)
    QTest.mouseRelease(window.canvas, LEFT, pos=window.place(50, 100))
    window.settle()
    assert window.viewer.camera.center != center
    assert np.array_equal(window.labels, discs())


def test_painting_with_naparis_brush_is_measured_and_releases_the_tool(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.DELETE])
    layer = window.panel.layer
    layer.mode = "paint"
    layer.selected_label = 6
    layer.brush_size = 10
    assert window.form.tool() is None
    window.drag((180, 140), (180, 160))
    assert window.labels[180, 150] == 6
    assert window.form.counts.text() == "By hand: 1 added, 0 removed, 0 changed"
    assert len(window.rows()) == 6
    window.press(window.form.tools[Tool.DELETE])
    assert layer.mode == "pan_zoom"
    window.click(180, 150)
    assert np.array_equal(window.labels, discs())


def test_the_least_confidence_leaves_particles_out_and_puts_them_back(window, study):
    window.open(study)
    window.form.least.setValue(650)
    window.settle()
    assert [row[0] for row in window.rows()] == ["1", "2", "3"]
    assert np.array_equal(window.labels, np.where(discs() > 3, 0, discs()))
    assert window.form.counts.text() == "By hand: 0 added, 0 removed, 0 changed"
    window.form.least.setValue(0)
    window.settle()
    assert np.array_equal(window.labels, discs())


def test_saved_corrections_are_counted_and_opened_again(window, study):
    window.open(study)
    window.press(window.form.tools[Tool.DELETE])
    window.click(50, 50)
    window.form.least.setValue(500)
    window.settle()
    assert window.panel.is_unsaved()
    window.press(window.form.save)
    assert window.form.text.text().endswith("a.tif: 0 added, 1 removed, 0 changed.")
    assert not window.panel.is_unsaved()
    read = read_segmented(study / "labels" / "a.tif")
    assert read.edited
    assert str(read.corrections) == "0 added, 1 removed, 0 changed"
    assert len(np.unique(read.labels)) == 1 + 3

    window.form.image.activated.emit(1)
    window.settle()
    assert window.panel.document.micrograph.name == "b"
    window.form.image.activated.emit(0)
    window.settle()
    assert window.form.counts.text() == "By hand: 0 added, 1 removed, 0 changed"
    assert [layer.name for layer in window.viewer.layers] == ["a", "a particles"]


@pytest.mark.parametrize(
    ("answer", "left", "saved"),
    [("Cancel", "a", False), ("Discard", "b", False), ("Save", "b", True)],
)
def test_unsaved_corrections_are_asked_about(window, study, monkeypatch, answer, left, saved):
    asked = []

    def question(*arguments):
        asked.append(arguments[2])
        return QMessageBox.StandardButton[answer]

    monkeypatch.setattr(QMessageBox, "question", question)
    window.open(study)
    window.press(window.form.tools[Tool.DELETE])
    window.click(50, 50)
    window.form.image.activated.emit(1)
    window.settle()
    assert len(asked) == 1
    assert window.panel.document.micrograph.name == left
    assert window.form.image.currentText() == left
    assert read_segmented(study / "labels" / "a.tif").edited == saved


def test_a_file_that_another_program_changed_is_not_replaced(window, study):
    window.open(study)
    path = study / "labels" / "a.tif"
    path.write_bytes(path.read_bytes() + b"\0")
    before = path.read_bytes()
    window.press(window.form.save)
    assert "was changed by another program" in window.form.text.text()
    assert path.read_bytes() == before
    assert window.panel.is_unsaved() is False  # nothing was corrected


def test_a_micrograph_is_segmented_in_another_thread(window, study, monkeypatch):
    threads = []

    def segment(*arguments):
        threads.append(threading.current_thread())
        return nanorender.segment_micrograph(*arguments)

    monkeypatch.setattr(panel_module, "nanorender", SimpleNamespace(segment_micrograph=segment))
    window.open(study / "micrographs" / "b.tif")
    assert window.panel.layer is None
    assert not window.form.save.isEnabled()
    window.press(window.form.segment)
    assert not window.form.segment.isEnabled()
    while window.panel.worker is not None:
        window.settle(0.1)
    window.settle()
    assert threads[0] is not threading.main_thread()
    assert len(window.rows()) >= 3
    assert window.labels.any()
    assert window.panel.document.confidence is not None
    window.press(window.form.save)
    read = read_segmented(study / "micrographs" / "labels" / "b.tif")
    assert not read.edited
    assert len(read.confidence) == len(window.rows())
    assert np.array_equal(read.labels > 0, window.labels > 0)


def test_a_removed_layer_ends_the_work_on_it(window, study):
    window.open(study)
    window.viewer.layers.remove(window.panel.layer)
    window.settle()
    assert window.rows() == []
    assert not window.form.save.isEnabled()
    window.open(study / "labels" / "b.tif")
    assert len(window.rows()) == 5


def test_a_folder_without_images_is_refused_in_one_line(window, tmp_path):
    window.panel.open(tmp_path)
    assert "contains no image files" in window.form.text.text()
    assert len(window.viewer.layers) == 0


def test_sizes_are_in_pixels_where_the_pixel_size_is_unknown(window, study):
    image = study / "micrographs" / "c.tif"
    write_image(image, np.where(discs() > 0, 180, 60).astype(np.uint8), None)
    window.open(image)
    assert window.viewer.layers[0].scale.tolist() == [1, 1]
    assert not window.viewer.scale_bar.visible
    assert "sizes are in pixels" in window.form.text.text()

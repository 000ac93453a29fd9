"""Controls of the dock widget, without what they do."""

import pandas as pd
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from nanorender.files.changes import Changes
from nanorender.statistics.bootstrap import median_size
from nanorender.viewer.widgets.histogram import Histogram
from nanorender.viewer.widgets.table import ParticleTable
from nanorender.viewer.widgets.tools import Tool

STEPS = 1000
"""Steps of the slider of the least confidence."""


class Form:
    """Buttons, slider, table and texts of the dock widget.

    Parameters
    ----------
    parent
        The dock widget.
    """

    def __init__(self, parent: QWidget) -> None:
        column = QVBoxLayout(parent)
        column.setSpacing(6)

        # What is open
        self.open_image, self.open_folder = (
            QPushButton("Open image ..."),
            QPushButton("Open folder ..."),
        )
        column.addLayout(_row(self.open_image, self.open_folder))
        self.image = QComboBox()
        self.image.setToolTip("Image of the folder")
        column.addWidget(self.image)

        # Segmentation
        self.segment = QPushButton("Segment")
        self.segment.setToolTip("Find the particles with the general model")
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setFixedHeight(4)
        self.progress.setTextVisible(False)
        column.addWidget(self.segment)
        column.addWidget(self.progress)
        self.least = QSlider(Qt.Orientation.Horizontal)
        self.least.setRange(0, STEPS)
        self.least.setSingleStep(STEPS // 100)
        self.least.setPageStep(STEPS // 20)
        self.least.setToolTip("Particles below this confidence are left out")
        self.least_value = QLabel()
        self.least_value.setMinimumWidth(28)
        column.addLayout(_row(QLabel("min. confidence"), self.least, self.least_value))

        # Corrections
        self.tools = {tool: QPushButton(tool.name.capitalize()) for tool in Tool}
        for tool, button in self.tools.items():
            button.setCheckable(True)
            button.setToolTip(tool.value)
            button.toggled.connect(lambda on, tool=tool: on and self.release_tools(but=tool))
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        grid = QGridLayout()
        for place, button in enumerate((*self.tools.values(), self.undo, self.redo)):
            grid.addWidget(button, place // 3, place % 3)
        column.addLayout(grid)

        # Results
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        column.addWidget(self.summary)
        self.histogram = Histogram()
        column.addWidget(self.histogram)
        self.table = ParticleTable()
        column.addWidget(self.table, 1)

        # Saving
        self.folder = QLineEdit()
        self.folder.setToolTip("Folder of label maps")
        self.browse, self.save = QPushButton("..."), QPushButton("Save")
        self.browse.setFixedWidth(30)
        column.addLayout(_row(self.folder, self.browse, self.save))
        self.counts = QLabel()
        column.addWidget(self.counts)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        column.addWidget(self.text)
        self.set_segmenting(False)
        self.least.valueChanged.connect(lambda _: self._show_least())
        self.message("Open a micrograph, a folder of micrographs or a study.")

    def message(self, text: str) -> None:
        """Show a line at the bottom.

        Parameters
        ----------
        text
            The line.
        """
        self.text.setText(text)

    def tool(self) -> Tool | None:
        """Return the tool whose button is down.

        Returns
        -------
        Tool or None
            None if none is.
        """
        return next((tool for tool, button in self.tools.items() if button.isChecked()), None)

    def release_tools(self, but: Tool | None = None) -> None:
        """Release the buttons of all tools, or of all but one.

        Parameters
        ----------
        but
            Tool whose button stays down.
        """
        for tool, button in self.tools.items():
            if tool is not but:
                button.setChecked(False)

    def set_open(self, is_open: bool, has_particles: bool) -> None:
        """Enable what can be used.

        Parameters
        ----------
        is_open
            Whether an image is open.
        has_particles
            Whether it has a label map.
        """
        self.segment.setEnabled(is_open and self.progress.isHidden())
        for each in (*self.tools.values(), self.undo, self.redo, self.save):
            each.setEnabled(has_particles)
        for each in (self.folder, self.browse):
            each.setEnabled(is_open)

    def set_segmenting(self, on: bool) -> None:
        """Show that the segmentation runs.

        Parameters
        ----------
        on
            Whether it does.
        """
        self.progress.setHidden(not on)
        self.segment.setEnabled(not on)

    def show_images(self, names: list[str], current: str) -> None:
        """List the images of the folder; the list is hidden if there is only one.

        Parameters
        ----------
        names
            Names of the images.
        current
            Name of the one that is open.
        """
        with QSignalBlocker(self.image):
            self.image.clear()
            self.image.addItems(names)
            self.image.setCurrentIndex(names.index(current) if current in names else -1)
        self.image.setHidden(len(names) < 2)

    def confidence(self) -> float:
        """Return the least confidence.

        Returns
        -------
        float
            From 0 to 1.
        """
        return self.least.value() / STEPS

    def show_confidence(self, value: float) -> None:
        """Move the slider of the least confidence without a signal.

        Parameters
        ----------
        value
            From 0 to 1.
        """
        with QSignalBlocker(self.least):
            self.least.setValue(round(value * STEPS))
        self._show_least()

    def enable_confidence(self, known: bool) -> None:
        """Enable the slider where confidences are known.

        Parameters
        ----------
        known
            Whether they are.
        """
        self.least.setEnabled(known)
        self.least_value.setEnabled(known)

    def _show_least(self) -> None:
        self.least_value.setText(f"{self.confidence():.2f}")

    def show_particles(
        self, table: pd.DataFrame, unit: str, chosen: int | None, changes: Changes
    ) -> None:
        """Show table, histogram and counts.

        Parameters
        ----------
        table
            One row per particle.
        unit
            "nm" or "px".
        chosen
            Label of the particle whose row is selected, None for none.
        changes
            Corrections by hand.
        """
        sizes = table[f"equivalent_diameter_{unit}"].to_numpy()
        text = f"<b>{len(sizes)}</b> particle{'s' if len(sizes) != 1 else ''}"
        if len(sizes):
            median = median_size(sizes)
            text += f", median diameter <b>{median:.4g} {unit}</b>"
        self.summary.setText(text)
        self.histogram.show_sizes(sizes, unit)
        self.table.set_table(table, chosen)
        _, added, removed, changed = changes
        self.counts.setText(f"By hand: {added} added, {removed} removed, {changed} changed")

    def show_no_particles(self) -> None:
        """Empty table, histogram and counts."""
        self.summary.setText("No particles yet.")
        self.histogram.show_sizes(pd.Series(dtype=float).to_numpy(), "nm")
        self.table.set_table(pd.DataFrame({"label": pd.Series(dtype=int)}), None)
        self.counts.setText("")


def _row(*widgets: QWidget) -> QHBoxLayout:
    """Lay widgets out side by side."""
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row

"""Table of the particles, which sorts by any column."""

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

HEADINGS = {
    "label": "label",
    "equivalent_diameter": "diameter",
    "confidence": "confidence",
    "area": "area",
    "min_feret": "min. Feret",
    "max_feret": "max. Feret",
    "circularity": "circularity",
    "touches_frame": "at frame",
}
"""Columns of the table and their headings, without units."""

UNITS = {"nm": "nm", "nm2": "nm²", "px": "px", "px2": "px²"}


class ParticleModel(QAbstractTableModel):
    """The rows of a particle table, as Qt shows them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._columns: list[tuple[str, np.ndarray]] = []
        self.labels = np.zeros(0, np.int64)

    def set_table(self, table: pd.DataFrame) -> None:
        """Show another table."""
        self.beginResetModel()
        self._columns = []
        for name, heading in HEADINGS.items():
            for column in table.columns:
                unit = str(column).removeprefix(f"{name}_")
                if column == name or (str(column).startswith(name) and unit in UNITS):
                    text = heading if column == name else f"{heading} ({UNITS[unit]})"
                    self._columns.append((text, table[column].to_numpy()))
        self.labels = table["label"].to_numpy(np.int64)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 (named by Qt)
        """Return the number of particles."""
        return 0 if parent is not None and parent.isValid() else len(self.labels)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 (named by Qt)
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, or the value by which it is sorted."""
        value = self._columns[index.column()][1][index.row()].item()
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(value)
        if role == Qt.ItemDataRole.UserRole:
            return -np.inf if isinstance(value, float) and np.isnan(value) else value
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802 (named by Qt)
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the heading of a column."""
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return self._columns[section][0]


def _text(value: float | int | bool) -> str:
    """Format a value with four digits; unknown ones are empty."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return str(value)
    return "" if np.isnan(value) else f"{value:#.4g}" if abs(value) < 1000 else f"{value:.0f}"


class ParticleTable(QTableView):
    """View of the particle table; tells which particle was clicked."""

    chosen = Signal(int)
    """Emitted with the label of a row when it is clicked, or reached with the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.particles = ParticleModel(self)
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.particles)
        self.sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self.sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setResizeContentsPrecision(20)
        self._quiet = False

    def set_table(self, table: pd.DataFrame, selected: int | None) -> None:
        """Show another table, and select a particle in it."""
        place = self.verticalScrollBar().value()
        self._quiet = True
        self.particles.set_table(table)
        self._quiet = False
        self.verticalScrollBar().setValue(place)
        self.select(selected, scroll=False)

    def select(self, label: int | None, scroll: bool = True) -> None:
        """Select the row of a particle, or none."""
        rows = np.flatnonzero(self.particles.labels == label) if label is not None else []
        self._quiet = True
        if len(rows):
            index = self.sorted.mapFromSource(self.particles.index(int(rows[0]), 0))
            self.selectRow(index.row())
            if scroll:
                self.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)
        else:
            self.clearSelection()
        self._quiet = False

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:  # noqa: N802
        """Tell which particle was reached (named by Qt)."""
        super().currentChanged(current, previous)
        if current.isValid() and not self._quiet:
            row = self.sorted.mapToSource(current).row()
            self.chosen.emit(int(self.particles.labels[row]))

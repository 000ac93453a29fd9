"""Histogram of the particle diameters."""

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QSizePolicy, QWidget

from nanorender.statistics.bootstrap import median_size
from nanorender.viewer.histogram_classes import histogram_edges

BAR, MEDIAN = "#56b4e9", "#e69f00"  # Okabe and Ito, legible on light and dark themes
FONT_PT = 8
WIDTH_PX, HEIGHT_PX = 340, 150


class Histogram(FigureCanvasQTAgg):
    """Number of particles per size class, with the median, in the colors of the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Figure(layout="constrained"))
        self.setParent(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT_PX)
        self.setStyleSheet("background: transparent;")
        self.figure.patch.set_alpha(0)
        self.axes = self.figure.add_subplot()

    def sizeHint(self) -> QSize:  # noqa: N802 (named by Qt)
        """Return a size that leaves room for the image."""
        return QSize(WIDTH_PX, HEIGHT_PX)

    def show_sizes(self, sizes: Float[np.ndarray, "n"], unit: str) -> None:
        """Draw the histogram of some sizes."""
        ink = self.palette().windowText().color().name()
        axes = self.axes
        axes.clear()
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(ink)
        axes.tick_params(colors=ink, labelsize=FONT_PT, length=3)
        axes.set_xlabel(f"equivalent circle diameter ({unit})", color=ink, fontsize=FONT_PT)
        axes.set_ylabel("particles", color=ink, fontsize=FONT_PT)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        if len(sizes):
            axes.hist(
                sizes, histogram_edges(sizes).tolist(), color=BAR, edgecolor=ink, linewidth=0.4
            )
            axes.axvline(median_size(sizes), color=MEDIAN, linewidth=1.5)
        else:
            axes.set_ylim(0, 1)
        self.draw_idle()

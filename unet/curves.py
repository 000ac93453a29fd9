"""Figure of the training losses and of the scores on the validation images by epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nanorender.files.atomic import atomic_file
from nanorender.report.figures import STYLE
from unet.run_folder import LogEntry

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito
_MOST_ANNOTATED_LINES = 6
_MOST_MARKED_EPOCHS = 30


@matplotlib.rc_context(STYLE)
def write_curves(path: Path, log: Sequence[LogEntry]) -> None:
    """Plot the loss of each target and the pixel F1 of each validation image as a PNG file.

    Parameters
    ----------
    path : file to write
    log : log of the training; nothing is written while it is empty

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    if not log:
        return
    validated = [entry for entry in log if entry.pixel_f1]
    figure = Figure(figsize=(9.0 if validated else 4.8, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if validated else 1, squeeze=False)[0]
    _draw_losses(panels[0], log)
    if validated:
        _draw_scores(panels[1], validated)
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.margins(x=0.02)
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=150, metadata={"Software": None})


def _draw_losses(axes: Axes, log: Sequence[LogEntry]) -> None:
    """Draw the loss of each target."""
    epochs = [entry.epoch for entry in log]
    for index, name in enumerate(log[0].loss):
        losses = [entry.loss.get(name, np.nan) for entry in log]
        axes.plot(epochs, losses, color=_COLORS[index % len(_COLORS)], label=name, **_markers(log))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_ylabel("training loss")
    axes.legend()


def _draw_scores(axes: Axes, log: Sequence[LogEntry]) -> None:
    """Draw the pixel F1 of each annotated validation image and their mean.

    Lines have gaps where a training was resumed with other images.
    """
    epochs = [entry.epoch for entry in log]
    of_images = [entry.pixel_f1 or {} for entry in log]
    names = list(dict.fromkeys(name for scores in of_images for name in scores))
    scores = np.array([[scores.get(name, np.nan) for name in names] for scores in of_images])
    if len(names) > 1:
        for column, name in zip(scores.T, names, strict=True):
            axes.plot(epochs, column, color="#8c959f", linewidth=0.8, alpha=0.8)
            if len(names) <= _MOST_ANNOTATED_LINES:  # more names overlap
                axes.annotate(f" {name}", (epochs[-1], column[-1]), fontsize=6, va="center")
    label = "mean" if len(names) > 1 else names[0]
    axes.plot(epochs, np.nanmean(scores, axis=1), color=_COLORS[0], label=label, **_markers(log))
    axes.set_ylabel("pixel F1 of the validation images")
    axes.set_ylim(top=1.0)
    axes.legend(loc="lower right")


def _markers(log: Sequence[LogEntry]) -> dict[str, Any]:
    """Mark the epochs of a short training; a single epoch is visible as a marker only."""
    return {"marker": "o", "markersize": 3} if len(log) <= _MOST_MARKED_EPOCHS else {}

"""The course of a training as a figure: its losses, and how well micrographs are segmented."""

from collections.abc import Mapping, Sequence
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

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito
_LABELED_IMAGES = 6  # more lines than these are not told apart: their mean is drawn alone


@matplotlib.rc_context(STYLE)
def write_curves(path: Path, log: Sequence[Mapping[str, Any]]) -> None:
    """Write the losses by target and the pixel F1 by validation image as a PNG file.

    Parameters
    ----------
    log: the lines of a run's log, one an epoch; nothing is written while there is none

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    if not log:
        return
    validated = [line for line in log if line.get("pixel_f1")]
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


def _draw_losses(axes: Axes, log: Sequence[Mapping[str, Any]]) -> None:
    """Draw the loss of each target after each epoch."""
    epochs = [line["epoch"] for line in log]
    for index, name in enumerate(log[0]["loss"]):
        losses = [line["loss"].get(name, np.nan) for line in log]
        axes.plot(epochs, losses, color=_COLORS[index % len(_COLORS)], label=name, **_marks(log))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_ylabel("training loss")
    axes.legend()


def _draw_scores(axes: Axes, log: Sequence[Mapping[str, Any]]) -> None:
    """Draw the pixel F1 of each annotated validation image, and their mean.

    A training that goes on with other images has gaps in their lines.
    """
    epochs = [line["epoch"] for line in log]
    names = list(dict.fromkeys(name for line in log for name in line["pixel_f1"]))
    scores = np.array([[line["pixel_f1"].get(name, np.nan) for name in names] for line in log])
    if len(names) > 1:
        for column, name in zip(scores.T, names, strict=True):
            label = name if len(names) <= _LABELED_IMAGES else None
            axes.plot(epochs, column, color="#8c959f", linewidth=0.8, alpha=0.8)
            if label is not None:
                axes.annotate(f" {label}", (epochs[-1], column[-1]), fontsize=6, va="center")
    label = "mean" if len(names) > 1 else names[0]
    axes.plot(epochs, np.nanmean(scores, axis=1), color=_COLORS[0], label=label, **_marks(log))
    axes.set_ylabel("pixel F1 of the validation images")
    axes.set_ylim(top=1.0)
    axes.legend(loc="lower right")


def _marks(log: Sequence[object]) -> dict[str, Any]:
    """Return a style in which one epoch alone can be seen too."""
    return {"marker": "o", "markersize": 3} if len(log) <= 30 else {}

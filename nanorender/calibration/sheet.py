"""The sheet of a calibration: real and synthetic patches side by side, and how alike they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nanorender.calibration.likeness import BANDS, LEVELS, PATCH_PX, Features, Terms
from nanorender.calibration.views import View
from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file

PATCHES = 4
EDGE_INCHES = 3.0
COLOURS = {"real": "black", "synthetic": "tab:red"}


def write_sheet(
    views: Mapping[str, Sequence[View]],
    features: Mapping[str, Features],
    terms: Mapping[str, Terms],
    path: Path,
) -> None:
    """Write a PNG of a calibration.

    views: rows of patches by their names
    features: of real and synthetic images, by names in COLOURS
    terms: of the loss, by names such as "before" and "after"

    Raises
    ------
    InputError
        If the file's name does not end in .png, or it cannot be written.
    """
    refuse_other_than_png(path)
    rows = len(views) + 1
    size = (EDGE_INCHES * PATCHES, EDGE_INCHES * 1.06 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, PATCHES, squeeze=False)
    for line, (name, row) in zip(grid.tolist(), views.items(), strict=False):
        _draw_patches(line, name, row)
    gray, gradient, spectrum, bars = grid[-1]
    for name, of in features.items():
        _draw_distributions((gray, gradient, spectrum), name, of)
    gray.legend(frameon=False, fontsize=8)
    _draw_terms(bars, terms)
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


def refuse_other_than_png(path: Path) -> None:
    """Raise InputError unless a path ends in .png."""
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} must end in .png, as the picture is one")


def _draw_patches(line: Sequence[Axes], name: str, views: Sequence[View]) -> None:
    chosen = np.linspace(0, len(views) - 1, len(line)).round().astype(int)
    for axes, k in zip(line, chosen, strict=True):
        axes.imshow(views[k], cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
    line[0].set_title(name, fontsize=9, loc="left")


def _draw_distributions(line: Sequence[Axes], name: str, of: Features) -> None:
    gray, gradient, spectrum = line
    colour = COLOURS[name]
    gray.plot(np.arange(LEVELS), of.gray / of.gray.sum(), color=colour, lw=1, label=name)
    gray.set(xlabel="gray level", ylabel="share of pixels", yscale="log")
    steps = of.gradients[0] / of.gradients[0].sum()
    gradient.plot(np.arange(LEVELS) / 4, steps, color=colour, lw=1)
    gradient.set(xlabel="gradient, levels per px", yscale="log", xlim=(0, 40), ylim=(1e-6, None))
    frequency = (PATCH_PX / 2) ** (np.arange(BANDS) / (BANDS - 1)) / PATCH_PX
    shown = of.spectrum > 0
    spectrum.loglog(frequency[shown], of.spectrum[shown] / of.gray.sum(), color=colour, lw=1)
    spectrum.set(xlabel="spatial frequency, 1 / px", ylabel="power")


def _draw_terms(axes: Axes, terms: Mapping[str, Terms]) -> None:
    """Draw the terms as bars, a colour for each name."""
    width = 0.8 / len(terms)
    for number, (name, values) in enumerate(terms.items()):
        label = f"{name}: loss {values.loss():.3f}"
        axes.barh(np.arange(len(values)) + number * width, values, width, label=label)
    axes.set_yticks(np.arange(len(Terms._fields)) + 0.4 - width / 2, Terms._fields)
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=8)

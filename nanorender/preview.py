"""Contact sheets of the first samples of a recipe."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Shaped
from matplotlib.figure import Figure

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file
from nanorender.randomization import RandomizedRecipe
from nanorender.recipe import Recipe
from nanorender.rendering import Sample, render
from nanorender.report.overlay import neighbor_colors, palette
from nanorender.tracing.raymarch import Surface

_COLUMNS = ("image", "labels", "height", "normals")
_EDGE_INCHES = 3.2


def write_preview(
    recipe: Recipe | RandomizedRecipe,
    count: int,
    seed: int,
    path: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write a contact sheet: image, labels, height and normals of the first samples of a recipe.

    Parameters
    ----------
    recipe : recipe to render
    count : number of samples
    seed : seed of the samples
    path : PNG file to write
    on_progress : called with the numbers of finished and of all samples

    Raises
    ------
    InputError
        If the name of the file does not end in .png, or the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} must end in .png, since contact sheets are PNG files")
    size = (_EDGE_INCHES * len(_COLUMNS), _EDGE_INCHES * 1.08 * count)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(count, len(_COLUMNS), squeeze=False)
    for index, row in enumerate(grid):
        on_progress(index, count)
        sample = render(recipe.for_sample(seed, index), seed, index)
        for axes, picture in zip(row, _pictures(sample), strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=_white(picture))
            axes.set_axis_off()
        width_um = sample.pixel_size_nm * sample.image.shape[1] / 1000
        row[0].set_title(f"sample {index}: {width_um:.2f} µm wide", fontsize=8, loc="left")
        row[1].set_title(f"{len(sample.truth['label'])} particles", fontsize=8, loc="left")
        row[2].set_title(f"up to {sample.surface.height_nm.max():.0f} nm", fontsize=8, loc="left")
    on_progress(count, count)
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=150)


def _pictures(sample: Sample) -> tuple[np.ndarray, ...]:
    """Return the images of a sample, one per column."""
    height = sample.surface.height_nm
    relative = height / max(float(height.max()), 1e-9)
    return sample.image, label_colors(sample.labels), relative, _normal_map(sample.surface)


def label_colors(labels: Int[np.ndarray, "h w"]) -> Shaped[np.ndarray, "h w 3"]:
    """Color a label map on black, neighbors in different colors.

    Parameters
    ----------
    labels : (h, w) 0 for background

    Returns
    -------
    colors : (h, w, 3) red, green and blue

    Examples
    --------
    >>> label_colors(np.array([[0, 1, 2]])).shape
    (1, 3, 3)
    """
    chosen = neighbor_colors(labels)
    colors = palette(int(chosen.max()) + 1)[chosen]
    colors[0] = 0
    return colors[labels]


def _normal_map(surface: Surface) -> Float32[np.ndarray, "h w 3"]:
    """Return normals as colors: x, y, z from -1 to 1 become red, green, blue from 0 to 1."""
    return np.moveaxis(surface.normal, 0, 2) / 2 + np.float32(0.5)


def _white(picture: np.ndarray) -> float:
    """Return the value of white."""
    return float(np.iinfo(picture.dtype).max) if picture.dtype.kind == "u" else 1.0

"""The gallery: all templates in all materials, and samples of the recipes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file
from nanorender.imaging.detector import DetectorSettings, detect
from nanorender.imaging.lighting import Lighting, light
from nanorender.imaging.materials import MATERIALS, MaterialBase, Substrate
from nanorender.imaging.shaders import shade
from nanorender.preview import label_colors
from nanorender.randomization import read_recipe_source
from nanorender.recipe import read_recipe
from nanorender.recipes import preset_names, randomized_names
from nanorender.rendering import render
from nanorender.scenes.scene import Particles, Scene, View
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import template_table
from nanorender.tracing.raymarch import trace

SHEET_COLUMNS = 9
_CELL_NM, CELL_PX = 200.0, 128
_LONG = {"rod": (5.0, 1.0, 1.0), "wire": (7.0, 1.0, 1.0), "capsule": (2.5, 1.0, 1.0)}
"""Stretches of elongated templates; all others are not stretched."""

_RANDOMIZED_GRID = (5, 6)
"""Rows and columns of the sheet of a randomized recipe."""

_DETAIL_PX = 700
"""Edge length of the part of an image that is shown at full resolution."""


def write_gallery(
    folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Write the images of the gallery.

    Parameters
    ----------
    folder : folder to write templates.png, recipes.png and a sheet of each randomized recipe into
    on_progress : called with the numbers of finished and of all steps

    Returns
    -------
    written : paths of the images

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None
    names = preset_names()
    total = len(MATERIALS) + len(names) + len(randomized_names())
    templates = Figure(figsize=(11, 14.2), layout="constrained")
    for done, (kind, axes) in enumerate(
        zip(MATERIALS, templates.subplots(len(MATERIALS), 1), strict=True)
    ):
        on_progress(done, total)
        axes.imshow(template_sheet(kind()), cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{kind.__name__}: {(kind.__doc__ or '').splitlines()[0]}", fontsize=9)
        axes.set_axis_off()
        for number, name in enumerate(BUILT_IN):
            row, column = divmod(number, SHEET_COLUMNS)
            place = (column + 0.5) * CELL_PX, (row + 0.985) * CELL_PX
            axes.text(*place, name, color="white", fontsize=6.5, ha="center", va="bottom")
    recipes = Figure(figsize=(11, 3.75 * len(names)), layout="constrained")
    grid = recipes.subplots(len(names), 3, squeeze=False)
    for done, (name, row) in enumerate(zip(names, grid, strict=True), len(MATERIALS)):
        on_progress(done, total)
        _draw_recipe(name, row)
    figures = {"templates": templates, "recipes": recipes}
    for done, name in enumerate(randomized_names(), len(MATERIALS) + len(names)):
        on_progress(done, total)
        figures[name] = _randomized_sheet(name)
    on_progress(total, total)
    written = []
    for name, figure in figures.items():
        written.append(folder / f"{name}.png")
        with atomic_file(written[-1]) as part:
            figure.savefig(part, format="png", dpi=110)
    return written


def _randomized_sheet(name: str) -> Figure:
    """Draw the first images of a randomized recipe, each with what it is of."""
    rows, columns = _RANDOMIZED_GRID
    figure = Figure(figsize=(11, 2.05 * rows), layout="constrained")
    source = read_recipe_source(name)
    for index, axes in enumerate(figure.subplots(rows, columns).flat):
        recipe = source.for_sample(0, index)
        axes.imshow(render(recipe, 0, index).image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(recipe.description, fontsize=6)
        axes.set_axis_off()
    return figure


def template_sheet(material: MaterialBase) -> UInt8[np.ndarray, "h w"]:
    """Render all built-in templates in one material, row by row.

    Parameters
    ----------
    material : material of all particles

    Returns
    -------
    image : (h, w) gray levels, with cells of `CELL_PX` pixels in `SHEET_COLUMNS` columns
    """
    scene = _one_of_each()
    surface = trace(scene, scene.view)
    rng = np.random.default_rng(0)
    lighting = Lighting(azimuth_deg=Constant(value=225), strength=Constant(value=0.35))
    lit = light(surface, lighting, rng)
    texture = np.ones(surface.particle.shape, np.float32)
    materials = [material.model_copy(update={"grain_slope": 0.0})]
    radiance = shade(surface, lit, materials, Substrate(), texture, scene.particles)
    detector = DetectorSettings(gain=Constant(value=1), streak_strength=Constant(value=0))
    return detect(radiance, detector, surface.particle.shape, rng)


def _one_of_each() -> Scene:
    """Return a scene of all built-in templates on a grid, tilted."""
    count = len(BUILT_IN)
    rows = -(-count // SHEET_COLUMNS)
    row, column = np.divmod(np.arange(count), SHEET_COLUMNS)
    place = np.column_stack([column, row]) + 0.5
    stretch = np.array([_LONG.get(name, (1.0, 1.0, 1.0)) for name in BUILT_IN])
    size = 0.55 * _CELL_NM * stretch / stretch.max(1, keepdims=True)
    size *= np.where(stretch.max(1) > 1, 1.45, 1.0)[:, None]
    turn = Rotation.from_euler("xz", [24, 35], degrees=True).as_matrix()
    particles = Particles(
        template=np.arange(count),
        center_nm=np.column_stack([place * _CELL_NM, size.min(1) / 2]),
        size_nm=size,
        rotation=np.tile(turn, (count, 1, 1)),
        agglomerate=np.arange(count),
        population=np.zeros(count, np.int64),
        brightness=np.ones(count),
    )
    view = View(0.0, 0.0, _CELL_NM / CELL_PX, rows * CELL_PX, SHEET_COLUMNS * CELL_PX, 0.0)
    return Scene(particles, template_table(list(BUILT_IN.values())), view)


def _draw_recipe(name: str, row: np.ndarray) -> None:
    """Draw a sample, its most crowded part at full resolution, and the labels of that part."""
    sample = render(read_recipe(name), 0, 0)
    part = _most_crowded(sample.labels)
    pictures = sample.image, sample.image[part], label_colors(sample.labels)[part]
    edge_um = sample.pixel_size_nm / 1000 * np.array([len(sample.labels), _DETAIL_PX, _DETAIL_PX])
    kinds = name, "part at full resolution", "labels"
    for axes, picture, kind, um in zip(row, pictures, kinds, edge_um, strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.ndim == 2 else None)
        axes.set_title(f"{kind}: {um:.1f} µm wide", fontsize=9)
        axes.set_axis_off()


def _most_crowded(labels: Int[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """Return the square window, on a coarse grid, with the most particle pixels."""
    starts = range(0, max(len(labels) - _DETAIL_PX, 0) + 1, _DETAIL_PX // 4)
    windows = [
        (slice(top, top + _DETAIL_PX), slice(left, left + _DETAIL_PX))
        for top in starts
        for left in starts
    ]
    return max(windows, key=lambda window: np.count_nonzero(labels[window]))

"""Speed of rendering on this machine: processor time by stage, including writing."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanorender.errors import InputError
from nanorender.execution.memory import keep_freed_memory
from nanorender.files.labeled import LabeledImage
from nanorender.files.tiff import write_image, write_labels
from nanorender.recipe import Recipe, read_recipe
from nanorender.rendering import render
from nanorender.versions import RENDERING_PACKAGES, installed_versions

_GRAINS_NM_PER_PX = 7.0


def bench(names: Sequence[str], count: int) -> dict[str, Any]:
    """Measure the time of an image with its labels, as medians in seconds.

    One process renders samples 0 to count - 1 of each recipe as a worker of `generate` does, after
    one that is not counted because it loads the compiled kernels.

    Parameters
    ----------
    names
        Presets, or files of recipes.
    count
        Number of samples of each recipe.

    Returns
    -------
    dict
        recipes : by name, a dict of

        - cpu_s_per_pair : processor time
        - wall_s_per_pair : elapsed time, with both files flushed to the disk
        - rays_per_s : camera rays over the processor time of tracing
        - stages : processor time by the stages of `render`, and "write"

        cores : number of cores; each can render its own samples

        versions : versions of the packages that determine the output

    Raises
    ------
    InputError
        If a recipe cannot be read or rendered, or the count is below 1.
    """
    if count < 1:
        raise InputError(f"count must be at least 1, got {count}")
    recipes = {name: read_recipe(name) for name in names}
    keep_freed_memory()
    return {
        "recipes": {name: _timed(recipe, count) for name, recipe in recipes.items()},
        "cores": os.cpu_count() or 1,
        "versions": installed_versions(RENDERING_PACKAGES),
    }


def _timed(recipe: Recipe, count: int) -> dict[str, Any]:
    """Return the record of one recipe."""
    with tempfile.TemporaryDirectory() as folder:
        _times(recipe, 0, Path(folder))
        samples = [_times(recipe, index, Path(folder)) for index in range(count)]
    median = {name: float(np.median([times[name] for times in samples])) for name in samples[0]}
    wall, cpu = median.pop("wall"), median.pop("cpu")
    return {
        "cpu_s_per_pair": cpu,
        "wall_s_per_pair": wall,
        "rays_per_s": recipe.camera.render_px**2 / median["trace"],
        "stages": median,
    }


def _times(recipe: Recipe, index: int, folder: Path) -> dict[str, float]:
    """Return the seconds of each stage of a sample, and the sums "cpu" and "wall"."""
    stages: dict[str, float] = {}
    began, cpu_began = time.perf_counter(), time.process_time()

    def on_stage(name: str) -> None:
        stages[name] = time.process_time() - cpu_began - sum(stages.values())

    sample = render(recipe, 0, index, on_stage)
    write_image(folder / "image.tif", sample.image, sample.pixel_size_nm)
    write_labels(folder / "labels.tif", sample.labels, sample.pixel_size_nm)
    on_stage("write")
    wall = time.perf_counter() - began
    return {**stages, "cpu": sum(stages.values()), "wall": wall}


def bench_images(edge_px: int, count: int) -> list[LabeledImage]:
    """Render the images on which networks are timed: grains of about 30 px on a substrate.

    Parameters
    ----------
    edge_px
        Edge of the images.
    count
        Number of images.

    Returns
    -------
    list of LabeledImage
        Samples of the recipe `tio2`.
    """
    recipe = read_recipe("tio2").at_scale(_GRAINS_NM_PER_PX, edge_px)
    samples = [render(recipe, 0, index) for index in range(count)]
    return [
        LabeledImage(each.image, each.labels, each.pixel_size_nm, Path(f"{index}.tif"))
        for index, each in enumerate(samples)
    ]


def as_text(measured: dict[str, Any]) -> str:
    """Format the result of `bench` as a table of milliseconds by stage and recipe.

    Parameters
    ----------
    measured
        From `bench`.

    Returns
    -------
    str
        Lines of text.
    """
    recipes = measured["recipes"]
    rows = [["ms per pair", *recipes]]
    stages = sorted((one["stages"] for one in recipes.values()), key=len, reverse=True)
    for stage in dict.fromkeys(name for one in stages for name in one):
        times = (one["stages"].get(stage) for one in recipes.values())
        rows.append([stage, *("-" if time is None else f"{1e3 * time:.1f}" for time in times)])
    for title, key in (("processor", "cpu_s_per_pair"), ("clock", "wall_s_per_pair")):
        rows.append([title, *(f"{1e3 * one[key]:.1f}" for one in recipes.values())])
    rows.append(["million rays/s", *(f"{one['rays_per_s'] / 1e6:.0f}" for one in recipes.values())])
    width = max(9, *(len(name) + 2 for name in recipes))
    lines = ["".join([f"{row[0]:<15}", *(f"{cell:>{width}}" for cell in row[1:])]) for row in rows]
    versions = ", ".join(f"{name} {number}" for name, number in measured["versions"].items())
    return "\n".join([*lines, f"{measured['cores']} cores; {versions}"])

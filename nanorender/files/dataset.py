"""Dataset folders: images with label maps and truth tables, and how they were made.

    dataset.json           name, seed, number of samples, hash of the recipe, versions
    recipe.toml            all settings
    images/000000.tif      gray image, calibrated in nm
    labels/000000.tif      label map: 0 background, label k is row k - 1 of the truth table
    truth/000000.csv       one row per particle
    parts/, height/ ...    further outputs of the recipe, see `outputs.OUTPUTS`
    recipes/000000.toml    recipe of the sample, if the dataset has a randomized recipe
    sums/000000.sha256     checksums of the other files, for ``sha256sum --check``

A sample is complete once its checksums exist: they are written last.
"""

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, Shaped
from pydantic import Field, ValidationError

from nanorender.errors import InputError
from nanorender.files.atomic import PART_PREFIX, write_text
from nanorender.files.checksums import format_checksums, text_sha256
from nanorender.files.tiff import write_image, write_labels
from nanorender.settings import Settings, read_text
from nanorender.versions import RENDERING_PACKAGES, installed_versions

FORMAT = 1
MOST_SAMPLES = 10_000_000
LARGEST_TABLE_BYTES = 1 << 28  # a million particles
RECIPES_FOLDER = "recipes"
SAMPLE_FOLDERS = ("images", "labels", "truth", "sums")

_SUM_NAME = re.compile(r"(\d{6,9})\.sha256")


class DatasetInfo(Settings):
    """Content of dataset.json."""

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    """Version of the layout of the folder."""
    name: str
    """Description of the recipe."""
    seed: int = Field(ge=0)
    """Seed of all samples; sample i depends on (recipe, seed, i) only."""
    count: int = Field(ge=0, le=MOST_SAMPLES)
    """Number of samples, once all are made."""
    recipe_sha256: str
    """SHA-256 of recipe.toml."""
    versions: dict[str, str]
    """Versions of the packages by which the dataset was created."""


class SamplePaths(NamedTuple):
    """Files of a sample, in the order in which they are written.

    Attributes
    ----------
    labels
        Label map.
    truth
        Truth table.
    image
        Gray image.
    sums
        Checksums of the other files.
    """

    labels: Path
    truth: Path
    image: Path
    sums: Path


def sample_paths(folder: Path, index: int) -> SamplePaths:
    """Name the files of a sample, whether they exist or not.

    Parameters
    ----------
    folder
        The dataset.
    index
        Number of the sample, from 0.

    Returns
    -------
    SamplePaths
        The files.

    Examples
    --------
    >>> sample_paths(Path("dataset"), 7).image.as_posix()
    'dataset/images/000007.tif'
    """
    name = f"{index:06d}"
    return SamplePaths(
        folder / "labels" / f"{name}.tif",
        folder / "truth" / f"{name}.csv",
        folder / "images" / f"{name}.tif",
        folder / "sums" / f"{name}.sha256",
    )


def has_drawn_recipes(folder: Path) -> bool:
    """Return whether each sample of a dataset has a recipe of its own, and so no common scale.

    Parameters
    ----------
    folder
        The dataset.

    Returns
    -------
    bool
        True for the datasets of a randomized recipe.
    """
    return (folder / RECIPES_FOLDER).is_dir()


def relative_loss_of_recipe(folder: Path) -> float | None:
    """Return how well the recipe of a dataset was fitted to micrographs.

    Parameters
    ----------
    folder
        The dataset.

    Returns
    -------
    float or None
        `Recipe.relative_loss`; None if the recipe was not fitted.

    Raises
    ------
    InputError
        If the recipe cannot be read.
    """
    path = folder / "recipe.toml"
    try:
        found = tomllib.loads(read_text(path)).get("relative_loss")
    except (ValueError, RecursionError):
        raise InputError(f"{path} is damaged; generate the dataset again") from None
    return found if isinstance(found, float) and found > 0 else None


def create_dataset(folder: Path, name: str, recipe_toml: str, seed: int, count: int) -> DatasetInfo:
    """Create a dataset folder, or continue one of the same recipe and seed.

    Parameters
    ----------
    folder
        New, empty, or an existing dataset.
    name
        Description of the recipe.
    recipe_toml
        All settings as TOML.
    seed
        Seed of all samples.
    count
        Number of samples; extends an existing dataset if larger than before.

    Returns
    -------
    DatasetInfo
        Content of dataset.json.

    Raises
    ------
    InputError
        If the folder holds anything else, or recipe or seed differ.
    """
    info = DatasetInfo(
        name=name,
        seed=seed,
        count=count,
        recipe_sha256=text_sha256(recipe_toml),
        versions=installed_versions(RENDERING_PACKAGES),
    )
    if (folder / "dataset.json").is_file():
        before = open_dataset(folder)
        _check_same(folder, before, info, recipe_toml)
        info = before.model_copy(update={"count": max(before.count, count)})
        if info == before:
            return before
    else:
        _make_folders(folder)
        write_text(folder / "recipe.toml", recipe_toml)
    write_text(folder / "dataset.json", info.model_dump_json(indent=2) + "\n")
    return info


def _make_folders(folder: Path) -> None:
    """Create the folders of an empty dataset; refuse a folder that holds anything else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        expected = {*SAMPLE_FOLDERS, "recipe.toml"}
        for entry in folder.iterdir():
            if entry.name not in expected and not entry.name.startswith(PART_PREFIX):
                raise InputError(f"{folder} holds {entry.name} but no dataset; give a new folder")
        for name in SAMPLE_FOLDERS:
            (folder / name).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None


def open_dataset(folder: Path) -> DatasetInfo:
    """Read dataset.json.

    Parameters
    ----------
    folder
        The dataset.

    Returns
    -------
    DatasetInfo
        Its content.

    Raises
    ------
    InputError
        If the folder is not a dataset of this format.
    """
    path = folder / "dataset.json"
    if not path.exists():
        raise InputError(f"{folder} is not a dataset: it has no dataset.json")
    try:
        return DatasetInfo.model_validate_json(read_text(path))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise InputError(f"{path} is damaged or of another version: {problem['msg']}") from None


def _check_same(folder: Path, before: DatasetInfo, now: DatasetInfo, recipe_toml: str) -> None:
    """Refuse another recipe or seed for a folder, and name the first setting that differs."""
    if before.seed != now.seed:
        raise InputError(
            f"{folder} was made with seed {before.seed}, got {now.seed}; give a new folder or "
            f"--seed {before.seed}"
        )
    if before.recipe_sha256 == now.recipe_sha256:
        return
    there = dict(_flat("", tomllib.loads(read_text(folder / "recipe.toml"))))
    here = dict(_flat("", tomllib.loads(recipe_toml)))
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    shown = "the text of recipe.toml differs"
    if keys:
        first = keys[0]
        shown = f"'{first}' was {there.get(first, 'absent')}, got {here.get(first, 'absent')}"
    others = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    raise InputError(f"{folder} was made with another recipe: {shown}{others}; give a new folder")


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield the settings of a parsed TOML file by their dotted keys."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
        case [dict(), *_]:
            for number, inner in enumerate(value):
                yield from _flat(f"{prefix}[{number}]", inner)
        case _:
            yield prefix, value


def write_sample(
    folder: Path,
    index: int,
    image: Integer[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "h w"],
    truth: Mapping[str, Shaped[np.ndarray, "n"]],
    pixel_size_nm: float,
    outputs: Mapping[str, Shaped[np.ndarray, "..."]] = MappingProxyType({}),
    recipe_toml: str | None = None,
) -> None:
    """Write the files of a sample, its checksums last.

    Parameters
    ----------
    folder
        The dataset.
    index
        Number of the sample, from 0.
    image
        (h, w) gray values.
    labels
        (h, w) label map.
    truth
        Columns of the truth table by name.
    pixel_size_nm
        Edge length of a pixel.
    outputs
        Further arrays, (h, w) or (pages, h, w), by the names of their folders. Integers are
        written as label maps.
    recipe_toml
        Recipe of this sample, if it was drawn from a randomized recipe.

    Raises
    ------
    InputError
        If a label does not fit into the file, or a file cannot be written.
    """
    paths = sample_paths(folder, index)
    write_labels(paths.labels, labels, pixel_size_nm)
    write_text(paths.truth, _csv(truth))
    write_image(paths.image, image, pixel_size_nm)
    more = [folder / name / paths.image.name for name in outputs]
    for path, array in zip(more, outputs.values(), strict=True):
        path.parent.mkdir(exist_ok=True)
        write = write_labels if array.dtype.kind in "iu" else write_image
        write(path, array, pixel_size_nm)
    if recipe_toml is not None:
        more.append(folder / RECIPES_FOLDER / f"{index:06d}.toml")
        more[-1].parent.mkdir(exist_ok=True)
        write_text(more[-1], recipe_toml)
    write_text(paths.sums, format_checksums(folder, [*paths[:3], *more]))


def _csv(truth: Mapping[str, np.ndarray]) -> str:
    """Format columns as CSV, numbers with the fewest digits that keep their value."""
    columns = [
        (column.astype(np.int8) if column.dtype == bool else column).tolist()
        for column in truth.values()
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(truth)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def complete_samples(folder: Path) -> list[int]:
    """List the complete samples of a dataset.

    Parameters
    ----------
    folder
        The dataset.

    Returns
    -------
    list of int
        Numbers of the samples, ascending.

    Raises
    ------
    InputError
        If the folder is not a dataset.
    """
    open_dataset(folder)
    try:
        names = [_SUM_NAME.fullmatch(path.name) for path in (folder / "sums").iterdir()]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from None
    return sorted(int(name[1]) for name in names if name)


def read_truth_table(folder: Path, index: int) -> dict[str, Shaped[np.ndarray, "n"]]:
    """Read the truth table of a sample.

    Parameters
    ----------
    folder
        The dataset.
    index
        Number of the sample, from 0.

    Returns
    -------
    dict of str to array
        Columns by name, int64 if all values are whole, else float64.

    Raises
    ------
    InputError
        If the file is missing or not a table of numbers.
    """
    path = sample_paths(folder, index).truth
    try:
        header, *rows = csv.reader(read_text(path, LARGEST_TABLE_BYTES).splitlines())
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
        return {name: _numbers(column) for name, column in zip(header, columns, strict=True)}
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a table of numbers: {error}") from None


def _numbers(column: tuple[str, ...]) -> np.ndarray:
    """Convert a column of text to int64, or to float64 if a value is not whole."""
    try:
        return np.array([int(value) for value in column], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array([float(value) for value in column])

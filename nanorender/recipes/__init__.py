"""Built-in recipes, one TOML file each; those in `randomized` draw a recipe for every image."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import NamedTuple

_FILES = resources.files("nanorender.recipes")

PRESET_USES = {
    "ag": "for nanowires and nanorods",
    "facets": "for cubes, octahedra and other crystals with flat faces",
    "gold": "for single dots and particles in TEM images",
    "layers": "for monolayers and beds of equal spheres",
    "magnetite": "for agglomerates in TEM images",
    "nanocrystals": "for crystals in TEM images, in sheets with narrow gaps",
    "powder": "for metal powder, and spheres with satellites",
    "sio2": "for spheres on a smooth substrate",
    "tio2": "for faceted grains in clumps and chains",
    "any": "draws a recipe for every image, to train a network for particles of any kind",
}
"""What each built-in recipe is for."""


class PresetSummary(NamedTuple):
    """A built-in recipe in two lines.

    Attributes
    ----------
    name
        Name by which commands take it.
    description
        The sample.
    use
        What it is for.
    """

    name: str
    description: str
    use: str


def preset_names() -> list[str]:
    """List the names of the built-in recipes.

    Returns
    -------
    list of str
        Names in alphabetical order.

    Examples
    --------
    >>> preset_names()
    ['ag', 'facets', 'gold', 'layers', 'magnetite', 'nanocrystals', 'powder', 'sio2', 'tio2']
    """
    return _names("")


def randomized_names() -> list[str]:
    """List the names of the built-in randomized recipes.

    Returns
    -------
    list of str
        Names in alphabetical order; see `randomization.RandomizedRecipe`.

    Examples
    --------
    >>> randomized_names()
    ['any']
    """
    return _names("randomized")


def known_names() -> list[str]:
    """List the names of all built-in recipes, randomized ones last.

    Returns
    -------
    list of str
        Names that commands take.
    """
    return preset_names() + randomized_names()


def preset_summaries() -> list[PresetSummary]:
    """Describe the built-in recipes.

    Returns
    -------
    list of PresetSummary
        In the order of `known_names`.

    Examples
    --------
    >>> preset_summaries()[0].description
    'silver nanowires, nanorods and particles on a wafer'
    """
    return [
        PresetSummary(
            name, tomllib.loads(preset_text(name) or "")["description"], PRESET_USES[name]
        )
        for name in known_names()
    ]


def preset_text(name: str) -> str | None:
    """Read the TOML text of a built-in recipe or randomized recipe.

    Parameters
    ----------
    name : one of `preset_names` or `randomized_names`

    Returns
    -------
    str or None
        The text, or None if there is no such recipe.
    """
    for folder in ("", "randomized"):
        if name in _names(folder):
            return (_FILES / folder / f"{name}.toml").read_text(encoding="utf-8")
    return None


def _names(folder: str) -> list[str]:
    files = (_FILES / folder).iterdir()
    return sorted(Path(file.name).stem for file in files if file.name.endswith(".toml"))

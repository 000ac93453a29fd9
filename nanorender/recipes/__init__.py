"""Built-in recipes, one TOML file each; those in `randomized` draw a recipe for every image."""

from importlib import resources
from pathlib import Path

_FILES = resources.files("nanorender.recipes")


def preset_names() -> list[str]:
    """List the names of the built-in recipes.

    Returns
    -------
    list of str
        Names in alphabetical order.

    Examples
    --------
    >>> preset_names()
    ['ag', 'powder', 'sio2', 'tio2']
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

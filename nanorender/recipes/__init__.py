"""Built-in recipes, one TOML file each."""

from importlib import resources
from pathlib import Path


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
    files = resources.files("nanorender.recipes").iterdir()
    return sorted(Path(file.name).stem for file in files if file.name.endswith(".toml"))

"""The general model: weights trained on synthetic images of every kind of particle."""

from importlib import resources
from pathlib import Path

GENERAL = "general.safetensors"


def general_model() -> Path:
    """Return the path of the model that needs no training.

    Returns
    -------
    Path
        Model file in the installed package.

    Examples
    --------
    >>> general_model().name
    'general.safetensors'
    """
    return Path(str(resources.files("nanorender.models") / GENERAL))

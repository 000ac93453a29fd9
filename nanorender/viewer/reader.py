"""Reader of the napari plugin: micrographs and label maps as napari layers."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nanorender.files.imagefile import SUFFIXES
from nanorender.viewer.document import Document, find_images, open_document

DOCUMENT, IMAGES = "nanorender document", "nanorender images"
"""Keys of the metadata of a layer: its document, and the files of its folder."""

LayerData = tuple[Any, dict[str, Any], str]
"""Data, keyword arguments and type of a napari layer."""


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return the reader of a path, as napari asks for it.

    Parameters
    ----------
    path
        A study, a folder of label maps or micrographs, or a file; or a list of one of them.

    Returns
    -------
    callable or None
        Reads the layers of the first image; None if the path is of another kind.

    Examples
    --------
    >>> get_reader("notes.txt") is None
    True
    """
    one = path if isinstance(path, str) else path[0] if len(path) == 1 else ""
    if not one or not (Path(one).is_dir() or Path(one).suffix.lower() in SUFFIXES):
        return None
    return partial(_read_layers, one)


def _read_layers(path: str, _asked: object = None) -> list[LayerData]:
    """Read the layers of a file, or of the first image of a folder."""
    images = find_images(Path(path))
    return document_layers(open_document(images[0]), images)


def document_layers(document: Document, images: Sequence[Path] = ()) -> list[LayerData]:
    """Return the layers of an image: the micrograph and, if there is one, its label map.

    Parameters
    ----------
    document
        The image.
    images
        Files of its folder, between which the widget switches.

    Returns
    -------
    list of tuple
        Layers for `napari.Viewer`, in nm if the pixel size is known.
    """
    size_nm = document.micrograph.pixel_size_nm
    shared = {
        "scale": (size_nm or 1.0,) * 2,
        "units": ("nm" if size_nm else "pixel",) * 2,
        "metadata": {DOCUMENT: document, IMAGES: tuple(images)},
    }
    name = document.micrograph.name
    layers: list[LayerData] = [(document.micrograph.image, shared | {"name": name}, "image")]
    if document.labels is not None:
        labels = np.array(document.labels, np.int32)  # a copy that is edited
        features = label_features(document)
        extra = {"name": f"{name} particles", "features": features, "opacity": 0.5}
        layers.append((labels, shared | extra, "labels"))
    return layers


def label_features(document: Document) -> pd.DataFrame:
    """Return what napari shows of the particle under the mouse.

    Parameters
    ----------
    document
        The image.

    Returns
    -------
    DataFrame
        "index", the label, and "confidence" if it is known.
    """
    if document.confidence is None:
        return pd.DataFrame()
    labels = np.arange(1, len(document.confidence) + 1)
    return pd.DataFrame({"index": labels, "confidence": document.confidence.round(3)})

"""Annotations: particles outlined by people in a micrograph, as label maps."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32
from scipy import ndimage

from nanorender.errors import InputError
from nanorender.files.imagefile import SUFFIXES, label_values, read_pixels
from nanorender.files.labelmap import refuse_unlikely_labels
from nanorender.files.micrograph import Micrograph


def stem_suffix(suffix: str) -> str:
    """Strip the file extension from the suffix of annotation names.

    Parameters
    ----------
    suffix
        Ending of names with or without extension.

    Returns
    -------
    str
        The ending without extension.

    Examples
    --------
    >>> stem_suffix("_m.tif")
    '_m'
    """
    return Path("x" + suffix).stem[1:] if suffix.lower().endswith(SUFFIXES) else suffix


def find_truth(micrograph: Micrograph, truth: str) -> Int32[np.ndarray, "h w"]:
    """Find and read the annotation of a micrograph.

    Parameters
    ----------
    micrograph
        The annotated image.
    truth
        Folder of files named as their images, or suffix of the names of annotations beside their
        images, such as ``_m``.

    Returns
    -------
    array
        (h, w) labels, as `read_truth`.

    Raises
    ------
    InputError
        If the annotation is missing or does not fit the micrograph.
    """
    folder = Path(truth)
    if not folder.is_dir():
        return read_truth(_path_beside(micrograph.path, truth), micrograph)
    for path in sorted(folder.glob(f"{micrograph.name}.*")):
        return read_truth(path, micrograph)
    raise InputError(f"{folder} holds no annotation of {micrograph.path.name}")


def _path_beside(path: Path, suffix: str) -> Path:
    """Return the existing file beside a micrograph whose name has the suffix appended."""
    name = path.stem + stem_suffix(suffix)
    for extension in (path.suffix, ".tif", ".tiff", ".png", ".TIF"):
        candidate = path.with_name(name + extension)
        if candidate.is_file() and candidate != path:
            return candidate
    raise InputError(f"{path} has no annotation {name}.tif or {name}.png beside it")


def read_truth(path: Path, micrograph: Micrograph) -> Int32[np.ndarray, "h w"]:
    """Read the annotation of a micrograph as a label map.

    In a binary mask each 4-connected region is one particle, since annotators separate touching
    particles by thin lines that may be crossed diagonally. Other images are label maps.

    Parameters
    ----------
    path
        The annotation, of the size of the micrograph's file or of its crop.
    micrograph
        The micrograph.

    Returns
    -------
    array
        (h, w) labels, cropped as the micrograph.

    Raises
    ------
    InputError
        If the file is not a label map, differs in size, or is the micrograph itself or another gray
        image.
    """
    labels = label_values(path, read_pixels(path).array)
    if labels.shape == micrograph.file_shape:
        top, bottom, left, right = micrograph.crop
        labels = np.ascontiguousarray(labels[top:bottom, left:right])
    elif labels.shape != micrograph.image.shape:
        raise InputError(
            f"{path} has {labels.shape[0]} rows and {labels.shape[1]} columns, but "
            f"{micrograph.path} has {micrograph.file_shape[0]} and {micrograph.file_shape[1]}"
        )
    if np.array_equal(labels, micrograph.image):
        raise InputError(
            f"{path} holds the gray values of {micrograph.path.name}, not an annotation; if "
            "annotations lie beside the images, give the suffix of their names, such as _m"
        )
    foreground = labels > 0
    if np.all(labels[foreground] == labels.max(initial=0)):
        regions: Any = ndimage.label(foreground, output=np.int32)
        return regions[0]
    refuse_unlikely_labels(path, labels)
    return labels

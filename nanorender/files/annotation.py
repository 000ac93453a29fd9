"""Annotations: what people drew of the particles in a micrograph, as label maps."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer
from scipy import ndimage

from nanorender.errors import InputError
from nanorender.files.imagefile import label_values, read_pixels
from nanorender.files.micrograph import Micrograph, stem_suffix


def find_truth(micrograph: Micrograph, truth: str) -> Integer[np.ndarray, "h w"]:
    """Find and read the annotation of a micrograph.

    Parameters
    ----------
    micrograph : the annotated image
    truth : folder of files named like their images, or suffix that the names of annotations have
        beside their images, such as "_m"

    Returns
    -------
    labels : (h, w) label map, as `read_truth` returns it

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
    for ending in (path.suffix, ".tif", ".tiff", ".png", ".TIF"):
        candidate = path.with_name(name + ending)
        if candidate.is_file() and candidate != path:
            return candidate
    raise InputError(f"{path} has no annotation {name}.tif or {name}.png beside it")


def read_truth(path: Path, micrograph: Micrograph) -> Integer[np.ndarray, "h w"]:
    """Return the annotation of a micrograph as labels (h, w) int32, cropped as it is.

    Two-valued images are masks: each region connected by edges is one particle, since touching
    particles are parted by lines that corners cross. Others are label maps.

    Raises
    ------
    InputError
        If the file is no image, not of whole numbers, not of the micrograph's size, or the
        micrograph itself.
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
            f"{path} holds the gray levels of {micrograph.path.name}, not what annotates it; where "
            "annotations lie beside the images, give the suffix of their names, such as _m"
        )
    foreground = labels > 0
    if np.all(labels[foreground] == labels.max(initial=0)):
        regions: Any = ndimage.label(foreground, output=np.int32)
        labels = regions[0]
    return labels

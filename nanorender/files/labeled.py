"""Images with label maps, read from datasets and from folders of segmented micrographs."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8, UInt16

from nanorender.errors import InputError
from nanorender.files.dataset import complete_samples, sample_paths
from nanorender.files.imagefile import gray_values, read_pixels
from nanorender.files.segmentation import find_label_maps, read_record, read_segmented
from nanorender.files.tiff import read_labels


class LabeledImage(NamedTuple):
    """A gray image with its label map.

    Attributes
    ----------
    image
        (h, w) gray values.
    labels
        (h, w) label map.
    pixel_size_nm
        Edge length of a pixel, None if unknown.
    path
        File that it was read from, named in errors.
    """

    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    labels: Integer[np.ndarray, "h w"]
    pixel_size_nm: float | None
    path: Path


def read_sample(folder: Path, index: int) -> LabeledImage:
    """Read image and labels of a sample of a dataset.

    Parameters
    ----------
    folder
        The dataset.
    index
        Number of the sample, from 0.

    Returns
    -------
    LabeledImage
        The image with labels of type int32.

    Raises
    ------
    InputError
        If a file is missing or damaged, or image and labels differ in size.
    """
    paths = sample_paths(folder, index)
    pixels, labels = read_pixels(paths.image), read_labels(paths.labels)[0]
    if pixels.array.shape != labels.shape:
        sizes = f"{pixels.array.shape} and {labels.shape}"
        raise InputError(f"{paths.image} and its labels must have the same shape, got {sizes}")
    image, _ = gray_values(paths.image, pixels.array)
    return LabeledImage(image, labels, pixels.header.pixel_size_nm, paths.image)


def dataset_images(folder: Path) -> Iterator[LabeledImage]:
    """Read all complete samples of a dataset, one at a time.

    Parameters
    ----------
    folder
        The dataset.

    Yields
    ------
    LabeledImage
        One sample.

    Raises
    ------
    InputError
        If the folder is not a dataset, or as `read_sample`.
    """
    for index in complete_samples(folder):
        yield read_sample(folder, index)


def segmented_images(folder: Path) -> Iterator[LabeledImage]:
    """Read label maps written by ``nanorender segment`` with their micrographs, one at a time.

    Parameters
    ----------
    folder
        Folder of label maps.

    Yields
    ------
    LabeledImage
        One micrograph; its path is that of the label map.

    Raises
    ------
    InputError
        If a label map has no record of its micrograph, or either file cannot be read.
    """
    for path in find_label_maps(folder):
        if read_record(path) is None:
            raise InputError(
                f"{path} has no record of its micrograph; only label maps written by "
                "'nanorender segment' can be exported"
            )
        labels, micrograph, *_ = read_segmented(path)
        yield LabeledImage(micrograph.image, labels, micrograph.pixel_size_nm, path)

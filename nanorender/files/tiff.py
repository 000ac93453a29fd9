"""TIFF files of images and label maps, calibrated in nm for ImageJ."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from jaxtyping import Int32, Integer, Real

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file
from nanorender.files.imagefile import label_values, read_pixels

LARGEST_SHORT_LABEL = 65535
"""Largest label of a 16-bit label map, the type that every program reads."""


def write_image(
    path: Path,
    image: Real[np.ndarray, "h w"] | Real[np.ndarray, "pages h w"],
    pixel_size_nm: float | None,
) -> None:
    """Write an image, or a stack of them, as an uncompressed TIFF.

    Noise barely compresses: zlib takes 20 times as long and saves a fifth.

    Parameters
    ----------
    path
        The file to create or replace.
    image
        (h, w) or (pages, h, w) values.
    pixel_size_nm
        Edge length of a pixel; None leaves the file without calibration.

    Raises
    ------
    UnwritableError
        If the file cannot be written.
    """
    with atomic_file(path) as part:
        axes = "YX" if image.ndim == 2 else "CYX"
        tifffile.imwrite(part, image, **_calibration(pixel_size_nm, axes))


def write_labels(
    path: Path,
    labels: Integer[np.ndarray, "h w"] | Integer[np.ndarray, "pages h w"],
    pixel_size_nm: float | None,
) -> None:
    """Write a label map, or a stack of them, as a compressed TIFF of 16 or 32 bits.

    Compressed by zlib-ng, which takes no longer than writing the uncompressed bytes and saves 98 %.
    Zstandard is as good, but ImageJ cannot open it; zlib takes 7 times as long.

    Parameters
    ----------
    path
        The file to create or replace.
    labels
        (h, w) or (pages, h, w) labels; stored in 16 bits unless one exceeds 65535.
    pixel_size_nm
        Edge length of a pixel; None leaves the file without calibration.

    Raises
    ------
    InputError
        If a label is negative or above 2147483647.
    UnwritableError
        If the file cannot be written.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "labels.tif"
    >>> write_labels(path, np.array([[0, 1], [2, 2]]), 2.5)
    >>> read_labels(path)
    (array([[0, 1],
           [2, 2]], dtype=int32), 2.5)
    """
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high >= 2**31:
        raise InputError(
            f"cannot write {path}: labels must be from 0 to 2147483647, got {low} to {high}"
        )
    short = high <= LARGEST_SHORT_LABEL
    # Views instead of copies: label maps of large images take gigabytes.
    values = np.ascontiguousarray(labels, "<u2" if short else "<i4").view("<u2" if short else "<u4")
    calibration = _calibration(pixel_size_nm, "YX" if values.ndim == 2 else "CYX")
    if not short:  # ImageJ opens 32-bit integers, but tifffile refuses to write them for ImageJ
        unit = "" if pixel_size_nm is None else "unit=nm\n"
        calibration |= {"imagej": False, "metadata": None, "description": f"ImageJ=1.53t\n{unit}"}
    pages = values.reshape(-1, *values.shape[-2:])
    packed = [imagecodecs.zlibng_encode(page, level=1) for page in pages]
    with atomic_file(path) as part:
        strips: Any = iter(packed)
        tifffile.imwrite(
            part,
            strips,
            shape=values.shape,
            dtype=values.dtype,
            byteorder="<",
            rowsperstrip=values.shape[-2],
            compression="zlib",
            **calibration,
        )


def _calibration(pixel_size_nm: float | None, axes: str) -> dict[str, Any]:
    """Build tifffile's arguments for an image that ImageJ opens calibrated in nm, or in pixels."""
    if pixel_size_nm is None:
        return {"imagej": True, "metadata": {"axes": axes}}
    resolution = (1 / pixel_size_nm, 1 / pixel_size_nm)
    return {"imagej": True, "resolution": resolution, "metadata": {"axes": axes, "unit": "nm"}}


def read_labels(path: Path) -> tuple[Int32[np.ndarray, "h w"], float | None]:
    """Read a label map and the calibration of its file.

    Parameters
    ----------
    path
        A TIFF or PNG file of whole numbers.

    Returns
    -------
    tuple of array and float or None
        (h, w) labels and pixel size in nm, None if the file has none.

    Raises
    ------
    InputError
        If the file is not an image or not a label map.
    """
    pixels = read_pixels(path)
    return label_values(path, pixels.array), pixels.header.pixel_size_nm

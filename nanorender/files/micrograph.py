"""Micrographs: gray images with a pixel size, without info bar."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from nanorender.errors import InputError
from nanorender.files.acquisition import NO_ACQUISITION, Acquisition
from nanorender.files.imagefile import gray_values, read_pixels
from nanorender.files.infobar import info_bar_rows
from nanorender.files.pixelsize import check_pixel_size

LARGEST_DISAGREEMENT = 0.01
"""Relative difference of a given pixel size from that of the header from which there is a note."""


@dataclass(frozen=True)
class Micrograph:
    """A gray image of a sample.

    Attributes
    ----------
    image
        (h, w) gray values, info bar removed.
    pixel_size_nm
        Edge length of a pixel, None if unknown.
    pixel_size_source
        Header, file or user that it comes from.
    crop
        Top, bottom, left and right of the image in pixels of the file.
    file_shape
        Height and width of the image in the file.
    path
        The file.
    notes
        Remarks on the reading for the user.
    acquisition
        Working distance, voltage, magnification and date, where the header has them.
    """

    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    pixel_size_nm: float | None
    pixel_size_source: str
    crop: tuple[int, int, int, int]
    file_shape: tuple[int, int]
    path: Path
    notes: tuple[str, ...] = ()
    acquisition: Acquisition = NO_ACQUISITION

    @property
    def name(self) -> str:
        """Name of the file without extension, used to name results."""
        return self.path.stem


def read_micrograph(
    path: Path,
    pixel_size_nm: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> Micrograph:
    """Read a micrograph from a TIFF, PNG, JPEG or BMP file.

    Parameters
    ----------
    path
        The file.
    pixel_size_nm
        Edge length of a pixel; overrides the file.
    crop
        Top, bottom, left and right of what to keep, in pixels of the file; overrides the search
        for an info bar.

    Returns
    -------
    Micrograph
        The image with its pixel size.

    Raises
    ------
    InputError
        If the file is not a gray image, or pixel size or crop are invalid.

    Examples
    --------
    >>> from nanorender.files.tiff import write_image
    >>> path = getfixture("tmp_path") / "grid.tif"
    >>> write_image(path, np.zeros((3, 4), np.uint8), pixel_size_nm=2.5)
    >>> micrograph = read_micrograph(path)
    >>> micrograph.image.shape, micrograph.pixel_size_nm, micrograph.pixel_size_source
    ((3, 4), 2.5, 'ImageJ calibration')
    """
    pixels = read_pixels(path)
    image, notes = gray_values(path, pixels.array)
    height, width = image.shape
    if crop is None:
        crop = (0, pixels.header.image_rows or height - info_bar_rows(image), 0, width)
    top, bottom, left, right = crop
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise InputError(
            f"crop {top},{bottom},{left},{right} (top,bottom,left,right) does not fit {path} with "
            f"{height} rows and {width} columns"
        )
    if pixel_size_nm is None:
        size, source = pixels.header.pixel_size_nm, pixels.header.source
    else:
        check_pixel_size(pixel_size_nm)
        size, source = float(pixel_size_nm), "given by the user"
        read = pixels.header.pixel_size_nm
        if read is not None and abs(size / read - 1) > LARGEST_DISAGREEMENT:
            notes += (f"its header says {read:.4g} nm; {size:.4g} nm is used, as asked",)
    kept = np.ascontiguousarray(image[top:bottom, left:right])
    return Micrograph(
        kept,
        size,
        source,
        crop,
        (height, width),
        path,
        pixels.notes + notes,
        pixels.header.acquisition,
    )

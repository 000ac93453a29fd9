"""Decoding of image files of unknown origin: checked first, then decoded, or refused in one line.

No memory is allocated for a size that exceeds the limit or contradicts the length of the file.
"""

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, Shaped, UInt8, UInt16
from PIL import Image
from tifffile import TiffFile

from nanorender.errors import InputError
from nanorender.files.microscopes import Header, read_header

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
"""Extensions of image files, in lower case."""

LARGEST_IMAGE_BYTES = 1 << 31
"""Largest image in memory: 32768 x 32768 pixels of 16 bits."""

COMPRESSIONS = (1, 5, 7, 8, 32773, 32946, 50000)
"""TIFF compressions that are read: none, LZW, JPEG, Deflate (two codes), PackBits, Zstandard.

Others are rare in micrographs, and their decoders allocate any size that a forged stream claims.
"""

JPEG, JPEG_BLOCK_PX = 7, 16

LARGEST_SPARSE_LABEL = 65535
"""Larger labels must not exceed the number of pixels."""

LARGEST_CHANNEL_DIFFERENCE = 2
"""Largest difference between the channels of a gray image after JPEG compression."""

# Exceptions of the decoders on truncated, forged and foreign files. Listed one by one, so that bugs
# in this program are not hidden.
_UNDECODABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Pixels(NamedTuple):
    """A gray image as stored in its file.

    Attributes
    ----------
    array
        (h, w) values of any type.
    header
        Content of the microscope's header.
    notes
        Remarks on the reading for the user.
    """

    array: Shaped[np.ndarray, "h w"]
    header: Header
    notes: tuple[str, ...]


def read_pixels(path: Path) -> Pixels:
    """Read a gray image from a TIFF, PNG, JPEG or BMP file.

    Palette indices are taken as gray values, equal color channels as one, opacity is dropped, TIFFs
    in which zero is white are inverted, and of several pages the first is read.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Pixels
        Its values and header.

    Raises
    ------
    InputError
        If the file is missing, not an image, truncated, too large, or a color image.
    """
    try:
        path.name.encode()  # tables and records are UTF-8
        with path.open("rb") as file:
            magic = file.read(8)
        if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _read_tiff(path)
        if magic.startswith((b"\x89PNG", b"\xff\xd8\xff", b"BM")):
            return _read_with_pillow(path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except UnicodeEncodeError:
        raise InputError(f"{path} has a name that is not UTF-8; rename it") from None
    except _UNDECODABLE as error:
        raise InputError(f"{path} is damaged: {_reason(error)}") from None
    raise InputError(f"{path} is not a TIFF, PNG, JPEG or BMP image; convert it to one of these")


def _read_tiff(path: Path) -> Pixels:
    """Read the first page of a TIFF."""
    with _silent_tifffile(), TiffFile(path) as tif:
        page: Any = tif.pages.first
        _check_size(path, page.imagewidth, page.imagelength, _bytes_per_pixel(path, page))
        _check_segments(path, page)
        notes = ("the file has several pages; the first is used",) if _has_second_page(tif) else ()
        header = read_header(path, tif, page.imagelength)
        samples_first = page.planarconfig == 2 and page.samplesperpixel > 1
        array = page.asarray(maxworkers=1)
        min_is_white = page.photometric == 0
    array = np.moveaxis(array, 0, -1) if samples_first and array.ndim == 3 else array
    array = _one_channel(path, array)
    if min_is_white and array.dtype.kind in ("b", "u"):
        array = ~array
    return Pixels(array, header, notes)


def read_pages(path: Path, count: int) -> Shaped[np.ndarray, "pages h w"]:
    """Read the first pages of a TIFF of gray images of one size.

    Parameters
    ----------
    path
        The file.
    count
        Number of pages.

    Returns
    -------
    array
        (count, h, w) values of any type.

    Raises
    ------
    InputError
        If the file is not such a TIFF, truncated or too large.
    """
    try:
        with _silent_tifffile(), TiffFile(path) as tif:
            pages: list[Any] = [tif.pages[number] for number in range(count)]
            for page in pages:
                page_bytes = _bytes_per_pixel(path, page) * count
                _check_size(path, page.imagewidth, page.imagelength, page_bytes)
                _check_segments(path, page)
            return np.stack([_one_channel(path, page.asarray(maxworkers=1)) for page in pages])
    except InputError:
        raise
    except _UNDECODABLE as error:
        raise InputError(f"{path} is damaged: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return the first line of an error, or its type."""
    return str(error).splitlines()[0][:150] if str(error) else type(error).__name__


def _bytes_per_pixel(path: Path, page: Any) -> float:
    """Return the uncompressed bytes per pixel that a TIFF page declares."""
    if page.dtype is None or page.imagedepth != 1:
        raise InputError(f"{path} has pixels of an unsupported type; save it as 8 or 16 bit gray")
    bits = page.bitspersample
    return page.samplesperpixel * (max(bits) if isinstance(bits, tuple) else bits) / 8


def _check_size(path: Path, width: int, height: int, bytes_per_pixel: float) -> None:
    """Refuse an image without pixels or above the limit, before anything is allocated."""
    if min(width, height) < 1:
        raise InputError(f"{path} is damaged: its header declares {width} x {height} pixels")
    if width * height * max(bytes_per_pixel, 1) > LARGEST_IMAGE_BYTES:
        raise InputError(
            f"{path} is too large: images of up to {LARGEST_IMAGE_BYTES >> 20} MiB can be read, "
            f"got {width} x {height} pixels; split it into smaller ones"
        )


def _check_segments(path: Path, page: Any) -> None:
    """Refuse a TIFF page whose strips or tiles are incomplete or above the size limit."""
    if page.is_tiled:
        _check_size(path, page.tilewidth, page.tilelength, _bytes_per_pixel(path, page))
    end = path.stat().st_size
    offsets, counts = page.dataoffsets, page.databytecounts
    complete = len(offsets) == len(counts) >= np.prod(page.chunked, dtype=np.int64) > 0
    inside = all(
        offset > 0 and count > 0 and offset + count <= end
        for offset, count in zip(offsets, counts, strict=False)
    )
    needed = page.imagewidth * page.imagelength * _bytes_per_pixel(path, page)
    stored = sum(counts) if page.compression == 1 else needed
    if not (complete and inside and stored >= needed):
        raise InputError(f"{path} is truncated: its image data are incomplete; copy it again")
    if page.compression not in COMPRESSIONS:
        raise InputError(
            f"{path} has an unsupported compression; save it without compression, or with LZW, "
            "Deflate, PackBits or Zstandard"
        )
    if page.compression == JPEG:
        _check_jpeg_segments(path, page, offsets, counts)


def _check_jpeg_segments(path: Path, page: Any, offsets: Any, counts: Any) -> None:
    """Refuse JPEG streams that declare more pixels than the strip or tile they fill."""
    height, width = page.chunks[:2]
    with path.open("rb") as file:
        for offset, count in zip(offsets, counts, strict=True):
            file.seek(offset)
            with Image.open(io.BytesIO(file.read(count)), formats=("JPEG",)) as image:
                wide, high = image.size
            if wide > width + JPEG_BLOCK_PX or high > height + JPEG_BLOCK_PX:
                raise InputError(
                    f"{path} is damaged: a tile of {width} x {height} pixels holds a JPEG of "
                    f"{wide} x {high}"
                )


def _has_second_page(tif: TiffFile) -> bool:
    """Return whether there is a second page, without following the chain of pages to its end.

    The chain of a forged file may be a loop.
    """
    try:
        return tif.pages[1] is not None
    except _UNDECODABLE:
        return False


def _read_with_pillow(path: Path) -> Pixels:
    """Read a PNG, JPEG or BMP image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=("PNG", "JPEG", "BMP")) as image:
            bytes_per_pixel = 2.0 if image.mode.startswith("I") else float(len(image.getbands()))
            _check_size(path, image.width, image.height, bytes_per_pixel)
            image.load()
            array = np.asarray(image)
    return Pixels(_one_channel(path, array), read_header(path, None, array.shape[0]), ())


def _one_channel(path: Path, array: np.ndarray) -> np.ndarray:
    """Reduce an image with gray or RGB channels, and perhaps opacity, to (h, w)."""
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path} must be a single gray image, got an array of {array.shape}")
    if array.shape[2] >= 3:
        channels = array[..., :3]
        spread = (channels.max(axis=2) - channels.min(axis=2)).max()
        if not spread <= LARGEST_CHANNEL_DIFFERENCE:
            raise InputError(
                f"{path} is a color picture (its channels differ by up to {spread:g}); convert it "
                "to gray, or use the microscope's original file"
            )
        return np.ascontiguousarray(channels[..., 1])
    return np.ascontiguousarray(array[..., 0])


def gray_values(
    path: Path, array: Shaped[np.ndarray, "h w"]
) -> tuple[UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"], tuple[str, ...]]:
    """Convert gray values to 8 or 16 bits.

    Parameters
    ----------
    path
        File of the image, named in errors.
    array
        (h, w) values of any type.

    Returns
    -------
    tuple of array and tuple of str
        (h, w) gray values, and a note if they had to be stretched.

    Raises
    ------
    InputError
        If the values are complex, NaN or infinite.

    Examples
    --------
    >>> gray_values(Path("grid.tif"), np.array([[-1.0, 0.0, 1.0]]))
    (array([[    0, 32768, 65535]], dtype=uint16),
     ('its values, -1 to 1, were stretched to 16 bit',))
    """
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255), ()
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("=")), ()
    if array.dtype.kind not in ("f", "i", "u"):
        raise InputError(f"{path} must hold 8 or 16 bit gray values, got {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{path} has pixels that are not numbers (NaN or infinite); replace them")
    if array.dtype.kind in ("i", "u") and low >= 0 and high <= 65535:
        return array.astype(np.uint16), ()
    span = high - low if high > low else 1.0
    stretched = np.rint((array.astype(np.float64) - low) * (65535 / span)).astype(np.uint16)
    return stretched, (f"its values, {low:g} to {high:g}, were stretched to 16 bit",)


def label_values(path: Path, array: Shaped[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Convert the values of a label map to int32.

    Parameters
    ----------
    path
        File of the label map, named in errors.
    array
        (h, w) values of any type.

    Returns
    -------
    array
        (h, w) labels.

    Raises
    ------
    InputError
        If the values are not whole, negative, far more than pixels, or from a JPEG file.
    """
    lossy = path.suffix.lower() in (".jpg", ".jpeg")
    if array.dtype.kind not in ("b", "u", "i") or lossy:
        raise InputError(f"{path} is not a label map; give a TIFF or PNG of whole numbers")
    low, high, most = int(array.min()), int(array.max()), max(LARGEST_SPARSE_LABEL, array.size)
    if not 0 <= low <= high <= most:
        raise InputError(f"{path} must hold labels from 0 to {most}, got {low} to {high}")
    return array.astype(np.int32)


@contextmanager
def _silent_tifffile() -> Iterator[None]:
    """Silence tifffile's messages on broken tags; the user gets one line instead."""
    log = logging.getLogger("tifffile")
    was_disabled = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = was_disabled

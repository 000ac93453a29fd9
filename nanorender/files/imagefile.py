"""Pixels of image files of unknown origin: checked first, then decoded, else refused in one line.

A header is believed only as far as the file can back it: nothing is allocated for a size that the
limit or the file's own length contradicts.
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
from jaxtyping import Int32, Shaped
from PIL import Image
from tifffile import TiffFile

from nanorender.errors import InputError
from nanorender.files.microscopes import Header, read_header

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""How the names of image files end that are looked for in folders, in lower case."""

LARGEST_IMAGE_BYTES = 1 << 31
"""The most that an image may take in memory: 32768 x 32768 pixels of 16 bit."""

COMPRESSIONS = (1, 5, 7, 8, 32773, 32946, 50000)
"""Of TIFFs: none, LZW, JPEG, Deflate twice, PackBits, Zstandard. Others are rare in micrographs,
and their decoders allocate whatever a tampered stream tells them to."""

JPEG, JPEG_BLOCK_PX = 7, 16
LARGEST_SPARSE_LABEL = 65535  # larger ones only in images of as many pixels

LARGEST_CHANNEL_DIFFERENCE = 2
"""Channels that differ by no more are one gray image that went through JPEG."""

# What decoders raise on files that are cut off, tampered with or of another kind. A list, since
# anything else is a mistake in this program and has to be seen.
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
    """A gray image as its file holds it.

    array: (h, w) values of any type
    header: what the microscope's header says
    notes: what the user should know about the reading
    """

    array: Shaped[np.ndarray, "h w"]
    header: Header
    notes: tuple[str, ...]


def read_pixels(path: Path) -> Pixels:
    """Return the gray image in a TIFF, PNG or JPEG file.

    A palette's index is the gray value; red, green and blue that are equal are one gray value;
    opacity is dropped; TIFFs in which zero is white are inverted; of several pages, the first.

    Raises
    ------
    InputError
        If there is no such file, or it is no image, cut off, too large, or a color picture.
    """
    try:
        path.name.encode()  # tables and records say it in UTF-8
        with path.open("rb") as file:
            magic = file.read(8)
        if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _read_tiff(path)
        if magic.startswith((b"\x89PNG", b"\xff\xd8\xff")):
            return _read_png_or_jpeg(path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except UnicodeEncodeError:
        raise InputError(f"{path} has a name that is not UTF-8; rename it") from None
    except _UNDECODABLE as error:
        raise InputError(f"{path} is damaged, no image: {_reason(error)}") from None
    raise InputError(f"{path} is not an image that can be read; TIFF, PNG and JPEG can")


def _read_tiff(path: Path) -> Pixels:
    with _silent_tifffile(), TiffFile(path) as tif:
        page: Any = tif.pages.first
        _check_size(path, page.imagewidth, page.imagelength, _bytes_a_pixel(path, page))
        _check_segments(path, page)
        notes = ("it holds several pages; the first is used",) if _has_second_page(tif) else ()
        header = read_header(path, tif, page.imagelength)
        samples_first = page.planarconfig == 2 and page.samplesperpixel > 1
        array = page.asarray(maxworkers=1)
        min_is_white = page.photometric == 0
    array = np.moveaxis(array, 0, -1) if samples_first and array.ndim == 3 else array
    array = _one_channel(path, array)
    if min_is_white and array.dtype.kind in "bu":
        array = ~array
    return Pixels(array, header, notes)


def read_pages(path: Path, count: int) -> Shaped[np.ndarray, "pages h w"]:
    """Return the first `count` pages of a TIFF of gray pages of one size.

    Raises
    ------
    InputError
        If it is no such file, cut off or too large.
    """
    try:
        with _silent_tifffile(), TiffFile(path) as tif:
            pages: list[Any] = [tif.pages[number] for number in range(count)]
            for page in pages:
                bytes_a_pixel = _bytes_a_pixel(path, page)
                _check_size(path, page.imagewidth, page.imagelength, bytes_a_pixel * count)
                _check_segments(path, page)
            arrays = [_one_channel(path, page.asarray(maxworkers=1)) for page in pages]
            return np.stack(arrays)
    except InputError:
        raise
    except _UNDECODABLE as error:
        raise InputError(f"{path} is damaged: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return what an error says, its first line."""
    return str(error).splitlines()[0][:150] if str(error) else type(error).__name__


def _bytes_a_pixel(path: Path, page: Any) -> float:
    """Return the bytes of a pixel that a TIFF page declares, in the file before compression."""
    if page.dtype is None or page.imagedepth != 1:
        raise InputError(f"{path} has pixels of a kind that cannot be read; 8 and 16 bit can")
    bits = page.bitspersample
    return page.samplesperpixel * (max(bits) if isinstance(bits, tuple) else bits) / 8


def _check_size(path: Path, width: int, height: int, bytes_a_pixel: float) -> None:
    """Refuse an image of no pixels or of more than the limit, before anything is allocated."""
    if min(width, height) < 1:
        raise InputError(f"{path} is damaged: its header says {width} x {height} pixels")
    if width * height * max(bytes_a_pixel, 1) > LARGEST_IMAGE_BYTES:
        raise InputError(
            f"{path} says it has {width} x {height} pixels; images of up to "
            f"{LARGEST_IMAGE_BYTES >> 20} MiB can be read: divide it into smaller ones"
        )


def _check_segments(path: Path, page: Any) -> None:
    """Refuse a TIFF page whose strips or tiles are not all there or larger than the limit."""
    if page.is_tiled:
        _check_size(path, page.tilewidth, page.tilelength, _bytes_a_pixel(path, page))
    end = path.stat().st_size
    offsets, counts = page.dataoffsets, page.databytecounts
    whole = len(offsets) == len(counts) >= np.prod(page.chunked, dtype=np.int64) > 0
    inside = all(
        offset > 0 and count > 0 and offset + count <= end
        for offset, count in zip(offsets, counts, strict=False)
    )
    needed = page.imagewidth * page.imagelength * _bytes_a_pixel(path, page)
    stored = sum(counts) if page.compression == 1 else needed
    if not (whole and inside and stored >= needed):
        raise InputError(f"{path} is cut off: it ends before its image does; copy it again")
    if page.compression not in COMPRESSIONS:
        raise InputError(
            f"{path} is compressed in a way that is not read; save it without compression, or with "
            "LZW, Deflate, PackBits or Zstandard"
        )
    if page.compression == JPEG:
        _check_jpeg_segments(path, page, offsets, counts)


def _check_jpeg_segments(path: Path, page: Any, offsets: Any, counts: Any) -> None:
    """Refuse JPEG streams larger than the strip or tile they fill: they say so themselves."""
    height, width = page.chunks[:2]
    with path.open("rb") as file:
        for offset, count in zip(offsets, counts, strict=True):
            file.seek(offset)
            with Image.open(io.BytesIO(file.read(count)), formats=("JPEG",)) as image:
                wide, high = image.size
            if wide > width + JPEG_BLOCK_PX or high > height + JPEG_BLOCK_PX:
                raise InputError(
                    f"{path} is damaged: a part of {width} x {height} pixels says it has "
                    f"{wide} x {high}"
                )


def _has_second_page(tif: TiffFile) -> bool:
    """Return whether there is more than one page, without following the chain of them.

    A chain that bites its own tail has no end.
    """
    try:
        return tif.pages[1] is not None
    except _UNDECODABLE:
        return False


def _read_png_or_jpeg(path: Path) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            bytes_a_pixel = 2.0 if image.mode.startswith("I") else float(len(image.getbands()))
            _check_size(path, image.width, image.height, bytes_a_pixel)
            image.load()
            array = np.asarray(image)
    return Pixels(_one_channel(path, array), read_header(path, None, array.shape[0]), ())


def _one_channel(path: Path, array: np.ndarray) -> np.ndarray:
    """Return (h, w) of (h, w) or (h, w, channels); gray, gray and opacity, RGB, RGB and opacity."""
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path} has an array of shape {array.shape}; one gray image is needed")
    if array.shape[2] >= 3:
        channels = array[..., :3]
        spread = (channels.max(axis=2) - channels.min(axis=2)).max()
        if not spread <= LARGEST_CHANNEL_DIFFERENCE:
            raise InputError(
                f"{path} is a color picture (its channels differ by up to {spread:g}); a gray "
                "micrograph is needed: convert it to gray, or use the microscope's original file"
            )
        return np.ascontiguousarray(channels[..., 1])
    return np.ascontiguousarray(array[..., 0])


def gray_values(
    path: Path, array: Shaped[np.ndarray, "h w"]
) -> tuple[Shaped[np.ndarray, "h w"], tuple[str, ...]]:
    """Return gray values as uint8 or uint16, and a note if they had to be changed for it.

    Raises
    ------
    InputError
        If they are not gray values: complex, NaN or infinite.
    """
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255), ()
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("=")), ()
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {array.dtype} values; 8 or 16 bit gray values are needed")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{path} holds pixels that are not numbers (NaN or infinite); mend it")
    if array.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return array.astype(np.uint16), ()
    span = high - low if high > low else 1.0
    stretched = np.rint((array.astype(np.float64) - low) * (65535 / span)).astype(np.uint16)
    return stretched, (f"its values, {low:g} to {high:g}, were stretched to 16 bit",)


def label_values(path: Path, array: Shaped[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Return the values of a label map as int32.

    Raises
    ------
    InputError
        If they are not whole numbers from 0 up, changed by JPEG, or far more than pixels.
    """
    lossy = path.suffix.lower() in (".jpg", ".jpeg")
    if array.dtype.kind not in "bui" or lossy:
        raise InputError(f"{path} is no label map; a TIFF or PNG of whole numbers is needed")
    low, high, most = array.min(), array.max(), max(LARGEST_SPARSE_LABEL, array.size)
    if not 0 <= int(low) <= int(high) <= most:
        raise InputError(f"{path} holds labels from {low} to {high}; 0 to {most} are possible")
    return array.astype(np.int32)


@contextmanager
def _silent_tifffile() -> Iterator[None]:
    """Keep what is logged and warned about broken tags from the user, who gets one line instead."""
    log = logging.getLogger("tifffile")
    was_disabled = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = was_disabled

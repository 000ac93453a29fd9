"""Micrographs and label maps: from files to gray images with a pixel size, and back."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from jaxtyping import Integer, Real, UInt8, UInt16

from nanorender.errors import InputError
from nanorender.files.atomic import aside
from nanorender.files.imagefile import SUFFIXES, gray_values, label_values, read_pixels
from nanorender.files.infobar import info_bar_rows
from nanorender.files.microscopes import LARGEST_PIXEL_NM, SMALLEST_PIXEL_NM

LARGEST_SHORT_LABEL = 65535
"""Label maps are 16-bit files, which every program reads, unless they hold more labels."""
LABEL_MAP_SHARE = 0.85
"""Share of neighboring pixels that are equal in a label map; noise forbids it in a micrograph."""


@dataclass(frozen=True)
class Micrograph:
    """A gray image of a sample.

    image: (h, w) gray values, info bar cut off
    pixel_size_nm: edge length of a pixel, None if unknown
    pixel_size_source: where that comes from
    crop: top, bottom, left, right of what was kept, in pixels of the file
    file_shape: height and width of the image in the file
    path: the file
    notes: what the user should know about the reading
    """

    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    pixel_size_nm: float | None
    pixel_size_source: str
    crop: tuple[int, int, int, int]
    file_shape: tuple[int, int]
    path: Path
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its ending: results are named after it."""
        return self.path.stem


class Found(NamedTuple):
    """What there is in a folder.

    images: the micrographs
    left_out: annotations of these micrographs, which are no micrographs themselves
    """

    images: tuple[Path, ...]
    left_out: tuple[Path, ...]


def read_micrograph(
    path: Path,
    pixel_size_nm: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> Micrograph:
    """Return the micrograph in a TIFF, PNG or JPEG file.

    Parameters
    ----------
    path
        The file.
    pixel_size_nm
        Edge length of a pixel; overrides what the file says.
    crop
        Top, bottom, left and right of what to keep, in pixels of the file; overrides the search
        for an info bar.

    Raises
    ------
    InputError
        If the file is no gray image, or the pixel size or the crop is impossible.
    """
    pixels = read_pixels(path)
    image, notes = gray_values(path, pixels.array)
    height, width = image.shape
    if crop is None:
        crop = (0, pixels.header.image_rows or height - info_bar_rows(image), 0, width)
    top, bottom, left, right = crop
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise InputError(
            f"crop {top},{bottom},{left},{right} (top, bottom, left, right) does not fit {path} "
            f"of {height} rows and {width} columns"
        )
    if pixel_size_nm is None:
        size, source = pixels.header.pixel_size_nm, pixels.header.source
    elif SMALLEST_PIXEL_NM <= pixel_size_nm <= LARGEST_PIXEL_NM:
        size, source = float(pixel_size_nm), "given by the user"
    else:
        possible = f"{SMALLEST_PIXEL_NM:g} to {LARGEST_PIXEL_NM:g}"
        raise InputError(f"a pixel size of {pixel_size_nm} nm is impossible; give {possible}")
    kept = np.ascontiguousarray(image[top:bottom, left:right])
    return Micrograph(kept, size, source, crop, (height, width), path, pixels.notes + notes)


def find_micrographs(path: Path, truth_suffix: str | None = None) -> Found:
    """Return the micrographs in a folder, or the one file, in natural order.

    Left out, and reported, are annotations: files named as another with `truth_suffix` appended,
    and two-valued images and label maps whose name begins with that of another image.

    Raises
    ------
    InputError
        If there is no such folder or file, no image in it, or two of one name.
    """
    if path.is_file():
        return Found((path,), ())
    if not path.is_dir():
        raise InputError(f"{path} does not exist; give a folder of micrographs or one of them")
    files = sorted((file for file in path.iterdir() if _is_image_name(file)), key=_natural)
    if not files:
        raise InputError(f"{path} holds no images; files ending in {', '.join(SUFFIXES)} are read")
    stems = Counter(file.stem for file in files)
    left_out = [file for file in files if _annotates(file, stems, truth_suffix)]
    images = sorted(set(files).difference(left_out), key=_natural)
    first_of: dict[str, Path] = {}
    for image in images:
        twin = first_of.setdefault(image.stem, image)
        if twin != image:
            raise InputError(
                f"{twin.name} and {image.name} in {path} share a name; results would overwrite "
                "each other"
            )
    return Found(tuple(images), tuple(left_out))


def _is_image_name(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _natural(file: Path) -> list[tuple[int, int, str]]:
    """Order names by the numbers in them: image 2 before image 10."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _annotates(file: Path, stems: Counter[str], truth_suffix: str | None) -> bool:
    """Return whether a file is the annotation of one of the others, whose names are `stems`."""
    stem = file.stem
    if truth_suffix:
        ending = stem_suffix(truth_suffix)
        if stem.endswith(ending) and stems[stem.removesuffix(ending)]:
            return True
    # Looked up by every beginning of the name: a plate has too many files to compare each with all.
    if stems[stem] < 2 and not any(stem[:length] in stems for length in range(1, len(stem))):
        return False
    try:
        array = read_pixels(file).array
    except InputError:
        return False  # it is reported when its turn comes to be read
    return array.dtype.kind in "bui" and _is_label_map(array)


def _is_label_map(array: np.ndarray) -> bool:
    """Return whether an image is drawn rather than taken: flat regions, or two values."""
    equal = np.mean(array[:, 1:] == array[:, :-1]) if array.shape[1] > 1 else 0.0
    return bool(equal >= LABEL_MAP_SHARE or np.unique(array).size <= 2)


def stem_suffix(suffix: str) -> str:
    """Return a truth suffix without the file's ending: _m for _m.tif."""
    return Path("x" + suffix).stem[1:] if suffix.lower().endswith(SUFFIXES) else suffix


def write_image(
    path: Path,
    image: Real[np.ndarray, "h w"] | Real[np.ndarray, "pages h w"],
    pixel_size_nm: float | None,
) -> None:
    """Write an image, or its pages, as an uncompressed TIFF that ImageJ opens calibrated in nm.

    Noise does not compress: zlib costs 20 times the time and saves a fifth.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with aside(path) as part:
        axes = "YX" if image.ndim == 2 else "CYX"
        tifffile.imwrite(part, image, **_calibration(pixel_size_nm, axes))


def write_labels(
    path: Path,
    labels: Integer[np.ndarray, "h w"] | Integer[np.ndarray, "pages h w"],
    pixel_size_nm: float | None,
) -> None:
    """Write labels, or pages of them, as a TIFF that ImageJ opens calibrated in nm.

    It has 16 bit, or 32 for labels above 65535. Compressed by zlib-ng, which costs what writing
    the bytes would (3 ms of 2031 x 2031) and saves 98 %; zstd does as well, but ImageJ cannot open
    it, and zlib itself takes 20 ms.

    Raises
    ------
    InputError
        If a label is below 0 or of 2**31 or more, or the file cannot be written.
    """
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high >= 2**31:
        raise InputError(f"{path} cannot hold labels from {low} to {high}; 0 to 2147483647 fit")
    short = high <= LARGEST_SHORT_LABEL
    # Of a large image, whose labels are many, a copy would take gigabytes: it is viewed as it is.
    values = np.ascontiguousarray(labels, "<u2" if short else "<i4").view("<u2" if short else "<u4")
    calibration = _calibration(pixel_size_nm, "YX" if values.ndim == 2 else "CYX")
    if not short:  # ImageJ opens them, but tifffile does not know that it does
        unit = "" if pixel_size_nm is None else "unit=nm\n"
        calibration |= {"imagej": False, "metadata": None, "description": f"ImageJ=1.53t\n{unit}"}
    pages = values.reshape(-1, *values.shape[-2:])
    packed = [imagecodecs.zlibng_encode(page, level=1) for page in pages]
    with aside(path) as part:
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
    """Return tifffile's arguments for an image that ImageJ shows in nm, or in pixels if None."""
    if pixel_size_nm is None:
        return {"imagej": True, "metadata": {"axes": axes}}
    resolution = (1 / pixel_size_nm, 1 / pixel_size_nm)
    return {"imagej": True, "resolution": resolution, "metadata": {"axes": axes, "unit": "nm"}}


def read_labels(path: Path) -> tuple[Integer[np.ndarray, "h w"], float | None]:
    """Return a label map (h, w) int32 and its pixel size in nm, None if the file has none.

    Raises
    ------
    InputError
        If the file is no image, or not of whole numbers.
    """
    pixels = read_pixels(path)
    return label_values(path, pixels.array), pixels.header.pixel_size_nm

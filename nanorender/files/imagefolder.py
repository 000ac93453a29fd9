"""Micrographs in a folder, distinguished from the annotations beside them."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nanorender.errors import InputError
from nanorender.files.annotation import stem_suffix
from nanorender.files.imagefile import SUFFIXES, read_pixels

LABEL_MAP_SHARE = 0.85
"""Share of equal neighboring pixels from which an image is a label map; noise keeps micrographs
far below."""


class ImageFiles(NamedTuple):
    """Images in a folder.

    Attributes
    ----------
    images
        Micrographs.
    left_out
        Annotations of these micrographs.
    """

    images: tuple[Path, ...]
    left_out: tuple[Path, ...]


def find_micrographs(path: Path, truth_suffix: str | None = None) -> ImageFiles:
    """Find the micrographs in a folder, in natural order.

    Left out are annotations: files named as another image with `truth_suffix` appended, and
    two-valued images and label maps whose name begins with that of another image.

    Parameters
    ----------
    path
        A folder, or a single image.
    truth_suffix
        Ending of the names of annotations, such as ``_m``.

    Returns
    -------
    ImageFiles
        Micrographs and annotations.

    Raises
    ------
    InputError
        If there is no such folder or file, it holds no image, or two images share a name.
    """
    if path.is_file():
        return ImageFiles((path,), ())
    if not path.is_dir():
        raise InputError(f"{path} does not exist; give a micrograph or a folder of micrographs")
    files = sorted((file for file in path.iterdir() if _is_image_name(file)), key=_natural_order)
    if not files:
        raise InputError(f"{path} contains no image files ({', '.join(SUFFIXES)})")
    stems = Counter(file.stem for file in files)
    annotates = {file: _is_annotation(file, stems, truth_suffix) for file in files}
    images = tuple(file for file in files if not annotates[file])
    first_of: dict[str, Path] = {}
    for image in images:
        # Windows and macOS do not distinguish names that differ in case only
        twin = first_of.setdefault(image.stem.casefold(), image)
        if twin is not image:
            raise InputError(
                f"{twin.name} and {image.name} in {path} share a name apart from case "
                "and extension, so their results would overwrite each other; rename one"
            )
    return ImageFiles(images, tuple(file for file in files if annotates[file]))


def _is_image_name(file: Path) -> bool:
    """Return whether a path is a visible regular file with the extension of an image."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _natural_order(file: Path) -> list[tuple[int, int, str]]:
    """Build a sort key by which image 2 comes before image 10."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _is_annotation(file: Path, stems: Counter[str], truth_suffix: str | None) -> bool:
    """Return whether a file annotates one of the others, whose names without extension are `stems`.

    Looks up every prefix of the name: comparing all pairs is slow in folders of many files.
    """
    stem = file.stem
    if truth_suffix:
        ending = stem_suffix(truth_suffix)
        if stem.endswith(ending) and stems[stem.removesuffix(ending)]:
            return True
    if stems[stem] < 2 and not any(stem[:length] in stems for length in range(1, len(stem))):
        return False
    try:
        array = read_pixels(file).array
    except InputError:
        return False  # reported when it is read as a micrograph
    return array.dtype.kind in ("b", "u", "i") and _is_label_map(array)


def _is_label_map(array: np.ndarray) -> bool:
    """Return whether an image consists of flat regions, or of two values."""
    equal = np.mean(array[:, 1:] == array[:, :-1]) if array.shape[1] > 1 else 0.0
    return bool(equal >= LABEL_MAP_SHARE or np.unique(array).size <= 2)

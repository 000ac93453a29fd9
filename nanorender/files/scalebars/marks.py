"""Marks on micrographs: text and scale bars, which give the pixel size and are no particles."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Integer

from nanorender.files.imagefile import gray_values, read_pixels
from nanorender.files.micrograph import Micrograph
from nanorender.files.scalebars.lettering import (
    Lettering,
    recognize_line,
    recognize_text,
    recognizes_text,
)
from nanorender.files.scalebars.rectangle import Rectangle
from nanorender.files.scalebars.scalebar import ScaleBar, eight_bits, find_scale_bar, lengths_agree

LOWER_PART = 0.35
"""Part of an image, from below, that is searched again, enlarged, for small text."""

LEAST_LEGIBLE, LEAST_LEGIBLE_LETTER = 0.85, 0.99
"""Confidence of words and of single letters that are certainly text; particles resemble letters."""

LARGEST_TEXT = 0.2
"""Height of the largest text as a fraction of the image's."""

LARGEST_ENLARGED_PX = 1024
"""Width of the largest images that are enlarged for it."""

SMALLEST_IMAGE_PX = 200
"""Edge of the smallest images in which text is looked for."""

LARGEST_HIDDEN_SHARE = 0.5
"""Part of a particle within marks from which it is a mark itself."""

SCALE_BAR_SOURCE = "scale bar"
"""Beginning of the source of a pixel size that is read from a scale bar."""


class Marks(NamedTuple):
    """Marks on a micrograph, in pixels of its file.

    Attributes
    ----------
    lettering
        Text that is certainly text.
    scale_bar
        The scale bar, None if there is none or it is in doubt.
    """

    lettering: tuple[Lettering, ...]
    scale_bar: ScaleBar | None

    @property
    def boxes(self) -> tuple[Rectangle, ...]:
        """Boxes of text and scale bar."""
        bar = () if self.scale_bar is None else self.scale_bar.boxes
        return (*bar, *(one.box for one in self.lettering))


def read_marks(path: Path) -> Marks:
    """Recognize the marks on a micrograph, once per process while its file stays the same.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Marks
        Text and scale bar.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    status = path.stat()
    return _read_marks(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _read_marks(path: Path, _modified: int, _size: int) -> Marks:
    image, _ = gray_values(path, read_pixels(path).array)
    if min(image.shape) < SMALLEST_IMAGE_PX:
        return Marks((), None)
    levels = eight_bits(image)
    lettering = recognize_text(levels)
    bar = find_scale_bar(levels, lettering)
    if bar is None:
        # Read small and faint text in the lower part again
        top = round((1 - LOWER_PART) * len(levels))
        magnification = 2 if levels.shape[1] <= LARGEST_ENLARGED_PX else 1
        again = [
            one._replace(box=one.box.moved(0, top))
            for one in recognize_text(levels[top:], magnification)
        ]
        bar = find_scale_bar(levels, again)
        new = [one for one in again if not any(one.box.overlaps(old.box) for old in lettering)]
        lettering += new
    if bar is not None and not lengths_agree(recognize_line(levels, bar.boxes[1]), bar):
        bar = None
    return Marks(tuple(one for one in lettering if _is_legible(one, len(levels))), bar)


def _is_legible(lettering: Lettering, height: int) -> bool:
    """Return whether recognized text is certainly text, not particles that resemble letters."""
    letters = sum(character.isalnum() for character in lettering.text)
    least = LEAST_LEGIBLE if letters > 1 else LEAST_LEGIBLE_LETTER
    large = lettering.box.height > LARGEST_TEXT * height
    return letters > 0 and lettering.confidence >= least and not large


def scale_by_bar(micrograph: Micrograph) -> Micrograph:
    """Give a micrograph without pixel size that of its scale bar.

    Parameters
    ----------
    micrograph
        Of known or unknown pixel size.

    Returns
    -------
    Micrograph
        The same without the extra ``scalebar``, or if its pixel size is known or no bar is read.
    """
    if micrograph.pixel_size_nm is not None or not recognizes_text():
        return micrograph
    bar = read_marks(micrograph.path).scale_bar
    if bar is None:
        return micrograph
    source = f"{SCALE_BAR_SOURCE} of {bar.text}, {bar.length_px:.1f} px"
    return replace(micrograph, pixel_size_nm=bar.pixel_size_nm, pixel_size_source=source)


def within_marks(
    labels: Integer[np.ndarray, "h w"], boxes: Sequence[Rectangle], crop: tuple[int, int, int, int]
) -> Bool[np.ndarray, "n"]:
    """Find the particles that lie for the most part within marks.

    Parameters
    ----------
    labels
        (h, w) label map of a cropped image.
    boxes
        Boxes of marks in pixels of the file.
    crop
        Top, bottom, left and right of the image in pixels of the file.

    Returns
    -------
    array
        (n,) whether particles 1 to n are text or part of a scale bar.

    Examples
    --------
    >>> labels = np.array([[1, 1, 0, 0], [2, 2, 2, 2]])
    >>> within_marks(labels, [Rectangle(10, 5, 12, 8)], (6, 8, 10, 14)).tolist()
    [True, False]
    """
    marked = np.zeros(labels.shape, bool)
    for box in boxes:
        left, top, right, bottom = box.moved(-crop[2], -crop[0])
        marked[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    size = int(labels.max(initial=0)) + 1
    area = np.bincount(labels.ravel(), minlength=size)[1:]
    hidden = np.bincount(labels[marked], minlength=size)[1:]
    return hidden > LARGEST_HIDDEN_SHARE * area

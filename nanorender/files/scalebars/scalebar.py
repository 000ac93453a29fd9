"""Scale bars: the bar that belongs to a printed length, and the pixel size that they give."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16

from nanorender.files.pixelsize import is_plausible
from nanorender.files.scalebars.bar import CUT
from nanorender.files.scalebars.barsearch import bars_beside
from nanorender.files.scalebars.lengths import printed_lengths
from nanorender.files.scalebars.lettering import Lettering
from nanorender.files.scalebars.rectangle import Rectangle

NARROWEST_FIELD_NM, WIDEST_FIELD_NM = 10.0, 2e7
"""Plausible widths of an image; others are misread, such as nm for um."""

LARGEST_DISAGREEMENT = 0.02
"""Relative difference of two pixel sizes from which they contradict each other."""


class ScaleBar(NamedTuple):
    """A scale bar with its text.

    Attributes
    ----------
    length_nm
        Length printed beside it.
    length_px
        Length of the bar.
    text
        The text as recognized.
    boxes
        Boxes of the bar and of the line of text.
    """

    length_nm: float
    length_px: float
    text: str
    boxes: tuple[Rectangle, Rectangle]

    @property
    def pixel_size_nm(self) -> float:
        """Edge length of a pixel."""
        return self.length_nm / self.length_px


def eight_bits(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """Stretch gray values to 0 to 255.

    Parameters
    ----------
    image
        (h, w) gray values.

    Returns
    -------
    array
        (h, w) gray levels.

    Examples
    --------
    >>> eight_bits(np.array([[100, 300, 500]], np.uint16)).tolist()
    [[0, 127, 255]]
    """
    low, high = int(image.min()), int(image.max())
    return ((image.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)


def find_scale_bar(
    levels: UInt8[np.ndarray, "h w"], lettering: Sequence[Lettering]
) -> ScaleBar | None:
    """Find the scale bar of a micrograph, or abstain.

    A bar belongs to a length that is written above, below or beside it. Bars that are cut by the
    edge of the image, bars that contradict each other, and implausible lengths give none.

    Parameters
    ----------
    levels
        (h, w) gray levels, with info bar, from 0 to 255; see `eight_bits`.
    lettering
        Text recognized in the image.

    Returns
    -------
    ScaleBar or None
        None if there is none, or if it is in doubt.

    Examples
    --------
    >>> image = np.full((100, 200), 90, np.uint8)
    >>> image[80:84, 100:150] = 255
    >>> text = Lettering("100 nm", 0.99, Rectangle(105, 60, 145, 76))
    >>> find_scale_bar(image, [text]).pixel_size_nm
    2.0
    """
    found: list[ScaleBar] = []
    for length in printed_lengths(lettering):
        words = [one.box for one in lettering if one.box != length.line]
        words += [
            length.line._replace(right=length.box.left),
            length.line._replace(left=length.box.right),
        ]
        bars = [bar for bar in bars_beside(levels, length.box) if not _is_stroke(bar.box, words)]
        if not bars:
            continue
        if len(bars) > 1 or bars[0].first == CUT:
            return None
        best = bars[0]
        found.append(
            ScaleBar(length.length_nm, best.length_px, length.text, (best.box, length.line))
        )
    if not found or _contradict([each.pixel_size_nm for each in found]):
        return None
    scale = found[0]
    field_nm = scale.pixel_size_nm * levels.shape[1]
    plausible = NARROWEST_FIELD_NM <= field_nm <= WIDEST_FIELD_NM
    return scale if plausible and is_plausible(scale.pixel_size_nm) else None


def lengths_agree(lettering: Lettering, bar: ScaleBar) -> bool:
    """Return whether a second reading of the text of a scale bar has the same length.

    Parameters
    ----------
    lettering
        Second reading.
    bar
        The scale bar with the first one.

    Returns
    -------
    bool
        Whether it contains the length of the bar.

    Examples
    --------
    >>> box = Rectangle(0, 0, 60, 12)
    >>> bar = ScaleBar(1000.0, 50.0, "1 um", (box, box))
    >>> lengths_agree(Lettering("1 nm", 0.98, box), bar)
    False
    """
    return bar.length_nm in {each.length_nm for each in printed_lengths([lettering])}


def _contradict(values: Sequence[float]) -> bool:
    """Return whether values differ by more than `LARGEST_DISAGREEMENT`."""
    return max(values) > (1 + LARGEST_DISAGREEMENT) * min(values)


def _is_stroke(bar: Rectangle, lettering: Sequence[Rectangle]) -> bool:
    """Return whether a bar is a stroke of a letter."""
    return any(text.contains(bar) and bar.width < text.width for text in lettering)

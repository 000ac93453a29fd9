"""Lengths printed beside scale bars, parsed from recognized text."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nanorender.files.pixelsize import length_nm
from nanorender.files.scalebars.lettering import Lettering
from nanorender.files.scalebars.rectangle import Rectangle

LEAST_CONFIDENCE = 0.8
"""Confidence of the recognized text below which it is no length."""

_NUMBER = r"(?<![\d.,])(\d{1,4}(?:[.,]\d{1,2})?)"
_UNIT = r"(nm|[\u00b5\u03bcup]m|mm|\u00c5|\u212b)"
_LENGTH = re.compile(rf"{_NUMBER}\s?{_UNIT}(?![A-Za-z\d/])")
_OTHER_QUANTITY = re.compile(r"(WD|W\.D|HFW|HFOV|FOV|VFW|Width|Field|Spot|Diam|Z|=|:)\W*$", re.I)
_ROUND = frozenset((10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 75, 80, 90))
"""Two leading digits of the lengths of scale bars; others are misread or other quantities."""


class PrintedLength(NamedTuple):
    """A recognized length.

    Attributes
    ----------
    length_nm
        The length.
    text
        Number and unit as recognized.
    box
        Where they are written.
    line
        The line of text that they are part of.
    """

    length_nm: float
    text: str
    box: Rectangle
    line: Rectangle


def printed_lengths(lettering: Sequence[Lettering]) -> Iterator[PrintedLength]:
    """Find the lengths of scale bars in recognized text.

    Lengths with other numbers than those of scale bars, and those named as other quantities, such
    as a working distance, are left out.

    Parameters
    ----------
    lettering
        Recognized lines of text.

    Yields
    ------
    PrintedLength
        Each length.

    Examples
    --------
    >>> line = Lettering("WD 8.0 mm  200 nm", 0.99, Rectangle(0, 0, 170, 12))
    >>> [length.length_nm for length in printed_lengths([line])]
    [200.0]
    """
    for each in _joined([one for one in lettering if one.confidence >= LEAST_CONFIDENCE]):
        for match in _LENGTH.finditer(each.text):
            value, unit = match[1].replace(",", "."), match[2]
            if _OTHER_QUANTITY.search(each.text[: match.start()]) or not _is_round(value, unit):
                continue
            # No microscope has a bar in picometers: "pm" is a micro sign misread
            length = length_nm(value, "um" if unit == "pm" else unit)
            yield PrintedLength(length, match[0], _part(each, match.start(), match.end()), each.box)


def _is_round(value: str, unit: str) -> bool:
    """Return whether a number is one of those on scale bars, written as there."""
    digits = value.replace(".", "")
    if float(value) == 0 or (value.startswith("0") and not value.startswith("0.")):
        return False
    if unit == "mm" and "." in value and not value.startswith("0."):
        return False  # a working distance, such as 8.0 mm
    leading = digits.lstrip("0")
    return int((leading + "0")[:2]) in _ROUND and not leading[2:].strip("0")


def _part(lettering: Lettering, start: int, stop: int) -> Rectangle:
    """Return the box of some characters of a line."""
    left, top, right, bottom = lettering.box
    pitch = (right - left) / len(lettering.text)
    return Rectangle(round(left + start * pitch), top, round(left + stop * pitch), bottom)


def _joined(lettering: Sequence[Lettering]) -> Iterator[Lettering]:
    """Yield lines of text, with a number and the unit to its right joined."""
    for each in lettering:
        yield each
        if not re.fullmatch(r"\d+([.,]\d+)?", each.text):
            continue
        for unit in lettering:
            gap = unit.box.left - each.box.right
            level = abs(unit.box.middle - each.box.middle) < 0.4 * each.box.height
            if re.fullmatch(_UNIT, unit.text) and level and abs(gap) < each.box.height:
                box = each.box.united(unit.box)
                confidence = min(each.confidence, unit.confidence)
                yield Lettering(f"{each.text} {unit.text}", confidence, box)

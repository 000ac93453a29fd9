"""Pixel sizes: units of length and the range that microscopes reach."""

from typing import Annotated

from pydantic import Field

from nanorender.errors import InputError

SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 1e-3, 1e5
"""Range of pixel sizes in electron, ion and light microscopy; others are invalid."""

NM_PER_UNIT = (
    {"m": 1e9, "cm": 1e7, "inch": 2.54e7, "mm": 1e6, "nm": 1.0, "pm": 1e-3}
    # micro sign, Greek mu, and the former as ImageJ escapes it
    | dict.fromkeys(("um", "\u00b5m", "\u03bcm", "\\u00b5m", "micron", "microns"), 1e3)
    | dict.fromkeys(("angstrom", "\u00e5", "\u212b"), 0.1)
)

PixelSizeNm = Annotated[float, Field(ge=SMALLEST_PIXEL_NM, le=LARGEST_PIXEL_NM)]


def length_nm(value: object, unit: object) -> float:
    """Convert a length as found in an image header to nm.

    Parameters
    ----------
    value
        Number, or text with a decimal point or comma.
    unit
        Key of `NM_PER_UNIT`, in upper or lower case.

    Returns
    -------
    float
        The length in nm.

    Raises
    ------
    KeyError, ValueError
        If the unit is unknown or the value is not a number.

    Examples
    --------
    >>> length_nm("2,5", "Micron")
    2500.0
    """
    return float(str(value).strip().replace(",", ".")) * NM_PER_UNIT[str(unit).strip().lower()]


def is_plausible(pixel_size_nm: float | None) -> bool:
    """Return whether a pixel size is known and within the range of microscopes.

    Parameters
    ----------
    pixel_size_nm
        Edge length of a pixel, None if unknown.

    Returns
    -------
    bool
        False if unknown, out of range or not a number.
    """
    return pixel_size_nm is not None and SMALLEST_PIXEL_NM <= pixel_size_nm <= LARGEST_PIXEL_NM


def check_pixel_size(pixel_size_nm: float) -> None:
    """Refuse a pixel size beyond the range of microscopes.

    Parameters
    ----------
    pixel_size_nm
        Edge length of a pixel.

    Raises
    ------
    InputError
        If it is out of range or not a number.

    Examples
    --------
    >>> check_pixel_size(-3.2)
    Traceback (most recent call last):
    nanorender.errors.InputError: pixel_size_nm must be from 0.001 to 100000, got -3.2
    """
    if not is_plausible(pixel_size_nm):
        raise InputError(
            f"pixel_size_nm must be from {SMALLEST_PIXEL_NM:g} to {LARGEST_PIXEL_NM:g}, "
            f"got {pixel_size_nm:g}"
        )

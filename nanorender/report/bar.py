"""Scale bars of round length for pictures."""

import math
from typing import NamedTuple

LARGEST_SHARE = 0.25  # of the width of the picture
UNITS = ((1e6, "mm"), (1e3, "µm"), (1.0, "nm"))  # nm per unit, from the largest


class DrawnBar(NamedTuple):
    """A scale bar.

    Attributes
    ----------
    length_px : length in pixels of the picture
    text : what it stands for
    """

    length_px: float
    text: str


def scale_bar(width_px: int, pixel_size_nm: float | None) -> DrawnBar:
    """Choose the longest bar of 1, 2 or 5 times a power of ten within a quarter of the width.

    Parameters
    ----------
    width_px : width of the picture
    pixel_size_nm : edge of a pixel; None where it is unknown, which gives a bar in pixels

    Returns
    -------
    the bar

    Examples
    --------
    >>> scale_bar(1000, 2.5), scale_bar(1000, None)
    (DrawnBar(length_px=200.0, text='500 nm'), DrawnBar(length_px=200.0, text='200 px'))
    >>> scale_bar(1000, 50.0).text
    '10 µm'
    """
    edge = 1.0 if pixel_size_nm is None else pixel_size_nm
    longest = LARGEST_SHARE * width_px * edge
    power = 10.0 ** math.floor(math.log10(longest))
    length = power * max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))
    if pixel_size_nm is None:
        return DrawnBar(length, f"{length:g} px")
    factor, unit = next((each for each in UNITS if length >= each[0] * (1 - 1e-9)), UNITS[-1])
    return DrawnBar(length / edge, f"{length / factor:g} {unit}")

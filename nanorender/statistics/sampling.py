"""Effects of the field of view: particles cut by the frame, and the smallest detectable size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from nanorender.statistics.frame import FRAME_RULES, FrameRuleName

# Structures narrower than two pixels are not resolved (Nyquist and Shannon).
MIN_RESOLVED_PX = 2.0


@dataclass(frozen=True)
class FieldOfView:
    """The area that one image shows.

    Attributes
    ----------
    image : name of the image, as in the "image" column of the particle table
    width_px, height_px : size of the image
    pixel_size_nm : None if unknown
    """

    image: str
    width_px: int
    height_px: int
    pixel_size_nm: float | None

    @property
    def area(self) -> float:
        """Area in nm2, or in px2 if the pixel size is unknown."""
        edge = 1.0 if self.pixel_size_nm is None else self.pixel_size_nm
        return self.width_px * self.height_px * edge**2


def frame_weights(
    table: pd.DataFrame, field: FieldOfView, rule: FrameRuleName
) -> Float[np.ndarray, "n"]:
    """Weight the particles of one image to correct for those cut by the frame.

    Parameters
    ----------
    table : rows of `measure` for one image
    field : field of view of the image
    rule : name in FRAME_RULES

    Returns
    -------
    weight of each particle, 0 for those left out

    Examples
    --------
    >>> table = pd.DataFrame({"touches_frame": [False, True]})
    >>> table["bbox_width_px"] = table["bbox_height_px"] = [10, 10]
    >>> frame_weights(table, FieldOfView("a", 20, 20, None), "miles_lantuejoul")
    array([4., 0.])
    """
    return np.ones(len(table)) * FRAME_RULES[rule].weights(table, field)


@dataclass(frozen=True)
class SizeFloor:
    """Smallest detectable particle size.

    Attributes
    ----------
    value : the largest of the causes
    unit : "nm" or "px"
    causes : smallest equivalent circle diameter that passes each step, by the name of the step
    """

    value: float
    unit: Literal["nm", "px"]
    causes: dict[str, float]


def size_floor(
    pixel_size_nm: float | None,
    area_opening_px: float | int,
    erosion_px: float | int,
    least_trained_px: float | None,
) -> SizeFloor:
    """Find the smallest detectable particle size and what limits it.

    Parameters
    ----------
    pixel_size_nm : edge of a pixel; if None, the size is in px
    area_opening_px : area below which regions were removed
    erosion_px : erosion of the labels in training; particles up to twice as wide vanish
    least_trained_px : diameter of the smallest particle in the training data, if known

    Returns
    -------
    the size and its causes

    Examples
    --------
    >>> size_floor(2.0, area_opening_px=0, erosion_px=3, least_trained_px=5.0).value
    12.0
    """
    edge = 1.0 if pixel_size_nm is None else pixel_size_nm
    causes = {
        "pixel size": MIN_RESOLVED_PX * edge,
        "area opening": float(np.sqrt(4 * area_opening_px / np.pi)) * edge,
        "label erosion": 2 * erosion_px * edge,
    }
    if least_trained_px is not None:
        causes["training range"] = least_trained_px * edge
    return SizeFloor(max(causes.values()), "px" if pixel_size_nm is None else "nm", causes)

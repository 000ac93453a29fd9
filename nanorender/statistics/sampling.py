"""Effects of the field of view: particles cut by the frame, and the smallest detectable size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

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


def _keep(table: pd.DataFrame, field: FieldOfView) -> np.ndarray:
    """Count every particle once."""
    return np.ones(len(table))


def _drop(table: pd.DataFrame, field: FieldOfView) -> np.ndarray:
    """Leave out particles cut by the frame; large ones are cut more often."""
    return (~table["touches_frame"].to_numpy(bool)).astype(float)


def _miles_lantuejoul(table: pd.DataFrame, field: FieldOfView) -> np.ndarray:
    """Weight whole particles by W H / ((W - w) (H - h)).

    This is the inverse probability that a particle of width w and height h lies entirely within a
    frame of width W and height H: Miles, in "Stochastic Geometry" (1974), 228; Lantuejoul,
    Mikroskopie 37 (1980) 266; as in ISO 13322-1.
    """
    whole = ~table["touches_frame"].to_numpy(bool)
    width = field.width_px - np.where(whole, table["bbox_width_px"], 0)
    height = field.height_px - np.where(whole, table["bbox_height_px"], 0)
    return whole * (field.width_px * field.height_px / (width * height))


class FrameRule(NamedTuple):
    """An entry of the registry of rules for particles cut by the frame.

    Attributes
    ----------
    weights : table and field of view of one image to the weights of its particles, 0 to leave out
    description : what the rule does, for the help and the report
    """

    weights: Callable[[pd.DataFrame, FieldOfView], Float[np.ndarray, "n"]]
    description: str


FRAME_RULES = {
    "keep": FrameRule(_keep, "particles cut by the frame are counted with their visible size"),
    "drop": FrameRule(_drop, "particles cut by the frame are left out"),
    "miles_lantuejoul": FrameRule(
        _miles_lantuejoul,
        "particles cut by the frame are left out, and the others weighted for the lower chance "
        "of large particles to lie entirely within it (Miles and Lantuéjoul, ISO 13322-1)",
    ),
}


def frame_weights(table: pd.DataFrame, field: FieldOfView, rule: str) -> Float[np.ndarray, "n"]:
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
    return FRAME_RULES[rule].weights(table, field)


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
    least_trained_nm: float | None,
) -> SizeFloor:
    """Find the smallest detectable particle size and what limits it.

    Parameters
    ----------
    pixel_size_nm : edge of a pixel; if None, the size is in px and training is ignored
    area_opening_px : area below which regions were removed
    erosion_px : erosion of the labels in training; particles up to twice as wide vanish
    least_trained_nm : diameter of the smallest particle in the training data, if known

    Returns
    -------
    the size and its causes

    Examples
    --------
    >>> size_floor(2.0, area_opening_px=0, erosion_px=3, least_trained_nm=10.0).value
    12.0
    """
    edge = 1.0 if pixel_size_nm is None else pixel_size_nm
    causes = {
        "pixel size": MIN_RESOLVED_PX * edge,
        "area opening": float(np.sqrt(4 * area_opening_px / np.pi)) * edge,
        "label erosion": 2 * erosion_px * edge,
    }
    if least_trained_nm is not None and pixel_size_nm is not None:
        causes["training range"] = least_trained_nm
    return SizeFloor(max(causes.values()), "px" if pixel_size_nm is None else "nm", causes)

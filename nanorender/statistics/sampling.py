"""What the field of view does to a count: particles cut by the frame, and sizes never seen."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

FrameCorrection = Literal["keep", "drop", "miles_lantuejoul"]

# Something narrower than two pixels is not resolved (Nyquist and Shannon).
LEAST_RESOLVED_PX = 2.0


@dataclass(frozen=True)
class FieldOfView:
    """The part of the sample that one image shows.

    Attributes
    ----------
    image: name of the image, as in the table's "image" column
    width_px, height_px: of the image
    pixel_size_nm: None where it is unknown
    """

    image: str
    width_px: int
    height_px: int
    pixel_size_nm: float | None

    @property
    def area(self) -> float:
        """Area in nm2, or in px2 where the pixel size is unknown."""
        edge = 1.0 if self.pixel_size_nm is None else self.pixel_size_nm
        return self.width_px * self.height_px * edge**2


def frame_weights(
    table: pd.DataFrame, field: FieldOfView, correction: FrameCorrection
) -> Float[np.ndarray, "n"]:
    """Return the weight of each particle of one image; 0 leaves it out.

    "keep" counts particles cut by the frame with the size of what is seen; "drop" leaves them
    out, which large ones suffer more often; "miles_lantuejoul" leaves them out and weights each
    other particle by the inverse probability W H / ((W - w) (H - h)) that one of its width w and
    height h lies wholly in the frame: Miles, in "Stochastic Geometry" (1974), 228; Lantuejoul,
    Mikroskopie 37 (1980) 266; as in ISO 13322-1.
    """
    if correction == "keep":
        return np.ones(len(table))
    whole = ~table["touches_frame"].to_numpy(bool)
    if correction == "drop":
        return whole.astype(float)
    width = field.width_px - np.where(whole, table["bbox_width_px"], 0)
    height = field.height_px - np.where(whole, table["bbox_height_px"], 0)
    return whole * (field.width_px * field.height_px / (width * height))


@dataclass(frozen=True)
class SizeFloor:
    """The size under which nothing could be seen.

    Attributes
    ----------
    value: the largest of the causes
    unit: "nm" or "px"
    causes: the equivalent diameter that each step needs at least, by its name
    """

    value: float
    unit: str
    causes: dict[str, float]


def size_floor(
    pixel_size_nm: float | None,
    area_opening_px: float | int,
    erosion_px: float | int,
    least_trained_nm: float | None,
) -> SizeFloor:
    """Return the size floor and what causes it.

    Parameters
    ----------
    pixel_size_nm: edge of a pixel; None gives a floor in px and leaves out the training
    area_opening_px: regions of fewer pixels were removed
    erosion_px: labels were eroded by as much for training: particles up to twice as wide vanish
    least_trained_nm: diameter of the smallest particle that the network was trained on
    """
    edge = 1.0 if pixel_size_nm is None else pixel_size_nm
    causes = {
        "pixel size": LEAST_RESOLVED_PX * edge,
        "area opening": float(np.sqrt(4 * area_opening_px / np.pi)) * edge,
        "label erosion": 2 * erosion_px * edge,
    }
    if least_trained_nm is not None and pixel_size_nm is not None:
        causes["training range"] = least_trained_nm
    return SizeFloor(max(causes.values()), "px" if pixel_size_nm is None else "nm", causes)

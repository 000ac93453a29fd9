"""Recognition of label maps among masks and gray images."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32
from scipy import ndimage
from skimage.measure import label

from nanorender.errors import InputError

MASK_VALUES = {1: 3, 255: 2, 65535: 2}
"""Values of the particles in masks, and from how many regions an image of one of them is a mask.

A label map may have a single particle, and that one may be in two parts; a particle 255 or 65535
alone is unlikely to be.
"""

SEVERAL_SHARE = 0.9
"""Share of pixels whose value is in several regions, from which values are not labels.

Wires that are cut by other wires are in several regions, too, hence the further limits.
"""

GRAY_REGIONS, SMALL_REGION_PX = 20, 32
"""Mean number of regions of a value, and their mean area, in images that are not label maps."""

COVERED_SHARE, COVERED_REGIONS = 0.9, 5
"""Share of pixels that are not 0 in images without background, and from how many regions of a
value these are gray images."""

SPECK_PX = 4
"""Mean area of the regions of any label map, in images of more than `SPECK_PX` squared pixels."""

CLASS_REGIONS = 100
"""Mean number of regions of any area in images of a few classes, such as particle and border."""


def refuse_unlikely_labels(path: Path, labels: Int32[np.ndarray, "h w"]) -> None:
    """Refuse values that cannot be the labels of particles.

    Label maps pass with gaps in the numbering, with some particles in several parts, and with
    crossing wires.

    Parameters
    ----------
    path
        File of the label map, named in errors.
    labels
        (h, w) values of the file.

    Raises
    ------
    InputError
        If they are those of a mask or of a gray image.

    Examples
    --------
    >>> refuse_unlikely_labels(Path("a.tif"), np.array([[0, 1, 0, 4]], np.int32))
    >>> refuse_unlikely_labels(Path("a.tif"), np.array([[255, 0, 255]], np.int32))
    Traceback (most recent call last):
    nanorender.errors.InputError: a.tif is a mask, not a label map: all its 2 separate regions have
    the value 255; give --binary to take each region as a particle
    """
    # Count the connected regions of each value.
    pieces = np.asarray(label(labels, background=0, connectivity=2))
    values = labels[labels > 0]
    if not len(values):
        return
    one_of_each = np.zeros(int(pieces.max()) + 1, np.int32)
    one_of_each[pieces[labels > 0]] = values
    regions = np.bincount(one_of_each[1:])
    several = np.mean(regions[values] > 1) >= SEVERAL_SHARE
    regions = regions[regions > 0]

    # Refuse a mask.
    highest = int(values.max())
    if len(regions) == 1 and highest in MASK_VALUES:
        parts = int(ndimage.label(labels)[1])  # pyright: ignore[reportIndexIssue, reportArgumentType]
        if parts >= MASK_VALUES[highest]:
            raise InputError(
                f"{path} is a mask, not a label map: all its {parts} separate regions have the "
                f"value {highest}; give --binary to take each region as a particle"
            )

    # Refuse a gray image.
    count, area = regions.mean(), len(values) / regions.sum()
    gray = several and (
        count >= CLASS_REGIONS or (count >= GRAY_REGIONS and area < SMALL_REGION_PX)
    )
    if len(values) >= COVERED_SHARE * labels.size:
        gray = gray or (several and count >= COVERED_REGIONS and area < SMALL_REGION_PX)
    if labels.size > SPECK_PX**2:
        blank = area == labels.size and highest > 1
        gray = gray or area < SPECK_PX or blank
    if gray:
        raise InputError(
            f"{path} is not a label map but looks like a gray image or one of a few classes "
            f"(values other than 0: {len(regions)}, separate regions: {regions.sum()}, their mean "
            f"area: {area:.3g} px); give label maps, with 0 for "
            "background and a number for each particle, or run 'nanorender segment' first"
        )

"""Repeatability of a segmentation: whether the same particles are found in a changed image.

No annotation is needed: where a network finds other particles in an image that was turned and
magnified, it has not recognized what it found.
"""

import cv2
import numpy as np
from jaxtyping import Int32, Shaped, UInt8, UInt16

from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation
from unet.data import PixelSizes
from unet.predict import Model, Window, prepare_search
from unet.windows import segment_prepared

CHECKED_PX = 320
"""Edge of the central part of a micrograph that is segmented again."""

MAGNIFICATION = 1.2

LEAST_PARTICLES = 15
"""Number of particles below which their agreement says little."""


def checked_part(shape: tuple[int, ...]) -> Window:
    """Return the central part of a micrograph, which is segmented again.

    Parameters
    ----------
    shape : height and width of the micrograph

    Returns
    -------
    part : rows and columns

    Examples
    --------
    >>> checked_part((400, 200))
    (slice(40, 360, None), slice(0, 200, None))
    """
    rows, columns = (
        slice(start, min(start + CHECKED_PX, length))
        for start, length in ((max(0, (length - CHECKED_PX) // 2), length) for length in shape)
    )
    return rows, columns


def repeatability(
    model: Model,
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
    labels: Int32[np.ndarray, "h w"],
    separation: Separation,
    min_confidence: float = 0.0,
) -> float | None:
    """Segment an image again, turned by 180 degrees and magnified, and compare.

    Parameters
    ----------
    model : trained network
    image : (h, w) gray values
    pixel_size_nm : pixel size in nm, None if unknown
    labels : (h, w) label map that the model found in the image
    separation : separation settings
    min_confidence : confidence below which particles are discarded

    Returns
    -------
    f1 : F1 score of the particles at an IoU of 0.5, from 0 to 1; None with too few particles

    Examples
    --------
    >>> from nanorender.models import general_model
    >>> from unet.predict import load_model
    >>> image, labels = np.full((64, 64), 50, np.uint8), np.zeros((64, 64), np.int32)
    >>> repeatability(load_model(general_model()), image, None, labels, Separation()) is None
    True
    """
    zoom = _magnification(pixel_size_nm, model.card.pixel_sizes)
    turned = _turned(image, zoom)
    size_nm = None if pixel_size_nm is None else pixel_size_nm / zoom
    prepared = prepare_search(model, turned, size_nm)
    again = segment_prepared(model, prepared, separation, False, False, min_confidence).labels

    # Compare at the pixels of the image
    rows, columns = (
        ((np.arange(length) + 0.5) * zoom).astype(np.int64).clip(0, larger - 1)
        for length, larger in zip(labels.shape, again.shape, strict=True)
    )
    after = np.ascontiguousarray(again[np.ix_(rows, columns)][::-1, ::-1])
    objects = score_labels(after, labels).objects
    if max(objects.n_truth, objects.n_predicted) < LEAST_PARTICLES:
        return None
    return float(objects.f1)


def _magnification(pixel_size_nm: float | None, trained: PixelSizes | None) -> float:
    """Magnify to a pixel size that was seen in training."""
    if pixel_size_nm is None or trained is None:
        return MAGNIFICATION
    goal_nm = np.clip(pixel_size_nm / MAGNIFICATION, trained.lowest_nm, trained.highest_nm)
    return float(pixel_size_nm / goal_nm)


def _turned(image: Shaped[np.ndarray, "h w"], zoom: float) -> Shaped[np.ndarray, "a b"]:
    """Turn an image by 180 degrees and magnify it."""
    height, width = image.shape
    size = (max(1, round(zoom * width)), max(1, round(zoom * height)))
    method = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    return np.asarray(
        cv2.resize(np.ascontiguousarray(image[::-1, ::-1]), size, interpolation=method)
    )

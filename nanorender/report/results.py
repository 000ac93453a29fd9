"""What is known about each image of a study: its labels, its particles, how they fit the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Integer

from nanorender.measuring.measure import measure
from nanorender.scoring.matching import ObjectScores, PixelScores, object_scores, pixel_scores

MIN_TRUE_AREA_PX = 50  # smaller regions of an annotation are slivers, which do not count


@dataclass(frozen=True)
class Comparison:
    """Agreement of an image's labels with the truth.

    Attributes
    ----------
    pixels, objects: scores by pixel and by particle
    true_table: the true particles that count, as `measure` returns them
    """

    pixels: PixelScores
    objects: ObjectScores
    true_table: pd.DataFrame


@dataclass(frozen=True)
class ImageResult:
    """One micrograph, its labels and what was measured on them.

    Attributes
    ----------
    name: of the image, unique in a report
    image: (h, w) gray
    labels: (h, w) label map of the same shape
    pixel_size_nm: None where it is unknown
    pixel_size_source: where the pixel size came from, in words
    table: one row per particle, as `measure` returns it
    comparison: None without a truth
    """

    name: str
    image: Integer[np.ndarray, "h w"]
    labels: Integer[np.ndarray, "h w"]
    pixel_size_nm: float | None
    pixel_size_source: str
    table: pd.DataFrame
    comparison: Comparison | None = None


def compare(
    labels: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> Comparison:
    """Return how well the labels agree with the true label map.

    True regions of less than `MIN_TRUE_AREA_PX` pixels are left out, as in `object_scores`.

    Raises
    ------
    InputError
        If the two maps differ in shape.
    """
    pixels = pixel_scores(labels, truth)
    objects = object_scores(labels, truth, min_area_px=MIN_TRUE_AREA_PX)
    counts = np.bincount(truth.ravel()) >= MIN_TRUE_AREA_PX
    return Comparison(pixels, objects, measure(np.where(counts[truth], truth, 0), pixel_size_nm))


def particle_table(results: Sequence[ImageResult]) -> pd.DataFrame:
    """Return the particle tables of all images as one, the image's name first."""
    tables = [result.table.assign(image=result.name) for result in results]
    filled = [table for table in tables if len(table)]
    together = pd.concat(filled, ignore_index=True) if filled else tables[0]
    return together.loc[:, ["image", *(name for name in together.columns if name != "image")]]

"""A particle table that is kept up to date while a label map is being corrected."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer, Real

from nanorender.measuring.measure import MEASUREMENTS, measure
from nanorender.viewer.threshold import edited_labels

SHOWN = (
    "equivalent_diameter",
    "area",
    "min_feret",
    "max_feret",
    "circularity",
    "touches_frame",
    "center_x",
    "center_y",
)
"""Measurements in the table, in the order of its columns."""

_MEASURED = tuple(each for name in SHOWN for each in MEASUREMENTS if each.name == name)


def measure_again(
    table: pd.DataFrame | None,
    before: Integer[np.ndarray, "h w"] | None,
    labels: Integer[np.ndarray, "h w"],
    image: Real[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> pd.DataFrame:
    """Measure the particles that changed since the last measurement.

    Parameters
    ----------
    table
        Table of the label map before the change; None to measure all particles.
    before
        (h, w) label map before the change.
    labels
        (h, w) label map.
    image
        (h, w) gray levels.
    pixel_size_nm
        Edge of a pixel, None where it is unknown.

    Returns
    -------
    DataFrame
        One row per particle in the order of the labels: "label", and `SHOWN` with units.

    Examples
    --------
    >>> image = np.zeros((3, 6), np.uint8)
    >>> before = np.zeros((3, 6), np.int32)
    >>> before[:, :3], before[:, 4:] = 1, 9
    >>> table = measure_again(None, None, before, image, None)
    >>> after = np.where(before == 9, 0, before)
    >>> after[0, 0] = 0
    >>> measure_again(table, before, after, image, None)[["label", "area_px2"]].values.tolist()
    [[1.0, 8.0]]
    """
    if table is None or before is None:
        return _measured(labels, labels > 0, image, pixel_size_nm)
    touched = sorted(edited_labels(labels, before))
    if not touched:
        return table
    anew = _measured(labels, np.isin(labels, touched), image, pixel_size_nm)
    kept = table.loc[~table["label"].isin(touched)]
    parts = [each for each in (kept, anew) if len(each)]
    joined = pd.concat(parts) if parts else anew
    return joined.sort_values("label", ignore_index=True)


def _measured(
    labels: Integer[np.ndarray, "h w"],
    mask: np.ndarray,
    image: Real[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> pd.DataFrame:
    """Measure the particles in a mask, whose labels may be any numbers."""
    numbers = np.unique(labels[mask])
    compact = np.zeros(labels.shape, np.int32)
    compact[mask] = np.searchsorted(numbers, labels[mask]) + 1
    table = measure(compact, pixel_size_nm, image, _MEASURED)
    table["label"] = numbers[table["label"].to_numpy() - 1].astype(np.int64)
    return table.drop(columns=["neighbors", "agglomerate", "confidence"])


def confidence_column(
    table: pd.DataFrame,
    confidence: Float[np.ndarray, "n"] | None,
    edited: set[int],
) -> Float[np.ndarray, "m"]:
    """Return the confidence of each particle of a table.

    Parameters
    ----------
    table
        One row per particle.
    confidence
        (n,) confidence of the labels 1 to n; None if unknown.
    edited
        Labels that were changed by hand, of which the confidence is not known.

    Returns
    -------
    array
        (m,) confidences, not a number where unknown.

    Examples
    --------
    >>> table = pd.DataFrame({"label": [1, 2, 7]})
    >>> confidence_column(table, np.array([0.9, 0.8]), {2}).tolist()
    [0.9, nan, nan]
    """
    labels = table["label"].to_numpy(np.int64)
    values = np.full(len(labels), np.nan)
    if confidence is not None:
        known = (labels <= len(confidence)) & ~np.isin(labels, sorted(edited))
        values[known] = confidence[labels[known] - 1]
    return values

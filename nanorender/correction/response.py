"""Response of a segmentation: what it makes of particles whose truth is known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Integer

from nanorender.errors import InputError
from nanorender.measuring.measure import PARTLY_HIDDEN, measure
from nanorender.scoring.matching import match, overlap_table

LEAST_IOU = 0.5
"""Least intersection over union of a particle that counts as found."""

_SHARE_OF_MERGED = 0.5  # of a particle's area, from which on it is part of what was found


class SegmentedTwin(NamedTuple):
    """Particles of a twin and those that the segmentation found, one row each; lengths in px.

    Attributes
    ----------
    micrograph : index of the micrograph that it is a twin of
    true : measurements of the visible outlines, and

        - visible_fraction : of the outline, the rest being hidden by other particles
        - row : of the found particle that matches, -1 for none
        - shared : whether the found particle that covers it covers other particles, too
    found : measurements, and row of the true particle that matches, -1 for none
    area_px : area of the image
    """

    micrograph: int
    true: pd.DataFrame
    found: pd.DataFrame
    area_px: int


def match_twin(
    micrograph: int,
    true_labels: Integer[np.ndarray, "h w"],
    visible_fraction: Float[np.ndarray, "n"],
    found_labels: Integer[np.ndarray, "h w"],
) -> SegmentedTwin:
    """Match the particles of a twin with those found.

    Parameters
    ----------
    micrograph : index of the micrograph
    true_labels : (h, w) label map of the particles 1 to n; some may be absent
    visible_fraction : (n,) visible part of each particle's outline
    found_labels : (h, w) label map of the segmentation

    Returns
    -------
    Both tables; hidden parts are known of the true particles, and estimated of the found ones.

    Examples
    --------
    >>> true = np.zeros((20, 40), int)
    >>> true[5:15, 5:15], true[5:15, 20:30] = 1, 2
    >>> twin = match_twin(0, true, np.ones(2), np.where(true == 2, 1, 0))
    >>> twin.true["row"].tolist(), twin.found["row"].tolist()
    ([-1, 0], [1])
    """
    true, found = measure(true_labels, None), measure(found_labels, None)
    overlaps = overlap_table(found_labels, true_labels)
    pairs = match(overlaps, LEAST_IOU, 1).pairs
    found_row = _rows_by_label(found, len(overlaps.predicted_area))
    true_row = _rows_by_label(true, len(overlaps.truth_area))
    row_of_true, row_of_found = np.full(len(true), -1), np.full(len(found), -1)
    row_of_true[true_row[pairs[:, 1]]] = found_row[pairs[:, 0]]
    row_of_found[found_row[pairs[:, 0]]] = true_row[pairs[:, 1]]
    # Find true particles that share a found one.
    both = (overlaps.predicted > 0) & (overlaps.truth > 0)
    mostly = both & (overlaps.pixels > _SHARE_OF_MERGED * overlaps.truth_area[overlaps.truth])
    members = np.bincount(overlaps.predicted[mostly], minlength=len(overlaps.predicted_area))
    shared = np.zeros(len(true), bool)
    shared[true_row[overlaps.truth[mostly]]] = members[overlaps.predicted[mostly]] > 1
    visible = visible_fraction[true["label"].to_numpy() - 1]
    true = _with_whole_sizes(true.assign(visible_fraction=visible), visible)
    return SegmentedTwin(
        micrograph,
        true.assign(row=row_of_true, shared=shared),
        found.assign(row=row_of_found),
        true_labels.size,
    )


def _with_whole_sizes(true: pd.DataFrame, visible: Float[np.ndarray, "n"]) -> pd.DataFrame:
    """Replace the estimates of hidden parts by the truth.

    Particles cut by the frame keep the estimate: what lies beyond the frame is not counted.
    """
    visible = np.minimum(visible, 1.0)
    whole = {
        "visible_share": visible,
        "amodal_diameter_px": true["equivalent_diameter_px"] / np.sqrt(visible),
        "size_is_lower_bound": visible < PARTLY_HIDDEN,
    }
    return true.assign(
        **{name: true[name].where(true["touches_frame"], known) for name, known in whole.items()}
    )


def _rows_by_label(table: pd.DataFrame, labels: int) -> Int[np.ndarray, "labels"]:
    """Return the row of each label, -1 for those that have none."""
    rows = np.full(labels, -1)
    rows[table["label"].to_numpy()] = np.arange(len(table))
    return rows


class TwinResponse(NamedTuple):
    """True sizes and what was measured of them in a set of twins, lengths in one unit.

    Attributes
    ----------
    true : (n,) true sizes
    measured : (n,) measured sizes, NaN for particles that were not found
    false : (k,) measured sizes of found particles that match no true one
    true_twin, false_twin : index of the twin of each
    twins : number of twins
    area : of all twins together, in squares of the unit
    """

    true: Float[np.ndarray, "n"]
    measured: Float[np.ndarray, "n"]
    false: Float[np.ndarray, "k"]
    true_twin: Int[np.ndarray, "n"]
    false_twin: Int[np.ndarray, "k"]
    twins: int
    area: float

    @property
    def found(self) -> Bool[np.ndarray, "n"]:
        """Whether each true particle was found."""
        return ~np.isnan(self.measured)


def pool_twins(
    twins: Sequence[SegmentedTwin], quantity: str, pixel_sizes: Sequence[float]
) -> TwinResponse:
    """Collect the sizes of all twins.

    Parameters
    ----------
    twins : matched twins
    quantity : name of the size
    pixel_sizes : edge of a pixel of each micrograph in the unit of the sizes, 1 for pixels

    Returns
    -------
    Response of the segmentation.

    Raises
    ------
    InputError
        If the twins were measured by an earlier version, without this quantity.
    """
    column = f"{quantity}_px"
    parts = []
    for index, twin in enumerate(twins):
        if column not in twin.true or column not in twin.found:
            raise InputError(f"the twins have no {quantity}; make them again in another folder")
        edge = pixel_sizes[twin.micrograph]
        sizes = twin.found[column].to_numpy(float) * edge
        row = twin.true["row"].to_numpy(int)
        measured = np.where(row >= 0, np.append(sizes, np.nan)[row], np.nan)
        false = sizes[twin.found["row"].to_numpy(int) < 0]
        true = twin.true[column].to_numpy(float) * edge
        parts.append((true, measured, false, np.full(len(true), index), np.full(len(false), index)))
    areas = [twin.area_px * pixel_sizes[twin.micrograph] ** 2 for twin in twins]
    true, measured, false, true_twin, false_twin = map(np.concatenate, zip(*parts, strict=True))
    area = float(sum(areas))
    return TwinResponse(true, measured, false, true_twin, false_twin, len(twins), area)

"""Spans of pixels: the pixels of a view to trace, as runs along its rows."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64


class Spans(NamedTuple):
    """Runs of pixels along rows, from left to right; rows may share theirs.

    Attributes
    ----------
    first, last : (h) range of each row's spans, `start[first[r]:last[r]]`
    start : (n) first column of each span
    stop : (n) column after the last of each span
    """

    first: Int64[np.ndarray, "h"]
    last: Int64[np.ndarray, "h"]
    start: Int64[np.ndarray, "n"]
    stop: Int64[np.ndarray, "n"]


def whole_rows(height_px: int, width_px: int) -> Spans:
    """Return the spans of all pixels of a view.

    Parameters
    ----------
    height_px, width_px
        Size of the view.

    Returns
    -------
    Spans
        One span, which all rows share.

    Examples
    --------
    >>> spans = whole_rows(2, 5)
    >>> spans.start.tolist(), spans.stop.tolist(), spans.last.tolist()
    ([0], [5], [1, 1])
    """
    first = np.zeros(height_px, np.int64)
    return Spans(first, first + 1, np.array([0]), np.array([width_px]))


def spans_where(mask: Bool[np.ndarray, "h w"]) -> Spans:
    """Return the spans of the pixels of a mask.

    Parameters
    ----------
    mask
        True for the pixels that belong to a span.

    Returns
    -------
    Spans
        Maximal runs of True in each row.

    Examples
    --------
    >>> import numpy as np
    >>> spans = spans_where(np.array([[True, True, False, True], [False, False, True, False]]))
    >>> spans.start.tolist(), spans.stop.tolist(), spans.last.tolist()
    ([0, 3, 2], [2, 4, 3], [2, 3])
    """
    edges = np.zeros((mask.shape[0], mask.shape[1] + 1), bool)
    edges[:, 1:-1] = mask[:, 1:] != mask[:, :-1]
    edges[:, 0], edges[:, -1] = mask[:, 0], mask[:, -1]
    # Starts and stops alternate along each row.
    row, column = np.nonzero(edges)
    first = np.searchsorted(row[::2], np.arange(mask.shape[0] + 1))
    return Spans(first[:-1], first[1:], column[::2].copy(), column[1::2].copy())

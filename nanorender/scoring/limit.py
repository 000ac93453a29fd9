"""Detection on both sides of a size limit, such as that of nanomaterials."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nanorender.scoring.results import ImageResult


class LimitDetection(NamedTuple):
    """Numbers of particles below and above a size limit.

    Attributes
    ----------
    true_below, true_above : true particles
    recalled_below, recalled_above : those of them that were found
    found_below : particles found that measure less than the limit
    false_below : those of them that match no true particle
    """

    true_below: int
    true_above: int
    recalled_below: int
    recalled_above: int
    found_below: int
    false_below: int


def count_detected(
    true: Float[np.ndarray, "n"],
    recalled: Bool[np.ndarray, "n"],
    found: Float[np.ndarray, "m"],
    false: Bool[np.ndarray, "m"],
    limit: float,
) -> LimitDetection:
    """Count particles on both sides of a limit.

    Parameters
    ----------
    true : (n,) sizes of the true particles
    recalled : (n,) whether each was found
    found : (m,) sizes of the particles found
    false : (m,) whether each matches no true particle
    limit : size, in the same unit

    Returns
    -------
    detection : numbers of particles

    Examples
    --------
    >>> true, found = np.array([50.0, 80.0, 150.0]), np.array([82.0, 60.0, 151.0])
    >>> recalled, false = np.array([False, True, True]), np.array([False, True, False])
    >>> detection = count_detected(true, recalled, found, false, 100.0)
    >>> detection.recalled_below, detection.true_below, detection.false_below
    (1, 2, 1)
    """
    below = true < limit
    return LimitDetection(
        int(below.sum()),
        int((~below).sum()),
        int((below & recalled).sum()),
        int((~below & recalled).sum()),
        int((found < limit).sum()),
        int(((found < limit) & false).sum()),
    )


def annotated_detection(
    results: Sequence[ImageResult], quantity: str, limit_nm: float
) -> LimitDetection | None:
    """Count the annotated particles of a study on both sides of a limit.

    Parameters
    ----------
    results : images with their particles
    quantity : name of the size, such as "min_feret"
    limit_nm : limit

    Returns
    -------
    detection : numbers of particles of the annotated images with a pixel size; None without any
    """
    column = f"{quantity}_nm"
    counts = []
    for result in results:
        if result.scores is None or result.true_table is None or result.pixel_size_nm is None:
            continue
        matching = result.scores.matching
        counted = result.table["label"].isin(matching.counted_predicted.tolist())
        found = result.table.loc[counted]
        true = result.true_table
        counts.append(
            count_detected(
                true[column].to_numpy(float),
                true["label"].isin(matching.pairs[:, 1].tolist()).to_numpy(bool),
                found[column].to_numpy(float),
                ~found["label"].isin(matching.pairs[:, 0].tolist()).to_numpy(bool),
                limit_nm,
            )
        )
    return LimitDetection(*np.sum(counts, axis=0).tolist()) if counts else None

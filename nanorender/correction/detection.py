"""Detection by size: which particles are found, and how wrong their sizes are."""

from dataclasses import dataclass

import numpy as np

from nanorender.correction.response import TwinResponse
from nanorender.statistics.nanoscale import wilson_interval

_PARTICLES_PER_CLASS = 60
_MOST_CLASSES = 10
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class DetectionClass:
    """Particles of a range of true sizes in the twins; lengths in the unit of the response.

    Attributes
    ----------
    smallest, typical, largest : limits and median of the true sizes
    particles : number of particles
    found : share that was found
    found_low, found_high : its 95 % interval
    bias : mean relative error of the measured sizes, NaN if none was found
    spread : standard deviation of the relative error, NaN if fewer than two were found
    """

    smallest: float
    typical: float
    largest: float
    particles: int
    found: float
    found_low: float
    found_high: float
    bias: float
    spread: float


def detection_by_size(response: TwinResponse, least: float) -> list[DetectionClass]:
    """Compute detection and errors in classes of about as many true particles each.

    Parameters
    ----------
    response : of the segmentation to twins
    least : size of the smallest particles that count

    Returns
    -------
    Classes from small to large.

    Examples
    --------
    >>> true = np.linspace(10.0, 20.0, 120)
    >>> seen = np.where(true < 15, np.nan, 1.1 * true)
    >>> twins = TwinResponse(true, seen, np.zeros(0), np.zeros(120, int), np.zeros(0, int), 1, 1.0)
    >>> [(round(one.typical), one.found) for one in detection_by_size(twins, 8.0)]
    [(12, 0.0), (18, 1.0)]
    """
    order = np.argsort(response.true, kind="stable")
    order = order[response.true[order] >= least]
    if len(order) == 0:
        return []
    count = int(np.clip(len(order) // _PARTICLES_PER_CLASS, 1, _MOST_CLASSES))
    classes = []
    for rows in np.array_split(order, count):
        true, measured = response.true[rows], response.measured[rows]
        error = (measured / true - 1)[~np.isnan(measured)]
        share = len(error) / len(rows)
        low, high = wilson_interval(share, float(len(rows)), _CONFIDENCE)
        classes.append(
            DetectionClass(
                smallest=float(true[0]),
                typical=float(np.median(true)),
                largest=float(true[-1]),
                particles=len(rows),
                found=share,
                found_low=low,
                found_high=high,
                bias=float(error.mean()) if len(error) else float("nan"),
                spread=float(error.std(ddof=1)) if len(error) > 1 else float("nan"),
            )
        )
    return classes

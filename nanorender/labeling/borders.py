"""Wider borders in label maps: gaps between touching particles, and along their outlines."""

import numpy as np

from nanorender.jit import kernel, subroutine
from nanorender.labeling.label_image import LabelImage


def widen_borders(image: LabelImage, border_px: float) -> None:
    """Make pixels within a distance of another particle background, in place.

    Parameters
    ----------
    image
        The label map.
    border_px
        Largest distance between pixel centers that counts as near; 0 changes nothing.

    Examples
    --------
    >>> import numpy as np
    >>> image = LabelImage(np.array([[1, 1, 1, 2, 2, 0]], np.int32))
    >>> widen_borders(image, 1.0)
    >>> image.labels.tolist()
    [[1, 1, 0, 0, 2, 0]]
    """
    _erode(image, border_px, False)


def shrink_from_background(image: LabelImage, border_px: float) -> None:
    """Make pixels within a distance of the background background, in place.

    Parameters
    ----------
    image
        The label map.
    border_px
        Largest distance between pixel centers that counts as near; 0 changes nothing.

    Examples
    --------
    >>> import numpy as np
    >>> image = LabelImage(np.array([[1, 1, 1, 2, 2, 0]], np.int32))
    >>> shrink_from_background(image, 1.0)
    >>> image.labels.tolist()
    [[1, 1, 1, 2, 0, 0]]
    """
    _erode(image, border_px, True)


def _erode(image: LabelImage, border_px: float, from_background: bool) -> None:
    """Erode labels near the background, or else near other particles."""
    if border_px > 0:
        spans = image.border_spans()
        image.clear(_near_borders(image.labels, spans, border_px, from_background))


@kernel
def _near_borders(labels, spans, border_px, from_background):
    """Return the flat indices of the pixels within `border_px` of another label, each once.

    Strategy: put a disc on each pixel beside a border. Covered pixels are marked by a negative
    label, which remains.
    """
    # Find the half width of each row of the disc
    reach = int(border_px)
    half_width = np.empty(reach + 1, np.int64)
    for d in range(reach + 1):
        half_width[d] = int(np.sqrt(border_px * border_px - d * d))
    # Put discs on the pixels of the spans
    most = (2 * reach + 1) ** 2
    found, count = np.empty(1024, np.int64), 0
    for r in range(labels.shape[0]):
        for n in range(spans.first[r], spans.last[r]):
            for c in range(spans.start[n], spans.stop[n]):
                if (labels[r, c] == 0) != from_background or not _is_edge(labels, r, c):
                    continue
                if count + most > found.size:
                    found = np.concatenate((found, np.empty(found.size + most, np.int64)))
                count = _cover(labels, r, c, half_width, found, count)
    return found[:count]


@subroutine
def _cover(labels, r, c, half_width, found, count):
    """Negate and record the labels other than its own under a disc on a pixel."""
    reach, here = half_width.size - 1, abs(labels[r, c])
    height, width = labels.shape
    for y in range(max(0, r - reach), min(height, r + reach + 1)):
        span = half_width[abs(y - r)]
        for x in range(max(0, c - span), min(width, c + span + 1)):
            if labels[y, x] > 0 and labels[y, x] != here:
                labels[y, x] = -labels[y, x]
                found[count] = y * width + x
                count += 1
    return count


@subroutine
def _is_edge(labels, r, c):
    """Return whether one of the four neighbors of a pixel has another label."""
    here = abs(labels[r, c])
    return (
        abs(labels[max(r - 1, 0), c]) != here
        or abs(labels[min(r + 1, labels.shape[0] - 1), c]) != here
        or abs(labels[r, max(c - 1, 0)]) != here
        or abs(labels[r, min(c + 1, labels.shape[1] - 1)]) != here
    )

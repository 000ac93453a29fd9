"""Amodal masks as label maps: whole particles, including their hidden parts."""

import numpy as np
from jaxtyping import Int, Int32

from nanorender.jit import kernel, subroutine
from nanorender.labeling.masks import whole_masks
from nanorender.scenes.scene import View
from nanorender.tracing.instances import Instances


def amodal_layers(
    instances: Instances, view: View, seen: Int32[np.ndarray, "h w"], rows: Int[np.ndarray, "k"]
) -> Int32[np.ndarray, "p h w"]:
    """Return label maps of whole particles, with overlapping particles on different pages.

    In the order of its label, each particle is put on the first page where it overlaps nothing.

    Parameters
    ----------
    instances
        The scene's, built for the view.
    view
        The view of the label maps.
    seen
        Exact label map of the view, row in the scene plus one.
    rows
        Rows of the scene, ascending; the first has label 1.

    Returns
    -------
    (p, h, w) array
        At least one page.
    """
    masks = whole_masks(instances, view, seen, rows)
    waiting = np.ones(len(rows), bool)
    pages = []
    while not pages or waiting.any():
        page = np.zeros_like(seen)
        _fill(masks, waiting, page)
        pages.append(page)
    return np.stack(pages)


@kernel
def _fill(masks, waiting, page):
    """Draw the waiting particles that overlap nothing on a page."""
    for k in range(waiting.size):
        if waiting[k] and _draw(masks, k, page, 0) == 0:
            _draw(masks, k, page, k + 1)
            waiting[k] = False


@subroutine
def _draw(masks, k, page, label):
    """Give the mask's pixels a label unless it is 0; return how many were labeled before."""
    height, width = page.shape
    taken = 0
    for i in range(masks.first[k], masks.first[k + 1]):
        r, c0 = masks.row[i], masks.left[i]
        if not 0 <= r < height:
            continue
        run = masks.member[masks.start[i] : masks.start[i + 1]]
        for c in range(max(-c0, 0), min(width - c0, run.size)):
            if run[c]:
                taken += page[r, c0 + c] != 0
                if label:
                    page[r, c0 + c] = label
    return taken

"""Amodal masks: whole particles, also where others hide them, as a few label maps."""

import math

import numpy as np
from jaxtyping import Int, Int32

from nanorender.jit import kernel
from nanorender.labelling.outlines import items_of, whole_mask
from nanorender.scenes.scene import View
from nanorender.tracing.instances import Instances
from nanorender.tracing.march import new_block


def amodal_layers(
    instances: Instances, view: View, seen: Int32[np.ndarray, "h w"], rows: Int[np.ndarray, "k"]
) -> Int32[np.ndarray, "p h w"]:
    """Return label maps of whole particles; those that overlap are on different pages.

    A particle is on the first page where it has room, in the order of the labels; the pages are
    as many as that takes, at least one.

    Parameters
    ----------
    instances: the scene's, placed for the view
    seen: the exact label map of the view, row of the scene plus one
    rows: rows of the scene, ascending; the first has label 1
    """
    items, first = items_of(instances.items, rows)
    slope = math.tan(math.radians(view.tilt_deg))
    grid = np.float32(view.pixel_size_nm), np.float32(slope)
    waiting = np.ones(len(rows), bool)
    pages = []
    while not pages or waiting.any():
        page = np.zeros_like(seen)
        _fill(items, instances.placed, first, *grid, seen, waiting, page)
        pages.append(page)
    return np.stack(pages)


@kernel
def _fill(items, placed, first, pixel_size, slope, seen, waiting, page):
    """Draw those waiting particles on a page that overlap nothing there."""
    blocks = new_block(), new_block(), new_block()
    for k in range(waiting.size):
        if not waiting[k]:
            continue
        mask = whole_mask(items, first[k], first[k + 1], placed, pixel_size, slope, seen, blocks)
        if _draw(mask, page, 0) == 0:
            _draw(mask, page, k + 1)
            waiting[k] = False


@kernel
def _draw(mask, page, label):
    """Give the mask's pixels a label other than 0; return how many have one already."""
    height, width = page.shape
    taken = 0
    for i in range(max(-mask.top, 0), min(height - mask.top, mask.left.size)):
        run = mask.member[mask.start[i] : mask.start[i + 1]]
        for c in range(max(-mask.left[i], 0), min(width - mask.left[i], run.size)):
            if run[c]:
                taken += page[mask.top + i, mask.left[i] + c] != 0
                if label:
                    page[mask.top + i, mask.left[i] + c] = label
    return taken

"""Outlines of the particles of a label map, and ImageJ region-of-interest files of them."""

import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi
from scipy import ndimage
from skimage.measure import find_contours

from nanorender.files.atomic import atomic_file

# Segments of ImageJ's composite regions, as java.awt.geom.PathIterator numbers them.
MOVE_TO, LINE_TO, CLOSE = 0.0, 1.0, 4.0


def outlines(labels: Integer[np.ndarray, "h w"]) -> dict[int, list[Int[np.ndarray, "_ 2"]]]:
    """Return for every label its closed outlines along the edges of its pixels.

    An outline is the (x, y) corners in pixels from the upper left corner of the image, where it
    turns; it encloses exactly the particle's pixels. Holes and separate parts are outlines of
    their own, to be filled by the even-odd rule.
    """
    found = {}
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        offset = (box[1].start - 1, box[0].start - 1)
        mask = np.pad(labels[box] == index + 1, 1)
        found[index + 1] = [corners + np.array(offset) for corners in _corners(mask)]
    return found


def _corners(mask: Bool[np.ndarray, "h w"]) -> list[Int[np.ndarray, "_ 2"]]:
    """Return the closed outlines of a mask whose margin is empty, as (x, y) of their corners."""
    outlines = []
    for contour in find_contours(mask.astype(np.uint8), 0.5, fully_connected="high"):
        # Strategy: the contour of level 1/2 passes the middles of pixel edges. Two edges in a row
        # share the corner at the center of their square of marching squares: where either middle
        # has a whole coordinate, that is the corner's; where neither has, it is between the two.
        middles = contour[:-1, ::-1] + 0.5
        following = np.roll(middles, -1, axis=0)
        corners = np.where(
            middles % 1 == 0,
            middles,
            np.where(following % 1 == 0, following, (middles + following) / 2),
        ).astype(np.intp)
        incoming = corners - np.roll(corners, 1, axis=0)
        outgoing = np.roll(incoming, -1, axis=0)
        outlines.append(corners[np.any(incoming != outgoing, axis=1)])
    return outlines


def write_rois(path: Path, labels: Integer[np.ndarray, "h w"]) -> None:
    """Write a ZIP file that ImageJ's ROI Manager opens: one region per particle, named by label.

    A region covers the particle's pixels exactly. A particle with holes or several parts becomes
    a composite region. The same labels give the same bytes.
    """
    with atomic_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for label, pieces in outlines(labels).items():
            region = _traced(pieces[0]) if len(pieces) == 1 else _composite(pieces)
            region.name = f"{label:05d}"
            # A ZipInfo made by hand is dated 1980, so that the file does not depend on the clock.
            archive.writestr(zipfile.ZipInfo(f"{region.name}.roi"), region.tobytes())


def _traced(corners: Int[np.ndarray, "n 2"]) -> ImagejRoi:
    """Return the region that ImageJ's wand would trace: a polygon along pixel edges."""
    region = ImagejRoi.frompoints(corners)
    region.roitype = ROI_TYPE.TRACED
    region.options = ROI_OPTIONS(0)
    # frompoints counts points as pixels; corners bound the pixels between them.
    region.right, region.bottom = (int(edge) for edge in corners.max(axis=0))
    return region


def _composite(pieces: list[Int[np.ndarray, "_ 2"]]) -> ImagejRoi:
    """Return a region of several outlines, filled by the even-odd rule."""
    path = np.concatenate([_segments(corners) for corners in pieces])
    corners = np.concatenate(pieces)
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    region = ImagejRoi()
    region.roitype = ROI_TYPE.RECT
    region.left, region.top, region.right, region.bottom = map(int, (left, top, right, bottom))
    region.multi_coordinates = path.astype(np.float32)
    region.shape_roi_size = len(path)
    return region


def _segments(corners: Int[np.ndarray, "n 2"]) -> Float[np.ndarray, "m"]:
    """Return one outline as ImageJ's flat list of segments."""
    kinds = np.full(len(corners), LINE_TO)
    kinds[0] = MOVE_TO
    return np.append(np.column_stack([kinds, corners]).ravel(), CLOSE)


def svg_path(pieces: list[Int[np.ndarray, "_ 2"]]) -> str:
    """Return the outlines of one particle as the data of an SVG path, in pixels."""
    return "".join(_svg_outline(corners) for corners in pieces)


def _svg_outline(corners: Int[np.ndarray, "n 2"]) -> str:
    """Return one outline as alternating horizontal and vertical steps."""
    steps = (
        f"h{after[0] - before[0]}" if after[0] != before[0] else f"v{after[1] - before[1]}"
        for before, after in pairwise(corners.tolist())
    )
    return f"M{corners[0, 0]} {corners[0, 1]}{''.join(steps)}z"

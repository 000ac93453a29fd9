"""Outlines of the particles of a label map, and their ImageJ region-of-interest (ROI) files."""

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
    """Trace the outlines of all particles along pixel edges.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    closed outlines of each label: (n, 2) vertices (x, y) in pixels from the upper left corner of
    the image. Holes and separate parts have separate outlines, for the even-odd fill rule.

    Examples
    --------
    >>> square = np.array([[0, 0, 0], [0, 7, 7], [0, 7, 7]])
    >>> sorted(outlines(square)[7][0].tolist())
    [[1, 1], [1, 3], [3, 1], [3, 3]]
    """
    traced = {}
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        offset = (box[1].start - 1, box[0].start - 1)
        mask = np.pad(labels[box] == index + 1, 1)
        traced[index + 1] = [corners + np.array(offset) for corners in _corners(mask)]
    return traced


def _corners(mask: Bool[np.ndarray, "h w"]) -> list[Int[np.ndarray, "_ 2"]]:
    """Trace the closed outlines of a mask with an empty margin, as vertices (x, y)."""
    outlines = []
    for contour in find_contours(mask.astype(np.uint8), 0.5, fully_connected="high"):
        # Strategy: the contour at level 1/2 passes through the midpoints of pixel edges. Two
        # consecutive edges share a corner. If a coordinate of either midpoint is an integer, it
        # is that of the corner; otherwise, the corner is halfway between the midpoints.
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


def write_rois(
    path: Path, labels: Integer[np.ndarray, "h w"], origin_px: tuple[int, int] = (0, 0)
) -> None:
    """Write the outlines of particles as a ZIP file for ImageJ's ROI Manager.

    There is one region per particle, named by its label, which covers exactly the particle's
    pixels. Particles with holes or several parts become composite regions. The same labels give
    the same bytes.

    Parameters
    ----------
    path : of the ZIP file
    labels : (h, w) label map
    origin_px : column and row of its first pixel in the file that the regions are for

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with atomic_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for label, traced in outlines(labels).items():
            pieces = [corners + np.array(origin_px) for corners in traced]
            region = _traced(pieces[0]) if len(pieces) == 1 else _composite(pieces)
            region.name = f"{label:05d}"
            # An explicit ZipInfo is dated 1980, which makes the file independent of the clock.
            archive.writestr(zipfile.ZipInfo(f"{region.name}.roi"), region.tobytes())


def _traced(corners: Int[np.ndarray, "n 2"]) -> ImagejRoi:
    """Build the region that ImageJ's wand tool would trace: a polygon along pixel edges."""
    region = ImagejRoi.frompoints(corners)
    region.roitype = ROI_TYPE.TRACED
    region.options = ROI_OPTIONS(0)
    # frompoints adds one to the bounding box, as for points that are pixels; these are corners.
    region.right, region.bottom = (int(edge) for edge in corners.max(axis=0))
    return region


def _composite(pieces: list[Int[np.ndarray, "_ 2"]]) -> ImagejRoi:
    """Build a region from several outlines, filled by the even-odd rule."""
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
    """Convert one outline to ImageJ's flat list of segments."""
    kinds = np.full(len(corners), LINE_TO)
    kinds[0] = MOVE_TO
    return np.append(np.column_stack([kinds, corners]).ravel(), CLOSE)


def svg_path(pieces: list[Int[np.ndarray, "_ 2"]]) -> str:
    """Convert the outlines of a particle to the data of an SVG path.

    Parameters
    ----------
    pieces : closed outlines, as in `outlines`

    Returns
    -------
    value of the attribute "d", in pixels

    Examples
    --------
    >>> svg_path([np.array([[1, 1], [1, 3], [3, 3], [3, 1]])])
    'M1 1v2h2v-2z'
    """
    return "".join(_svg_outline(corners) for corners in pieces)


def _svg_outline(corners: Int[np.ndarray, "n 2"]) -> str:
    """Convert one outline to alternating horizontal and vertical steps."""
    steps = (
        f"h{after[0] - before[0]}" if after[0] != before[0] else f"v{after[1] - before[1]}"
        for before, after in pairwise(corners.tolist())
    )
    return f"M{corners[0, 0]} {corners[0, 1]}{''.join(steps)}z"

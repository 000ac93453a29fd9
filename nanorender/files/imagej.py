"""Regions of interest (ROI) of ImageJ and Fiji, drawn around particles."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from nanorender.errors import InputError
from nanorender.files.drawn import DrawnParticle, Rings, ellipse, rectangle

LARGEST_ROI_BYTES = 1 << 26
"""Largest size of a region; one of a million points has 8 MB."""

CURVE_POINTS = 8
"""Points by which a curve of a composite region is replaced."""

POLYGONS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)


def read_imagej_rois(path: Path) -> list[DrawnParticle]:
    """Read the regions of an image, one for each particle.

    Parameters
    ----------
    path
        A ``.zip`` file of the ROI Manager, or a ``.roi`` file of one region.

    Returns
    -------
    list of DrawnParticle
        In the order of the file. A name that consists of digits is the label of the particle.

    Raises
    ------
    InputError
        If the file cannot be read, or a region has no area.
    """
    particles = []
    for entry, data in _entries(path):
        try:
            region = ImagejRoi.frombytes(data)
            name = region.name or entry
            particles.append(DrawnParticle(name, (_rings(region),), _number(name)))
        except _UnsuitableError as error:
            raise InputError(f"{path}: region '{name}' {error}") from None
        except Exception as error:  # roifile raises whatever the forged bytes cause
            raise InputError(
                f"{path}: '{entry}' is not a region of ImageJ ({error}); save it again"
            ) from None
    return particles


class _UnsuitableError(ValueError):
    """A region that does not outline a particle."""


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each region in a file."""
    try:
        if path.suffix.lower() == ".roi":
            yield path.stem, path.read_bytes()
            return
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                # Macs add copies with metadata, whose names begin with a dot.
                name = Path(info.filename).name
                if not name.lower().endswith(".roi") or name.startswith("."):
                    continue
                if info.file_size > LARGEST_ROI_BYTES:
                    raise InputError(f"{path}: '{info.filename}' is too large for a region")
                yield Path(name).stem, archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a ROI set of ImageJ: {error}; save it again") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}") from None


def _number(name: str) -> int | None:
    """Return the label in a name such as "00012", None if there is none."""
    return int(name) or None if re.fullmatch("[0-9]{1,7}", name) else None


def _rings(region: ImagejRoi) -> Rings:
    """Return the outlines of a region, or raise _UnsuitableError if it has no area."""
    if region.options & ROI_OPTIONS.SPLINE_FIT:
        raise _UnsuitableError(
            "is a spline; turn it into a polygon with Edit > Selection > Interpolate"
        )
    if region.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        raise _UnsuitableError("is a text or image; delete it from the ROI set")
    if region.roitype in POLYGONS:
        return Rings((np.asarray(region.coordinates(), float),))
    if region.multi_coordinates is not None:
        return Rings(tuple(_path_rings(region.multi_coordinates)))
    left, top = float(region.left), float(region.top)
    width, height = region.right - left, region.bottom - top
    if region.subpixelrect:
        left, top, width, height = region.xd, region.yd, region.widthd, region.heightd
    if region.roitype == ROI_TYPE.OVAL:
        return ellipse(left, top, width, height)
    if region.roitype == ROI_TYPE.RECT:
        if region.rounded_rect_arc_size:
            raise _UnsuitableError("is a rounded rectangle; draw it as a polygon or an oval")
        return rectangle(left, top, width, height)
    kind = region.roitype.name.lower()
    raise _UnsuitableError(f"is of type {kind}, which has no area; delete it from the ROI set")


def _path_rings(path: Float[np.ndarray, "m"]) -> Iterator[Float[np.ndarray, "_ 2"]]:
    """Yield the closed outlines of a composite region, curves replaced by polygons."""
    # The path is a sequence of segments: a kind, as java.awt.geom.PathIterator numbers them, and
    # the coordinates of 1, 1, 2, 3 or 0 points: move to, line to, quadratic, cubic, close.
    points_of = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}
    corners: list[np.ndarray] = []
    at = 0
    while at < len(path):
        kind = int(path[at])
        end = at + 1 + 2 * points_of[kind]
        points = np.asarray(path[at + 1 : end], float).reshape(points_of[kind], 2)
        if kind == 0 and corners:
            yield np.array(corners)
            corners = []
        if kind in (0, 1):
            corners.append(points[0])
        elif kind in (2, 3):
            corners.extend(_bezier(np.vstack([corners[-1], points])))
        at = end
    if corners:
        yield np.array(corners)


def _bezier(control: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "n 2"]:
    """Return points of a Bezier curve after its first one (de Casteljau's algorithm)."""
    t = np.linspace(0, 1, CURVE_POINTS + 1)[1:, None, None]
    points = np.repeat(control[None], CURVE_POINTS, axis=0)
    with np.errstate(invalid="ignore"):  # refused by `Rings.patch`
        while points.shape[1] > 1:
            points = (1 - t) * points[:, :-1] + t * points[:, 1:]
    return points[:, 0]

"""Micrographs for a page: JPEG images with outlines of particles, numbers and a scale bar."""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Int, Integer

from nanorender.report.bar import DrawnBar, scale_bar
from nanorender.report.overlay import neighbor_colors, number_places, to_uint8
from nanorender.report.rois import outlines, svg_path

LARGEST_PX = 4096  # micrographs with a longer side are reduced to this size in the page
JPEG_QUALITY = 88

BURNT_IN_SHARE = 0.01
"""Share of black and white pixels in a corner from which text or a scale bar is printed there."""


@dataclass(frozen=True)
class ParticleOutline:
    """Outline of a particle in an overlay, in pixels.

    Attributes
    ----------
    label : of the particle
    path : data of the SVG path
    box : bounding box as "x y width height"
    room : shorter side of the box, which limits the size of the number
    color : index into the palette
    x, y : position of the number
    unsure : whether the confidence is low
    struck_out : whether the particle was struck out by hand
    """

    label: int
    path: str
    box: str
    room: int
    color: int
    x: float
    y: float
    unsure: bool = False
    struck_out: bool = False


@dataclass(frozen=True)
class Picture:
    """A micrograph with the outlines of its particles.

    Attributes
    ----------
    width, height : size in pixels
    uri : the micrograph as a data URI
    is_reduced : whether it has fewer pixels there
    font_size : of the numbers without script, in pixels
    bar : scale bar
    bar_box : left, top, width and height of the ground on which the scale bar is drawn
    outlines : of the particles
    """

    width: int
    height: int
    uri: str
    is_reduced: bool
    font_size: float
    bar: DrawnBar
    bar_box: tuple[float, float, float, float]
    outlines: Sequence[ParticleOutline]


def picture(
    image: Integer[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "h w"],
    pixel_size_nm: float | None = None,
    unsure: Collection[int] = (),
    struck_out: Collection[int] = (),
) -> Picture:
    """Encode a micrograph as JPEG and its particles as outlines.

    Parameters
    ----------
    image : (h, w) gray image
    labels : (h, w) label map
    pixel_size_nm : edge of a pixel, for the scale bar; None where it is unknown
    unsure : labels of particles of low confidence
    struck_out : labels of particles struck out by hand

    Returns
    -------
    the picture
    """
    colors = neighbor_colors(labels)
    places = {int(label): (x, y) for label, x, y in number_places(labels)}
    particles = []
    for label, pieces in outlines(labels).items():
        left, top, width, height = _box(pieces)
        particles.append(
            ParticleOutline(
                label,
                svg_path(pieces),
                f"{left} {top} {width} {height}",
                min(width, height),
                int(colors[label]),
                *places[label],
                unsure=label in unsure,
                struck_out=label in struck_out,
            )
        )
    height, width = image.shape
    font_size = round(max(width, height) / 90, 1)
    is_reduced = max(height, width) > LARGEST_PX
    bar = scale_bar(width, pixel_size_nm)
    return Picture(
        width,
        height,
        jpeg_uri(image),
        is_reduced,
        font_size,
        bar,
        _free_corner(image, bar),
        particles,
    )


def _free_corner(
    image: Integer[np.ndarray, "h w"], bar: DrawnBar
) -> tuple[float, float, float, float]:
    """Choose the corner for a scale bar, the lower left one unless something is printed there."""
    gray, (height, width) = to_uint8(image), image.shape
    line = width / 32
    across, down = bar.length_px + line, 2.1 * line
    boxes = [
        (left, top, across, down)
        for top in (height - down - line / 2, line / 2)
        for left in (line / 2, width - across - line / 2)
    ]
    burnt_in = []
    for left, top, *_ in boxes:
        corner = gray[max(0, int(top)) : int(top + down), max(0, int(left)) : int(left + across)]
        burnt_in.append(float(((corner <= 2) | (corner >= 253)).mean()) if corner.size else 1.0)
    free = [box for box, share in zip(boxes, burnt_in, strict=True) if share < BURNT_IN_SHARE]
    return free[0] if free else boxes[int(np.argmin(burnt_in))]


def _box(pieces: Sequence[Int[np.ndarray, "_ 2"]]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the outlines of a particle in pixels."""
    corners = np.concatenate(pieces)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return left, top, right - left, bottom - top


def jpeg_uri(image: Integer[np.ndarray, "h w"]) -> str:
    """Encode a gray image as a data URI, reduced to LARGEST_PX.

    Parameters
    ----------
    image : (h, w) gray image

    Returns
    -------
    URI of a JPEG image
    """
    gray = to_uint8(image)
    reduction = LARGEST_PX / max(gray.shape)
    if reduction < 1:
        gray = cv2.resize(gray, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")

"""Annotations of labelme: JSON files of one image each."""

import base64
import binascii
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from nanorender.errors import InputError
from nanorender.files.drawn import (
    LARGEST_COORDINATE,
    DrawnPart,
    DrawnParticle,
    Patch,
    Rings,
    ellipse,
    rectangle,
)
from nanorender.settings import first_problem


class LabelmeShape(BaseModel):
    """A shape of an annotation; other keys are ignored."""

    label: str = ""
    """Class of the shape."""
    shape_type: str | None = "polygon"
    """Kind of the shape."""
    points: list[tuple[FiniteFloat, FiniteFloat]]
    """Points x, y in pixels."""
    group_id: int | None = None
    """Shapes of one group are parts of one particle."""
    mask: str | None = None
    """Base64 of a PNG image, for masks."""


class LabelmeAnnotation(BaseModel):
    """Content of a labelme file; other keys are ignored."""

    model_config = ConfigDict(populate_by_name=True)

    shapes: list[LabelmeShape]
    """The particles and their parts."""
    height: int | None = Field(default=None, alias="imageHeight")
    """Height of the image."""
    width: int | None = Field(default=None, alias="imageWidth")
    """Width of the image."""


@dataclass(frozen=True)
class EncodedMask:
    """A mask stored as a PNG image.

    Attributes
    ----------
    png
        Base64 of the image.
    top, left
        Its place, in pixels.
    """

    png: str
    top: int
    left: int

    def patch(self, shape: tuple[int, int]) -> Patch:
        """Decode the pixels of the mask.

        Parameters
        ----------
        shape
            Height and width of the image that it was drawn in.

        Returns
        -------
        Patch
            The pixels inside the image.

        Raises
        ------
        ValueError
            If the mask cannot be decoded or exceeds the image.
        """
        try:
            with Image.open(io.BytesIO(base64.b64decode(self.png)), formats=["PNG"]) as image:
                if image.height > shape[0] or image.width > shape[1]:
                    raise ValueError("has a mask larger than its image")
                mask = np.asarray(image.convert("L")) > 0
        except (binascii.Error, OSError, SyntaxError, Image.DecompressionBombError):
            raise ValueError("has a mask that is not a PNG image") from None
        whole = (0, shape[0], 0, shape[1])
        return Patch(mask, self.top, self.left).within(whole)


def labelme_particles(
    content: object, path: Path
) -> tuple[list[DrawnParticle], tuple[int, int] | None]:
    """Find the particles in the content of a labelme file.

    Parameters
    ----------
    content
        The JSON object.
    path
        The file, named in errors.

    Returns
    -------
    particles : list of DrawnParticle
        One for each shape or group of shapes, in the order of the file.
    shape : tuple of int or None
        Height and width of the image, None if the file does not contain them.

    Raises
    ------
    InputError
        If the content is not that of a labelme file, or a shape has no area.

    Examples
    --------
    >>> shape = {"shape_type": "rectangle", "points": [[4, 2], [1, 1]]}
    >>> content = {"shapes": [shape], "imageHeight": 5, "imageWidth": 6}
    >>> (particle,), shape = labelme_particles(content, Path("a.json"))
    >>> particle.patch(shape).mask.shape, shape
    ((1, 3), (5, 6))
    """
    try:
        annotation = LabelmeAnnotation.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, LabelmeAnnotation)}") from None
    groups: dict[object, list[DrawnPart]] = {}
    for number, shape in enumerate(annotation.shapes, start=1):
        try:
            key = f"shape {number}" if shape.group_id is None else f"group {shape.group_id}"
            groups.setdefault(key, []).append(_part(shape))
        except ValueError as error:
            raise InputError(f"{path}: shape {number} ('{shape.label}') {error}") from None
    particles = [DrawnParticle(str(name), tuple(parts)) for name, parts in groups.items()]
    if annotation.height is None or annotation.width is None:
        return particles, None
    return particles, (annotation.height, annotation.width)


def _part(shape: LabelmeShape) -> DrawnPart:
    """Return the part of a particle that a shape draws."""
    points = np.array(shape.points, float).reshape(-1, 2)
    if np.any(np.abs(points) > LARGEST_COORDINATE):
        raise ValueError(f"has a coordinate that is not within {LARGEST_COORDINATE:.0f} px")
    kind = "polygon" if shape.shape_type is None else shape.shape_type
    match kind, len(points):
        case "polygon" | "oriented_rectangle" | "rotation", _:
            return Rings((points,))
        case "rectangle", 2 | 4:  # labelme writes two corners, other programs four
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            return rectangle(float(left), float(top), float(right - left), float(bottom - top))
        case "circle", 2:
            radius = float(np.hypot(*(points[1] - points[0])))
            left, top = points[0] - radius
            return ellipse(float(left), float(top), 2 * radius, 2 * radius)
        case "mask", 2 if shape.mask is not None:
            left, top = np.round(points.min(axis=0)).astype(int).tolist()
            return EncodedMask(shape.mask, top, left)
        case "rectangle" | "circle" | "mask", _:
            raise ValueError(f"is an incomplete {kind}; draw it again")
        case _:
            raise ValueError(f"is of type {kind}, which has no area; delete it")

"""Annotations in the format of COCO: JSON files of one or more images (Lin et al., 2014)."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import BaseModel, FiniteFloat, ValidationError

from nanorender.errors import InputError
from nanorender.files.drawn import DrawnPart, DrawnParticle, Patch, Rings
from nanorender.settings import first_problem


class CocoRunLengths(BaseModel):
    """A mask as lengths of runs in column-major order, background first."""

    size: tuple[int, int]
    """Height and width of the image."""
    counts: list[int] | str
    """Lengths of the runs, or their compressed form."""


class CocoAnnotation(BaseModel):
    """A particle of an image; other keys are ignored."""

    id: int | str = "?"
    """Identity of the annotation."""
    image_id: int | str
    """Identity of its image."""
    segmentation: list[list[FiniteFloat]] | CocoRunLengths
    """Polygons x, y, x, y, ..., or a mask."""


class CocoImage(BaseModel):
    """An image; other keys are ignored."""

    id: int | str
    """Identity of the image."""
    file_name: str
    """Its file."""
    height: int
    """Height of the image."""
    width: int
    """Width of the image."""

    @property
    def name(self) -> str:
        """Name of the file without folder and extension."""
        return PurePosixPath(self.file_name.replace("\\", "/")).stem


class CocoDataset(BaseModel):
    """Content of a COCO file; other keys are ignored."""

    images: list[CocoImage]
    """The images."""
    annotations: list[CocoAnnotation]
    """The particles of all images."""


@dataclass(frozen=True)
class RunLengths:
    """A mask as lengths of runs.

    Attributes
    ----------
    runs
        As in the file.
    """

    runs: CocoRunLengths

    def patch(self, shape: tuple[int, int]) -> Patch:
        """Decode the pixels of the mask.

        Parameters
        ----------
        shape
            Height and width of the image that it was drawn in.

        Returns
        -------
        Patch
            The pixels in the columns of the particle.

        Raises
        ------
        ValueError
            If the mask is invalid or of another size.

        Examples
        --------
        >>> RunLengths(CocoRunLengths(size=(2, 3), counts="231")).patch((2, 3)).mask.astype(int)
        array([[1, 1],
               [1, 0]])
        """
        if self.runs.size != shape:
            raise ValueError(f"has a mask of size {list(self.runs.size)}, not {list(shape)}")
        height, pixels = shape[0], shape[0] * shape[1]
        counts = self.runs.counts
        counts = _decompressed(counts) if isinstance(counts, str) else counts
        if any(not 0 <= count <= pixels for count in counts) or sum(counts) > pixels:
            raise ValueError("has a mask whose runs do not fit its image")
        lengths = np.array(counts, np.int64)
        ends = np.cumsum(lengths)
        starts, stops = (ends - lengths)[1::2], ends[1::2]
        kept = stops > starts
        starts, stops = starts[kept], stops[kept]
        if not len(starts):
            return Patch(np.zeros((0, 0), bool), 0, 0)
        left, right = int(starts[0]) // height, -(-int(stops[-1]) // height)
        toggles = np.zeros((right - left) * height + 1, np.int8)
        toggles[starts - left * height] += 1
        toggles[stops - left * height] -= 1
        inside = np.cumsum(toggles[:-1], dtype=np.int8) > 0
        return Patch(np.ascontiguousarray(inside.reshape(-1, height).T), 0, left)


def _decompressed(text: str) -> list[int]:
    """Decode compressed run lengths, as `rleFrString` of pycocotools does.

    Each number is written in groups of 5 bits from the lowest on, as characters from "0" on; bit 5
    of a character is set if more follow, and the sign is bit 4 of the last one. From the fourth on,
    numbers are differences from the second last.
    """
    lengths: list[int] = []
    value = shift = 0
    for char in text:
        bits = ord(char) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("has a mask that is not valid run-length encoding")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("has a mask that is not valid run-length encoding")
    return lengths


def coco_dataset(content: object, path: Path) -> CocoDataset:
    """Validate the content of a COCO file.

    Parameters
    ----------
    content
        The JSON object.
    path
        The file, named in errors.

    Returns
    -------
    CocoDataset
        Images and annotations.

    Raises
    ------
    InputError
        If the content is not that of a COCO file with segmentations.
    """
    try:
        return CocoDataset.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, CocoDataset)}") from None


def coco_particles(dataset: CocoDataset, image: CocoImage) -> list[DrawnParticle]:
    """Return the particles of one image.

    Parameters
    ----------
    dataset
        Content of the file.
    image
        One of its images.

    Returns
    -------
    list of DrawnParticle
        One for each annotation, in the order of the file.
    """
    return [
        DrawnParticle(f"annotation {each.id}", _parts(each.segmentation))
        for each in dataset.annotations
        if each.image_id == image.id
    ]


def _parts(segmentation: list[list[float]] | CocoRunLengths) -> tuple[DrawnPart, ...]:
    """Return the parts of a particle, which cover what any of the polygons covers."""
    if isinstance(segmentation, CocoRunLengths):
        return (RunLengths(segmentation),)
    # A last number without a partner is ignored, as pycocotools does.
    pairs = (np.array(flat[: len(flat) // 2 * 2], float).reshape(-1, 2) for flat in segmentation)
    return tuple(Rings((points,)) for points in pairs)

"""The micrographs of a study: a folder of files, how to read them, and their annotations."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth
from nanorender.files.micrograph import (
    Found,
    Micrograph,
    find_micrographs,
    read_micrograph,
)


@dataclass(frozen=True)
class Reading:
    """How the files of a study are read.

    pixel_size_nm: of every image, in place of what the files say
    in_pixels: whether sizes stay in pixels, whatever the files say
    crop: top, bottom, left, right of what to keep, in place of the search for an info bar
    truth: where annotations are, if they are to be used: a folder with files named as the images,
        or a suffix, such as "_m", that their names have beside the images
    """

    pixel_size_nm: float | None = None
    in_pixels: bool = False
    crop: tuple[int, int, int, int] | None = None
    truth: str | None = None

    @property
    def truth_folder(self) -> Path | None:
        """The folder of annotations, if `truth` is one."""
        return Path(self.truth) if self.truth and Path(self.truth).is_dir() else None


@dataclass(frozen=True)
class Collection:
    """Micrographs of one study; they are read when asked for, not kept.

    paths: of the micrographs
    left_out: files beside them that annotate them
    pixel_sizes_nm: of the micrographs, in their order; none when sizes stay in pixels
    notes: what the user should know about the reading
    """

    paths: tuple[Path, ...]
    left_out: tuple[Path, ...]
    pixel_sizes_nm: tuple[float, ...]
    notes: tuple[str, ...]
    reading: Reading

    @property
    def pixel_size_nm(self) -> float | None:
        """The median pixel size, or None when sizes stay in pixels."""
        return statistics.median(self.pixel_sizes_nm) if self.pixel_sizes_nm else None

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Micrograph]:
        return (read_scaled(path, self.reading) for path in self.paths)

    def truth(self, micrograph: Micrograph) -> Integer[np.ndarray, "h w"] | None:
        """Return the label map that annotates a micrograph, or None if none are to be used.

        Raises
        ------
        InputError
            If it is missing or does not fit the micrograph.
        """
        return None if self.reading.truth is None else find_truth(micrograph, self.reading.truth)


def read_collection(path: Path, reading: Reading) -> Collection:
    """Return the micrographs in a folder, or the one file, after each has been read once.

    Raises
    ------
    InputError
        If there are none, two have one name, one cannot be read, its annotation is missing, or its
        pixel size is unknown and sizes are not to stay in pixels.
    """
    suffix = reading.truth if reading.truth and reading.truth_folder is None else None
    found = find_micrographs(path, suffix)
    sizes, notes = [], []
    for image in found.images:
        micrograph = read_scaled(image, reading)
        notes += [f"{image.name}: {note}" for note in micrograph.notes]
        if micrograph.pixel_size_nm is not None:
            sizes.append(micrograph.pixel_size_nm)
    notes += _said(found, suffix)
    collection = Collection(found.images, found.left_out, tuple(sizes), tuple(notes), reading)
    if reading.truth is not None:
        for micrograph in collection:
            collection.truth(micrograph)
    return collection


def find_collection(path: Path, reading: Reading) -> Collection:
    """Return the micrographs in a folder, or the one file, none of them read yet.

    Raises
    ------
    InputError
        If there are none, or two have one name.
    """
    suffix = reading.truth if reading.truth and reading.truth_folder is None else None
    found = find_micrographs(path, suffix)
    return Collection(found.images, found.left_out, (), tuple(_said(found, suffix)), reading)


def read_several(paths: Sequence[Path], reading: Reading) -> list[Micrograph]:
    """Return the micrographs in several files and folders, of known pixel size or not.

    Raises
    ------
    InputError
        If there are none, or one cannot be read.
    """
    return [
        read_micrograph(image, reading.pixel_size_nm, reading.crop)
        for path in paths
        for image in find_micrographs(path).images
    ]


def read_scaled(path: Path, reading: Reading) -> Micrograph:
    """Return a micrograph with its pixel size, or with none if sizes are to stay in pixels.

    Raises
    ------
    InputError
        If it cannot be read, or its pixel size is unknown and sizes are not to stay in pixels.
    """
    micrograph = read_micrograph(path, reading.pixel_size_nm, reading.crop)
    if reading.in_pixels:
        return replace(micrograph, pixel_size_nm=None, pixel_size_source="left in pixels")
    if micrograph.pixel_size_nm is None:
        raise InputError(
            f"{path} does not say how large its pixels are; give --pixel-size-nm, or --pixels to "
            "go on in pixels"
        )
    return micrograph


def _said(found: Found, suffix: str | None) -> list[str]:
    """Return a note on the annotations that were left out without having been asked for."""
    if not found.left_out or suffix is not None:
        return []
    return [
        f"{len(found.left_out)} files beside the images look like annotations and are left out "
        f"({found.left_out[0].name}, ...); to score against them, give --truth with their suffix"
    ]


def parse_reading(
    pixel_size_nm: float | None = None,
    in_pixels: bool = False,
    crop: str | None = None,
    truth: str | None = None,
) -> Reading:
    """Return how files are read, the crop given as text like "0,712,0,1024".

    Raises
    ------
    InputError
        If the crop is not four whole numbers.
    """
    if crop is None:
        return Reading(pixel_size_nm, in_pixels, None, truth)
    try:
        top, bottom, left, right = (int(part) for part in crop.split(","))
    except ValueError:
        raise InputError(
            f"crop '{crop}' is not TOP,BOTTOM,LEFT,RIGHT in pixels, such as 0,712,0,1024"
        ) from None
    return Reading(pixel_size_nm, in_pixels, (top, bottom, left, right), truth)

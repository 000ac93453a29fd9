"""The micrographs of a study: files, how to read them, and their annotations."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth
from nanorender.files.imagefolder import find_micrographs
from nanorender.files.micrograph import Micrograph, read_micrograph
from nanorender.files.ondemand import ReadOnDemand
from nanorender.files.pixelsizetable import PixelSizeTable
from nanorender.files.scalebars.lettering import recognizes_text
from nanorender.files.scalebars.marks import SCALE_BAR_SOURCE, scale_by_bar


@dataclass(frozen=True)
class Reading:
    """How to read the micrographs of a study.

    Attributes
    ----------
    pixel_size_nm
        Pixel size of every image, or a table of them; overrides the files.
    in_pixels
        Ignore all pixel sizes, so that sizes are in pixels.
    crop
        Top, bottom, left and right of what to keep; overrides the search for an info bar.
    truth
        Where annotations are, if they are to be used: a folder of files named as the images, or a
        suffix, such as ``_m``, of their names beside the images.
    scale_needed
        Whether an image of unknown pixel size is refused unless sizes are in pixels.
    """

    pixel_size_nm: float | PixelSizeTable | None = None
    in_pixels: bool = False
    crop: tuple[int, int, int, int] | None = None
    truth: str | None = None
    scale_needed: bool = True

    @property
    def truth_suffix(self) -> str | None:
        """Suffix of the names of annotations, if `truth` is a suffix."""
        return self.truth if self.truth and not Path(self.truth).is_dir() else None

    def size_of(self, path: Path) -> float | None:
        """Find the pixel size that the user gave for an image.

        Parameters
        ----------
        path
            File of the image.

        Returns
        -------
        float or None
            None if there is none.
        """
        given = self.pixel_size_nm
        return given.sizes_nm.get(path.name) if isinstance(given, PixelSizeTable) else given


@dataclass(frozen=True)
class Collection:
    """The micrographs of a study; iterating reads them one at a time.

    Attributes
    ----------
    paths
        Files of the micrographs.
    left_out
        Annotations beside them.
    pixel_sizes_nm
        Pixel sizes of the micrographs, empty if not read yet or if sizes are in pixels.
    notes
        Remarks for the user, one line each.
    reading
        How to read the files.
    """

    paths: tuple[Path, ...]
    left_out: tuple[Path, ...]
    pixel_sizes_nm: tuple[float, ...]
    notes: tuple[str, ...]
    reading: Reading

    @property
    def pixel_size_nm(self) -> float | None:
        """Median pixel size, None if unknown."""
        return statistics.median(self.pixel_sizes_nm) if self.pixel_sizes_nm else None

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Micrograph]:
        return (read_scaled(path, self.reading) for path in self.paths)

    def truth(self, micrograph: Micrograph) -> Int32[np.ndarray, "h w"] | None:
        """Read the annotation of a micrograph.

        Parameters
        ----------
        micrograph
            A micrograph of this collection.

        Returns
        -------
        array or None
            (h, w) labels, None if annotations are not to be used.

        Raises
        ------
        InputError
            If the annotation is missing or does not fit the micrograph.
        """
        return None if self.reading.truth is None else find_truth(micrograph, self.reading.truth)


def find_collection(path: Path, reading: Reading) -> Collection:
    """Find the micrographs of a study without reading them.

    Parameters
    ----------
    path
        Folder of images, or a single image.
    reading
        How to read them later.

    Returns
    -------
    Collection
        The micrographs, pixel sizes unknown.

    Raises
    ------
    InputError
        If there are none, two share a name, or the table of pixel sizes names others.
    """
    images, left_out = find_micrographs(path, reading.truth_suffix)
    if isinstance(reading.pixel_size_nm, PixelSizeTable):
        reading.pixel_size_nm.refuse_unknown(images)
    notes = ()
    if left_out and reading.truth_suffix is None:
        notes = (
            f"{len(left_out)} files beside the images look like annotations and are left out "
            f"({left_out[0].name}, ...); give --truth with their suffix to score against them",
        )
    return Collection(images, left_out, (), notes, reading)


def read_collection(path: Path, reading: Reading) -> Collection:
    """Find the micrographs of a study and read each once, with its annotation if used.

    Parameters
    ----------
    path
        Folder of images, or a single image.
    reading
        How to read them.

    Returns
    -------
    Collection
        The micrographs with their pixel sizes.

    Raises
    ------
    InputError
        As `find_collection`, `read_scaled` and `Collection.truth`.
    """
    found = find_collection(path, reading)
    sizes, notes, read = [], [], 0
    for micrograph in found:
        notes += [f"{micrograph.path.name}: {note}" for note in micrograph.notes]
        if micrograph.pixel_size_nm is not None:
            sizes.append(micrograph.pixel_size_nm)
        read += is_read_from_bar(micrograph)
        found.truth(micrograph)
    notes += note_on_bars(read)
    return replace(found, pixel_sizes_nm=tuple(sizes), notes=(*notes, *found.notes))


def read_micrographs(paths: Sequence[Path], reading: Reading) -> list[Micrograph]:
    """Read the micrographs in several files and folders, with or without pixel sizes.

    Parameters
    ----------
    paths
        Images and folders of images.
    reading
        How to read them.

    Returns
    -------
    list of Micrograph
        All micrographs.

    Raises
    ------
    InputError
        If there are none, or one cannot be read.
    """
    images = [image for path in paths for image in find_micrographs(path).images]
    if isinstance(reading.pixel_size_nm, PixelSizeTable):
        reading.pixel_size_nm.refuse_unknown(images)
    read = (read_micrograph(image, reading.size_of(image), reading.crop) for image in images)
    return [scale_by_bar(micrograph) for micrograph in read]


def micrographs_on_demand(path: Path, reading: Reading) -> ReadOnDemand[Micrograph]:
    """List the micrographs of a folder, to be read each time that they are asked for.

    Pixel sizes are those of the files and of the reading; scale bars are not read.

    Parameters
    ----------
    path
        An image or a folder of images.
    reading
        How to read them.

    Returns
    -------
    ReadOnDemand
        The micrographs.

    Raises
    ------
    InputError
        If there are none. Reading one raises it if the file cannot be read.
    """
    images = find_micrographs(path).images
    return ReadOnDemand(
        images, lambda image: read_micrograph(image, reading.size_of(image), reading.crop)
    )


def read_scaled(path: Path, reading: Reading) -> Micrograph:
    """Read a micrograph whose pixel size must be known, unless the reading allows otherwise.

    Parameters
    ----------
    path
        The file.
    reading
        How to read it.

    Returns
    -------
    Micrograph
        The micrograph.

    Raises
    ------
    InputError
        If it cannot be read or its pixel size is unknown.
    """
    micrograph = read_micrograph(path, reading.size_of(path), reading.crop)
    if reading.in_pixels:
        return replace(micrograph, pixel_size_nm=None, pixel_size_source="left in pixels")
    micrograph = scale_by_bar(micrograph)
    if micrograph.pixel_size_nm is None and reading.scale_needed:
        raise InputError(
            f"{path} has no pixel size{_missing(reading)}; give --pixel-size-nm, or --pixels to "
            f"measure in pixels{_further_way()}"
        )
    if micrograph.pixel_size_nm is None:
        remark = (
            f"no pixel size{_missing(reading)}, sizes are in pixels; give --pixel-size-nm for "
            f"nanometers{_further_way()}"
        )
        return replace(micrograph, notes=(*micrograph.notes, remark))
    return micrograph


def _missing(reading: Reading) -> str:
    """Return where a pixel size was looked for, other than in the header."""
    table = reading.pixel_size_nm
    listed = f" and no row in {table.path}" if isinstance(table, PixelSizeTable) else ""
    return f"{listed} and no legible scale bar" if recognizes_text() else listed


def _further_way() -> str:
    """Return what else a user may do if no pixel size is known."""
    return "" if recognizes_text() else ", or install the extra 'scalebar' to read scale bars"


def is_read_from_bar(micrograph: Micrograph) -> bool:
    """Return whether the pixel size of a micrograph was read from its scale bar.

    Parameters
    ----------
    micrograph
        A micrograph.

    Returns
    -------
    bool
        Whether it was.
    """
    return micrograph.pixel_size_source.startswith(SCALE_BAR_SOURCE)


def note_on_bars(count: int) -> list[str]:
    """Build the remark on pixel sizes from scale bars.

    Parameters
    ----------
    count
        Number of images whose pixel size was read from a scale bar.

    Returns
    -------
    list of str
        One line, or none if there are no such images.

    Examples
    --------
    >>> note_on_bars(8)
    ['pixel size of 8 images read from their scale bars']
    """
    match count:
        case 0:
            return []
        case 1:
            return ["pixel size of 1 image read from its scale bar"]
        case _:
            return [f"pixel size of {count} images read from their scale bars"]

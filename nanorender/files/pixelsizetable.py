"""Tables of pixel sizes: CSV files for folders of images of different scales."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nanorender.errors import InputError
from nanorender.files.pixelsize import is_plausible
from nanorender.settings import read_text

COLUMNS = ("image", "pixel_size_nm")


@dataclass(frozen=True)
class PixelSizeTable:
    """Pixel sizes of images by file name.

    Attributes
    ----------
    path
        The CSV file.
    sizes_nm
        Pixel size of each file name.
    """

    path: Path
    sizes_nm: Mapping[str, float] = field(hash=False)

    def refuse_unknown(self, images: Sequence[Path]) -> None:
        """Refuse a table that names images which are not there.

        Parameters
        ----------
        images
            Files of the images.

        Raises
        ------
        InputError
            If a row names none of them.
        """
        unknown = sorted(self.sizes_nm.keys() - {image.name for image in images})
        if unknown:
            named = ", ".join(unknown[:3]) + (" and others" if len(unknown) > 3 else "")
            raise InputError(
                f"{self.path} names {named}, not among the images; give file names with extension"
            )


def read_pixel_sizes(path: Path) -> PixelSizeTable:
    r"""Read a table with the columns ``image`` and ``pixel_size_nm``.

    Parameters
    ----------
    path
        CSV file; further columns are ignored.

    Returns
    -------
    PixelSizeTable
        Pixel sizes by file name.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, names an image twice, or a size is invalid.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "sizes.csv"
    >>> _ = path.write_text("image,pixel_size_nm\na.png,2.5\n")
    >>> read_pixel_sizes(path).sizes_nm
    {'a.png': 2.5}
    """
    rows = csv.DictReader(read_text(path).lstrip("\ufeff").splitlines(), skipinitialspace=True)
    if not set(COLUMNS) <= set(rows.fieldnames or ()):
        raise InputError(f"{path} needs the columns image and pixel_size_nm")
    sizes: dict[str, float] = {}
    for row in rows:
        name, value = (str(row[column] or "").strip() for column in COLUMNS)
        try:
            size_nm = float(value)
        except ValueError:
            size_nm = float("nan")
        if not is_plausible(size_nm):
            raise InputError(
                f"{path}: pixel_size_nm of {name} must be from 0.001 to 100000, got '{value}'"
            )
        if name in sizes:
            raise InputError(f"{path} names {name} twice")
        sizes[name] = size_nm
    return PixelSizeTable(path, sizes)

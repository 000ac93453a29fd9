"""Files of a twins folder that corrections are computed from: its record and particle tables."""

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from nanorender.correction.response import SegmentedTwin
from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.pixelsize import PixelSizeNm
from nanorender.provenance.record import RECORD_NAME
from nanorender.settings import Fraction, Settings, read_text

RECORD = "twins.json"
CORRECTIONS, DETECTION = "corrections.csv", "detection.csv"
OUTPUTS = (RECORD, CORRECTIONS, DETECTION, RECORD_NAME)
"""Files of a twins folder beside its folders."""


def assigned_micrograph(twin: int, twins: int, micrographs: int) -> int:
    """Assign twins to micrographs: in turn, or to some that are spread evenly over a large study.

    Parameters
    ----------
    twin
        Index of the twin.
    twins, micrographs
        Their numbers.

    Returns
    -------
    int
        Index of the micrograph.

    Examples
    --------
    >>> [assigned_micrograph(twin, 4, 3) for twin in range(4)]
    [0, 1, 2, 0]
    >>> [assigned_micrograph(twin, 4, 20) for twin in range(4)]
    [0, 5, 10, 15]
    """
    return twin % micrographs if twins >= micrographs else twin * micrographs // twins


class TwinnedImage(Settings):
    """A micrograph that has twins."""

    name: str
    """Name of the label map, without extension."""
    labels_sha256: str
    """Hash of its labels."""
    pixel_size_nm: PixelSizeNm | None
    """Edge length of a pixel, None if unknown."""
    micrograph_px: PositiveInt
    """Number of pixels of the micrograph."""
    height_px: PositiveInt
    """Height of the twins."""
    width_px: PositiveInt
    """Width of the twins."""
    black_level: float
    """Gray level added to the twins, relative to white."""
    gain: PositiveFloat
    """Factor on the contrast of the twins."""


class TwinsRecord(Settings):
    """Content of twins.json."""

    format: Literal[1] = 1
    """Version of the format."""
    base: str
    """Recipe that the fit began with: preset or file."""
    base_toml: str
    """Text of that recipe."""
    base_chosen: bool = False
    """Whether it was chosen among the built-in recipes, not named by the user."""
    seed: int
    """Seed of fit and twins."""
    count: PositiveInt
    """Number of twins."""
    rounds: PositiveInt = 2
    """Number of times that sizes and numbers were matched."""
    dark_particles: bool
    """Whether particles are darker than the substrate."""
    model_sha256: str
    """SHA-256 of the model that segmented micrographs and twins."""
    separation: dict[str, str | bool | int | float]
    """Parameters of the separation of particles."""
    min_confidence: Fraction
    """Confidence below which particles were discarded."""
    images: tuple[TwinnedImage, ...] = Field(min_length=1)
    """Micrographs, in the order of their names."""
    loss: float
    """Difference of the fitted recipe's images from the micrographs, see `calibrate`."""
    noise_floor: float | None
    """Loss that sampling alone causes."""
    relative_loss: float | None
    """Loss in noise floors, see `Recipe.relative_loss`; None if that is unknown."""
    notes: tuple[str, ...] = ()
    """What the fit says to the user, see `Calibration`."""
    version: str
    """Version of this package."""

    def micrograph_of(self, twin: int) -> int:
        """Return the index of the micrograph that a twin belongs to.

        Parameters
        ----------
        twin
            Index of the twin.

        Returns
        -------
        int
            Index in `images`.
        """
        return assigned_micrograph(twin, self.count, len(self.images))

    def twin_name(self, twin: int) -> str:
        """Return the name of a twin's files, without extension.

        Parameters
        ----------
        twin
            Index of the twin.

        Returns
        -------
        str
            Name of the micrograph, and a number from 1.
        """
        name = self.images[self.micrograph_of(twin)].name
        return f"{name}_{twin // len(self.images) + 1}"


def write_record(folder: Path, record: TwinsRecord) -> None:
    """Write the record of a twins folder.

    Parameters
    ----------
    folder
        Folder of twins.
    record
        Its record.

    Raises
    ------
    UnwritableError
        If the file cannot be written.
    """
    write_text(folder / RECORD, record.model_dump_json(indent=2) + "\n")


def read_twins_record(folder: Path) -> TwinsRecord:
    """Read the record of a twins folder.

    Parameters
    ----------
    folder
        Folder written by `nanorender twins`.

    Returns
    -------
    TwinsRecord
        The record.

    Raises
    ------
    InputError
        If there is no valid record.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"{folder} has no {RECORD}; give a folder written by 'nanorender twins'")
    try:
        return TwinsRecord.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        raise InputError(
            f"{path} is not a valid record of twins; run 'nanorender twins' again"
        ) from None


def twin_tables(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a twin's tables of true and of found particles.

    Parameters
    ----------
    folder
        Folder of twins.
    name
        Name of the twin.

    Returns
    -------
    tuple of Path
        True particles, found particles.
    """
    return folder / "particles" / f"{name}_true.csv", folder / "particles" / f"{name}_found.csv"


def write_twin_tables(folder: Path, name: str, twin: SegmentedTwin) -> None:
    """Write the tables of a twin; that of true particles, which completes it, last.

    Parameters
    ----------
    folder
        Folder of twins.
    name
        Name of the twin.
    twin
        The matched particles.

    Raises
    ------
    UnwritableError
        If a file cannot be written.
    """
    true, found = twin_tables(folder, name)
    true.parent.mkdir(parents=True, exist_ok=True)
    write_text(found, twin.found.to_csv(index=False, lineterminator="\n"))
    write_text(true, twin.true.to_csv(index=False, lineterminator="\n"))


def read_twins(folder: Path, record: TwinsRecord) -> list[SegmentedTwin]:
    """Read the particles of all twins.

    Parameters
    ----------
    folder
        Folder of twins.
    record
        Its record.

    Returns
    -------
    list of SegmentedTwin
        In their order.

    Raises
    ------
    InputError
        If a table is missing or damaged.
    """
    twins = []
    for index in range(record.count):
        paths = twin_tables(folder, record.twin_name(index))
        try:
            true, found = (pd.read_csv(path) for path in paths)
            needed = {"row", "equivalent_diameter_px"}
            complete = needed <= set(found) and needed | {"visible_fraction"} <= set(true)
        except (OSError, ValueError):
            complete = False
        if not complete:
            raise InputError(
                f"{paths[0]} or {paths[1].name} is missing or damaged; run 'nanorender twins' again"
            )
        image = record.images[record.micrograph_of(index)]
        area_px = image.height_px * image.width_px
        twins.append(SegmentedTwin(record.micrograph_of(index), true, found, area_px))
    return twins

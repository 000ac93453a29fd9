"""Folders of label maps of micrographs, each beside a record of how it was made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from pydantic import PositiveFloat, ValidationError, field_validator

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.checksums import file_sha256
from nanorender.files.micrograph import Micrograph, read_micrograph
from nanorender.files.pixelsize import PixelSizeNm
from nanorender.files.tiff import read_labels, write_labels
from nanorender.settings import Settings, read_text


class SegmentationRecord(Settings):
    """What <name>.json beside <name>.tif says.

    image: the micrograph's file
    image_sha256: of that file
    crop: top, bottom, left, right of what was segmented, in pixels of the file
    pixel_size_nm: None where it is unknown
    pixel_size_source: where it comes from
    model_sha256: of the model file
    training_pixel_sizes_nm: smallest and largest of the images that the network learned from
    least_trained_nm: diameter of the smallest particles that it learned from, if known
    separation: how particles were parted, every parameter
    version: of this package
    """

    image: Path
    image_sha256: str
    crop: tuple[int, int, int, int]
    pixel_size_nm: PixelSizeNm | None = None
    pixel_size_source: str
    model_sha256: str
    training_pixel_sizes_nm: tuple[PositiveFloat, PositiveFloat]
    least_trained_nm: PositiveFloat | None = None
    separation: dict[str, str | bool | int | float]
    version: str

    @field_validator("separation")
    @classmethod
    def _says_what_is_lost(cls, separation: dict) -> dict:
        # Reports compute from it under which size nothing can be found.
        for value in (separation.get("area_opening_px", 0), separation.get("grow_px", 0)):
            if not isinstance(value, int | float) or not 0 <= value < 2**31:
                raise ValueError("area_opening_px and grow_px must be numbers of pixels")
        return separation

    def read_micrograph(self) -> Micrograph:
        """Return the micrograph as it was segmented.

        Raises
        ------
        InputError
            If the file is gone, or is another one than then.
        """
        try:
            same = self.image.is_file() and file_sha256(self.image) == self.image_sha256
        except OSError:  # not to be read, or no name of a file
            same = False
        if not same:
            raise InputError(
                f"{self.image} is gone or has changed since it was segmented; put it back or "
                "segment it again"
            )
        return read_micrograph(self.image, self.pixel_size_nm, self.crop)


def write_segmentation(
    folder: Path, labels: Integer[np.ndarray, "h w"], record: SegmentationRecord
) -> Path:
    """Write a label map and then its record, which says that both are whole; return the former.

    Raises
    ------
    InputError
        If the files cannot be written.
    """
    path = folder / f"{record.image.stem}.tif"
    folder.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    write_labels(path, labels, record.pixel_size_nm)
    write_text(path.with_suffix(".json"), record.model_dump_json(indent=2) + "\n")
    return path


def read_record(label_path: Path) -> SegmentationRecord | None:
    """Return the record beside a label map, or None where there is none.

    Raises
    ------
    InputError
        If there is one that cannot be understood.
    """
    path = label_path.with_suffix(".json")
    if not path.exists():
        return None
    try:
        return SegmentationRecord.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        raise InputError(
            f"{path} is no record of a segmentation; segment the image again"
        ) from None


def find_label_maps(folder: Path) -> list[Path]:
    """Return the label maps in a folder, by name.

    Raises
    ------
    InputError
        If the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the one that 'nanorender segment' wrote")
    paths = sorted(path for path in folder.glob("*.tif") if not path.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no label maps (*.tif); run 'nanorender segment' first")
    return paths


def read_segmented(path: Path) -> tuple[Integer[np.ndarray, "h w"], Micrograph]:
    """Return a label map and its micrograph, cropped and scaled as when it was segmented.

    A map from elsewhere than `nanorender segment` is its own micrograph, particles light, with the
    TIFF's own calibration.

    Raises
    ------
    InputError
        If a file cannot be read, has changed, or the two differ in size.
    """
    labels, calibrated_nm = read_labels(path)
    record = read_record(path)
    if record is None:
        source = "the label map's own calibration" if calibrated_nm else "unknown"
        image = np.where(labels > 0, 160, 40).astype(np.uint8)
        whole = (0, labels.shape[0], 0, labels.shape[1])
        return labels, Micrograph(image, calibrated_nm, source, whole, labels.shape, path)
    micrograph = replace(record.read_micrograph(), pixel_size_source=record.pixel_size_source)
    if micrograph.image.shape != labels.shape:
        raise InputError(f"{path} is not of the size of {micrograph.path}; segment it again")
    return labels, micrograph


def read_label_map(path: Path) -> tuple[Integer[np.ndarray, "h w"], float | None]:
    """Return a label map and its pixel size in nm: the record's, or else the file's own."""
    labels, calibrated_nm = read_labels(path)
    record = read_record(path)
    return labels, calibrated_nm if record is None else record.pixel_size_nm

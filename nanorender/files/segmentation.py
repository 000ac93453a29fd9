"""Segmentation results: folders of label maps, each with a record of how it was made."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int32, Integer
from pydantic import NonNegativeInt, PositiveFloat, ValidationError, field_validator
from scipy import ndimage

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.changes import count_changes, unchanged_labels
from nanorender.files.checksums import file_sha256
from nanorender.files.imagefile import SUFFIXES
from nanorender.files.labelmap import refuse_unlikely_labels
from nanorender.files.micrograph import Micrograph, read_micrograph
from nanorender.files.pixelsize import PixelSizeNm
from nanorender.files.tiff import read_labels, write_labels
from nanorender.settings import Fraction, Settings, StoredPath, read_text

_MOST_CONFIDENCES = 10_000_000  # an array of 80 MB; labels of other programs may be higher


class HandCorrections(Settings):
    """Number of particles by which a label map that was corrected by hand differs."""

    added: NonNegativeInt
    """Particles that only the corrected label map has."""
    removed: NonNegativeInt
    """Particles that it lacks."""
    changed: NonNegativeInt
    """Particles of other pixels."""
    labels_sha256: str
    """Hash of the corrected labels, by which later changes are noticed."""
    unchanged: tuple[NonNegativeInt, ...] = ()
    """Labels of the particles that are as they were, and keep their confidence."""

    def __str__(self) -> str:
        return f"{self.added} added, {self.removed} removed, {self.changed} changed"


class SegmentationRecord(Settings):
    """Content of the JSON file beside a label map."""

    image: StoredPath
    """File of the micrograph."""
    image_sha256: str
    """SHA-256 of that file."""
    crop: tuple[int, int, int, int]
    """Top, bottom, left and right of the segmented part in pixels of the file."""
    pixel_size_nm: PixelSizeNm | None = None
    """Edge length of a pixel, None if unknown."""
    pixel_size_source: str
    """Header, file or user that the pixel size comes from."""
    model_sha256: str
    """SHA-256 of the model file."""
    training_pixel_sizes_nm: tuple[PositiveFloat, PositiveFloat] | None
    """Smallest and largest pixel size of the training images; None for a model without a scale."""
    trained_diameters_px: tuple[PositiveFloat, PositiveFloat] | None = None
    """Diameters of the smallest and largest particles of the training, in px of the micrograph;
    None if unknown."""
    relative_loss: PositiveFloat | None = None
    """How well the recipe of the training was fitted to micrographs, see `Recipe.relative_loss`."""
    epoch_agreement: Fraction | None = None
    """Agreement of the epoch with its neighbors, if it was selected on micrographs."""
    separation: dict[str, str | bool | int | float]
    """Parameters of the separation of particles."""
    min_confidence: Fraction = 0.0
    """Confidence below which particles were discarded."""
    marks_discarded: bool = False
    """Whether particles within recognized text and scale bars were discarded."""
    confidence: tuple[Fraction, ...] = ()
    """Confidence of particles 1 to n."""
    repeatability: Fraction | None = None
    """Agreement with the particles found in the image turned and magnified, see
    `unet.repeatability`; None with too few particles."""
    scale_bar_pixel_size_nm: PixelSizeNm | None = None
    """Pixel size by the scale bar of the micrograph; None if it was not read."""
    labels_sha256: str = ""
    """Hash of the labels as written, by which later changes are noticed."""
    corrections: HandCorrections | None = None
    """What was corrected by hand; None if nothing was, or if it was not counted."""
    version: str
    """Version of this package."""

    @field_validator("separation")
    @classmethod
    def _check_pixel_counts(cls, separation: dict) -> dict:
        # Reports compute the smallest detectable particle from these two.
        for value in (separation.get("area_opening_px", 0), separation.get("grow_px", 0)):
            if not isinstance(value, int | float) or not 0 <= value < 2**31:
                raise ValueError("area_opening_px and grow_px must be from 0 to 2147483647")
        return separation

    def is_of_same_settings(self, other: "SegmentationRecord") -> bool:
        """Return whether two records are equal, apart from what was found.

        Parameters
        ----------
        other
            Record of the same micrograph.

        Returns
        -------
        bool
            Whether both were made from the same file with the same settings.
        """
        found = {
            "confidence": (),
            "repeatability": None,
            "scale_bar_pixel_size_nm": None,
            "labels_sha256": "",
            "corrections": None,
        }
        return self.model_copy(update=found) == other.model_copy(update=found)

    def read_micrograph(self) -> Micrograph:
        """Read the micrograph as it was segmented.

        Returns
        -------
        Micrograph
            The image with the crop and pixel size of the record.

        Raises
        ------
        InputError
            If the file is missing or has changed.
        """
        try:
            same = self.image.is_file() and file_sha256(self.image) == self.image_sha256
        except OSError:  # not readable, or not a valid file name
            same = False
        if not same:
            raise InputError(
                f"{self.image} is missing or has changed since it was segmented; restore it or "
                "segment it again"
            )
        micrograph = read_micrograph(self.image, self.pixel_size_nm, self.crop)
        # Without a pixel size in the record, that of the header was not wanted either
        return replace(
            micrograph, pixel_size_nm=self.pixel_size_nm, pixel_size_source=self.pixel_size_source
        )


def write_segmentation(
    folder: Path, labels: Integer[np.ndarray, "h w"], record: SegmentationRecord
) -> Path:
    """Write the record of a label map, then the map.

    A label map without a record has thus another origin, see `refuse_foreign_maps`.

    Parameters
    ----------
    folder
        Folder of label maps, created if missing.
    labels
        (h, w) label map.
    record
        How it was made; names the file after the micrograph, and is completed by the hash of the
        labels.

    Returns
    -------
    Path
        The file of the label map.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    path = folder / f"{record.image.stem}.tif"
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        path.unlink()
    record = record.model_copy(update={"labels_sha256": hash_labels(labels)})
    write_text(path.with_suffix(".json"), record.model_dump_json(indent=2) + "\n")
    write_labels(path, labels, record.pixel_size_nm)
    return path


def write_corrected(
    path: Path,
    labels: Integer[np.ndarray, "h w"],
    before: Integer[np.ndarray, "h w"],
    record: SegmentationRecord,
) -> None:
    """Write a label map that was corrected by hand, and its record.

    The record keeps the hash of the earlier labels, so that the label map counts as edited unless
    the two are equal. Corrections are counted unless the earlier map had been edited, too.

    Parameters
    ----------
    path
        File to create or replace.
    labels
        (h, w) label map.
    before
        (h, w) label map before the correction.
    record
        Its record.

    Raises
    ------
    UnwritableError
        If a file cannot be written.
    """
    if not record.labels_sha256:  # of earlier versions, or of a micrograph that was not segmented
        record = record.model_copy(update={"labels_sha256": hash_labels(before)})
    corrections = None
    if is_edited(labels, record) and not is_edited(before, record):
        _, added, removed, changed = count_changes(before, labels)
        corrections = HandCorrections(
            added=added,
            removed=removed,
            changed=changed,
            labels_sha256=hash_labels(labels),
            unchanged=tuple(unchanged_labels(before, labels)),
        )
    record = record.model_copy(update={"corrections": corrections})
    write_text(path.with_suffix(".json"), record.model_dump_json(indent=2) + "\n")
    write_labels(path, labels, record.pixel_size_nm)


def hash_labels(labels: Integer[np.ndarray, "h w"]) -> str:
    """Hash shape and values of a label map, whatever its type and compression.

    Parameters
    ----------
    labels
        (h, w) label map.

    Returns
    -------
    str
        SHA-256, in hexadecimal digits.

    Examples
    --------
    >>> whole = np.ones((2, 3), int)
    >>> hash_labels(whole) == hash_labels(whole.astype(np.uint8))
    True
    """
    digest = hashlib.sha256(f"{labels.shape}".encode())
    digest.update(np.ascontiguousarray(labels, np.int32).data)
    return digest.hexdigest()


def is_edited(labels: Integer[np.ndarray, "h w"], record: SegmentationRecord) -> bool:
    """Return whether a label map was changed after it was written.

    Parameters
    ----------
    labels
        (h, w) label map as read.
    record
        Its record.

    Returns
    -------
    bool
        False for records of earlier versions, which have no hash.
    """
    return record.labels_sha256 not in ("", hash_labels(labels))


def refuse_edited_map(path: Path) -> None:
    """Refuse to replace a label map that was edited by hand.

    Parameters
    ----------
    path
        File of the label map, which may be missing.

    Raises
    ------
    InputError
        If its labels differ from those that were written.
    """
    record = read_record(path) if path.is_file() else None
    if record is not None and is_edited(read_labels(path)[0], record):
        raise InputError(
            f"{path} was edited after it was segmented and would be replaced; give another folder, "
            "or move the file"
        )


def refuse_foreign_maps(folder: Path, names: Iterable[str]) -> None:
    """Refuse to replace files that `write_segmentation` has not written.

    Parameters
    ----------
    folder
        Folder of label maps, which may be missing.
    names
        Names of the micrographs, without extension.

    Raises
    ------
    InputError
        If a file with the name of a label map has no record beside it, or one with the name of a
        record is another JSON file.
    """
    for name in names:
        path = folder / f"{name}.tif"
        if path.is_file() and not path.with_suffix(".json").exists():
            raise InputError(
                f"{path} has no record of 'nanorender segment' and would be replaced; give another "
                "folder, or move the file"
            )
        if _is_foreign_json(path.with_suffix(".json")):
            raise InputError(
                f"{path.with_suffix('.json')} is not a record of 'nanorender segment' and would be "
                "replaced; give another folder, or move the file"
            )


def _is_foreign_json(path: Path) -> bool:
    """Return whether a file is intact JSON, but not a record of any version."""
    if not path.is_file():
        return False
    try:
        content = json.loads(read_text(path))
    except (InputError, ValueError, RecursionError):
        return False
    return not isinstance(content, dict) or "image_sha256" not in content


def has_record(label_path: Path) -> bool:
    """Return whether the JSON file beside an image is the record of a label map.

    Parameters
    ----------
    label_path
        File of the label map.

    Returns
    -------
    bool
        Also True for a damaged record, which `read_record` refuses; False for other JSON files,
        such as those of labelme.
    """
    path = label_path.with_suffix(".json")
    return path.is_file() and not _is_foreign_json(path)


def read_record(label_path: Path) -> SegmentationRecord | None:
    """Read the record beside a label map.

    Parameters
    ----------
    label_path
        File of the label map.

    Returns
    -------
    SegmentationRecord or None
        None if there is no record.

    Raises
    ------
    InputError
        If the record is invalid.
    """
    path = label_path.with_suffix(".json")
    if not path.exists():
        return None
    try:
        return SegmentationRecord.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        raise InputError(
            f"{path} is not a valid segmentation record; segment the image again"
        ) from None


def find_label_maps(folder: Path) -> list[Path]:
    """List the label maps in a folder.

    Parameters
    ----------
    folder
        Folder of label maps.

    Returns
    -------
    list of Path
        TIFF files, sorted by name.

    Raises
    ------
    InputError
        If the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one written by 'nanorender segment'")
    paths = [path for path in folder.glob("*.tif") if not path.name.startswith(".")]
    if not paths and (folder / "labels").is_dir():
        raise InputError(f"{folder} holds no label maps (*.tif); give {folder / 'labels'}")
    if not paths:
        raise InputError(f"{folder} holds no label maps (*.tif); run 'nanorender segment' first")
    return sorted(paths, key=lambda path: path.name)  # Windows ignores case in the order of paths


def other_images(folder: Path) -> list[str]:
    """List the images in a folder of label maps that are not read, since they are no ``*.tif``.

    Parameters
    ----------
    folder
        Folder of label maps.

    Returns
    -------
    list of str
        Names of the files, sorted.
    """
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name.lower().endswith(SUFFIXES)
        and path.suffix != ".tif"
        and not path.name.startswith(".")
    )


class Segmented(NamedTuple):
    """A label map and its micrograph.

    Attributes
    ----------
    labels
        (h, w) label map.
    micrograph
        The image that was segmented.
    confidence
        (n,) probability that particles 1 to n are real, not a number for those corrected by
        hand; None if unknown, as in a label map that another program edited.
    edited
        Whether the label map was changed after it was written.
    corrections
        What was changed, None if it is not known.
    record
        How the label map was made, None if it has no record or was edited.
    """

    labels: Int32[np.ndarray, "h w"]
    micrograph: Micrograph
    confidence: Float[np.ndarray, "n"] | None = None
    edited: bool = False
    corrections: HandCorrections | None = None
    record: SegmentationRecord | None = None


def read_segmented(path: Path) -> Segmented:
    """Read a label map and its micrograph, cropped and scaled as when it was segmented.

    A label map without record stands in for its micrograph: bright particles, and the pixel size
    of the TIFF's calibration.

    Parameters
    ----------
    path
        File of the label map.

    Returns
    -------
    Segmented
        Labels, image and confidences.

    Raises
    ------
    InputError
        If a file cannot be read or has changed, the two differ in size, or a file without record
        is a mask or a gray image.
    """
    labels, calibrated_nm = read_labels(path)
    record = read_record(path)
    if record is None:
        refuse_unlikely_labels(path, labels)
        return _without_micrograph(path, labels, calibrated_nm)
    micrograph = record.read_micrograph()
    if micrograph.image.shape != labels.shape:
        raise InputError(f"{path} and {micrograph.path} differ in size; segment the image again")
    if is_edited(labels, record):
        corrections = record.corrections
        if corrections is None or corrections.labels_sha256 != hash_labels(labels):
            return Segmented(labels, micrograph, edited=True)
        confidence = _remaining_confidence(record.confidence, corrections, labels)
        return Segmented(labels, micrograph, confidence, edited=True, corrections=corrections)
    known = len(record.confidence) == labels.max(initial=0)  # not in records of earlier versions
    confidence = np.array(record.confidence, float) if known else None
    return Segmented(labels, micrograph, confidence, record=record)


def _remaining_confidence(
    confidence: tuple[float, ...], corrections: HandCorrections, labels: Int32[np.ndarray, "h w"]
) -> Float[np.ndarray, "n"] | None:
    """Return the confidence of unchanged particles, not a number for the others.

    None where the highest label is so high that the array would take much memory.
    """
    highest = int(labels.max(initial=0))
    if highest > _MOST_CONFIDENCES:
        return None
    remaining = np.full(highest, np.nan)
    for label in corrections.unchanged:
        if 1 <= label <= min(len(confidence), len(remaining)):
            remaining[label - 1] = confidence[label - 1]
    return remaining


def read_mask(path: Path) -> Segmented:
    """Read a binary mask, of which each 4-connected region is a particle.

    Annotators separate touching particles by thin lines that may be crossed diagonally. The mask
    stands in for its micrograph as in `read_segmented`.

    Parameters
    ----------
    path
        File of the mask.

    Returns
    -------
    Segmented
        Labels and image.

    Raises
    ------
    InputError
        If the file cannot be read, has several values other than 0, or is a label map with record.
    """
    if read_record(path) is not None:
        raise InputError(
            f"{path} is a label map of 'nanorender segment', not a mask; leave out --binary"
        )
    values, calibrated_nm = read_labels(path)
    found = np.unique(values[values > 0])
    if len(found) > 1:
        raise InputError(
            f"{path} is not a mask: it has {len(found)} values other than 0; leave out --binary if "
            "it is a label map, or set a threshold first"
        )
    regions: Any = ndimage.label(values, output=np.int32)
    return _without_micrograph(path, regions[0], calibrated_nm)


def _without_micrograph(
    path: Path, labels: Int32[np.ndarray, "h w"], pixel_size_nm: float | None
) -> Segmented:
    """Let a label map stand in for its micrograph."""
    source = "the label map's own calibration" if pixel_size_nm else "unknown"
    image = np.where(labels > 0, 160, 40).astype(np.uint8)
    whole = (0, labels.shape[0], 0, labels.shape[1])
    return Segmented(labels, Micrograph(image, pixel_size_nm, source, whole, labels.shape, path))

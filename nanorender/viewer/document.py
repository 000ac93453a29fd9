"""An image that is open for correction: micrograph, label map, and where they are stored."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int32, Integer

from nanorender.errors import InputError
from nanorender.files.changes import Changes, count_changes
from nanorender.files.checksums import file_sha256
from nanorender.files.collection import Reading, read_scaled
from nanorender.files.imagefolder import find_micrographs
from nanorender.files.micrograph import Micrograph
from nanorender.files.segmentation import (
    SegmentationRecord,
    find_label_maps,
    has_record,
    is_edited,
    read_record,
    read_segmented,
    refuse_foreign_maps,
    write_corrected,
)
from nanorender.files.tiff import read_labels, write_labels

LABELS = "labels"
"""Folder of label maps in a study, and beside micrographs."""

UNCORRECTED = "uncorrected"
"""Folder, within that of the label maps, of the label maps before their correction by hand."""


@dataclass(frozen=True)
class Document:
    """An image that is open for correction.

    Attributes
    ----------
    micrograph
        The image.
    found
        (h, w) label map before the corrections, with particles of every confidence; None if the
        image has not been segmented.
    labels
        (h, w) label map with the corrections made so far.
    confidence
        (n,) confidence of the labels 1 to n of `found`, None if unknown.
    record
        How `found` was made; None for a label map of other origin.
    path
        File of the label map, which need not exist yet.
    stored_sha256
        Hash of that file as it was opened or saved, empty if it did not exist.
    dropped
        Labels of `found` that the threshold of the confidence leaves out.
    """

    micrograph: Micrograph
    found: Int32[np.ndarray, "h w"] | None
    labels: Int32[np.ndarray, "h w"] | None
    confidence: Float[np.ndarray, "n"] | None
    record: SegmentationRecord | None
    path: Path
    stored_sha256: str = ""
    dropped: frozenset[int] = field(default_factory=frozenset)

    @property
    def uncorrected_path(self) -> Path:
        """File of the label map before its correction."""
        return self.path.parent / UNCORRECTED / self.path.name

    def automatic(self) -> Int32[np.ndarray, "h w"]:
        """Return the label map before the corrections, without the particles left out.

        Returns
        -------
        array
            (h, w) label map, empty if the image has not been segmented.
        """
        if self.found is None:
            return np.zeros(self.micrograph.image.shape, np.int32)
        return np.where(np.isin(self.found, sorted(self.dropped)), 0, self.found)

    def changes(self, labels: Integer[np.ndarray, "h w"]) -> Changes:
        """Count the corrections.

        Parameters
        ----------
        labels
            (h, w) label map with corrections.

        Returns
        -------
        Changes
            Number of particles, and of those that differ.
        """
        return count_changes(self.automatic(), labels)


def find_images(path: Path) -> list[Path]:
    """List what can be opened in a folder: label maps if there are any, else micrographs.

    Parameters
    ----------
    path
        A study, a folder of label maps, a folder of micrographs, or one file.

    Returns
    -------
    list of Path
        Label maps or micrographs.

    Raises
    ------
    InputError
        If there are none.
    """
    if path.is_dir():
        for folder in (path, path / LABELS):
            if folder.is_dir() and any(has_record(file) for file in folder.glob("*.tif")):
                return [file for file in find_label_maps(folder) if has_record(file)]
    return list(find_micrographs(path).images)


def open_document(path: Path) -> Document:
    """Open a label map with its micrograph, or a micrograph with its label map if it has one.

    The label map of a micrograph is looked for in the folder ``labels`` beside it.

    Parameters
    ----------
    path
        File of a label map or of a micrograph.

    Returns
    -------
    Document
        The image.

    Raises
    ------
    InputError
        If a file cannot be read, or the micrograph of a label map is missing or has changed.
    """
    if has_record(path):
        return _open_label_map(path)
    beside = path.parent / LABELS / f"{path.stem}.tif"
    if beside.is_file() and has_record(beside):
        record = read_record(beside)
        if record is not None and record.image_sha256 == file_sha256(path):
            return _open_label_map(beside)
    micrograph = read_scaled(path, Reading(scale_needed=False))
    return Document(micrograph, None, None, None, None, beside)


def _open_label_map(path: Path) -> Document:
    """Open a label map, with the one before its correction if that was kept."""
    segmented, record = read_segmented(path), read_record(path)
    document = Document(
        segmented.micrograph,
        segmented.labels,
        segmented.labels,
        None if segmented.edited else segmented.confidence,
        record,
        path,
        file_sha256(path),
    )
    before = document.uncorrected_path
    if record is None or not segmented.edited or not before.is_file():
        return document
    found = read_labels(before)[0]
    if is_edited(found, record):  # it belongs to another label map
        return document
    known = len(record.confidence) == found.max(initial=0)
    return replace(
        document, found=found, confidence=np.array(record.confidence, float) if known else None
    )


def save_document(
    document: Document, labels: Integer[np.ndarray, "h w"], folder: Path, least: float
) -> Document:
    """Save a label map with its corrections, and the one before them.

    Particles are numbered from 1 on, those that were found before those that were added. A label
    map that had been edited elsewhere keeps its numbers.

    Parameters
    ----------
    document
        The image, with the particles that are left out.
    labels
        (h, w) label map with corrections.
    folder
        Folder of label maps, created if missing.
    least
        Confidence from which particles were kept.

    Returns
    -------
    Document
        The image, to be saved again in the same file.

    Raises
    ------
    InputError
        If a file would be replaced that is not the one that was opened, or the image has not been
        segmented.
    UnwritableError
        If a file cannot be written.
    """
    record, name = document.record, document.path.name
    if record is None:
        raise InputError(f"{name} has no particles yet; segment the image before you save it")
    path = folder / name
    if folder.resolve() == document.micrograph.path.resolve().parent:
        raise InputError(
            f"{folder} is the folder of the micrographs; give another one for label maps"
        )
    _refuse_other_file(document, path)

    # Number the particles, unless the label map had been edited elsewhere.
    automatic, corrected = document.automatic(), np.asarray(labels, np.int32)
    intact = document.found is not None and not is_edited(document.found, record)
    if intact:
        kept = np.unique(automatic[automatic > 0])
        corrected = _numbered(corrected, kept)
        automatic = _numbered(automatic, kept)
        update: dict = {"labels_sha256": "", "min_confidence": least}  # the hash when it is written
        if document.confidence is not None:
            values = document.confidence[kept - 1]
            update["confidence"] = tuple(round(float(value), 4) for value in values)
        record = record.model_copy(update=update)

    # Write the label map before the corrections, then the corrected one.
    saved = replace(document, path=path)
    folder.mkdir(parents=True, exist_ok=True)
    keep_before = intact and not np.array_equal(automatic, corrected)
    if keep_before:
        saved.uncorrected_path.parent.mkdir(exist_ok=True)
        write_labels(saved.uncorrected_path, automatic, record.pixel_size_nm)
    write_corrected(path, corrected, automatic, record)
    if not keep_before:
        saved.uncorrected_path.unlink(missing_ok=True)
    return replace(saved, stored_sha256=file_sha256(path))


def _refuse_other_file(document: Document, path: Path) -> None:
    """Refuse to replace a file other than the one that was opened or saved."""
    if not path.is_file():
        refuse_foreign_maps(path.parent, [path.stem])
        return
    if not document.stored_sha256 or path.resolve() != document.path.resolve():
        raise InputError(
            f"{path} already exists and is not the label map that was opened; give another folder, "
            "or move the file"
        )
    if file_sha256(path) != document.stored_sha256:
        raise InputError(
            f"{path} was changed by another program since it was opened; give another folder, or "
            "move the file"
        )


def _numbered(
    labels: Int32[np.ndarray, "h w"], kept: Integer[np.ndarray, "n"]
) -> Int32[np.ndarray, "h w"]:
    """Renumber a label map: the labels `kept` from 1 on, then the others."""
    others = np.setdiff1d(labels[labels > 0], kept)
    numbers, place = np.unique(labels, return_inverse=True)
    order = {0: 0} | {label: rank for rank, label in enumerate([*kept, *others], 1)}
    return np.array([order[label] for label in numbers], np.int32)[place].reshape(labels.shape)

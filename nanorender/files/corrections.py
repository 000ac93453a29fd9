"""Label maps corrected by hand: outlines that people drew or edited take the place of particles."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer

from nanorender import __version__
from nanorender.errors import InputError, UnwritableError
from nanorender.files.changes import count_changes
from nanorender.files.checksums import file_sha256
from nanorender.files.drawn import DrawnParticle, Patch
from nanorender.files.imagefile import LARGEST_SPARSE_LABEL
from nanorender.files.imagefolder import find_micrographs
from nanorender.files.labelmap import refuse_unlikely_labels
from nanorender.files.micrograph import Micrograph, read_micrograph
from nanorender.files.rois import DrawingFile, find_drawings
from nanorender.files.segmentation import (
    SegmentationRecord,
    Segmented,
    find_label_maps,
    has_record,
    read_record,
    read_segmented,
    write_corrected,
)
from nanorender.files.tiff import read_labels, write_labels

SAME_PARTICLE = 0.5
"""Intersection over union above which an outline without number keeps that of a particle."""


class CorrectionSummary(NamedTuple):
    """Outcome of the correction of a folder.

    Attributes
    ----------
    lines
        What was changed, one line for each image with outlines.
    untouched
        Names of label maps without outlines, which are kept.
    left_out
        Names of micrographs without outlines, of which there is no label map.
    failures
        One line for each image whose outlines cannot be used.
    images
        Number of images with outlines.
    """

    lines: tuple[str, ...]
    untouched: tuple[str, ...]
    left_out: tuple[str, ...]
    failures: tuple[str, ...]
    images: int


def draw_labels(
    particles: Sequence[tuple[DrawnParticle, Patch]], before: Integer[np.ndarray, "h w"]
) -> Int32[np.ndarray, "h w"]:
    """Draw a label map of particles that were drawn by hand.

    A particle keeps the number in its name, or that of the earlier particle with which it shares
    most of its pixels; others are numbered from the highest label on. Where particles overlap, the
    smaller one is in front.

    Parameters
    ----------
    particles
        The particles, with their pixels in the label map.
    before
        (h, w) earlier label map, 0 where there is none.

    Returns
    -------
    array
        (h, w) label map.

    Raises
    ------
    InputError
        If a particle has no pixel, or none that others leave to it.

    Examples
    --------
    >>> before = np.array([[0, 5, 5, 0]])
    >>> square = Patch(np.ones((1, 2), bool), 0, 0)
    >>> new, moved = (DrawnParticle(name, ()) for name in ("new", "moved"))
    >>> draw_labels([(new, square), (moved, square._replace(left=2))], before)
    array([[6, 6, 7, 7]], dtype=int32)
    >>> draw_labels([(new, Patch(np.ones((1, 3), bool), 0, 1))], before)
    array([[0, 5, 5, 5]], dtype=int32)
    """
    # Number the particles.
    areas = dict(zip(*map(np.ndarray.tolist, np.unique(before, return_counts=True)), strict=True))
    numbers: list[int | None] = []
    largest = max(LARGEST_SPARSE_LABEL, before.size)  # that `label_values` reads again
    for particle, _ in particles:
        number = particle.number
        suitable = number is not None and number <= largest and number not in numbers
        numbers.append(number if suitable else None)
    for index, (_, patch) in enumerate(particles):
        if numbers[index] is None:
            same = _same_particle(patch, before, areas)
            numbers[index] = None if same in numbers else same
    highest = max([*areas, *(number or 0 for number in numbers)])
    for index, number in enumerate(numbers):
        if number is None:
            highest += 1
            numbers[index] = highest

    # Draw them from the largest to the smallest.
    labels = np.zeros(before.shape, np.int32)
    sizes = np.array([patch.mask.sum() for _, patch in particles], int)
    for index in np.argsort(-sizes, kind="stable"):
        mask, top, left = particles[index][1]
        rows, columns = mask.shape
        labels[top : top + rows, left : left + columns][mask] = numbers[index]

    # Refuse particles that would be lost.
    seen = set(np.unique(labels).tolist())
    for (particle, _), size, number in zip(particles, sizes, numbers, strict=True):
        if not size:
            raise InputError(
                f"{particle.name} covers no pixel of the image, which has {before.shape[0]} rows "
                f"and {before.shape[1]} columns; delete it"
            )
        if number not in seen:
            raise InputError(f"{particle.name} is covered by other outlines; delete it")
    return labels


def _same_particle(
    patch: Patch, before: Integer[np.ndarray, "h w"], areas: dict[int, int]
) -> int | None:
    """Return the label of the earlier particle that is mostly the same, None if there is none."""
    mask, top, left = patch
    rows, columns = mask.shape
    covered = before[top : top + rows, left : left + columns][mask]
    labels, counts = np.unique(covered[covered > 0], return_counts=True)
    if not len(labels):
        return None
    label, shared = int(labels[counts.argmax()]), int(counts.max())
    union = mask.sum() + areas[label] - shared
    return label if shared > SAME_PARTICLE * union else None


def correct_label_maps(
    images: Path,
    drawn: Path,
    folder: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> CorrectionSummary:
    """Write the label maps of images with the outlines that were drawn or edited by hand.

    The file of an image contains the outlines of all its particles. They are in pixels of the file
    of the micrograph; those of files that state the size of their image may also be in pixels of
    its label map. Label maps without outlines are copied.

    Parameters
    ----------
    images
        Folder of label maps or of micrographs, or one of them.
    drawn
        File of outlines of one image, or folder of files named as their images.
    folder
        Folder of the new label maps, which exists.
    on_progress
        Called with the number of images done and their total.

    Returns
    -------
    CorrectionSummary
        What was changed.

    Raises
    ------
    InputError
        If there are no images or no outlines, or a file of outlines belongs to no image.
    """
    sources = _find_images(images)
    drawings = find_drawings(drawn, [path.stem for path in sources])
    lines, untouched, left_out, failures = [], [], [], []
    for done, path in enumerate(sources):
        on_progress(done, len(sources))
        try:
            if path.stem in drawings:
                lines.append(_correct(path, drawings[path.stem], folder))
            elif _is_label_map(path):
                untouched.append(path.stem)
                for file in (path, path.with_suffix(".json")):
                    if file.is_file():
                        shutil.copyfile(file, folder / file.name)
            else:
                left_out.append(path.stem)
        except UnwritableError:
            raise
        except InputError as error:
            failures.append(str(error))
    on_progress(len(sources), len(sources))
    return CorrectionSummary(
        tuple(lines), tuple(untouched), tuple(left_out), tuple(failures), len(drawings)
    )


def _find_images(path: Path) -> list[Path]:
    """List label maps or, if there are none, micrographs."""
    if path.is_dir():
        maps = sorted(file for file in path.glob("*.tif") if not file.name.startswith("."))
        if any(has_record(file) for file in maps) or (maps and _is_label_map(maps[0])):
            return find_label_maps(path)
    return list(find_micrographs(path).images)


def _is_label_map(path: Path) -> bool:
    """Return whether an image has a record, or values of labels."""
    if has_record(path):
        return True
    try:
        refuse_unlikely_labels(path, read_labels(path)[0])
    except InputError:
        return False
    return True


def _correct(path: Path, file: DrawingFile, folder: Path) -> str:
    """Write the label map of an image; return what was changed."""
    # Read the image and the outlines.
    is_map = _is_label_map(path)
    if is_map:
        segmented = read_segmented(path)
    else:
        micrograph = read_micrograph(path)
        segmented = Segmented(np.zeros(micrograph.image.shape, np.int32), micrograph)
    before, micrograph = segmented.labels, segmented.micrograph
    drawing = file.read()

    # Place the outlines in the label map.
    shape, crop = micrograph.file_shape, micrograph.crop
    if drawing.shape is not None and drawing.shape != shape:
        shape, crop = before.shape, (0, before.shape[0], 0, before.shape[1])
        if drawing.shape != shape:
            raise InputError(
                f"{file.path} is of an image of {drawing.shape[0]} rows and {drawing.shape[1]} "
                f"columns, but {micrograph.path} has {micrograph.file_shape[0]} and "
                f"{micrograph.file_shape[1]}"
            )
    placed = []
    for particle in drawing.particles:
        try:
            placed.append((particle, particle.patch(shape).within(crop)))
        except ValueError as error:
            raise InputError(f"{file.path}: {particle.name} {error}; draw it again") from None
    try:
        labels = draw_labels(placed, before)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from None

    # Write the label map, with the record of what it was before.
    out = folder / f"{path.stem}.tif"
    record = read_record(path) if is_map else _record_of_drawing(micrograph)
    if record is None:
        write_labels(out, labels, micrograph.pixel_size_nm)
    else:
        write_corrected(out, labels, before, record)
    changes = count_changes(before, labels)
    compared = ""
    if is_map:
        compared = f"; {changes.added} added, {changes.removed} removed, {changes.changed} changed"
        compared += _describe_restored(_restored(drawing.particles, before, record))
    return f"{path.stem}: {changes.particles} particles{compared}"


def _restored(
    particles: Sequence[DrawnParticle],
    before: Integer[np.ndarray, "h w"],
    record: SegmentationRecord | None,
) -> list[int]:
    """List the particles that were removed by hand earlier, and that older outlines bring back."""
    segmented = 0 if record is None else len(record.confidence)
    named = {one.number for one in particles if one.number is not None}
    return sorted(
        number for number in named - set(np.unique(before).tolist()) if number <= segmented
    )


def _describe_restored(restored: Sequence[int]) -> str:
    """Warn of outlines that are older than the label map, to follow the numbers of changes."""
    if not restored:
        return ""
    shown = ", ".join(map(str, restored[:10])) + (" and others" if len(restored) > 10 else "")
    return f" (removed from the label map by hand before, now back: {shown})"


def _record_of_drawing(micrograph: Micrograph) -> SegmentationRecord:
    """Build the record of a label map that no model has made."""
    return SegmentationRecord(
        image=micrograph.path.resolve(),
        image_sha256=file_sha256(micrograph.path),
        crop=micrograph.crop,
        pixel_size_nm=micrograph.pixel_size_nm,
        pixel_size_source=micrograph.pixel_size_source,
        model_sha256="",
        training_pixel_sizes_nm=None,
        separation={},
        version=__version__,
    )

"""Measured images of a study and their agreement with the truth."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from nanorender.errors import InputError
from nanorender.files.acquisition import NO_ACQUISITION, Acquisition
from nanorender.files.annotation import find_truth
from nanorender.files.particlechoice import ParticleChoice
from nanorender.files.segmentation import (
    HandCorrections,
    SegmentationRecord,
    Segmented,
    find_label_maps,
    hash_labels,
    read_segmented,
)
from nanorender.files.tablespool import TableSpool
from nanorender.measuring.contrast import contrasts
from nanorender.measuring.measure import mark_struck_out, measure
from nanorender.measuring.pieces import particles_in_pieces
from nanorender.scoring.scores import LabelScores, score_labels
from nanorender.scoring.thresholding import ThresholdAgreement, agreement_with_threshold

_JOINED = 500  # images whose tables are joined to one: reading one takes 2 ms


class ImagePixels(NamedTuple):
    """Pixels of a micrograph and of its label map.

    Attributes
    ----------
    image : (h, w) gray levels
    labels : (h, w) label map
    """

    image: Integer[np.ndarray, "h w"]
    labels: Integer[np.ndarray, "h w"]


class TableRows(NamedTuple):
    """Rows of an image in a table that it shares with others.

    Attributes
    ----------
    read_table : returns the table, one row per particle
    first : first row of the image
    stop : row after its last
    """

    read_table: Callable[[], pd.DataFrame]
    first: int
    stop: int

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.stop - self.first

    def select(self) -> pd.DataFrame:
        """Select the rows.

        Returns
        -------
        table of them alone
        """
        return self.read_table().iloc[self.first : self.stop].reset_index(drop=True)


class SegmentationQuality(NamedTuple):
    """What the record of a label map says about how well the network knew the image.

    Attributes
    ----------
    repeatability, trained_diameters_px, epoch_agreement, relative_loss, scale_bar_pixel_size_nm :
        see `SegmentationRecord`; None where it is not known
    """

    repeatability: float | None = None
    trained_diameters_px: tuple[float, float] | None = None
    epoch_agreement: float | None = None
    relative_loss: float | None = None
    scale_bar_pixel_size_nm: float | None = None


UNKNOWN_QUALITY = SegmentationQuality()


@dataclass(frozen=True, eq=False, slots=True)
class ImageResult:
    """What was found in a micrograph, without its pixels, which are read again to be drawn.

    `image_result` builds it while the pixels are in memory.

    Attributes
    ----------
    name : name of the image, unique in a study
    shape : height and width in pixels
    pixel_size_nm : edge of a pixel; None where it is unknown
    pixel_size_source : origin of the pixel size, for the reader
    rows : of the particle table
    read_pixels : reads the micrograph and its label map
    labels_sha256 : hash of the label map, see `hash_labels`
    coverage : share of the image covered by particles that are not struck out
    contrasts : (n,) contrast of these with their surroundings, see `measuring.contrast`
    threshold_agreement : agreement of the particles with a threshold, see `scoring.thresholding`
    in_pieces : labels of those with background between their pieces, see `measuring.pieces`
    scores : agreement of the labels with the truth; None without one
    true_table : one row per true particle that counts, as `measure` returns it; None without a
        truth
    origin_px : column and row of the first pixel in the file of the micrograph, which may have been
        cropped
    edited : whether the label map was changed after it was segmented
    struck_out : labels of particles that were struck out by hand
    acquisition : conditions of the micrograph, where its header has them
    corrections : what was changed, None if it is not known
    quality : what is known of how well the network knew the image; nothing if the map was edited
    """

    name: str
    shape: tuple[int, int]
    pixel_size_nm: float | None
    pixel_size_source: str
    rows: TableRows
    read_pixels: Callable[[], ImagePixels]
    labels_sha256: str
    coverage: float
    contrasts: Float[np.ndarray, "n"]
    threshold_agreement: ThresholdAgreement
    in_pieces: tuple[int, ...]
    scores: LabelScores | None = None
    true_table: pd.DataFrame | None = None
    origin_px: tuple[int, int] = (0, 0)
    edited: bool = False
    struck_out: frozenset[int] = frozenset()
    acquisition: Acquisition = NO_ACQUISITION
    corrections: HandCorrections | None = None
    quality: SegmentationQuality = UNKNOWN_QUALITY

    @property
    def table(self) -> pd.DataFrame:
        """One row per particle, as `measure` returns it."""
        return self.rows.select()

    @property
    def n_particles(self) -> int:
        """Number of particles, including those that are struck out."""
        return self.rows.length

    @property
    def kept_table(self) -> pd.DataFrame:
        """Rows of the particles that are not struck out."""
        table = self.table
        if not self.struck_out:
            return table
        return table.loc[~table["label"].isin(list(self.struck_out))]


def image_result(
    name: str,
    image: Integer[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "h w"],
    pixel_size_nm: float | None,
    pixel_size_source: str,
    table: pd.DataFrame,
    truth: Integer[np.ndarray, "h w"] | None = None,
    struck_out: frozenset[int] = frozenset(),
    record: SegmentationRecord | None = None,
) -> ImageResult:
    """Collect what was found in a micrograph whose pixels are in memory, where they stay.

    Parameters
    ----------
    name : name of the image
    image : (h, w) gray levels
    labels : (h, w) label map
    pixel_size_nm : edge of a pixel; None where it is unknown
    pixel_size_source : origin of the pixel size, for the reader
    table : one row per particle, as `measure` returns it
    truth : (h, w) true label map; None where it is unknown
    struck_out : labels of particles that were struck out by hand
    record : how the label map was made; None if that is unknown, or the map was edited

    Returns
    -------
    result

    Raises
    ------
    InputError
        If label map and truth differ in shape.

    Examples
    --------
    >>> labels = np.pad(np.ones((8, 8), int), 4)
    >>> result = image_result("a", 90 * labels, labels, 2.0, "header", measure(labels, 2.0))
    >>> result.coverage, result.read_pixels().labels.shape
    (0.25, (16, 16))
    """
    kept = np.where(np.isin(labels, list(struck_out)), 0, labels) if struck_out else labels
    scores = None if truth is None else score_labels(labels, truth)
    true_table = None
    if truth is not None and scores is not None:
        counted = np.isin(truth, scores.matching.counted_truth)
        true_table = measure(np.where(counted, truth, 0), pixel_size_nm)
    pixels = ImagePixels(image, labels)
    height, width = labels.shape
    return ImageResult(
        name=name,
        shape=(height, width),
        pixel_size_nm=pixel_size_nm,
        pixel_size_source=pixel_size_source,
        rows=TableRows(lambda: table, 0, len(table)),
        read_pixels=lambda: pixels,
        labels_sha256=hash_labels(labels),
        coverage=float((kept > 0).mean()),
        contrasts=contrasts(kept, image),
        threshold_agreement=agreement_with_threshold(image, labels),
        in_pieces=tuple(particles_in_pieces(kept)),
        scores=scores,
        true_table=true_table,
        struck_out=struck_out,
        quality=UNKNOWN_QUALITY if record is None else _quality(record),
    )


def _quality(record: SegmentationRecord) -> SegmentationQuality:
    """Extract what the record of a label map says about its quality."""
    return SegmentationQuality(*(getattr(record, name) for name in SegmentationQuality._fields))


def read_results(
    labels: Path,
    truth: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    read: Callable[[Path], Segmented] = read_segmented,
    choice: ParticleChoice | None = None,
) -> list[ImageResult]:
    """Read the label maps of a folder and measure their particles, one after the other.

    The results hold neither pixels nor tables, which are read again, the tables from a temporary
    file.

    Parameters
    ----------
    labels : folder of label maps; those without a record of `nanorender segment` stand for their
        micrographs, with the pixel size that the TIFF file states
    truth : folder or suffix of the annotations, as in `find_truth`
    on_progress : called with the number of maps measured so far and their total
    read : reads a label map, `read_segmented` or `read_mask`
    choice : particles struck out by hand, which the column "struck_out" marks; None for no column

    Returns
    -------
    results : one for each label map, by name

    Raises
    ------
    InputError
        If the folder holds no label maps, or a file or the choice does not fit the others.
    """
    paths = find_label_maps(labels)
    if choice is not None:
        choice.check_names([path.stem for path in paths])
    results = []
    spool = TableSpool()
    for path in paths:
        on_progress(len(results), len(paths))
        values, micrograph, confidence, edited, corrections, record = read(path)
        table = measure(values, micrograph.pixel_size_nm, micrograph.image, confidence=confidence)
        struck_out = frozenset()
        if choice is not None:
            struck_out = choice.struck_out(path.stem, values)
            table = mark_struck_out(table, struck_out)
        result = image_result(
            path.stem,
            micrograph.image,
            values,
            micrograph.pixel_size_nm,
            micrograph.pixel_size_source,
            table,
            None if truth is None else find_truth(micrograph, truth),
            struck_out,
            record,
        )
        result = replace(
            result,
            read_pixels=partial(_read_again, path, read, result.labels_sha256),
            origin_px=(micrograph.crop[2], micrograph.crop[0]),
            edited=edited,
            acquisition=micrograph.acquisition,
            corrections=corrections,
        )
        results.append(result)
        if len(results) % _JOINED == 0 or len(results) == len(paths):
            apart = len(results) % _JOINED or _JOINED
            results[-apart:] = _spooled(results[-apart:], spool)
    on_progress(len(results), len(paths))
    return results


def _spooled(results: Sequence[ImageResult], spool: TableSpool) -> list[ImageResult]:
    """Move the tables of images into a file, those with the same columns joined to one."""
    spooled = list(results)
    tables = [result.table for result in results]
    columns = pd.Series([tuple(table.columns) for table in tables])
    for places in columns.groupby(columns).indices.values():
        alike = [tables[place] for place in places]
        filled = [table for table in alike if len(table)]
        read_table = spool.store(pd.concat(filled) if filled else alike[0])
        stops = np.cumsum([len(table) for table in alike]).tolist()
        for place, table, stop in zip(places, alike, stops, strict=True):
            rows = TableRows(read_table, stop - len(table), stop)
            spooled[place] = replace(results[place], rows=rows)
    return spooled


def _read_again(path: Path, read: Callable[[Path], Segmented], labels_sha256: str) -> ImagePixels:
    """Read label map and micrograph as they were measured."""
    labels, micrograph, *_ = read(path)
    if hash_labels(labels) != labels_sha256:
        raise InputError(
            f"{path} has changed since it was measured; run the command again when nothing else "
            "writes into the folder"
        )
    return ImagePixels(micrograph.image, labels)


def particle_table(
    results: Sequence[ImageResult], columns: Collection[str] | None = None
) -> pd.DataFrame:
    """Join the particle tables of all images.

    Parameters
    ----------
    results : images of a study
    columns : those to keep where the tables have them; None for all

    Returns
    -------
    table : one row per particle, the name of its image first
    """
    return pd.concat(particle_tables(results, columns), ignore_index=True)


def particle_tables(
    results: Sequence[ImageResult], columns: Collection[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Join the particle tables of images whose rows follow each other in one table.

    Parameters
    ----------
    results : images of a study
    columns : those to keep where the tables have them; None for all

    Yields
    ------
    tables, at least one, with the same columns: one row per particle, the name of its image first
    """
    runs: list[list[ImageResult]] = []
    for result in [one for one in results if one.n_particles] or results[:1]:
        before = runs[-1][-1].rows if runs else None
        shared = before is not None and before.read_table is result.rows.read_table
        if before and shared and before.stop == result.rows.first:
            runs[-1].append(result)
        else:
            runs.append([result])
    names = dict.fromkeys(name for run in runs for name in run[0].rows.read_table().columns)
    kept = [name for name in names if columns is None or name in columns]
    for run in runs:
        rows = TableRows(run[0].rows.read_table, run[0].rows.first, run[-1].rows.stop)
        table = rows.select().reindex(columns=kept)
        images = np.array([result.name for result in run], object)
        table.insert(0, "image", np.repeat(images, [result.n_particles for result in run]))
        yield table


def format_scores(results: Sequence[ImageResult]) -> list[str]:
    """Format the scores of the annotated images, one line each.

    Parameters
    ----------
    results : images of a study, annotated or not

    Returns
    -------
    lines : one for each annotated image, then their mean if there are several
    """
    rows = {result.name: _key_scores(result.scores) for result in results if result.scores}
    if len(rows) > 1:
        rows["mean"] = pd.DataFrame(list(rows.values())).mean().to_dict()
    return [
        f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in row.items())
        for name, row in rows.items()
    ]


def _key_scores(scores: LabelScores) -> dict[str, float]:
    """Return the scores of one image that are printed."""
    pixels, objects = scores.pixels, scores.objects
    return {
        "pixel precision": pixels.precision,
        "recall": pixels.recall,
        "accuracy": pixels.accuracy,
        "F1": pixels.f1,
        "object F1@0.5": objects.f1,
        "found/true": objects.n_predicted / max(objects.n_truth, 1),
    }

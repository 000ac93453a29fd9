"""Measured images of a study and their agreement with the truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from nanorender.files.acquisition import NO_ACQUISITION, Acquisition
from nanorender.files.annotation import find_truth
from nanorender.files.particlechoice import ParticleChoice
from nanorender.files.segmentation import (
    HandCorrections,
    SegmentationRecord,
    Segmented,
    find_label_maps,
    read_segmented,
)
from nanorender.measuring.contrast import contrasts
from nanorender.measuring.measure import mark_struck_out, measure
from nanorender.scoring.scores import LabelScores, score_labels
from nanorender.scoring.thresholding import ThresholdAgreement, agreement_with_threshold


@dataclass(frozen=True, eq=False)
class ImageResult:
    """A micrograph, its label map and its particles.

    Attributes
    ----------
    name : name of the image, unique in a study
    image : (h, w) gray levels
    labels : (h, w) label map
    pixel_size_nm : edge of a pixel; None where it is unknown
    pixel_size_source : origin of the pixel size, for the reader
    table : one row per particle, as `measure` returns it
    truth : (h, w) true label map; None where it is unknown
    origin_px : column and row of the first pixel in the file of the micrograph, which may have been
        cropped
    edited : whether the label map was changed after it was segmented
    struck_out : labels of particles that were struck out by hand
    acquisition : conditions of the micrograph, where its header has them
    corrections : what was changed, None if it is not known
    record : how the label map was made, None if it has no record or was edited
    """

    name: str
    image: Integer[np.ndarray, "h w"]
    labels: Integer[np.ndarray, "h w"]
    pixel_size_nm: float | None
    pixel_size_source: str
    table: pd.DataFrame
    truth: Integer[np.ndarray, "h w"] | None = None
    origin_px: tuple[int, int] = (0, 0)
    edited: bool = False
    struck_out: frozenset[int] = frozenset()
    acquisition: Acquisition = NO_ACQUISITION
    corrections: HandCorrections | None = None
    record: SegmentationRecord | None = None

    @cached_property
    def kept_table(self) -> pd.DataFrame:
        """Rows of the particles that are not struck out."""
        return self.table.loc[~self.table["label"].isin(list(self.struck_out))]

    @cached_property
    def kept_labels(self) -> Integer[np.ndarray, "h w"]:
        """Label map without the particles struck out."""
        if not self.struck_out:
            return self.labels
        return np.where(np.isin(self.labels, list(self.struck_out)), 0, self.labels)

    @cached_property
    def scores(self) -> LabelScores | None:
        """Agreement of the labels with the truth; None without one."""
        return None if self.truth is None else score_labels(self.labels, self.truth)

    @cached_property
    def contrasts(self) -> Float[np.ndarray, "n"]:
        """Contrast of particles with their surroundings, see `measuring.contrast`."""
        return contrasts(self.kept_labels, self.image)

    @cached_property
    def threshold_agreement(self) -> ThresholdAgreement:
        """Agreement of the particles with a threshold, see `scoring.thresholding`."""
        return agreement_with_threshold(self.image, self.labels)

    @cached_property
    def true_table(self) -> pd.DataFrame | None:
        """One row per true particle that counts, as `measure` returns it; None without a truth."""
        if self.truth is None or self.scores is None:
            return None
        counted = np.isin(self.truth, self.scores.matching.counted_truth)
        return measure(np.where(counted, self.truth, 0), self.pixel_size_nm)


def read_results(
    labels: Path,
    truth: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    read: Callable[[Path], Segmented] = read_segmented,
    choice: ParticleChoice | None = None,
) -> list[ImageResult]:
    """Read the label maps of a folder and measure their particles.

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
    for path in paths:
        on_progress(len(results), len(paths))
        values, micrograph, confidence, edited, corrections, record = read(path)
        table = measure(values, micrograph.pixel_size_nm, micrograph.image, confidence=confidence)
        struck_out = frozenset()
        if choice is not None:
            struck_out = choice.struck_out(path.stem, values)
            table = mark_struck_out(table, struck_out)
        result = ImageResult(
            name=path.stem,
            image=micrograph.image,
            labels=values,
            pixel_size_nm=micrograph.pixel_size_nm,
            pixel_size_source=micrograph.pixel_size_source,
            table=table,
            truth=None if truth is None else find_truth(micrograph, truth),
            origin_px=(micrograph.crop[2], micrograph.crop[0]),
            edited=edited,
            struck_out=struck_out,
            acquisition=micrograph.acquisition,
            corrections=corrections,
            record=record,
        )
        results.append(result)
    on_progress(len(results), len(paths))
    return results


def particle_table(results: Sequence[ImageResult]) -> pd.DataFrame:
    """Join the particle tables of all images.

    Parameters
    ----------
    results : images of a study

    Returns
    -------
    table : one row per particle, the name of its image first
    """
    tables = [result.table.assign(image=result.name) for result in results]
    filled = [table for table in tables if len(table)]
    joined = pd.concat(filled, ignore_index=True) if filled else tables[0]
    return joined.loc[:, ["image", *(name for name in joined.columns if name != "image")]]


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

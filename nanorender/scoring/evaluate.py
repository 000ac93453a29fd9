"""Scores of a folder of label maps, as tables of the images and of all together."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth, read_truth
from nanorender.files.segmentation import Segmented, find_label_maps, read_segmented
from nanorender.scoring.scores import IOU_LEVELS, LabelScores, score_labels, size_agreement

_MEAN = "mean"  # last row of tables of ratios and counts; counts are summed
_POOLED = "all together"  # last row of the table of sizes
_SHORT_NAMES = {
    "n_truth": "true",
    "n_predicted": "found",
    "n_matched": "matched",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "average_precision": "AP",
    "panoptic_quality": "PQ",
    "mean_iou": "IoU",
    "n_split": "split",
    "n_merged": "merged",
}
_COUNTS = [name for name in _SHORT_NAMES if name.startswith("n_")]


@dataclass(frozen=True)
class Evaluation:
    """Scores of one label map of a folder.

    Attributes
    ----------
    name : name of the image
    scores : agreement with the truth
    pixel_size_nm : edge of a pixel; None where it is unknown
    """

    name: str
    scores: LabelScores
    pixel_size_nm: float | None

    @property
    def unit(self) -> str:
        """Unit of the sizes: "nm", or "px" where the pixel size is unknown."""
        return "px" if self.pixel_size_nm is None else "nm"

    @property
    def diameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Equivalent circle diameters of predicted and of true particles, in `unit`."""
        edge = 1.0 if self.pixel_size_nm is None else self.pixel_size_nm
        return edge * self.scores.predicted_diameters_px, edge * self.scores.true_diameters_px


def evaluate_folder(
    labels: Path,
    truth: str,
    min_area_px: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    read: Callable[[Path], Segmented] = read_segmented,
) -> list[Evaluation]:
    """Score every label map of a folder, or a single one.

    Parameters
    ----------
    labels : folder of label maps, or one label map
    truth : folder of annotations named like the images, suffix of their names beside the
        micrographs, or one file for one label map
    min_area_px : area of the smallest true region that counts, in pixels
    on_progress : called with the number of maps scored so far and their total
    read : reads a label map, `read_segmented` or `read_mask`

    Returns
    -------
    evaluations : scores of each map, by name

    Raises
    ------
    InputError
        If a map has no annotation, or one of another shape.
    """
    paths = [labels] if labels.is_file() else find_label_maps(labels)
    file = Path(truth)
    if file.is_file() and len(paths) > 1:
        raise InputError(
            f"{truth} is one file, but {labels} holds {len(paths)} label maps; "
            "give a folder of annotations"
        )
    evaluations = []
    for path in paths:
        on_progress(len(evaluations), len(paths))
        values, micrograph, *_ = read(path)
        true = read_truth(file, micrograph) if file.is_file() else find_truth(micrograph, truth)
        scores = score_labels(values, true, min_area_px)
        evaluations.append(Evaluation(path.stem, scores, micrograph.pixel_size_nm))
    on_progress(len(paths), len(paths))
    return evaluations


def pixel_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Tabulate the scores by pixel.

    Parameters
    ----------
    evaluations : scores of each image

    Returns
    -------
    table : one row for each image, then their mean
    """
    table = _by_image(evaluations, [asdict(each.scores.pixels) for each in evaluations])
    return _append(table, _MEAN, table.mean())


def object_table(evaluations: Sequence[Evaluation], iou: float) -> pd.DataFrame:
    """Tabulate the scores by particle at one IoU.

    Parameters
    ----------
    evaluations : scores of each image
    iou : one of `IOU_LEVELS`

    Returns
    -------
    table : one row for each image, then the mean of ratios and the sum of counts
    """
    level = IOU_LEVELS.index(iou)
    rows = [asdict(each.scores.objects_by_iou[level]) for each in evaluations]
    table = _by_image(evaluations, rows).loc[:, list(_SHORT_NAMES)]
    last = table.mean()
    last[_COUNTS] = table[_COUNTS].sum()
    return _append(table, _MEAN, last).astype(dict.fromkeys(_COUNTS, int))


def iou_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Tabulate the mean scores by particle at every IoU.

    Parameters
    ----------
    evaluations : scores of each image

    Returns
    -------
    table : one row for each of `IOU_LEVELS`, then the mean over all of them
    """
    ratios = [name for name in _SHORT_NAMES if name not in _COUNTS]
    rows = [object_table(evaluations, iou).loc[_MEAN, ratios] for iou in IOU_LEVELS]
    table = pd.DataFrame(np.array(rows, float), [f"{iou:.2f}" for iou in IOU_LEVELS], ratios)
    return _append(table, _MEAN, table.mean())


def size_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Tabulate the distances between predicted and true size distributions.

    Parameters
    ----------
    evaluations : scores of each image

    Returns
    -------
    table : one row for each image, then one for the particles of all images
    """
    diameters = [each.diameters for each in evaluations]
    table = _by_image(evaluations, [asdict(size_agreement(*each)) for each in diameters])
    predicted, true = (np.concatenate(sizes) for sizes in zip(*diameters, strict=True))
    return _append(table, _POOLED, pd.Series(asdict(size_agreement(predicted, true))))


def _by_image(evaluations: Sequence[Evaluation], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a table with one row for each image."""
    return pd.DataFrame(rows, [each.name for each in evaluations])


def _append(table: pd.DataFrame, name: str, row: pd.Series) -> pd.DataFrame:
    """Return the table with one more row."""
    return pd.concat([table, pd.DataFrame([row], [name])])


def full_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Tabulate every score.

    Parameters
    ----------
    evaluations : scores of each image

    Returns
    -------
    table : one row for each image and IoU
    """
    rows = []
    for each in evaluations:
        pixels = {f"pixel_{key}": value for key, value in asdict(each.scores.pixels).items()}
        agreement = asdict(size_agreement(*each.diameters))
        sizes = {f"size_{key}": value for key, value in agreement.items()}
        sizes[f"size_wasserstein_{each.unit}"] = sizes.pop("size_wasserstein")
        rows += [
            {"image": each.name} | asdict(objects) | pixels | sizes
            for objects in each.scores.objects_by_iou
        ]
    return pd.DataFrame(rows)


def evaluation_record(evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Convert all tables to types of JSON.

    Parameters
    ----------
    evaluations : scores of each image

    Returns
    -------
    record : rows of each table by name; NaN becomes None
    """
    return {
        "pixels": _rows(pixel_table(evaluations)),
        "objects": {f"{iou:.2f}": _rows(object_table(evaluations, iou)) for iou in IOU_LEVELS},
        "objects_by_iou": _rows(iou_table(evaluations)),
        "sizes": _rows(size_table(evaluations)),
        "unit": evaluations[0].unit,
    }


def _rows(table: pd.DataFrame) -> dict:
    """Return the rows of a table by name, None in place of NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("index")


def format_evaluation(evaluations: Sequence[Evaluation], min_area_px: int) -> str:
    """Format the tables for printing.

    Parameters
    ----------
    evaluations : scores of each image
    min_area_px : area of the smallest true region that counts, in pixels

    Returns
    -------
    text : tables under their titles
    """
    unit = evaluations[0].unit
    tables = {
        "Pixels": pixel_table(evaluations),
        "Particles at IoU 0.5": object_table(evaluations, IOU_LEVELS[0]),
        "Particles by IoU, mean of the images": iou_table(evaluations),
        "Equivalent circle diameter, found against true": size_table(evaluations),
    }
    names = _SHORT_NAMES | {"wasserstein": f"wasserstein_{unit}"}
    text = [
        f"{title}\n{table.rename(columns=names).to_string(float_format='{:.3f}'.format)}"
        for title, table in tables.items()
    ]
    return "\n\n".join([*text, f"True regions smaller than {min_area_px} px are ignored."])

"""Label maps against the truth: pixels, particles and sizes, for each image and over all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth, read_truth
from nanorender.files.segmentation import find_label_maps, read_segmented
from nanorender.scoring.agreement import SizeAgreement, size_agreement
from nanorender.scoring.matching import (
    IOU_LEVELS,
    ObjectScores,
    PixelScores,
    match,
    object_scores,
    pixel_scores,
)
from nanorender.scoring.overlaps import overlap_table

OVER_ALL = "mean"  # row of the mean of the images; counts are added up
PIXEL_COLUMNS = ["precision", "recall", "accuracy", "f1"]
OBJECT_COLUMNS = {
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


@dataclass(frozen=True)
class Evaluation:
    """How well the labels of one image agree with its truth.

    Attributes
    ----------
    name: of the image
    pixels: as figure 4a of Mill et al. (2021) has them
    objects: at each of IOU_LEVELS
    diameters, true_diameters: (n,) and (m,) equivalent circle diameters of the particles that count
    unit: of the diameters, "nm", or "px" where the pixel size is unknown
    """

    name: str
    pixels: PixelScores
    objects: tuple[ObjectScores, ...]
    diameters: Float[np.ndarray, "n"]
    true_diameters: Float[np.ndarray, "m"]
    unit: str

    @property
    def sizes(self) -> SizeAgreement:
        """Distance of the two size distributions."""
        return size_agreement(self.diameters, self.true_diameters)


def evaluate(
    name: str,
    labels: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "rows columns"],
    pixel_size_nm: float | None,
    min_area_px: int,
) -> Evaluation:
    """Return the scores of one image; true regions under `min_area_px` are ignored as in `match`.

    Raises
    ------
    InputError
        If the two maps differ in shape.
    """
    overlaps = overlap_table(labels, truth)
    counted = match(overlaps, IOU_LEVELS[0], min_area_px)
    edge = 1.0 if pixel_size_nm is None else pixel_size_nm
    return Evaluation(
        name=name,
        pixels=pixel_scores(labels, truth),
        objects=tuple(object_scores(labels, truth, iou, min_area_px) for iou in IOU_LEVELS),
        diameters=edge * _diameters(overlaps.predicted_area[counted.counted_predicted]),
        true_diameters=edge * _diameters(overlaps.truth_area[counted.counted_truth]),
        unit="px" if pixel_size_nm is None else "nm",
    )


def _diameters(area: np.ndarray) -> np.ndarray:
    return np.sqrt(4 * area / np.pi)


def evaluate_folder(
    labels: Path,
    truth: str,
    min_area_px: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Evaluation]:
    """Return the scores of every label map in a folder, or of one file.

    Parameters
    ----------
    labels : folder of label maps, or one of them
    truth : folder of annotations named as the images, a suffix of their names beside the
        micrographs, or one file for one label map
    min_area_px : smaller regions of the truth are ignored
    on_progress : is called with how many maps are done, and of how many

    Raises
    ------
    InputError
        If a map has no truth, or one of another size.
    """
    paths = [labels] if labels.is_file() else find_label_maps(labels)
    if Path(truth).is_file() and len(paths) > 1:
        raise InputError(f"{truth} is one file, but {labels} holds {len(paths)}; give a folder")
    found = []
    for path in paths:
        on_progress(len(found), len(paths))
        values, micrograph = read_segmented(path)
        file = Path(truth)
        real = read_truth(file, micrograph) if file.is_file() else find_truth(micrograph, truth)
        found.append(evaluate(path.stem, values, real, micrograph.pixel_size_nm, min_area_px))
    on_progress(len(paths), len(paths))
    return found


def pixel_table(found: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the scores by pixel, one row an image and one for their mean."""
    table = pd.DataFrame([each.pixels.to_dict() for each in found], [each.name for each in found])
    return _followed_by(table, OVER_ALL, table.mean()).loc[:, PIXEL_COLUMNS]


def object_table(found: Sequence[Evaluation], iou: float) -> pd.DataFrame:
    """Return the scores by particle at one of IOU_LEVELS, the last row as OVER_ALL says."""
    level = IOU_LEVELS.index(iou)
    rows = [each.objects[level].to_dict() for each in found]
    table = pd.DataFrame(rows, [each.name for each in found], list(OBJECT_COLUMNS))
    counts = [name for name in OBJECT_COLUMNS if name.startswith("n_")]
    last = table.mean()
    last[counts] = table[counts].sum()
    return _followed_by(table, OVER_ALL, last).astype(dict.fromkeys(counts, int))


def iou_table(found: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the mean of the images at each of IOU_LEVELS, and the mean of all levels."""
    ratios = [name for name in OBJECT_COLUMNS if not name.startswith("n_")]
    rows = [object_table(found, iou).loc[OVER_ALL, ratios] for iou in IOU_LEVELS]
    table = pd.DataFrame(np.array(rows, float), [f"{iou:.2f}" for iou in IOU_LEVELS], ratios)
    return _followed_by(table, OVER_ALL, table.mean())


def size_table(found: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the distances of the size distributions, the last row of all particles together."""
    table = pd.DataFrame([each.sizes.to_dict() for each in found], [each.name for each in found])
    together = [np.concatenate([each.diameters for each in found])]
    together.append(np.concatenate([each.true_diameters for each in found]))
    return _followed_by(table, "all together", pd.Series(size_agreement(*together).to_dict()))


def _followed_by(table: pd.DataFrame, name: str, row: pd.Series) -> pd.DataFrame:
    """Return the table with one more row."""
    return pd.concat([table, pd.DataFrame([row], [name])])


def full_table(found: Sequence[Evaluation]) -> pd.DataFrame:
    """Return every score, one row an image and IoU."""
    rows = []
    for each in found:
        pixels = {f"pixel_{name}": value for name, value in each.pixels.to_dict().items()}
        sizes = {f"size_{name}": value for name, value in each.sizes.to_dict().items()}
        sizes[f"size_wasserstein_{each.unit}"] = sizes.pop("size_wasserstein")
        rows += [{"image": each.name} | o.to_dict() | pixels | sizes for o in each.objects]
    return pd.DataFrame(rows)


def as_dict(found: Sequence[Evaluation]) -> dict[str, object]:
    """Return all tables in types of JSON; what is not a number is None."""
    tables = {
        "pixels": pixel_table(found),
        "objects": {f"{iou:.2f}": object_table(found, iou) for iou in IOU_LEVELS},
        "objects_by_iou": iou_table(found),
        "sizes": size_table(found),
    }
    return {name: _plain(table) for name, table in tables.items()} | {"unit": found[0].unit}


def _plain(table: pd.DataFrame | dict[str, pd.DataFrame]) -> object:
    if isinstance(table, dict):
        return {name: _plain(part) for name, part in table.items()}
    return table.astype(object).where(table.notna(), None).to_dict("index")


def as_text(found: Sequence[Evaluation], min_area_px: int) -> str:
    """Return the tables as they are printed."""
    sizes = size_table(found).rename(columns={"wasserstein": f"wasserstein_{found[0].unit}"})
    short = {"average_precision": "AP", "panoptic_quality": "PQ", "mean_iou": "IoU", "f1": "F1"}
    parts = (
        ("Pixels", pixel_table(found).rename(columns=short)),
        ("Particles at IoU 0.5", object_table(found, 0.5).rename(columns=OBJECT_COLUMNS)),
        ("Particles by IoU, mean of the images", iou_table(found).rename(columns=short)),
        ("Equivalent circle diameter, found against true", sizes),
    )
    text = [f"{title}\n{table.to_string(float_format='{:.3f}'.format)}" for title, table in parts]
    return "\n\n".join([*text, f"True regions under {min_area_px} px are ignored."])

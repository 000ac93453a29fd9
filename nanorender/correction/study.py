"""Corrected statistics of a study whose micrographs have twins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from nanorender.correction.correction import (
    STATISTICS,
    Correction,
    StudySizes,
    correct,
    share_below,
)
from nanorender.correction.detection import DetectionClass, detection_by_size
from nanorender.correction.record import (
    TwinsRecord,
    read_twins,
    read_twins_record,
)
from nanorender.correction.response import SegmentedTwin, TwinResponse, pool_twins
from nanorender.errors import InputError
from nanorender.scoring.limit import LimitDetection, count_detected
from nanorender.scoring.plausibility import LARGEST_RELATIVE_LOSS
from nanorender.statistics.nanoscale import LIMIT_NM

LEAST_PX = 8.0
"""Equivalent diameter of the smallest particles that count, in pixels: that of about 50 pixels."""

NANOSCALE_QUANTITY = "min_feret"
"""Size that is compared with the limit of nanomaterials."""

_FEWEST_PARTICLES = 20  # large enough to count: of fewer, chance decides
_HIDDEN = 0.9  # visible part of an outline, below which a particle is partly hidden

SHARE = f"share_below_{LIMIT_NM:.0f}_nm"


@dataclass(frozen=True)
class CorrectedStudy:
    """Corrections of a study, and what they rest on; lengths in `unit`.

    Attributes
    ----------
    unit : "nm", or "px" where a pixel size is unknown
    quantity : name of the size
    least : size of the smallest particles that count
    corrections : by name of the statistic; empty if refused
    detection : by size
    found_share : share of the true particles that are found
    false_share : share of the found particles that match no true one
    merged_share : share of the true particles that were found together with others
    hidden_share : share of the true particles that others hide by more than a tenth
    nanoscale : particles of the twins below and above the limit of nanomaterials; None in px
    relative_loss : loss of the twins against the micrographs in noise floors, None if unknown
    refusal : why nothing is corrected, None if it is
    twins : number of twins
    base : recipe that the fit began with
    """

    unit: str
    quantity: str
    least: float
    corrections: dict[str, Correction]
    detection: list[DetectionClass]
    found_share: float
    false_share: float
    merged_share: float
    hidden_share: float
    nanoscale: LimitDetection | None
    relative_loss: float | None
    refusal: str | None
    twins: int
    base: str


def correct_study(
    folder: Path,
    labels_sha256: Sequence[str],
    tables: Sequence[pd.DataFrame],
    quantity: str,
    pixel_size_uncertainty: float = 0.0,
    seed: int = 0,
) -> CorrectedStudy:
    """Correct the statistics of a study by its twins.

    Parameters
    ----------
    folder : written by `nanorender twins`
    labels_sha256 : hashes of the label maps of the study
    tables : rows of `measure` of each label map
    quantity : name of the size
    pixel_size_uncertainty : relative standard uncertainty of the pixel size
    seed : of the resamples

    Returns
    -------
    Corrections.

    Raises
    ------
    InputError
        If the twins are those of other label maps.
    """
    record = read_twins_record(folder)
    if [image.labels_sha256 for image in record.images] != list(labels_sha256):
        raise InputError(
            f"the twins in {folder} are those of other label maps; run 'nanorender twins' again"
        )
    twins = read_twins(folder, record)
    sizes_nm = [image.pixel_size_nm for image in record.images]
    unit = "px" if any(size is None for size in sizes_nm) else "nm"
    edges = [1.0 if unit == "px" or size is None else size for size in sizes_nm]
    least = LEAST_PX * max(edges)  # resolved in all micrographs
    response = pool_twins(twins, quantity, edges)
    sizes = _study_sizes(record, tables, quantity, unit, edges)
    of_widths = pool_twins(twins, NANOSCALE_QUANTITY, edges)
    refusal = _refusal(record, sizes, response, least)
    corrections: dict[str, Correction] = {}
    if refusal is None:
        rng = np.random.default_rng(seed)
        corrections = correct(sizes, response, least, STATISTICS, pixel_size_uncertainty, rng)
        widths = _study_sizes(record, tables, NANOSCALE_QUANTITY, unit, edges)
        if unit == "nm" and _fewest_found(widths, of_widths, least) >= _FEWEST_PARTICLES:
            share = {SHARE: share_below(LIMIT_NM)}
            corrections |= correct(widths, of_widths, least, share, pixel_size_uncertainty, rng)
    return CorrectedStudy(
        unit=unit,
        quantity=quantity,
        least=least,
        corrections=corrections,
        detection=detection_by_size(response, least),
        found_share=_found_share(response, least),
        false_share=_false_share(response, least),
        merged_share=_share(twins, lambda true: true["shared"].to_numpy(bool)),
        hidden_share=_share(twins, _is_hidden),
        nanoscale=_nanoscale(of_widths, least) if unit == "nm" else None,
        relative_loss=record.relative_loss,
        refusal=refusal,
        twins=len(twins),
        base=record.base,
    )


def _study_sizes(
    record: TwinsRecord,
    tables: Sequence[pd.DataFrame],
    quantity: str,
    unit: str,
    edges: Sequence[float],
) -> StudySizes:
    """Collect the sizes measured in the micrographs, in the unit of the response."""
    columns = []
    for table, edge in zip(tables, edges, strict=True):
        known = f"{quantity}_{unit}"
        pixels = f"{quantity}_px"
        columns.append(
            table[known].to_numpy(float) if known in table else table[pixels].to_numpy(float) * edge
        )
    areas = [
        image.micrograph_px * edge**2 for image, edge in zip(record.images, edges, strict=True)
    ]
    image_of = np.repeat(np.arange(len(columns)), [len(column) for column in columns])
    return StudySizes(np.concatenate(columns), image_of, np.array(areas, float))


def _refusal(
    record: TwinsRecord, study: StudySizes, response: TwinResponse, least: float
) -> str | None:
    """Return why nothing is corrected; None where the twins are like the micrographs."""
    loss = record.relative_loss
    if loss is not None and loss > LARGEST_RELATIVE_LOSS:
        return (
            f"the twins differ from the micrographs by {loss:.1f} noise floors, more than "
            f"{LARGEST_RELATIVE_LOSS:g}, so sizes are not corrected; choose a recipe with "
            "--recipe that is more like the sample"
        )
    found = _fewest_found(study, response, least)
    if found < _FEWEST_PARTICLES:
        return (
            f"only {found} particles of at least {LEAST_PX:g} px are found in the micrographs or "
            f"their twins, so sizes are not corrected; {_FEWEST_PARTICLES} are needed"
        )
    return None


def _fewest_found(study: StudySizes, response: TwinResponse, least: float) -> int:
    """Return how many particles that count are found in the micrographs or in their twins."""
    return min(int((study.sizes >= least).sum()), int((response.measured >= least).sum()))


def _found_share(response: TwinResponse, least: float) -> float:
    """Return the share of true particles that are found."""
    counted = response.true >= least
    return float(response.found[counted].mean()) if counted.any() else 0.0


def _false_share(response: TwinResponse, least: float) -> float:
    """Return the share of found particles that match no true one."""
    false = int((response.false >= least).sum())
    found = false + int((response.measured[response.found] >= least).sum())
    return false / found if found else 0.0


def _nanoscale(response: TwinResponse, least: float) -> LimitDetection:
    """Count the particles of the twins below and above the limit of nanomaterials."""
    counted = response.true >= least
    found = response.measured[response.found & (response.measured >= least)]
    false = response.false[response.false >= least]
    return count_detected(
        response.true[counted],
        response.found[counted],
        np.concatenate([found, false]),
        np.repeat([False, True], [len(found), len(false)]),
        LIMIT_NM,
    )


def _is_hidden(true: pd.DataFrame) -> Bool[np.ndarray, "n"]:
    """Return which particles others hide in part."""
    little = true["visible_fraction"].to_numpy(float) < _HIDDEN
    return little & ~true["touches_frame"].to_numpy(bool)  # the frame cuts these


def _share(
    twins: Sequence[SegmentedTwin], holds: Callable[[pd.DataFrame], Bool[np.ndarray, "n"]]
) -> float:
    """Return the share of the twins' particles, large enough to count, of which something holds."""
    large = [one.true["equivalent_diameter_px"].to_numpy(float) >= LEAST_PX for one in twins]
    values = [holds(one.true)[counts] for one, counts in zip(twins, large, strict=True)]
    joined = np.concatenate(values)
    return float(joined.mean()) if len(joined) else 0.0

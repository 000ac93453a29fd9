"""Size statistics of the particles of one image, a sample or a study, with their uncertainty.

Reports the figures asked for by ISO 13322-1 (image analysis, static), ISO 9276 (presentation of
size analysis) and ISO 19749 (nanoparticles by SEM).
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.stats import chi2

from nanorender.errors import InputError
from nanorender.measuring.sizes import SizeName
from nanorender.settings import Settings
from nanorender.statistics.bootstrap import (
    Estimate,
    Resampling,
    SizeSample,
    draw_counts,
    estimates,
    interval,
)
from nanorender.statistics.fits import Criterion, Fit, best_fit, fit_sizes
from nanorender.statistics.nanoscale import NanoscaleShare, nanoscale_share
from nanorender.statistics.sampling import FieldOfView, FrameCorrection, SizeFloor, frame_weights

SHARE_QUANTITIES = ("min_feret", "inscribed_diameter")


class Statistics(Settings):
    """How sizes are summarized.

    Attributes
    ----------
    quantity: the measurement that is the size of a particle
    weighting: every particle counts once, or with the volume of the sphere of its equivalent
        circle diameter
    frame_correction: what is done about particles cut by the frame, see `frame_weights`
    confidence: of all intervals
    resamples: of the bootstrap
    least_images: with as many images or more, whole images are resampled; else particles
    criterion: chooses the fit: BIC prefers fewer components than AIC
    target: relative half-width of the median's interval that "needed" aims at
    """

    quantity: SizeName = "equivalent_diameter"
    weighting: Literal["number", "volume"] = "number"
    frame_correction: FrameCorrection = "keep"
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    resamples: PositiveInt = 2000
    least_images: Annotated[int, Field(ge=2)] = 5
    criterion: Criterion = "bic"
    target: PositiveFloat = 0.05


@dataclass(frozen=True)
class Needed:
    """How many more particles or images like these bring the median's interval to the target.

    Both are None where there are too few particles to tell.
    """

    particles: int | None
    images: int | None


@dataclass(frozen=True)
class Summary:
    """The size statistics of a set of particles; lengths in `unit`, areas in its square.

    Attributes
    ----------
    unit: "nm", or "px" where the pixel size is unknown
    settings: how the figures were obtained
    interval_method: what was resampled, in words
    particles: number counted; `left_out` were cut by the frame and not counted
    images: number of images
    field_area: area of all images
    number_density: particles per area, frame correction included
    coverage: share of the field covered by particles, those at the frame included
    sizes: d10, d50, d90, mean, mode, standard_deviation, geometric_standard_deviation, span
    fits: distributions fitted to the sizes by number; `fit` is the chosen one
    nanoscale: shares below 100 nm by number, of minimum Feret and inscribed circle; none in px
    floor: the size under which nothing could be seen
    needed: how many more particles or images
    """

    unit: Literal["nm", "px"]
    settings: Statistics
    interval_method: str
    particles: int
    left_out: int
    images: int
    field_area: float
    number_density: Estimate
    coverage: Estimate
    sizes: dict[str, Estimate]
    fits: tuple[Fit, ...]
    fit: Fit | None
    nanoscale: tuple[NanoscaleShare, ...]
    floor: SizeFloor | None
    needed: Needed

    def to_dict(self) -> dict[str, object]:
        """Return everything in types of JSON; what is not a number is None."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in record.items()}


def _plain(value: object) -> object:
    if isinstance(value, Settings):
        return value.model_dump(mode="json")
    if isinstance(value, Fit):
        return {"name": value.name} | {k: _plain(v) for k, v in vars(value).items()}
    if dataclasses.is_dataclass(value):
        return {k: _plain(v) for k, v in vars(value).items()}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summarize(
    table: pd.DataFrame,
    fields: Sequence[FieldOfView],
    settings: Statistics,
    rng: np.random.Generator,
    floor: SizeFloor | None = None,
) -> Summary:
    """Return the size statistics of all particles of a table.

    Parameters
    ----------
    table: rows of `measure`; with an "image" column where there are several images
    fields: one for each image, those without particles included
    settings: quantity, weighting, frame correction, intervals
    rng: draws the resamples
    floor: passed on to the summary

    Raises
    ------
    InputError
        If a particle's image is not among the fields, or the table lacks a column.
    """
    unit = _unit(table)
    image_of = _image_of(table, fields)
    weights = np.zeros(len(table))
    for index, field in enumerate(fields):
        here = image_of == index
        weights[here] = frame_weights(table.loc[here], field, settings.frame_correction)
    counted = weights > 0
    resampling = Resampling(
        "images" if len(fields) >= settings.least_images else "particles",
        settings.resamples,
        settings.confidence,
    )

    def sample(quantity: str, volume: bool = False) -> SizeSample:
        sizes = table[f"{quantity}_{unit}"].to_numpy(float)[counted]
        weight = weights[counted]
        if volume:
            weight = weight * table[f"equivalent_diameter_{unit}"].to_numpy(float)[counted] ** 3
        return SizeSample(sizes, weight, image_of[counted], len(fields))

    by_number = sample(settings.quantity)
    weighted = sample(settings.quantity, settings.weighting == "volume")
    sizes = estimates(weighted, resampling, rng)
    fits = fit_sizes(by_number.sizes, by_number.weights)
    shares = SHARE_QUANTITIES if unit == "nm" else ()
    return Summary(
        unit=unit,
        settings=settings,
        interval_method=_method(resampling, len(fields)),
        particles=int(counted.sum()),
        left_out=int((~counted).sum()),
        images=len(fields),
        field_area=sum(field.area for field in fields),
        number_density=_per_area(weights, image_of, fields, resampling, rng),
        coverage=_per_area(
            table[f"area_{unit}2"].to_numpy(float), image_of, fields, resampling, rng
        ),
        sizes=sizes,
        fits=fits,
        fit=best_fit(fits, settings.criterion),
        nanoscale=tuple(nanoscale_share(name, sample(name), resampling, rng) for name in shares),
        floor=floor,
        needed=_needed(sizes["d50"], int(counted.sum()), len(fields), settings, resampling),
    )


def summarize_by_image(
    table: pd.DataFrame,
    fields: Sequence[FieldOfView],
    settings: Statistics,
    rng: np.random.Generator,
    floor: SizeFloor | None = None,
) -> dict[str, Summary]:
    """Return the statistics of each image by its name; raises InputError as `summarize`."""
    image_of = _image_of(table, fields)
    return {
        field.image: summarize(table.loc[image_of == index], [field], settings, stream, floor)
        for index, (field, stream) in enumerate(zip(fields, rng.spawn(len(fields)), strict=True))
    }


def _unit(table: pd.DataFrame) -> Literal["nm", "px"]:
    if "area_nm2" in table:
        return "nm"
    if "area_px2" in table:
        return "px"
    raise InputError(
        "the table has neither a column area_nm2 nor area_px2; make it with `nanorender measure`"
    )


def _image_of(table: pd.DataFrame, fields: Sequence[FieldOfView]) -> np.ndarray:
    """Return the index of each particle's field."""
    names = [field.image for field in fields]
    if "image" not in table:
        if len(fields) != 1:
            raise InputError(
                f"{len(fields)} images, but the table has no column 'image' that says which "
                "particle is from which; add it"
            )
        return np.zeros(len(table), int)
    index = pd.Index(names).get_indexer(pd.Index(table["image"]))
    if (index < 0).any():
        missing = table["image"].to_numpy()[index < 0][0]
        raise InputError(f"particles of '{missing}', but the images are {names}")
    return np.asarray(index, int)


def _method(resampling: Resampling, images: int) -> str:
    level = f"{100 * resampling.confidence:g} % percentile bootstrap, {resampling.count} resamples"
    if resampling.unit == "images":
        return f"{level} of whole images"
    reason = "one image" if images == 1 else f"only {images} images"
    return f"{level} of single particles ({reason}: differences between images are not in it)"


def _per_area(
    amounts: np.ndarray,
    image_of: np.ndarray,
    fields: Sequence[FieldOfView],
    resampling: Resampling,
    rng: np.random.Generator,
) -> Estimate:
    """Return the sum of the particles' amounts per area of the fields.

    Over images the interval is a bootstrap of the ratio. Within images the number of particles is
    taken as Poisson: exact for equal amounts (Garwood, Biometrika 28 (1936) 437), and with the
    effective number sum^2 / sum of squares for others.
    """
    area = np.array([field.area for field in fields])
    held = np.bincount(image_of, amounts, len(fields))
    total, whole = float(held.sum()), float(area.sum())
    value = total / whole
    if resampling.unit == "images":
        counts = draw_counts(rng, resampling.count, len(fields))
        return Estimate(value, *interval(counts @ held / (counts @ area), resampling))
    if total == 0:
        return Estimate(0.0, 0.0, float("nan"))
    count = total**2 / float((amounts**2).sum())
    low, high = resampling.tails
    least, most = chi2.ppf(low, 2 * count) / 2, chi2.ppf(high, 2 * count + 2) / 2
    return Estimate(value, value * float(least) / count, value * float(most) / count)


def _needed(
    median: Estimate, particles: int, images: int, settings: Statistics, resampling: Resampling
) -> Needed:
    """Return what the median's interval needs: its width falls with the root of the number."""
    units = images if resampling.unit == "images" else particles
    if units < 2 or not median.high > median.low:
        return Needed(None, None)
    half_width = (median.high - median.low) / 2 / median.value
    factor = (half_width / settings.target) ** 2
    return Needed(
        max(math.ceil(particles * factor) - particles, 0),
        max(math.ceil(images * factor) - images, 0),
    )

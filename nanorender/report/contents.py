"""What the page of a report says: images, scores, particles, parameters, as tables of text."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np

from nanorender.measuring.measure import MEASUREMENTS
from nanorender.report import page
from nanorender.report.findings import Findings
from nanorender.report.page import Cells, Page
from nanorender.scoring.results import ImageResult
from nanorender.scoring.scores import MIN_TRUE_AREA_PX, LabelScores

LIBRARIES = (
    "nanorender",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "numba",
    "pandas",
    "matplotlib",
    "roifile",
)
# Columns of the particle table that the page shows, without their unit; the CSV file has them all.
SHOWN = (
    "equivalent_diameter",
    "min_feret",
    "max_feret",
    "inscribed_diameter",
    "area",
    "circularity",
    "aspect_ratio",
    "touches_frame",
)
CONTACTS = (
    ("neighbors", "number of particles in contact"),
    ("agglomerate", "number of the group that hangs together by contacts"),
)
SCORING = (
    "Pixels: agreement of foreground and background; mean of the images. Particles: one-to-one "
    f"matching at an intersection over union of 0.5; true regions of less than {MIN_TRUE_AREA_PX} "
    "pixels are left out. Found / true is the ratio of the counts, 1 at best."
)
FILES = (
    ("summary.json", "every figure of this page, for programs"),
    ("statistics.csv", "the statistics of every image and sample and of all, with intervals"),
    ("particles.csv", "one row per particle, all columns, units in their names"),
    ("figures/", "the figures as PNG and SVG, the numbered overlays as PNG"),
    ("rois/", "outlines of the particles of each image, for ImageJ's ROI Manager"),
)


@dataclass(frozen=True)
class Provenance:
    """What a reader needs in order to repeat the study.

    `parameters` are those of every stage by name (nested mappings become dotted names); `versions`
    are those of anything beyond the libraries of the analysis, such as the model file.
    """

    title: str
    command: str
    parameters: Mapping[str, object]
    versions: Mapping[str, str] = field(default_factory=dict)


def versions(provenance: Provenance) -> dict[str, str]:
    """Return the versions of everything that took part."""
    return {name: version(name) for name in LIBRARIES} | dict(provenance.versions)


def contents(
    results: Sequence[ImageResult],
    found: Findings,
    provenance: Provenance,
    plots: Sequence[page.Plot],
) -> Page:
    """Return everything that the page says."""
    columns = [
        name
        for stem in SHOWN
        for name in results[0].table.columns
        if name in (stem, f"{stem}_nm", f"{stem}_px", f"{stem}_nm2", f"{stem}_px2")
    ]
    pictures = [page.picture(r.name, _extent(r), r.image, r.labels) for r in results]
    rows = page.particle_rows([result.table for result in results], pictures, columns)
    count = sum(len(result.table) for result in results)
    hidden = f" The first {len(rows)} of {count} are shown." if len(rows) < count else ""
    images = "1 image" if len(results) == 1 else f"{len(results)} images"
    scores = {each.name: each.scores for each in results if each.scores is not None}
    return Page(
        title=provenance.title,
        subtitle=f"{count} particles in {images}",
        notes=found.notes,
        interval=found.interval,
        key_figures=found.key_figures,
        plots=plots,
        pictures=pictures,
        images=_image_table(results),
        groups=found.groups,
        scores=_score_table(scores) if scores else None,
        scoring=SCORING,
        particle_columns=columns,
        rows=rows,
        remark=f"All columns are in particles.csv.{hidden}",
        definitions=Cells(("Column", "Meaning"), _definitions(results[0].pixel_size_nm)),
        parameters=Cells(("Parameter", "Value"), _flattened(provenance.parameters)),
        versions=Cells(("Software", "Version"), list(versions(provenance).items())),
        command=provenance.command,
        files=Cells(("File", "Content"), FILES),
    )


def _definitions(pixel_size_nm: float | None) -> list[tuple[str, str]]:
    """Return what each column of the particle table means: the first line of its function."""
    meanings = []
    for measurement in MEASUREMENTS:
        sentence = (inspect.getdoc(measurement.function) or "").partition("\n")[0]
        meaning = sentence.removeprefix("Return ").removesuffix(".").replace("`", "")
        meaning = meaning[:1].lower() + meaning[1:]
        meanings.append((measurement.column(pixel_size_nm), meaning))
    return [*meanings, *CONTACTS]


def _extent(result: ImageResult) -> str:
    """Return the size of an image in words."""
    height, width = result.image.shape
    if result.pixel_size_nm is None:
        return f"{width} x {height} pixels of unknown size"
    across = result.pixel_size_nm * width / 1000
    return f"{width} x {height} pixels, {across:.3g} x {across * height / width:.3g} \u00b5m"


def _image_table(results: Sequence[ImageResult]) -> Cells:
    """Return one row per image: its scale, its particles and their median size."""
    rows = []
    for result in results:
        covered = np.count_nonzero(result.labels) / result.labels.size
        size = next(name for name in result.table.columns if name.startswith(SHOWN[0]))
        unit = size.rsplit("_", 1)[1]
        median = page.number(result.table[size].median())
        rows.append(
            (
                result.name,
                "unknown" if result.pixel_size_nm is None else f"{result.pixel_size_nm:.6g}",
                result.pixel_size_source,
                page.number(len(result.table)),
                page.number(np.count_nonzero(result.table["touches_frame"])),
                f"{100 * covered:.1f} %",
                f"{median} {unit}" if median else "",
            )
        )
    columns = ("Image", "Pixel size (nm)", "taken from", "Particles", "touching the frame")
    return Cells((*columns, "Area covered", "Median equivalent diameter"), rows)


def _score_table(scores: Mapping[str, LabelScores]) -> Cells:
    """Return the scores of each image by name, and their mean."""
    columns = ("precision", "recall", "accuracy", "F1", "precision", "recall", "F1", "found / true")
    values = {name: _score_values(each) for name, each in scores.items()}
    values["mean"] = list(np.mean(list(values.values()), axis=0))
    kinds = ["pixel "] * 4 + ["particle "] * 3 + [""]
    names = [kind + column for kind, column in zip(kinds, columns, strict=True)]
    rows = [(name, *(f"{value:.3f}" for value in row)) for name, row in values.items()]
    return Cells(("Image", *names), rows)


def _score_values(scores: LabelScores) -> list[float]:
    """Return the scores of one image in the order of the columns."""
    pixels, objects = scores.pixels, scores.objects
    found = objects.n_predicted / objects.n_truth if objects.n_truth else math.nan
    by_pixel = [pixels.precision, pixels.recall, pixels.accuracy, pixels.f1]
    return [*by_pixel, objects.precision, objects.recall, objects.f1, found]


def _flattened(parameters: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested parameters as dotted names and printed values."""
    flat = []
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat += _flattened(value, f"{prefix}{name}.")
        else:
            flat.append((prefix + name, str(value)))
    return flat

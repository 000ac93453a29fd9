"""A study: the label maps of a folder, measured, compared with annotations and summarized."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanorender import __version__
from nanorender.errors import InputError
from nanorender.files.annotation import find_truth
from nanorender.files.atomic import aside, write_text
from nanorender.files.segmentation import find_label_maps, read_record, read_segmented
from nanorender.measuring.measure import measure
from nanorender.report.contents import Provenance
from nanorender.report.report import report
from nanorender.report.results import Comparison, ImageResult, compare, particle_table
from nanorender.statistics.groups import samples_by_name, summarize_groups
from nanorender.statistics.sampling import FieldOfView, SizeFloor, size_floor
from nanorender.statistics.summary import Statistics, summarize

VERSIONS = {"nanorender": __version__}


class Heading(NamedTuple):
    """What a report is called, the command that made it, and how images make samples.

    samples: regular expression that finds the sample in an image's name; None for no samples
    """

    title: str
    command: str
    samples: str | None = None


def read_results(
    labels: Path,
    truth: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[ImageResult]:
    """Return the label maps in a folder with their particles measured.

    Maps that `nanorender segment` wrote are shown over their micrograph; those from elsewhere are
    shown alone, and take their pixel size from the TIFF's own calibration.

    Parameters
    ----------
    labels : folder of label maps
    truth : folder or suffix of the annotations, as in `collection.Reading`
    on_progress : is called with how many maps are done, and of how many

    Raises
    ------
    InputError
        If the folder holds no label maps, or a file does not fit the others.
    """
    paths = find_label_maps(labels)
    results = []
    for path in paths:
        on_progress(len(results), len(paths))
        results.append(image_result(path, truth))
    on_progress(len(results), len(paths))
    return results


def image_result(path: Path, truth: str | None) -> ImageResult:
    """Return one label map with its particles measured; raises InputError as `read_results`."""
    labels, micrograph = read_segmented(path)
    size_nm = micrograph.pixel_size_nm
    annotated = None if truth is None else find_truth(micrograph, truth)
    return ImageResult(
        name=path.stem,
        image=micrograph.image,
        labels=labels,
        pixel_size_nm=size_nm,
        pixel_size_source=micrograph.pixel_size_source,
        table=measure(labels, size_nm, micrograph.image),
        comparison=None if annotated is None else compare(labels, annotated, size_nm),
    )


def write_table(results: Sequence[ImageResult], path: Path) -> None:
    """Write the particles of all images, as Parquet where the name ends so, as CSV else.

    Raises
    ------
    InputError
        If the file cannot be written, or pyarrow, which Parquet needs, is not installed.
    """
    write_frame(particle_table(results), path)


def write_frame(table: pd.DataFrame, path: Path) -> None:
    """Write a table of particles as `write_table`; raises InputError as it does."""
    if path.suffix.lower() != ".parquet":
        write_text(path, table.to_csv(index=False))
        return
    if find_spec("pyarrow") is None:
        raise InputError(f"{path} needs pyarrow: pip install 'nanorender[parquet]', or write a CSV")
    with aside(path) as part:
        table.to_parquet(part, engine="pyarrow", index=False)


def write_report(
    labels: Path,
    results: Sequence[ImageResult],
    folder: Path,
    heading: Heading,
    settings: Statistics,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the report on a folder of label maps; return the path of its page.

    Parameters
    ----------
    labels : the folder, whose records say how the maps were made
    results : what `read_results` returned for it
    folder : of the report
    heading : title of the page and the command that made it
    settings : the size that is reported, weighting, frame correction, intervals
    on_progress : is called with how many images are drawn, and of how many

    Raises
    ------
    InputError
        If the folder holds other files or cannot be written.
    """
    fields = [
        FieldOfView(result.name, result.image.shape[1], result.image.shape[0], result.pixel_size_nm)
        for result in results
    ]
    # Intervals come from resampling: a fixed seed gives the same report every time.
    rng = np.random.default_rng(0)
    table = particle_table(results)
    summary = summarize(table, fields, settings, rng, _floor(labels))
    names = [result.name for result in results]
    sample_of = {} if heading.samples is None else samples_by_name(names, heading.samples)
    groups = summarize_groups(table, fields, sample_of, settings, summary)
    parameters = _separation(labels) | {"statistics": settings.model_dump(mode="json")}
    provenance = Provenance(heading.title, heading.command, parameters, VERSIONS)
    return report(folder, results, groups, provenance, on_progress)


def score_lines(results: Sequence[ImageResult]) -> list[str]:
    """Return a line on each annotated image and one on their mean: how the labels agree."""
    scored = [(result.name, result.comparison) for result in results if result.comparison]
    rows = [(name, _scores(comparison)) for name, comparison in scored]
    if len(rows) > 1:
        mean = {key: float(np.mean([row[key] for _, row in rows])) for key in rows[0][1]}
        rows.append(("mean", mean))
    return [
        f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in row.items())
        for name, row in rows
    ]


def _scores(comparison: Comparison) -> dict[str, float]:
    pixels, objects = comparison.pixels, comparison.objects
    return {
        "pixel precision": pixels.precision,
        "recall": pixels.recall,
        "accuracy": pixels.accuracy,
        "F1": pixels.f1,
        "object F1@0.5": objects.f1,
        "found/true": objects.n_predicted / max(objects.n_truth, 1),
    }


def _floor(labels: Path) -> SizeFloor | None:
    """Return the size under which nothing could be seen, the largest of a folder's label maps.

    None where the maps come from elsewhere, so that nobody knows how they were made.
    """
    records = [read_record(path) for path in find_label_maps(labels)]
    floors = [
        size_floor(
            record.pixel_size_nm,
            int(record.separation.get("area_opening_px", 0)),
            float(record.separation.get("grow_px", 0.0)),
            record.least_trained_nm,
        )
        for record in records
        if record is not None
    ]
    return max(floors, key=lambda floor: floor.value, default=None)


def _separation(labels: Path) -> dict[str, object]:
    """Return how the label maps of a folder were made; empty if they come from elsewhere."""
    record = read_record(find_label_maps(labels)[0])
    if record is None:
        return {}
    return {
        "separation": record.separation,
        "model_sha256": record.model_sha256,
        "training_pixel_sizes_nm": record.training_pixel_sizes_nm,
    }

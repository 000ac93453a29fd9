"""The report of a study: an HTML page with figures, tables and outlines as files beside it."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pandas as pd

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_folder
from nanorender.provenance.record import RECORD_NAME
from nanorender.report.corrected import CorrectedSection, detection_curve
from nanorender.report.excerpt import MAX_IMAGE_ROWS, pictured_images
from nanorender.report.figures import (
    comparable_true_sizes,
    cumulative_curve,
    numbered_overlay,
    save,
    save_pixels,
    size_histogram,
)
from nanorender.report.page import (
    Provenance,
    inline_svg,
    library_versions,
    render_page,
    unsure_labels,
)
from nanorender.report.picture import Picture, picture
from nanorender.report.rois import write_rois
from nanorender.scoring.plausibility import doubts
from nanorender.scoring.results import ImageResult, particle_tables
from nanorender.statistics.groups import Group, statistics_tables
from nanorender.statistics.summary import Summary

TABLES = ("summary.json", "statistics.csv", "particles.csv")
FILES = frozenset((*TABLES, "index.html", "figures", "rois", RECORD_NAME))
PLOTS = {"size_histogram": size_histogram, "cumulative_curve": cumulative_curve}


def report(
    folder: Path,
    results: Sequence[ImageResult],
    groups: Iterable[Group],
    provenance: Provenance,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    corrected: CorrectedSection | None = None,
) -> Path:
    """Write a report: index.html, tables, figures and outlines for ImageJ.

    The folder appears once all files are written. An earlier report in it is replaced.

    Parameters
    ----------
    folder : of the report
    results : images with their particle tables; the pixels are read one image at a time
    groups : size statistics of every image, sample and all images, in this order
    provenance : title, command and parameters
    on_progress : called with the number of images drawn and their total
    corrected : corrections by twins, if there are any

    Returns
    -------
    path of the page, index.html

    Raises
    ------
    InputError
        If there is no image, two images have the same name, a label map has changed since it was
        measured, or `folder` holds other files.
    """
    _check(folder, results)
    with atomic_folder(folder) as part:
        _write(part, results, groups, provenance, on_progress, corrected)
    return folder / "index.html"


def _check(folder: Path, results: Sequence[ImageResult]) -> None:
    """Raise InputError unless the report can be written."""
    if not results:
        raise InputError("a report needs at least one image; check the folder of label maps")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose a folder for the report")
    others = {path.name for path in folder.iterdir()} - FILES if folder.is_dir() else ()
    if others:
        raise InputError(
            f"{folder} contains {min(others)}, which is not part of a report; choose a new folder "
            "or one with an earlier report"
        )
    name, images = Counter(result.name for result in results).most_common(1)[0]
    if images > 1:
        raise InputError(f"{images} images are named '{name}'; rename them")


def _write(
    folder: Path,
    results: Sequence[ImageResult],
    groups: Iterable[Group],
    provenance: Provenance,
    on_progress: Callable[[int, int], None],
    corrected: CorrectedSection | None,
) -> None:
    """Write all files of the report into a new folder."""
    # Compute the statistics, of which the page lists the first.
    listed: list[Group] = []
    _write_csv(folder / "statistics.csv", statistics_tables(_list_first(groups, listed)))
    # Draw the figures.
    summary = listed[-1].summary
    drawings, rois = folder / "figures", folder / "rois"
    drawings.mkdir(parents=True)
    rois.mkdir()
    true_sizes = comparable_true_sizes(results, summary)
    elements = {}
    plots = {name: plot(summary, true_sizes) for name, plot in PLOTS.items()}
    if corrected is not None and corrected.study.detection:
        study = corrected.study
        plots["detection_curve"] = detection_curve(study.detection, study.unit)
    for name, figure in plots.items():
        save(figure, drawings / name)
        svg = (drawings / f"{name}.svg").read_text(encoding="utf-8")
        elements[name] = inline_svg(name, svg)
    # Draw the particles of each image, one at a time.
    pictured = frozenset(pictured_images(results))
    pictures: dict[int, Picture] = {}
    for index, result in enumerate(results):
        on_progress(index, len(results))
        image, labels = result.read_pixels()
        figure = numbered_overlay(image, labels, result.pixel_size_nm, result.struck_out)
        save_pixels(figure, drawings / f"{result.name}_overlay.png")
        write_rois(rois / f"{result.name}.zip", labels, result.origin_px)
        if index in pictured:
            unsure = unsure_labels(result)
            pictures[index] = picture(
                image, labels, result.pixel_size_nm, unsure, result.struck_out
            )
    # Write the tables and the page.
    _write_csv(folder / "particles.csv", particle_tables(results))
    with (folder / "summary.json").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_record(results, summary, provenance, corrected))
    page = render_page(results, listed, provenance, elements, pictures, corrected)
    (folder / "index.html").write_text(page, encoding="utf-8", newline="\n")
    on_progress(len(results), len(results))


def _write_csv(path: Path, tables: Iterable[pd.DataFrame]) -> None:
    """Write tables with the same columns one below the other."""
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, table in enumerate(tables):
            table.to_csv(file, index=False, header=number == 0, lineterminator="\n")


def _list_first(groups: Iterable[Group], listed: list[Group]) -> Iterator[Group]:
    """Pass groups on, and list those that are not too many for the page."""
    count: Counter[str] = Counter()
    for group in groups:
        count[group.level] += 1
        if count[group.level] <= MAX_IMAGE_ROWS:
            listed.append(group)
        yield group


def _record(
    results: Sequence[ImageResult],
    summary: Summary,
    provenance: Provenance,
    corrected: CorrectedSection | None,
) -> Iterator[str]:
    """Parts of summary.json, one an image; unknown numbers are null."""
    before = {
        "title": provenance.title,
        "summary": summary.to_dict(),
        "corrected": corrected and asdict(corrected.study),
        "doubts": doubts(results, summary.settings.frame_correction),
    }
    after = {
        "parameters": provenance.parameters,
        "versions": library_versions(),
        "command": provenance.command,
    }
    yield _json_text(before).removesuffix("\n}") + ',\n  "images": ['
    for index, result in enumerate(results):
        text = _json_text(_image_record(result))
        yield ("," if index else "") + indent("\n" + text, 4 * " ")
    yield "\n  ]," + _json_text(after).removeprefix("{") + "\n"


def _image_record(result: ImageResult) -> dict[str, object]:
    """Collect what summary.json says of one image."""
    return {
        "name": result.name,
        "particles": result.n_particles,
        "edited": result.edited,
        "struck_out": sorted(result.struck_out),
        "corrections": result.corrections
        and result.corrections.model_dump(exclude={"labels_sha256", "unchanged"}),
        "width_px": result.shape[1],
        "height_px": result.shape[0],
        "pixel_size_nm": result.pixel_size_nm,
        "pixel_size_source": result.pixel_size_source,
        "acquisition": result.acquisition._asdict(),
        "pixel_scores": result.scores and asdict(result.scores.pixels),
        "object_scores": result.scores and asdict(result.scores.objects),
    }


def _json_text(value: object) -> str:
    """Format a value as JSON."""
    return json.dumps(_json_value(value), indent=2, allow_nan=False)


def _json_value(value: object) -> Any:
    """Convert to the types of JSON."""
    match value:
        case Mapping():
            return {str(name): _json_value(part) for name, part in value.items()}
        case list() | tuple() | np.ndarray():
            return [_json_value(part) for part in value]
        case np.generic():
            return _json_value(value.item())
        case float():
            return value if math.isfinite(value) else None
        case str() | int() | bool() | None:
            return value
        case _:
            return str(value)

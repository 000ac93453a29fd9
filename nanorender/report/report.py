"""The report of a study: an HTML page, with its figures, tables and outlines as files beside it."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_folder
from nanorender.provenance.record import RECORD_NAME
from nanorender.report import figures, page
from nanorender.report.contents import Provenance, contents, versions
from nanorender.report.findings import Findings, findings
from nanorender.report.rois import write_rois
from nanorender.scoring.results import ImageResult, particle_table
from nanorender.statistics.groups import Groups, statistics_table

TABLES = ("summary.json", "statistics.csv", "particles.csv")
FILES = frozenset((*TABLES, "index.html", "figures", "rois", RECORD_NAME))


def report(
    folder: Path,
    results: Sequence[ImageResult],
    groups: Groups,
    provenance: Provenance,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the report into `folder` and return the path of its page, `index.html`.

    Beside the page come summary.json, statistics.csv, particles.csv, figures/ (PNG and SVG) and
    rois/ (ImageJ).
    The folder appears when all of it is written; an earlier report in its place is replaced.
    `on_progress` is called with how many images are drawn, and of how many.

    Raises
    ------
    InputError
        If there is no image, two images have the same name, or `folder` holds other files.
    """
    _check(folder, results)
    with atomic_folder(folder) as part:
        _write(part, results, groups, provenance, on_progress)
    return folder / "index.html"


def _check(folder: Path, results: Sequence[ImageResult]) -> None:
    """Raise InputError unless the report can be written."""
    if not results:
        raise InputError("a report needs at least one image; check the folder of labels")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder for the report")
    others = {path.name for path in folder.iterdir()} - FILES if folder.is_dir() else ()
    if others:
        raise InputError(
            f"{folder} holds {min(others)}, which is no report's; name a new folder or an earlier "
            "report's"
        )
    name, images = Counter(result.name for result in results).most_common(1)[0]
    if images > 1:
        raise InputError(f"several images are named '{name}'; rename them to tell them apart")


def _write(
    folder: Path,
    results: Sequence[ImageResult],
    groups: Groups,
    provenance: Provenance,
    on_progress: Callable[[int, int], None],
) -> None:
    """Write all files of the report into a new folder."""
    found = findings(groups, results)
    drawings, rois = folder / "figures", folder / "rois"
    drawings.mkdir(parents=True)
    rois.mkdir()
    figures.save(figures.size_histogram(found.sizes), drawings / "size_histogram")
    figures.save(figures.cumulative_curve(found.sizes), drawings / "cumulative_curve")
    for done, result in enumerate(results):
        on_progress(done, len(results))
        overlay = figures.numbered_overlay(result.image, result.labels)
        figures.save_pixels(overlay, drawings / f"{result.name}_overlay.png")
        write_rois(rois / f"{result.name}.zip", result.labels)
    particle_table(results).to_csv(folder / "particles.csv", index=False)
    statistics_table(groups).to_csv(folder / "statistics.csv", index=False)
    record = json.dumps(_record(results, found, provenance), indent=2, allow_nan=False)
    (folder / "summary.json").write_text(record + "\n", encoding="utf-8")
    plots = [
        page.plot(name, (drawings / f"{name}.svg").read_text(encoding="utf-8"), *words)
        for name, words in found.captions.items()
    ]
    text = page.html(contents(results, found, provenance, plots))
    (folder / "index.html").write_text(text, encoding="utf-8")
    on_progress(len(results), len(results))


def _record(
    results: Sequence[ImageResult], found: Findings, provenance: Provenance
) -> dict[str, object]:
    """Return what summary.json holds: numbers that are not known are null."""
    images = [
        {
            "name": result.name,
            "particles": len(result.table),
            "width_px": result.image.shape[1],
            "height_px": result.image.shape[0],
            "pixel_size_nm": result.pixel_size_nm,
            "pixel_size_source": result.pixel_size_source,
            "pixel_scores": result.scores and asdict(result.scores.pixels),
            "object_scores": result.scores and asdict(result.scores.objects),
        }
        for result in results
    ]
    record = {
        "title": provenance.title,
        "summary": found.record,
        "images": images,
        "parameters": provenance.parameters,
        "versions": versions(provenance),
        "command": provenance.command,
    }
    return _plain(record)


def _plain(value: object) -> Any:
    """Return the value in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)

"""The HTML page of a report: one self-contained file with its pictures, tables and script."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from nanorender.correction.correction_table import TITLES, unit_of
from nanorender.measuring.measure import PARTLY_HIDDEN, column_descriptions
from nanorender.measuring.sizes import SIZE_QUANTITIES
from nanorender.report.browserdata import browser_data, has_all_particles
from nanorender.report.corrected import CorrectedSection
from nanorender.report.excerpt import MAX_IMAGE_ROWS, MAX_PARTICLES, MAX_ROWS
from nanorender.report.figures import INK, shown_fit
from nanorender.report.formatting import FILTERS
from nanorender.report.overlay import palette
from nanorender.report.picture import Picture
from nanorender.report.recall import recall_sentences
from nanorender.scoring.plausibility import UNSURE, doubts
from nanorender.scoring.results import ImageResult, particle_table
from nanorender.scoring.scores import MIN_TRUE_AREA_PX
from nanorender.statistics.bootstrap import FEW_PARTICLES, STATISTICS
from nanorender.statistics.frame import FRAME_RULES
from nanorender.statistics.groups import Group
from nanorender.statistics.nanoscale import DECISIVE_SHARE, LIMIT_NM
from nanorender.statistics.summary import SHARE_QUANTITIES

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("formatting.js", "statistics.js", "pictures.js", "particles.js", "main.js")
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
# Columns of the particle table in the page, without their unit; the CSV file has all columns.
PAGE_COLUMNS = (
    "equivalent_diameter",
    "min_feret",
    "max_feret",
    "inscribed_diameter",
    "area",
    "circularity",
    "aspect_ratio",
    "touches_frame",
    "visible_share",
    "confidence",
)


class Section(NamedTuple):
    """A section of the page, written by the template sections/NAME.html.jinja.

    Attributes
    ----------
    name : of the template, and target of links
    title : text of the link to it
    """

    name: str
    title: str


# To add a section, write its template, add a line, and pass what it shows in `render_page`.
SECTIONS = (
    Section("answer", "Result"),
    Section("corrected", "Corrected sizes"),
    Section("images", "Images"),
    Section("particles", "Particles"),
    Section("sizes", "All quantities"),
    Section("scores", "Scores"),
    Section("methods", "Methods"),
    Section("files", "Files"),
)


class Condition(NamedTuple):
    """A column of the conditions of acquisition in the table of images.

    Attributes
    ----------
    field : of `Acquisition`
    title : heading
    """

    field: str
    title: str


CONDITIONS = (
    Condition("working_distance_mm", "Working distance (mm)"),
    Condition("voltage_kv", "Voltage (kV)"),
    Condition("magnification", "Magnification"),
    Condition("date", "Date"),
)


@dataclass(frozen=True)
class Provenance:
    """Information needed to repeat a study.

    Attributes
    ----------
    title : heading of the report
    command : command line that wrote the report
    parameters : parameters of every stage by name, possibly nested
    """

    title: str
    command: str
    parameters: Mapping[str, object]


def library_versions() -> dict[str, str]:
    """List the installed versions of the libraries that the analysis uses.

    Returns
    -------
    version by name
    """
    return {name: version(name) for name in LIBRARIES}


def unsure_labels(result: ImageResult) -> frozenset[int]:
    """Find the particles of an image whose confidence is below `UNSURE`.

    Parameters
    ----------
    result : image with its particle table

    Returns
    -------
    their labels
    """
    table = result.table
    return frozenset(table.loc[table["confidence"] < UNSURE, "label"].tolist())


def inline_svg(name: str, svg: str) -> Markup:
    """Prepare an SVG file of matplotlib for a page, in the colors of the page's text and paper.

    Parameters
    ----------
    name : prefix of the identifiers, which must be unique in a page
    svg : text of the file

    Returns
    -------
    the <svg> element
    """
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", drawing)
    drawing = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    return Markup(drawing.replace(INK, "currentColor").replace("#ffffff", "none"))


def render_page(
    results: Sequence[ImageResult],
    groups: Sequence[Group],
    provenance: Provenance,
    figures: Mapping[str, Markup],
    pictures: Mapping[int, Picture],
    corrected: CorrectedSection | None = None,
) -> str:
    """Render the page of a report.

    Parameters
    ----------
    results : images with their particle tables
    groups : size statistics of the images and samples to list, then of all images
    provenance : title, command and parameters
    figures : <svg> elements "size_histogram" and "cumulative_curve"; "detection_curve" with twins
    pictures : of one or more images to show, by their index; the particle table is of these
    corrected : corrections by twins, if there are any

    Returns
    -------
    HTML, with every text escaped
    """
    summary = groups[-1].summary
    table = particle_table([results[index] for index in pictures])
    columns = [
        name
        for stem in PAGE_COLUMNS
        for name in table.columns
        if name in (stem, f"{stem}_{summary.unit}", f"{stem}_{summary.unit}2")
    ]
    rows = table.loc[:, ["image", "label", *columns]].head(MAX_ROWS)
    most = max((each.color for shown in pictures.values() for each in shown.outlines), default=0)
    kept = np.concatenate([result.kept_table["confidence"].to_numpy(float) for result in results])
    score_rows = _score_rows(results)
    absent = {"scores"} if not score_rows else set()
    absent |= {"corrected"} if corrected is None else set()
    return page_template(TEMPLATES / "report.html.jinja").render(
        sections=[each for each in SECTIONS if each.name not in absent],
        corrected=corrected,
        corrected_titles=TITLES,
        unit_of=unit_of,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=_script(),
        data=browser_data(results, summary, pictures),
        provenance=provenance,
        summary=summary,
        groups=groups,
        results=results,
        score_rows=score_rows,
        n_scored=sum(result.scores is not None for result in results),
        max_image_rows=MAX_IMAGE_ROWS,
        max_particles=MAX_PARTICLES,
        is_complete=has_all_particles(results),
        pictures=pictures,
        figures=figures,
        fit=shown_fit(summary),
        columns=columns,
        doubts=doubts(results, summary.settings.frame_correction),
        edited=[result.name for result in results if result.edited],
        recall=recall_sentences(
            results, SHARE_QUANTITIES[0], corrected, summary.settings.frame_correction
        )
        if summary.nanoscale
        else [],
        conditions=[
            condition
            for condition in CONDITIONS
            if any(getattr(result.acquisition, condition.field) is not None for result in results)
        ],
        unsure=UNSURE,
        n_known=int(np.count_nonzero(~np.isnan(kept))),
        n_unsure=int(np.count_nonzero(kept < UNSURE)),
        n_hidden=_count_partly_hidden(results, summary.settings.quantity),
        min_confidence=provenance.parameters.get("min_confidence"),
        rows=list(rows.itertuples(index=False, name=None)),
        n_pictured=len(table),
        n_particles=sum(result.n_particles for result in results),
        image_index={results[index].name: index for index in pictures},
        struck_out={results[index].name: results[index].struck_out for index in pictures},
        definitions=column_descriptions(results[0].pixel_size_nm),
        versions=library_versions(),
        colors=["#" + bytes(color).hex() for color in palette(most + 1)],
        statistics=STATISTICS,
        size_names=SIZE_QUANTITIES,
        frame_rule=FRAME_RULES[summary.settings.frame_correction],
        limit_nm=LIMIT_NM,
        decisive_share=DECISIVE_SHARE,
        few_particles=FEW_PARTICLES,
        min_true_area_px=MIN_TRUE_AREA_PX,
    )


def _script() -> Markup:
    """Join the scripts of the page."""
    return Markup("\n").join(
        Markup((TEMPLATES / "scripts" / name).read_text(encoding="utf-8")) for name in SCRIPTS
    )


def page_template(path: Path) -> jinja2.Template:
    """Load the template of a page: texts are escaped, and a missing variable is an error.

    Parameters
    ----------
    path : of the template

    Returns
    -------
    the template
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(FILTERS)
    return environment.get_template(path.name)


def _count_partly_hidden(results: Sequence[ImageResult], quantity: str) -> int:
    """Count the particles that lie partly under others.

    Dark ones are seen through each other, and count only where their sizes are completed.
    """
    completed = quantity == "amodal_diameter"
    return sum(
        int(np.count_nonzero(result.kept_table["visible_share"] < PARTLY_HIDDEN))
        for result in results
        if completed or not (len(result.contrasts) and np.median(result.contrasts) < 0)
    )


def _score_rows(results: Sequence[ImageResult]) -> dict[str, np.ndarray]:
    """Scores of each annotated image and their mean, in the order of the page's columns."""
    rows = {}
    for result in results:
        if result.scores is not None:
            pixels, objects = result.scores.pixels, result.scores.objects
            ratio = objects.n_predicted / objects.n_truth if objects.n_truth else float("nan")
            by_pixel = (pixels.precision, pixels.recall, pixels.accuracy, pixels.f1)
            by_particle = (objects.precision, objects.recall, objects.f1, ratio)
            rows[result.name] = np.array(by_pixel + by_particle)
    first = dict(islice(rows.items(), MAX_IMAGE_ROWS))
    return first | {"mean": np.mean(list(rows.values()), axis=0)} if rows else {}

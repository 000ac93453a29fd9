"""The HTML page of a report: one self-contained file with its pictures, tables and script."""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import jinja2
import numpy as np
from jaxtyping import Int, Integer
from markupsafe import Markup

from nanorender.measuring.measure import column_descriptions
from nanorender.measuring.sizes import SIZE_QUANTITIES
from nanorender.report.figures import INK, shown_fit
from nanorender.report.formatting import FILTERS
from nanorender.report.overlay import neighbor_colors, number_places, palette, to_uint8
from nanorender.report.rois import outlines, svg_path
from nanorender.scoring.plausibility import UNSURE, doubts
from nanorender.scoring.results import ImageResult, particle_table
from nanorender.scoring.scores import MIN_TRUE_AREA_PX
from nanorender.statistics.bootstrap import STATISTICS
from nanorender.statistics.frame import FRAME_RULES
from nanorender.statistics.groups import Group
from nanorender.statistics.nanoscale import DECISIVE_SHARE, LIMIT_NM

LARGEST_PX = 2048  # micrographs with a longer side are reduced to this size in the page
JPEG_QUALITY = 88
MAX_ROWS = 10_000  # of the particle table in the page; the CSV file has them all
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
    "confidence",
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


@dataclass(frozen=True)
class ParticleOutline:
    """Outline of a particle in an overlay, in pixels.

    Attributes
    ----------
    label : of the particle
    path : data of the SVG path
    box : bounding box as "x y width height"
    color : index into the palette
    x, y : position of the number
    unsure : whether the confidence is below `UNSURE`
    """

    label: int
    path: str
    box: str
    color: int
    x: float
    y: float
    unsure: bool = False


@dataclass(frozen=True)
class Picture:
    """A micrograph with the outlines of its particles.

    Attributes
    ----------
    width, height : size in pixels
    uri : the micrograph as a data URI
    font_size : of the numbers, in pixels
    outlines : of the particles
    """

    width: int
    height: int
    uri: str
    font_size: float
    outlines: Sequence[ParticleOutline]


def library_versions() -> dict[str, str]:
    """List the installed versions of the libraries that the analysis uses.

    Returns
    -------
    version by name
    """
    return {name: version(name) for name in LIBRARIES}


def picture(
    image: Integer[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "h w"],
    unsure: Collection[int] = (),
) -> Picture:
    """Encode a micrograph as JPEG and its particles as outlines.

    Parameters
    ----------
    image : (h, w) gray image
    labels : (h, w) label map
    unsure : labels of particles of low confidence

    Returns
    -------
    the picture
    """
    colors = neighbor_colors(labels)
    places = {int(label): (x, y) for label, x, y in number_places(labels)}
    particles = [
        ParticleOutline(
            label,
            svg_path(pieces),
            _box(pieces),
            int(colors[label]),
            *places[label],
            unsure=label in unsure,
        )
        for label, pieces in outlines(labels).items()
    ]
    height, width = image.shape
    font_size = round(max(width, height) / 90, 1)
    return Picture(width, height, _jpeg_uri(image), font_size, particles)


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


def _box(pieces: Sequence[Int[np.ndarray, "_ 2"]]) -> str:
    """Bounding box of the outlines of a particle as "x y width height" in pixels."""
    corners = np.concatenate(pieces)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return " ".join(str(value) for value in (*low, *(high - low)))


def _jpeg_uri(image: Integer[np.ndarray, "h w"]) -> str:
    """Gray image as a data URI, reduced to LARGEST_PX."""
    gray = to_uint8(image)
    reduction = LARGEST_PX / max(gray.shape)
    if reduction < 1:
        gray = cv2.resize(gray, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


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
) -> str:
    """Render the page of a report.

    Parameters
    ----------
    results : images, label maps and particle tables
    groups : size statistics of every image, sample and all images
    provenance : title, command and parameters
    figures : <svg> elements "size_histogram" and "cumulative_curve"

    Returns
    -------
    HTML, with every text escaped
    """
    summary = groups[-1].summary
    table = particle_table(results)
    columns = [
        name
        for stem in PAGE_COLUMNS
        for name in table.columns
        if name in (stem, f"{stem}_{summary.unit}", f"{stem}_{summary.unit}2")
    ]
    rows = table.loc[:, ["image", "label", *columns]].head(MAX_ROWS)
    pictures = [picture(result.image, result.labels, unsure_labels(result)) for result in results]
    most = max((each.color for shown in pictures for each in shown.outlines), default=0)
    template = page_template(Path(__file__).parent / "templates" / "report.html.jinja")
    return template.render(
        provenance=provenance,
        summary=summary,
        groups=groups,
        results=results,
        score_rows=_score_rows(results),
        pictures=pictures,
        figures=figures,
        fit=shown_fit(summary),
        columns=columns,
        doubts=doubts(results),
        unsure=UNSURE,
        n_known=int(table["confidence"].notna().to_numpy().sum()),
        n_unsure=int(np.count_nonzero(table["confidence"].to_numpy(float) < UNSURE)),
        min_confidence=provenance.parameters.get("min_confidence"),
        rows=list(rows.itertuples(index=False, name=None)),
        n_particles=len(table),
        image_index={result.name: index for index, result in enumerate(results)},
        definitions=column_descriptions(results[0].pixel_size_nm),
        versions=library_versions(),
        colors=["#" + bytes(color).hex() for color in palette(most + 1)],
        statistics=STATISTICS,
        size_names=SIZE_QUANTITIES,
        frame_rule=FRAME_RULES[summary.settings.frame_correction],
        limit_nm=LIMIT_NM,
        decisive_share=DECISIVE_SHARE,
        min_true_area_px=MIN_TRUE_AREA_PX,
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
    return rows | {"mean": np.mean(list(rows.values()), axis=0)} if rows else {}

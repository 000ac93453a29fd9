"""The HTML page of a report: one self-contained file with its pictures, table and script."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import jinja2
import numpy as np
import pandas as pd
from jaxtyping import Int, Integer
from markupsafe import Markup, escape

from nanorender.report.figures import INK
from nanorender.report.overlay import displayed, neighbor_colors, number_places, palette
from nanorender.report.rois import outlines, svg_path

LARGEST_PX = 2048  # longer sides of micrographs are reduced to this in the page
JPEG_QUALITY = 88
NUMERIC = re.compile(r"(-?[\d.,]+(e[+-]?\d+)?( ?%)?)?")
MOST_ROWS = 10_000  # of the particle table in the page; the CSV file has them all


@dataclass(frozen=True)
class Cells:
    """A table as text: names of columns, and rows of cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def is_numeric(self, column: int) -> bool:
        """Return whether the column holds numbers, so that it is set flush right."""
        cells = [row[column] for row in self.rows]
        return any(cells) and all(NUMERIC.fullmatch(cell) for cell in cells)


@dataclass(frozen=True)
class KeyFigure:
    """One figure of the summary as it is printed, and how it was obtained."""

    name: str
    value: str
    interval: str
    how: str


@dataclass(frozen=True)
class Plot:
    """A figure of the page: its drawing and a caption."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Particle:
    """One outline of an overlay, in pixels: SVG path, box "x y width height", place of number."""

    label: int
    path: str
    box: str
    color: int
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """A micrograph in the page; `extent` is its size in words."""

    name: str
    extent: str
    width: int
    height: int
    uri: str
    font_size: float
    particles: Sequence[Particle]


@dataclass(frozen=True)
class Row:
    """A row of the particle table: its image's number, its label, its box, its cells."""

    image: int
    label: int
    box: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Page:
    """Everything that the page says, as text.

    `interval` names the column of intervals; `scores` is None where no truth is known, and
    `scoring` says how they were obtained; `particle_columns` are those after image and label.
    """

    title: str
    subtitle: str
    notes: Sequence[str]
    interval: str
    key_figures: Sequence[KeyFigure]
    plots: Sequence[Plot]
    pictures: Sequence[Picture]
    images: Cells
    groups: Cells
    scores: Cells | None
    scoring: str
    particle_columns: Sequence[str]
    rows: Sequence[Row]
    remark: str
    definitions: Cells
    parameters: Cells
    versions: Cells
    command: str
    files: Cells


def number(value: object) -> str:
    """Return a value as printed: four significant digits, nothing where it is unknown."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return ""
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}".removesuffix(".")
    return "" if value is None else str(value)


def picture(
    name: str, extent: str, image: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"]
) -> Picture:
    """Return the micrograph as a JPEG and its particles as outlines."""
    colors = neighbor_colors(labels)
    places = {int(label): (x, y) for label, x, y in number_places(labels)}
    particles = [
        Particle(label, svg_path(pieces), _box(pieces), int(colors[label]), *places[label])
        for label, pieces in outlines(labels).items()
    ]
    height, width = image.shape
    font_size = round(max(width, height) / 90, 1)
    return Picture(name, extent, width, height, _jpeg_uri(image), font_size, particles)


def _box(pieces: Sequence[Int[np.ndarray, "_ 2"]]) -> str:
    """Return the box around the outlines of a particle as "x y width height" in pixels."""
    corners = np.concatenate(pieces)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return " ".join(str(value) for value in (*low, *(high - low)))


def _jpeg_uri(image: Integer[np.ndarray, "h w"]) -> str:
    """Return the gray image as a data URI, reduced where it is larger than a page needs."""
    gray = displayed(image)
    reduction = LARGEST_PX / max(gray.shape)
    if reduction < 1:
        gray = cv2.resize(gray, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def particle_rows(
    tables: Sequence[pd.DataFrame], pictures: Sequence[Picture], columns: Sequence[str]
) -> list[Row]:
    """Return the first `MOST_ROWS` rows of the particle tables, with the given columns."""
    rows = []
    for index, (table, shown) in enumerate(zip(tables, pictures, strict=True)):
        boxes = {particle.label: particle.box for particle in shown.particles}
        wanted = table.loc[:, ["label", *columns]].head(MOST_ROWS - len(rows))
        for label, *values in wanted.itertuples(index=False, name=None):
            cells = [shown.name, *map(number, values)]
            rows.append(Row(index, label, boxes[label], cells))
    return rows


def plot(name: str, svg: str, description: str, caption: str) -> Plot:
    """Return a figure in the colors of the page's text and paper, from matplotlib's SVG file.

    `name` sets its identifiers apart from those of other figures: each may occur once in a page.
    """
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", drawing)
    drawing = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    drawing = drawing.replace(INK, "currentColor").replace("#ffffff", "none")
    label = f'<svg role="img" aria-label="{escape(description)}"'
    return Plot(Markup(drawing.replace("<svg", label, 1)), caption)


def html(page: Page) -> str:
    """Return the page as HTML; every text in it is escaped."""
    most = max((p.color for shown in page.pictures for p in shown.particles), default=0)
    colors = ["#" + bytes(color).hex() for color in palette(most + 1)]
    template = page_template(Path(__file__).parent / "templates" / "report.html.jinja")
    return template.render(page=page, colors=colors)


def page_template(path: Path) -> jinja2.Template:
    """Return the template of a page: every text put into it is escaped, and none may be missing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(path.name)

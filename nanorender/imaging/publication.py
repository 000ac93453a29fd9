"""Marks and losses of published micrographs: letters, scale bars, info bars, JPEG, resampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from PIL import Image, ImageDraw, ImageFont

from nanorender.distributions import Distribution
from nanorender.settings import Fraction, Settings

PANELS = tuple("abcdefghABCDEFGH")
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500)
UNITS = ("nm", "nm", "nm", "µm", "um")
CAPTIONS = (
    "Au NPs",
    "SiO2",
    "TiO2",
    "before",
    "after",
    "300 kV",
    "inset",
    "200 °C",
    "pH 7",
    "24 h",
)
INFO = (
    "5.00 kV  8.2 mm  x 50.0k  SE(U)",
    "EHT = 3.00 kV   WD = 4.1 mm   Signal A = InLens",
    "HV 15.0 kV | mag 40 000 x | WD 10.1 mm | det ETD",
    "SU8010 3.0kV 8.2mm x20.0k",
    "200 kV  x 60000  Camera 2k",
)
FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansMono.ttf",
    "STIXGeneralBol.ttf",
)
BLACK, WHITE = 0, 255


class PublicationSettings(Settings):
    """What publication adds to images and takes from them; without this section, nothing."""

    panel_label: Fraction = 0.5
    """Probability of a panel label, such as (a), in a corner."""
    scale_bar: Fraction = 0.5
    """Probability of a scale bar with a length beside it."""
    caption: Fraction = 0.1
    """Probability of a few words."""
    arrow: Fraction = 0.05
    """Probability of each of two arrows."""
    info_bar: Fraction = 0.1
    """Probability of a bar with the microscope's settings at the lower edge."""
    jpeg_quality: Distribution | None = None
    """Quality of JPEG compression, 1 to 100; left out: none."""
    reduction: Distribution | None = None
    """Factor by which the image is reduced and enlarged again, from 1; left out: none."""


@dataclass(frozen=True)
class Box:
    """A filled rectangle, which hides the sample.

    Attributes
    ----------
    corners : left, top, right and bottom, px; all included
    level : gray level, 0 to 255
    """

    corners: tuple[int, int, int, int]
    level: int

    def draw(self, on: ImageDraw.ImageDraw) -> None:
        """Draw the rectangle.

        Parameters
        ----------
        on : canvas of an 8-bit gray image
        """
        on.rectangle(self.corners, fill=self.level)


@dataclass(frozen=True)
class Text:
    """Words in one line.

    Attributes
    ----------
    place : x and y of the upper left corner, px
    words : the text
    font : file name of a font that Matplotlib ships
    height_px : size of the font, px
    level : gray level, 0 to 255
    """

    place: tuple[int, int]
    words: str
    font: str
    height_px: int
    level: int

    def draw(self, on: ImageDraw.ImageDraw) -> None:
        """Draw the words.

        Parameters
        ----------
        on : canvas of an 8-bit gray image
        """
        on.text(self.place, self.words, font=_font(self.font, self.height_px), fill=self.level)


@dataclass(frozen=True)
class Polygon:
    """A filled polygon, such as a bar or an arrow.

    Attributes
    ----------
    points : x and y of each corner, px
    level : gray level, 0 to 255
    """

    points: tuple[tuple[int, int], ...]
    level: int

    def draw(self, on: ImageDraw.ImageDraw) -> None:
        """Draw the polygon.

        Parameters
        ----------
        on : canvas of an 8-bit gray image
        """
        on.polygon(self.points, fill=self.level)


Mark = Box | Text | Polygon


@cache
def _font(name: str, height_px: int) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path  # ships the fonts

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", name)), height_px)


def lay_out_marks(
    settings: PublicationSettings | None, shape: tuple[int, int], rng: np.random.Generator
) -> list[Mark]:
    """Choose the marks of an image.

    Parameters
    ----------
    settings : probabilities; None for no marks
    shape : rows and columns of the image
    rng : source of all choices

    Returns
    -------
    list of Mark
        Marks in the order in which they are drawn.

    Examples
    --------
    >>> settings = PublicationSettings(panel_label=0, scale_bar=0, caption=0, arrow=0, info_bar=1)
    >>> bar, text = lay_out_marks(settings, (512, 512), np.random.default_rng(0))
    >>> bar.corners[2:]
    (511, 511)
    """
    if settings is None:
        return []
    font = str(rng.choice(FONTS))
    level = WHITE if rng.random() < 0.6 else BLACK
    chances = (
        (settings.info_bar, _info_bar),
        (settings.scale_bar, _scale_bar),
        (settings.panel_label, _panel_label),
        (settings.caption, _caption),
        (settings.arrow, _arrow),
        (settings.arrow, _arrow),
    )
    marks: list[Mark] = []
    for chance, make in chances:
        if rng.random() < chance:
            marks += make(shape, font, level, rng)
    return marks


def _text_height(shape: tuple[int, int], rng: np.random.Generator) -> int:
    return max(8, round(min(shape) * float(np.exp(rng.uniform(np.log(0.025), np.log(0.09))))))


def _boxed(text: Text, rng: np.random.Generator, chance: float) -> list[Mark]:
    """Return the text, with a box of the opposite level under it by chance."""
    if rng.random() >= chance:
        return [text]
    left, top, right, bottom = _font(text.font, text.height_px).getbbox(text.words)
    x, y = text.place
    space = text.height_px // 4
    corners = (
        x + int(left) - space,
        y + int(top) - space,
        x + int(right) + space,
        y + int(bottom) + space,
    )
    return [Box(corners, WHITE - text.level), text]


def _panel_label(shape, font, level, rng) -> list[Mark]:
    height_px = _text_height(shape, rng)
    frame = str(rng.choice(["{}", "({})", "{})", "{}"]))
    words = frame.format(rng.choice(PANELS)) + str(rng.choice(["", "", "1", "2"]))
    width_px = int(_font(font, height_px).getlength(words))
    edge = int(rng.integers(2, height_px))
    left = edge if rng.random() < 0.7 else shape[1] - width_px - edge
    top = edge if rng.random() < 0.9 else shape[0] - 2 * height_px - edge
    return _boxed(Text((left, top), words, font, height_px, level), rng, 0.3)


def _scale_bar(shape, font, level, rng) -> list[Mark]:
    height_px = _text_height(shape, rng)
    length_px = int(shape[1] * rng.uniform(0.1, 0.35))
    words = f"{rng.choice(LENGTHS)} {rng.choice(UNITS)}"
    width_px = int(_font(font, height_px).getlength(words))
    thick_px = int(rng.integers(2, max(4, height_px // 2)))
    space = height_px // 3
    wide = max(length_px, width_px)
    left = int(rng.uniform(2 * space, max(2 * space + 1, shape[1] - wide - 2 * space)))
    if rng.random() < 0.8:
        left = 2 * space if rng.random() < 0.4 else max(0, shape[1] - wide - 2 * space)
    top = shape[0] - thick_px - int(rng.uniform(0.5, 2.5) * height_px)
    text_top = top - height_px - space if rng.random() < 0.7 else top + thick_px
    marks: list[Mark] = []
    if rng.random() < 0.35:
        low = max(top + thick_px, text_top + height_px) + space
        box = (left - space, min(top, text_top) - space, left + wide + space, low)
        marks.append(Box(box, WHITE - level))
    bar = left + (wide - length_px) // 2
    corners = ((bar, top), (bar + length_px, top))
    corners += ((bar + length_px, top + thick_px), (bar, top + thick_px))
    place = (left + (wide - width_px) // 2, text_top)
    return [*marks, Polygon(corners, level), Text(place, words, font, height_px, level)]


def _caption(shape, font, level, rng) -> list[Mark]:
    height_px = _text_height(shape, rng)
    words = str(rng.choice(CAPTIONS))
    width_px = int(_font(font, height_px).getlength(words))
    left = int(rng.uniform(0, max(1, shape[1] - width_px)))
    top = int(rng.uniform(0, max(1, shape[0] - 2 * height_px)))
    return _boxed(Text((left, top), words, font, height_px, level), rng, 0.4)


def _arrow(shape, _font_name, level, rng) -> list[Mark]:
    tip = rng.uniform(0.1, 0.9, 2) * shape[::-1]
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    length = min(shape) * rng.uniform(0.04, 0.12)
    head, half = 0.4 * length, 0.2 * length
    shaft = half * rng.uniform(0.15, 0.5)
    outline = [
        tip,
        tip - head * along + half * across,
        tip - head * along + shaft * across,
        tip - length * along + shaft * across,
        tip - length * along - shaft * across,
        tip - head * along - shaft * across,
        tip - head * along - half * across,
    ]
    return [Polygon(tuple((int(x), int(y)) for x, y in outline), level)]


def _info_bar(shape, font, level, rng) -> list[Mark]:
    high = int(shape[0] * rng.uniform(0.04, 0.1))
    ground = int(rng.choice([0, 0, 255, 40]))
    text_level = WHITE if ground < 128 else BLACK
    height_px = max(6, int(0.45 * high))
    place = (high // 3, shape[0] - high + (high - height_px) // 3)
    bar = Box((0, shape[0] - high, shape[1] - 1, shape[0] - 1), ground)
    return [bar, Text(place, str(rng.choice(INFO)), font, height_px, text_level)]


def hidden_by_marks(marks: Sequence[Mark], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels under boxes and bars, which show nothing of the sample.

    Parameters
    ----------
    marks : marks of an image
    shape : rows and columns of the image

    Returns
    -------
    numpy.ndarray
        (h, w) whether a pixel is hidden.
    """
    hidden = Image.new("L", (shape[1], shape[0]), 0)
    on = ImageDraw.Draw(hidden)
    for mark in marks:
        if isinstance(mark, Box):
            on.rectangle(mark.corners, fill=1)
    return np.asarray(hidden) > 0


def publish(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    marks: Sequence[Mark],
    settings: PublicationSettings,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "h w"]:
    """Return the image as printed: 8 bits, reduced, marked and compressed.

    Parameters
    ----------
    image : (h, w) gray levels
    marks : marks of the image
    settings : reduction and compression
    rng : source of their amounts

    Returns
    -------
    numpy.ndarray
        (h, w) gray levels of 8 bits.
    """
    levels = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    height, width = levels.shape
    if settings.reduction is not None:
        factor = max(1.0, float(settings.reduction.sample(rng, 1)[0]))
        small = (max(1, round(width / factor)), max(1, round(height / factor)))
        levels = cv2.resize(levels, small, interpolation=cv2.INTER_AREA)
        levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
    marked = Image.fromarray(levels)
    on = ImageDraw.Draw(marked)
    for mark in marks:
        mark.draw(on)
    levels = np.asarray(marked)
    if settings.jpeg_quality is not None:
        quality = int(np.clip(settings.jpeg_quality.sample(rng, 1)[0], 1, 100))
        _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        levels = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
    return levels

"""Scale bars burnt into micrographs: bars, lines and rows of ticks, and their lengths."""

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16

from nanorender.files.lettering import Lettering, Rectangle
from nanorender.files.pixelsize import is_plausible, length_nm

LEAST_CONFIDENCE = 0.8
"""Confidence of the recognized text below which it is no length."""

NARROWEST_FIELD_NM, WIDEST_FIELD_NM = 10.0, 2e7
"""Plausible widths of an image; others are misread, such as nm for um."""

SHORTEST_PX, LARGEST_SHARE = 18.0, 0.7
"""Length of the shortest bar, and of the longest one as a fraction of the image's width."""

LARGEST_DISAGREEMENT = 0.02
"""Relative difference of two pixel sizes from which they contradict each other."""

LEVELS = (12, 24, 40, 56, 72, 96, 120, 144, 168, 192, 208, 224, 236, 244, 250)
"""Gray levels at which bars are parted from what surrounds them."""

WHITE, LEAST_CONTRAST = 255.0, 18.0
"""Largest and least difference between a bar and what surrounds it."""

LEAST_EVENNESS, LARGEST_OUTLINE = 0.8, 1.6
"""Least level within a bar, and largest one of an outline around it, relative to its contrast."""

OPENING = np.ones((1, 11), np.uint8)
"""Structuring element that removes what touches a bar."""

CUT = -1.0
"""Place of the ends of a bar that is cut by the edge of the image."""

MOST_SPECKS = 500
"""Specks around a text from which they are noise, not ticks."""

TICKS = 11
"""Ticks in the row of a Hitachi microscope, which spans the length printed below."""

_NUMBER = r"(?<![\d.,])(\d{1,4}(?:[.,]\d{1,2})?)"
_UNIT = r"(nm|[\u00b5\u03bcup]m|mm|\u00c5|\u212b)"
_LENGTH = re.compile(rf"{_NUMBER}\s?{_UNIT}(?![A-Za-z\d/])")
_OTHER_QUANTITY = re.compile(r"(WD|W\.D|HFW|HFOV|FOV|VFW|Width|Field|Spot|Diam|Z|=|:)\W*$", re.I)
_ROUND = frozenset((10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 75, 80, 90))
"""Two leading digits of the lengths of scale bars; others are misread or other quantities."""


def eight_bits(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """Stretch gray values to 0 to 255.

    Parameters
    ----------
    image
        (h, w) gray values.

    Returns
    -------
    array
        (h, w) gray levels.

    Examples
    --------
    >>> eight_bits(np.array([[100, 300, 500]], np.uint16)).tolist()
    [[0, 127, 255]]
    """
    low, high = int(image.min()), int(image.max())
    return ((image.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)


class ScaleBar(NamedTuple):
    """A scale bar with its text.

    Attributes
    ----------
    length_nm
        Length printed beside it.
    length_px
        Length of the bar.
    text
        The text as recognized.
    boxes
        Boxes of the bar and of the line of text.
    """

    length_nm: float
    length_px: float
    text: str
    boxes: tuple[Rectangle, Rectangle]

    @property
    def pixel_size_nm(self) -> float:
        """Edge length of a pixel."""
        return self.length_nm / self.length_px


class _Length(NamedTuple):
    """A recognized length, where it is written, and the line that it is part of."""

    length_nm: float
    text: str
    box: Rectangle
    line: Rectangle


class _Bar(NamedTuple):
    """A bar: first and last column with fractions, and its box with end ticks."""

    first: float
    last: float
    box: Rectangle
    contrast: float
    around_text: bool = False

    @property
    def length_px(self) -> float:
        return self.last - self.first


class _Half(NamedTuple):
    """Half of a line that is broken by its text: its row, and its ends or the middle of ticks."""

    box: Rectangle
    row: float
    first: float
    last: float


def find_scale_bar(
    levels: UInt8[np.ndarray, "h w"], lettering: Sequence[Lettering]
) -> ScaleBar | None:
    """Find the scale bar of a micrograph, or abstain.

    A bar belongs to a length that is written above, below or beside it. Bars that are cut by the
    edge of the image, bars that contradict each other, and implausible lengths give none.

    Parameters
    ----------
    levels
        (h, w) gray levels, with info bar, from 0 to 255; see `eight_bits`.
    lettering
        Text recognized in the image.

    Returns
    -------
    ScaleBar or None
        None if there is none, or if it is in doubt.

    Examples
    --------
    >>> image = np.full((100, 200), 90, np.uint8)
    >>> image[80:84, 100:150] = 255
    >>> text = Lettering("100 nm", 0.99, Rectangle(105, 60, 145, 76))
    >>> find_scale_bar(image, [text]).pixel_size_nm
    2.0
    """
    found: list[ScaleBar] = []
    for length in _lengths(lettering):
        words = [one.box for one in lettering if one.box != length.line]
        words += [
            length.line._replace(right=length.box.left),
            length.line._replace(left=length.box.right),
        ]
        bars = [bar for bar in _bars_beside(levels, length.box) if not _is_stroke(bar.box, words)]
        if not bars:
            continue
        if len(bars) > 1 or bars[0].first == CUT:
            return None
        best = bars[0]
        found.append(
            ScaleBar(length.length_nm, best.length_px, length.text, (best.box, length.line))
        )
    if not found or _contradict([each.pixel_size_nm for each in found]):
        return None
    scale = found[0]
    field_nm = scale.pixel_size_nm * levels.shape[1]
    plausible = NARROWEST_FIELD_NM <= field_nm <= WIDEST_FIELD_NM
    return scale if plausible and is_plausible(scale.pixel_size_nm) else None


def lengths_agree(lettering: Lettering, bar: ScaleBar) -> bool:
    """Return whether a second reading of the text of a scale bar has the same length.

    Parameters
    ----------
    lettering
        Second reading.
    bar
        The scale bar with the first one.

    Returns
    -------
    bool
        Whether it contains the length of the bar.

    Examples
    --------
    >>> box = Rectangle(0, 0, 60, 12)
    >>> bar = ScaleBar(1000.0, 50.0, "1 um", (box, box))
    >>> lengths_agree(Lettering("1 nm", 0.98, box), bar)
    False
    """
    return bar.length_nm in {each.length_nm for each in _lengths([lettering])}


def _contradict(values: Sequence[float]) -> bool:
    """Return whether values differ by more than `LARGEST_DISAGREEMENT`."""
    return max(values) > (1 + LARGEST_DISAGREEMENT) * min(values)


def _lengths(lettering: Sequence[Lettering]) -> Iterator[_Length]:
    """Yield the lengths of scale bars in recognized text."""
    for each in _joined([one for one in lettering if one.confidence >= LEAST_CONFIDENCE]):
        for match in _LENGTH.finditer(each.text):
            value, unit = match[1].replace(",", "."), match[2]
            if _OTHER_QUANTITY.search(each.text[: match.start()]) or not _is_round(value, unit):
                continue
            # No microscope has a bar in picometers: "pm" is a micro sign misread
            length = length_nm(value, "um" if unit == "pm" else unit)
            yield _Length(length, match[0], _part(each, match.start(), match.end()), each.box)


def _is_round(value: str, unit: str) -> bool:
    """Return whether a number is one of those on scale bars, written as there."""
    digits = value.replace(".", "")
    if float(value) == 0 or (value.startswith("0") and not value.startswith("0.")):
        return False
    if unit == "mm" and "." in value and not value.startswith("0."):
        return False  # a working distance, such as 8.0 mm
    leading = digits.lstrip("0")
    return int((leading + "0")[:2]) in _ROUND and not leading[2:].strip("0")


def _part(lettering: Lettering, start: int, stop: int) -> Rectangle:
    """Return the box of some characters of a line."""
    left, top, right, bottom = lettering.box
    pitch = (right - left) / len(lettering.text)
    return Rectangle(round(left + start * pitch), top, round(left + stop * pitch), bottom)


def _joined(lettering: Sequence[Lettering]) -> Iterator[Lettering]:
    """Yield lines of text, with a number and the unit to its right joined."""
    for each in lettering:
        yield each
        if not re.fullmatch(r"\d+([.,]\d+)?", each.text):
            continue
        for unit in lettering:
            gap = unit.box.left - each.box.right
            level = abs(unit.box.middle - each.box.middle) < 0.4 * each.box.height
            if re.fullmatch(_UNIT, unit.text) and level and abs(gap) < each.box.height:
                box = each.box.united(unit.box)
                confidence = min(each.confidence, unit.confidence)
                yield Lettering(f"{each.text} {unit.text}", confidence, box)


def _bars_beside(levels: UInt8[np.ndarray, "h w"], text: Rectangle) -> list[_Bar]:
    """Find the bars that may belong to a text: above, below, around or beside it."""
    margin = 3 * text.height + 4
    top, bottom = max(0, text.top - margin), min(levels.shape[0], text.bottom + margin)
    strip, inside = levels[top:bottom], text.moved(0, -top)
    cut = (top == 0, bottom == levels.shape[0])
    bars = [bar for bar in _bars(strip, inside, cut) if _belongs(strip, bar, inside)]
    return [bar._replace(box=bar.box.moved(0, top)) for bar in _distinct(bars, text)]


def _belongs(strip: UInt8[np.ndarray, "h w"], bar: _Bar, text: Rectangle) -> bool:
    """Return whether a bar is where the bar of a text may be."""
    box, size = bar.box, text.height
    overlap = min(box.right, text.right) - max(box.left, text.left)
    if bar.around_text:
        return True
    within = text.top < box.middle < text.bottom and overlap > 0
    if box.width < (1.0 if within else 0.6) * size:
        return False  # a stroke of a letter
    if overlap > 0.3 * min(box.width, text.width):
        apart = max(text.top - box.bottom, box.top - text.bottom)
        return abs(box.middle - text.middle) > 0.25 * size and apart < 1.5 * size
    if abs(box.middle - text.middle) > 0.6 * size:
        return False
    gap = -overlap
    if gap < 3 * size:
        return True
    # Farther away only on the empty ground of an info bar
    left, right = (box.right, text.left) if box.left < text.left else (text.right, box.left)
    between = strip[box.top : box.bottom, left + 2 : right - 2]
    return gap < 15 * size and between.size > 0 and int(np.ptp(between)) < 12


def _is_stroke(bar: Rectangle, lettering: Sequence[Rectangle]) -> bool:
    """Return whether a bar is a stroke of a letter."""
    return any(text.contains(bar) and bar.width < text.width for text in lettering)


def _is_near(box: Rectangle, text: Rectangle) -> bool:
    """Return whether a component is near enough to a text to be its bar or a half of it."""
    apart = max(text.top - box.bottom, box.top - text.bottom)
    gap = max(box.left - text.right, text.left - box.right)
    return apart < 1.5 * text.height if gap < 0 else abs(box.middle - text.middle) < text.height


def _bars(strip: UInt8[np.ndarray, "h w"], text: Rectangle, cut: tuple[bool, bool]) -> list[_Bar]:
    """Find bars, lines and rows of ticks in rows of an image, at every level."""
    found: list[_Bar] = []
    for level in LEVELS:
        for mask in (strip >= level, strip < level):
            mask = mask.astype(np.uint8)
            _, labels, stats, centers = cv2.connectedComponentsWithStats(mask, connectivity=8)
            found += _tick_rows(stats[1:], centers[1:], text)
            halves: list[_Half] = []
            for box, shape in _wide(labels, stats, text, cut):
                bar = _ticked(strip, box, shape)
                if bar is not None:
                    found.append(bar)
                half = _half(box, shape, text)
                halves += [half] if half is not None else []
            found += _broken_lines(halves, text)

            # What touches a bar, such as text and noise, is narrow
            opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, OPENING)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
            for box, shape in _wide(labels, stats, text, cut):
                bar = _solid(strip, box, shape)
                if bar is not None:
                    found.append(bar)
    return found


def _wide(
    labels: np.ndarray, stats: np.ndarray, text: Rectangle, cut: tuple[bool, bool]
) -> Iterator[tuple[Rectangle, Bool[np.ndarray, "a b"]]]:
    """Yield the box and the shape of each component that may be a bar."""
    height, width = labels.shape
    across, down = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    likely = (across >= SHORTEST_PX / 2) & (down <= across)
    likely &= across <= LARGEST_SHARE * width
    for index in np.flatnonzero(likely):
        if index == 0:
            continue  # the ground
        left, top, across, down, area = (int(value) for value in stats[index])
        box = Rectangle(left, top, left + across, top + down)
        touches = (cut[0] and top == 0) or (cut[1] and box.bottom == height)
        if touches or box.contains(text) or area < across:
            continue
        if not _is_near(box, text):
            continue
        yield box, labels[top : box.bottom, left : box.right] == index


def _solid(
    strip: UInt8[np.ndarray, "h w"], box: Rectangle, shape: Bool[np.ndarray, "a b"]
) -> _Bar | None:
    """Measure a bar without end ticks at half its contrast; None if it is none."""
    # Columns of equal thickness in a straight row, which may be slightly tilted
    height, width = shape.shape
    thickness = shape.sum(axis=0)
    thick = float(np.median(thickness))
    if width < SHORTEST_PX or height > min(0.65 * width, thick + max(2, 0.3 * thick, 0.05 * width)):
        return None
    if np.mean(np.abs(thickness - thick) > max(1.0, 0.25 * thick)) > 0.07:
        return None
    values = strip[box.top : box.bottom, box.left : box.right][shape]
    level = float(np.median(values))
    if np.subtract(*np.percentile(values, (75, 25))) > 24:
        return None
    contrast = _contrast(strip, box, level)
    if contrast < LEAST_CONTRAST:
        return None
    if box.left == 0 or box.right == strip.shape[1]:
        return _Bar(CUT, CUT, box, contrast)

    # Place of the ends, each in the rows that are there
    ends, ticks = [], []
    for start, step, part in (
        (box.left, -1, shape[:, : max(3, width // 6)]),
        (box.right - 1, 1, shape[:, -max(3, width // 6) :]),
    ):
        rows = box.top + np.flatnonzero(part.mean(axis=1) > 0.6)
        rows = rows[1:-1] if rows.size > 3 else rows
        if not rows.size:
            return None
        ticks.append(_has_tick(strip, start, step, rows, level))
        ends.append(_edge(np.median(strip[rows], axis=0).astype(float), start, step, level, width))
    first, last = ends
    if first is None or last is None or all(ticks):
        return None
    return _Bar(first, last, box, contrast)


def _has_tick(
    strip: UInt8[np.ndarray, "h w"], start: int, step: int, rows: np.ndarray, level: float
) -> bool:
    """Return whether a line continues upwards or downwards at its end."""
    columns = slice(*sorted((start - 2 * step, start + 2 * step)))
    within = slice(*sorted((start - 12 * step, start - 6 * step)))
    for row in (int(rows[0]) - 4, int(rows[-1]) + 4):
        if 0 <= row < strip.shape[0]:
            ground = float(np.median(strip[row, within]))
            nearest = float(np.abs(strip[row, columns].astype(float) - level).min())
            if nearest < 0.4 * abs(level - ground):
                return True
    return False


def _edge(
    profile: Float[np.ndarray, "w"], start: int, step: int, level: float, length: int
) -> float | None:
    """Return the place where a profile passes half of its contrast; None if there is no edge."""
    beyond = [start + step * k for k in range(3, 9)]  # beyond the blur
    beyond = [at for at in beyond if 0 <= at < profile.size]
    if len(beyond) < 2:
        return None
    ground = float(np.median(profile[beyond]))
    contrast = abs(level - ground)
    if contrast < LEAST_CONTRAST:
        return None
    inside = (profile - ground) / (level - ground)
    outline = inside[[at for at in range(start, start + 4 * step, step) if 0 <= at < profile.size]]
    if outline.min() < -LARGEST_OUTLINE:
        return None  # the inner part of an outlined bar: it is unknown what the length refers to
    at = start - 4 * step
    while 0 <= at + step < profile.size and inside[at + step] > 0.5:
        at += step
        if abs(at - start) > 4:
            return None
    if not 0 <= at + step < profile.size or inside[at] <= 0.5:
        return None
    # Something of another gray beside the bar is no part of it
    outer = inside[at - 2 * step : at - 2 * step - length // 4 * step : -step]
    if not outer.size or outer.min() < LEAST_EVENNESS:
        return None
    # Half a pixel from the middle of the last pixel if the next one shows nothing of the bar
    return at + 0.5 + step * float((inside[at] - 0.5) / (inside[at] - inside[at + step]))


def _contrast(strip: UInt8[np.ndarray, "h w"], box: Rectangle, level: float) -> float:
    """Return the least difference of a bar from the rows above and below it."""
    above = slice(max(0, box.top - 4), max(0, box.top - 1))
    below = slice(box.bottom + 1, box.bottom + 4)
    beside = [strip[rows, box.left : box.right] for rows in (above, below)]
    return min((abs(float(np.median(each)) - level) for each in beside if each.size), default=0.0)


def _ticked(
    strip: UInt8[np.ndarray, "h w"], box: Rectangle, shape: Bool[np.ndarray, "a b"]
) -> _Bar | None:
    """Measure a line with ticks at both ends, from the middle of one to that of the other."""
    # Find the line, and the ticks above and below it, which are at its ends
    width = shape.shape[1]
    core = np.flatnonzero(shape.sum(axis=1) >= 0.93 * width)
    if width < SHORTEST_PX or not core.size or core[-1] - core[0] + 1 != core.size:
        return None
    outside = shape.copy()
    outside[core[0] : core[-1] + 1] = False
    columns = np.flatnonzero(outside.any(axis=0))
    left, right = columns[columns < width // 2], columns[columns >= width // 2]
    if not (left.size and right.size) or shape.shape[0] < core.size + 4:
        return None
    widths = int(left[-1]) + 1, width - int(right[0])
    if abs(widths[0] - widths[1]) > 2 or max(widths) > 0.08 * width + 1:
        return None  # thick ticks: it is unknown to which of their edges the length refers

    # Compare the line with its ground, and find the middle of each tick
    line = Rectangle(box.left + widths[0] + 1, box.top + int(core[0]), box.right - widths[1] - 1, 0)
    line = line._replace(bottom=box.top + int(core[-1]) + 1)
    level = float(np.median(strip[line.top : line.bottom, line.left : line.right]))
    contrast = _contrast(strip, line, level)
    rows = box.top + np.flatnonzero(outside.any(axis=1))
    if contrast < LEAST_CONTRAST or rows.size < 3:
        return None
    first = _tick_place(strip, rows, box.left, box.left + widths[0])
    last = _tick_place(strip, rows, box.right - widths[1], box.right)
    return _Bar(first, last, box, contrast)


def _tick_place(strip: UInt8[np.ndarray, "h w"], rows: np.ndarray, left: int, right: int) -> float:
    """Return the middle of a tick, weighted by its contrast."""
    low, high = max(0, left - 2), min(strip.shape[1], right + 2)
    profile = strip[rows, low:high].mean(axis=0)
    weight = np.abs(profile - (profile[0] + profile[-1]) / 2)
    weight[weight < 0.15 * weight.max()] = 0
    return float((weight * (np.arange(low, high) + 0.5)).sum() / weight.sum())


def _half(box: Rectangle, shape: Bool[np.ndarray, "a b"], text: Rectangle) -> _Half | None:
    """Measure what may be half of a line that is broken by its text."""
    beside = box.right < text.left + text.height or box.left > text.right - text.height
    if not beside or abs(box.middle - text.middle) > 0.4 * text.height:
        return None
    core = np.flatnonzero(shape.sum(axis=1) >= 0.9 * shape.shape[1])
    if not core.size or core.size > 4 or core[-1] - core[0] + 1 != core.size:
        return None
    outside = shape.copy()
    outside[core[0] : core[-1] + 1] = False
    columns = np.flatnonzero(outside.any(axis=0))
    near, far = columns[columns < 6], columns[columns >= shape.shape[1] - 6]
    if near.size + far.size < columns.size:
        return None
    first = near.mean() + 0.5 if near.size else 0.0
    last = far.mean() + 0.5 if far.size else float(shape.shape[1])
    row = box.top + float(core.mean())
    return _Half(box, row, box.left + float(first), box.left + float(last))


def _broken_lines(halves: Sequence[_Half], text: Rectangle) -> Iterator[_Bar]:
    """Yield lines whose middle is taken by their text."""
    for left, right in permutations(halves, 2):
        length = right.last - left.first
        level = abs(left.row - right.row) <= 1 and (abs(left.row - text.middle) < 0.3 * text.height)
        parted = left.box.right < text.left + text.height and (
            right.box.left > text.right - text.height
        )
        if not (level and parted and length > 1.2 * text.width):
            continue
        center = (left.first + right.last - text.left - text.right) / 2
        if abs(center) < 0.1 * length:
            yield _Bar(left.first, right.last, left.box.united(right.box), WHITE, True)


def _tick_rows(stats: np.ndarray, centers: np.ndarray, text: Rectangle) -> Iterator[_Bar]:
    """Yield rows of equal ticks at equal distances."""
    small = (stats[:, cv2.CC_STAT_WIDTH] <= 8) & (stats[:, cv2.CC_STAT_HEIGHT] <= 30)
    small &= np.abs(centers[:, 1] - text.middle) < 2 * text.height
    stats, centers = stats[small], centers[small]
    if len(stats) > MOST_SPECKS:
        return  # noise
    heights = stats[:, cv2.CC_STAT_HEIGHT]
    bottoms = stats[:, cv2.CC_STAT_TOP] + heights
    for bottom, height in {(int(b), int(h)) for b, h in zip(bottoms, heights, strict=True)}:
        # The first, sixth and last tick may be longer than the others
        alike = (abs(bottoms - bottom) <= 2) & (heights >= height - 3) & (heights <= 2 * height + 2)
        if not TICKS <= np.count_nonzero(alike) <= 3 * TICKS:
            continue
        top = bottom - int(heights[alike].max())
        places = np.sort(centers[alike, 0]) + 0.5
        inside = (
            text.top + 0.1 * text.height < bottom - height / 2 < text.bottom - (0.1 * text.height)
        )
        for chain in _even_chains(places):
            if chain[-1] - chain[0] < 1.2 * text.width or (inside and chain[0] < text.right):
                continue  # the feet of letters
            width = round(float(stats[alike, cv2.CC_STAT_WIDTH].max()))
            left, right = int(chain[0] - width / 2), int(chain[-1] + width / 2) + 1
            yield _Bar(
                float(chain[0]), float(chain[-1]), Rectangle(left, top, right, bottom), WHITE
            )


def _even_chains(places: Float[np.ndarray, "n"]) -> Iterator[Float[np.ndarray, "m"]]:
    """Yield the chains of `TICKS` places at equal distances that nothing continues."""
    for index, first in enumerate(places):
        for second in places[index + 1 : index + 4]:
            step = second - first
            if step < 5:
                continue
            at = first + step * np.arange(-1, TICKS + 1)
            nearest = places[np.abs(places[:, None] - at).argmin(axis=0)]
            there = np.abs(nearest - at) < 1.0 + 0.01 * np.abs(at - first)
            if there[1:-1].all() and not there[0] and not there[-1]:
                yield nearest[1:-1]


def _distinct(bars: Sequence[_Bar], text: Rectangle) -> list[_Bar]:
    """Keep one of the bars found at the same place at several levels, and no halos of a bar."""
    kept: list[_Bar] = []
    for bar in sorted(bars, key=lambda each: -each.contrast * each.box.height**0.5):
        if not any(_is_shadow(bar, other, text) for other in kept):
            kept.append(bar)
    strongest = max((bar.contrast for bar in kept), default=0.0)
    return [bar for bar in kept if bar.contrast > 0.35 * strongest]


def _is_shadow(bar: _Bar, other: _Bar, text: Rectangle) -> bool:
    """Return whether a bar is another one at another level, or the ringing beside it."""
    if bar.box.overlaps(other.box):
        return True
    across = min(bar.box.right, other.box.right) - max(bar.box.left, other.box.left)
    apart = max(other.box.top - bar.box.bottom, bar.box.top - other.box.bottom)
    close = across > 0.8 * bar.box.width and apart < 0.5 * text.height
    return close and apart <= 2

"""Particles of micrographs of any size: large ones in overlapping windows, in bounded memory.

A particle belongs to the window in whose core its first pixel lies, row by row, and is taken as
that window shows it, together with the margin around the core. Particles that lie whole in the
margin of every window that they reach are therefore found once and as in the whole image.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer, UInt8

from nanorender.separation.separate import Separation, separate
from unet.predict import Model, Prepared, Window, predict_window, whole

WHOLE_PX = 4096  # images of no larger edge are not divided
CORE_PX = 1536
MARGIN_PX = 384  # at the scale of the training; network and separation look this far at most
_BAND_ROWS = 256

OnPart = Callable[[int, int], None]  # how many windows are done, and of how many


class WindowResult(NamedTuple):
    """What was found in a micrograph.

    Attributes
    ----------
    labels: particles numbered 1 to n from top to bottom, left to right
    foreground: probability of a particle, 255 for one; None if it was not asked for
    """

    labels: Int32[np.ndarray, "h w"]
    foreground: UInt8[np.ndarray, "h w"] | None


class _Place(NamedTuple):
    """A window, and the core of it in which the particles begin that are its own."""

    window: Window
    core: Window


def segment_prepared(
    model: Model,
    prepared: Prepared,
    separation: Separation,
    averaged: bool,
    keep_foreground: bool,
    on_part: OnPart = lambda done, total: None,
) -> WindowResult:
    """Return the particles of a prepared micrograph.

    Beside the prepared image, four bytes a pixel are held, five with the foreground, and about 70
    for each pixel of one window.
    """
    foreground = np.zeros(prepared.shape, np.uint8) if keep_foreground else None
    places = list(_places(prepared))
    labels = np.zeros(prepared.shape, np.int32)
    begins = [np.zeros(1, np.int64)]  # of each particle, where in the whole image; none is label 0
    for done, place in enumerate(places):
        on_part(done, len(places))
        maps = predict_window(model, prepared, place.window, averaged)
        if foreground is not None:
            inside = _within(place.core, place.window)
            foreground[place.core] = (255 * maps["foreground"][inside]).round().astype(np.uint8)
        found = separate(maps, separation)
        if len(places) == 1:
            return WindowResult(found, foreground)
        _add(labels, begins, found, place)
    _number(labels, np.concatenate(begins))
    return WindowResult(labels, foreground)


def _places(prepared: Prepared) -> Iterator[_Place]:
    """Cover the micrograph by cores, each in its window."""
    if max(prepared.shape) <= WHOLE_PX:
        yield _Place(whole(prepared.shape), whole(prepared.shape))
        return
    # Windows are no larger than intended at either resolution, and begin on the coarsest grid.
    core_px = int(CORE_PX / max(1.0, *prepared.scale))
    margin_px = int(MARGIN_PX / min(1.0, *prepared.scale))
    rows, columns = (list(_spans(length, core_px, margin_px)) for length in prepared.shape)
    for core_rows, window_rows in rows:
        for core_columns, window_columns in columns:
            yield _Place((window_rows, window_columns), (core_rows, core_columns))


def _spans(length: int, core_px: int, margin_px: int) -> Iterator[tuple[slice, slice]]:
    """Cover a length by cores; give each with its window."""
    for start in range(0, length, core_px):
        stop = min(start + core_px, length)
        yield slice(start, stop), slice(max(start - margin_px, 0), min(stop + margin_px, length))


def _within(inner: Window, outer: Window) -> Window:
    """Return a window in the coordinates of another that holds it."""
    rows, columns = (
        slice(part.start - frame.start, part.stop - frame.start)
        for part, frame in zip(inner, outer, strict=True)
    )
    return rows, columns


def _add(
    labels: Int32[np.ndarray, "h w"],
    begins: list[np.ndarray],
    found: Integer[np.ndarray, "a b"],
    place: _Place,
) -> None:
    """Add the particles that begin in the core of a window to those of the whole image."""
    first = _first_pixels(found)
    y, x = np.divmod(first, found.shape[1])
    rows, columns = _within(place.core, place.window)
    own = (rows.start <= y) & (y < rows.stop) & (columns.start <= x) & (x < columns.stop)
    own[0] = False
    numbers = np.zeros(len(first), np.int32)
    numbers[own] = sum(map(len, begins)) + np.arange(np.count_nonzero(own))
    here = labels[place.window]
    new = numbers[found]
    # Where windows disagree by a pixel, what is there already stays.
    np.copyto(here, new, where=(here == 0) & (new > 0))
    top, left = place.window[0].start, place.window[1].start
    begins.append((y[own] + top) * labels.shape[1] + x[own] + left)


def _first_pixels(labels: Integer[np.ndarray, "a b"]) -> np.ndarray:
    """Return the place of the first pixel of labels 0 to n in the flat array."""
    flat = labels.ravel()
    pixels = np.flatnonzero(flat)[::-1]
    first = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    first[flat[pixels]] = pixels  # of several pixels the last assignment counts: the first one
    return first


def _number(labels: Int32[np.ndarray, "h w"], begins: np.ndarray) -> None:
    """Renumber the particles, in place, by where they begin."""
    numbers = np.zeros(len(begins), np.int32)
    numbers[1 + np.argsort(begins[1:])] = np.arange(1, len(begins))
    for top in range(0, labels.shape[0], _BAND_ROWS):
        band = labels[top : top + _BAND_ROWS]
        band[:] = numbers[band]

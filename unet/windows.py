"""Separation of the particles of large micrographs in overlapping windows, in bounded memory.

A particle belongs to the window whose core contains its first pixel in row order, and is taken from
that window, which includes a margin around the core. Particles that lie entirely within the margin
of every window they reach are therefore found once, as they would be in the whole image.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32, Integer, UInt8

from nanorender.separation.separate import Separation
from unet.candidates import choose, search
from unet.predict import Model, Prepared, Window, whole_window

WHOLE_PX = 4096  # images with no larger edge are not divided
CORE_PX = 1536
MARGIN_PX = 384  # at the scale of the training; twice this if several magnifications are searched
_BAND_ROWS = 256


class WindowResult(NamedTuple):
    """Particles of a micrograph.

    Attributes
    ----------
    labels : (h, w) label map, particles numbered from top to bottom and left to right
    confidence : (n,) probability that each particle is real
    foreground : (h, w) probability of a particle scaled to 0 to 255; None if not requested
    """

    labels: Int32[np.ndarray, "h w"]
    confidence: Float[np.ndarray, "n"]
    foreground: UInt8[np.ndarray, "h w"] | None

    def without(self, discarded: Bool[np.ndarray, "n"]) -> "WindowResult":
        """Discard particles and number the others anew.

        Parameters
        ----------
        discarded : (n,) whether a particle is discarded

        Returns
        -------
        result : the other particles

        Examples
        --------
        >>> found = WindowResult(np.array([[1, 0, 2]], np.int32), np.array([0.4, 0.9]), None)
        >>> found.without(np.array([True, False])).labels.tolist()
        [[0, 0, 1]]
        """
        kept = ~discarded
        numbers = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)
        return self._replace(labels=numbers[self.labels], confidence=self.confidence[kept])


class _CoreWindow(NamedTuple):
    """Window, and the core in which its own particles begin."""

    window: Window
    core: Window


def segment_prepared(
    model: Model,
    prepared: Sequence[Prepared],
    separation: Separation,
    averaged: bool,
    keep_foreground: bool,
    min_confidence: float = 0.0,
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> WindowResult:
    """Predict a micrograph and separate its particles, window by window.

    In addition to the prepared image, memory holds four bytes per pixel, five with the foreground,
    and about 70 bytes per pixel of one window, twice that if several magnifications are searched.

    Parameters
    ----------
    model : trained network
    prepared : input of the network at each magnification, the highest first
    separation : separation settings
    averaged : whether to average predictions over flips and zooms
    keep_foreground : whether to return the foreground
    min_confidence : confidence below which particles are discarded
    on_part : function called with the number of windows done and their total

    Returns
    -------
    result : label map, confidences and foreground
    """
    shape = prepared[0].shape
    foreground = np.zeros(shape, np.uint8) if keep_foreground else None
    places = list(_windows(prepared))
    labels = np.zeros(shape, np.int32)
    confidence = [np.zeros(1)]
    begins = [np.zeros(1, np.int64)]  # flat index of each particle's first pixel; entry 0 is unused
    for done, place in enumerate(places):
        on_part(done, len(places))
        found = search(model, prepared, place.window, separation, averaged)
        graded = [each.graded(model.card.confidence) for each in found.candidates]
        particles = choose(graded, min_confidence)
        if foreground is not None:
            inside = _within(place.core, place.window)
            foreground[place.core] = (255 * found.foreground[inside]).round().astype(np.uint8)
        if len(places) == 1:
            return WindowResult(particles.labels, particles.confidence, foreground)
        own = _add_particles(labels, begins, particles.labels, place)
        confidence.append(particles.confidence[own])
    order = _renumber(labels, np.concatenate(begins))
    return WindowResult(labels, np.concatenate(confidence)[1:][order], foreground)


def _windows(prepared: Sequence[Prepared]) -> Iterator[_CoreWindow]:
    """Cover the micrograph with cores, each in its window."""
    shape = prepared[0].shape
    if max(shape) <= WHOLE_PX:
        yield _CoreWindow(whole_window(shape), whole_window(shape))
        return
    # Windows have at most the intended size at both resolutions. Reduced images see farther, but
    # margins that contain all they see would take nine times the time of the whole image.
    scale = prepared[0].scale
    core_px = int(CORE_PX / max(1.0, *scale))
    margin_px = int(MARGIN_PX / min(1.0, *scale)) * (2 if len(prepared) > 1 else 1)
    rows, columns = (list(_spans(length, core_px, margin_px)) for length in shape)
    for core_rows, window_rows in rows:
        for core_columns, window_columns in columns:
            yield _CoreWindow((window_rows, window_columns), (core_rows, core_columns))


def _spans(length: int, core_px: int, margin_px: int) -> Iterator[tuple[slice, slice]]:
    """Cover a length with cores; yield each core and its window."""
    for start in range(0, length, core_px):
        stop = min(start + core_px, length)
        yield slice(start, stop), slice(max(start - margin_px, 0), min(stop + margin_px, length))


def _within(inner: Window, outer: Window) -> Window:
    """Express a window in the coordinates of one that contains it."""
    rows, columns = (
        slice(part.start - frame.start, part.stop - frame.start)
        for part, frame in zip(inner, outer, strict=True)
    )
    return rows, columns


def _add_particles(
    labels: Int32[np.ndarray, "h w"],
    begins: list[np.ndarray],
    found: Integer[np.ndarray, "a b"],
    place: _CoreWindow,
) -> Bool[np.ndarray, "n"]:
    """Add the particles that begin in the core of a window to the whole label map, in place.

    Return which particles of the window these are.
    """
    # Select the particles whose first pixel lies in the core
    first = _first_pixels(found)
    y, x = np.divmod(first, found.shape[1])
    rows, columns = _within(place.core, place.window)
    own = (rows.start <= y) & (y < rows.stop) & (columns.start <= x) & (x < columns.stop)
    own[0] = False

    # Number them after the particles of earlier windows
    numbers = np.zeros(len(first), np.int32)
    numbers[own] = sum(map(len, begins)) + np.arange(np.count_nonzero(own))

    # Write them where no earlier window has found a particle: windows may differ by a pixel
    here = labels[place.window]
    new = numbers[found]
    np.copyto(here, new, where=(here == 0) & (new > 0))
    top, left = place.window[0].start, place.window[1].start
    begins.append((y[own] + top) * labels.shape[1] + x[own] + left)
    return own[1:]


def _first_pixels(labels: Integer[np.ndarray, "a b"]) -> np.ndarray:
    """Flat index of the first pixel of labels 0 to n."""
    flat = labels.ravel()
    pixels = np.flatnonzero(flat)[::-1]
    first = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    first[flat[pixels]] = pixels  # of repeated indices, the last assignment counts: the first pixel
    return first


def _renumber(labels: Int32[np.ndarray, "h w"], begins: np.ndarray) -> np.ndarray:
    """Renumber the particles by their first pixels, in place; return their old rows in order."""
    numbers = np.zeros(len(begins), np.int32)
    order = np.argsort(begins[1:])
    numbers[1 + order] = np.arange(1, len(begins))
    for top in range(0, labels.shape[0], _BAND_ROWS):
        band = labels[top : top + _BAND_ROWS]
        band[:] = numbers[band]
    return order

"""Particles drawn by people: outlines and masks, filled on the grid of pixels."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

LARGEST_COORDINATE = 1e6
"""Largest magnitude of a coordinate, in pixels; no micrograph has as many."""

MOST_CROSSINGS = 10_000_000
"""Crossings of edges and rows that are computed at once, which bounds the memory."""


class Patch(NamedTuple):
    """Pixels of a particle in an image.

    Attributes
    ----------
    mask
        (h, w) pixels of the particle in a box.
    top, left
        Row and column of the first pixel of the box in the image.
    """

    mask: Bool[np.ndarray, "h w"]
    top: int
    left: int

    def within(self, crop: tuple[int, int, int, int]) -> "Patch":
        """Return the pixels inside a part of the image, as pixels of that part.

        Parameters
        ----------
        crop
            Top, bottom, left and right of the part.

        Returns
        -------
        Patch
            Of no pixels if the particle lies outside.
        """
        top, bottom, left, right = crop
        above, beside = max(top - self.top, 0), max(left - self.left, 0)
        kept = self.mask[above : max(bottom - self.top, 0), beside : max(right - self.left, 0)]
        return Patch(kept, self.top + above - top, self.left + beside - left)


@runtime_checkable
class DrawnPart(Protocol):
    """A part of a drawn particle, which may be stored in several ways."""

    def patch(self, shape: tuple[int, int]) -> Patch:
        """Return the pixels that the part covers.

        Parameters
        ----------
        shape
            Height and width of the image that it was drawn in.

        Returns
        -------
        Patch
            The pixels inside the image.

        Raises
        ------
        ValueError
            If the part is invalid; the message completes "particle 7 ...".
        """
        ...


@dataclass(frozen=True)
class Rings:
    """Closed outlines, filled by the even-odd rule.

    Attributes
    ----------
    corners
        (n, 2) vertices x, y of each outline, in pixels from the upper left corner of the image.
    """

    corners: tuple[Float[np.ndarray, "_ 2"], ...]

    def patch(self, shape: tuple[int, int]) -> Patch:
        """Return the pixels whose centers are inside.

        Outlines that share an edge share no pixel: a center on an edge is inside if the particle
        lies to its right or below.

        Parameters
        ----------
        shape
            Height and width of the image.

        Returns
        -------
        Patch
            The pixels inside the image.

        Raises
        ------
        ValueError
            If there are too few vertices, or a coordinate is too large or not a number.

        Examples
        --------
        >>> triangle = Rings((np.array([[0.0, 0], [3, 0], [0, 3]]),))
        >>> triangle.patch((9, 9)).mask.astype(int)
        array([[1, 1, 0],
               [1, 0, 0],
               [0, 0, 0]])
        """
        rings = [corners for corners in self.corners if len(corners)]
        if sum(map(len, rings)) < 3:
            raise ValueError("has an outline of fewer than three points")
        start = np.concatenate(rings).astype(float)
        end = np.concatenate([np.roll(corners, -1, axis=0) for corners in rings]).astype(float)
        if not np.all(np.abs(start) <= LARGEST_COORDINATE):  # also if not a number
            raise ValueError(f"has a coordinate that is not within {LARGEST_COORDINATE:.0f} px")

        # Restrict the work to the box of the outlines in the image.
        limits = np.array([shape[1], shape[0]])
        left, top = np.clip(np.floor(start.min(axis=0)), 0, limits).astype(int).tolist()
        right, bottom = np.clip(np.ceil(start.max(axis=0)), 0, limits).astype(int).tolist()
        if right <= left or bottom <= top:
            return Patch(np.zeros((0, 0), bool), 0, 0)

        # Find the rows whose centers each edge crosses.
        upper = np.minimum(start[:, 1], end[:, 1])
        lower = np.maximum(start[:, 1], end[:, 1])
        first = np.clip(np.ceil(upper - 0.5), top, bottom).astype(int)
        count = np.clip(np.ceil(lower - 0.5), top, bottom).astype(int) - first

        # Toggle inside and outside at the first center to the right of each crossing.
        toggles = np.zeros((bottom - top) * (right - left + 1), np.int64)
        pieces = 1 + int(count.sum()) // MOST_CROSSINGS
        for edges in np.array_split(np.flatnonzero(count), pieces):
            edge = np.repeat(edges, count[edges])
            before = np.repeat(np.cumsum(count[edges]) - count[edges], count[edges])
            row = np.arange(len(edge)) - before + first[edge]
            step = (end[edge] - start[edge]).T
            x = start[edge, 0] + (row + 0.5 - start[edge, 1]) / step[1] * step[0]
            column = np.clip(np.ceil(x - 0.5), left, right).astype(int)
            place = (row - top) * (right - left + 1) + column - left
            toggles += np.bincount(place, minlength=toggles.size)
        inside = np.cumsum(toggles.reshape(bottom - top, -1), axis=1) % 2 == 1
        return Patch(inside[:, :-1], top, left)


@dataclass(frozen=True)
class DrawnParticle:
    """A particle drawn by a person.

    Attributes
    ----------
    name
        Name in its file, used in errors.
    parts
        Parts, which may overlap.
    number
        Label that its name gives it, None if it has none.
    """

    name: str
    parts: tuple[DrawnPart, ...]
    number: int | None = None

    def patch(self, shape: tuple[int, int]) -> Patch:
        """Return the pixels that the particle covers.

        Parameters
        ----------
        shape
            Height and width of the image that it was drawn in.

        Returns
        -------
        Patch
            The pixels of any part inside the image.

        Raises
        ------
        ValueError
            As `DrawnPart.patch`.

        Examples
        --------
        >>> squares = [np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]) + shift for shift in (0, 2)]
        >>> particle = DrawnParticle("two", tuple(Rings((square,)) for square in squares))
        >>> particle.patch((9, 9)).mask.astype(int)
        array([[1, 0, 0],
               [0, 0, 0],
               [0, 0, 1]])
        """
        patches = [part.patch(shape) for part in self.parts]
        patches = [patch for patch in patches if patch.mask.size]
        if len(patches) < 2:
            return patches[0] if patches else Patch(np.zeros((0, 0), bool), 0, 0)
        top, left = min(patch.top for patch in patches), min(patch.left for patch in patches)
        bottom = max(patch.top + patch.mask.shape[0] for patch in patches)
        right = max(patch.left + patch.mask.shape[1] for patch in patches)
        whole = np.zeros((bottom - top, right - left), bool)
        for mask, above, beside in patches:
            rows, columns = mask.shape
            whole[above - top : above - top + rows, beside - left : beside - left + columns] |= mask
        return Patch(whole, top, left)


def ellipse(left: float | int, top: float | int, width: float | int, height: float | int) -> Rings:
    """Approximate an ellipse by a polygon, to 0.0001 of its size.

    Parameters
    ----------
    left, top, width, height
        Its bounding box, in pixels.

    Returns
    -------
    Rings
        One outline.

    Examples
    --------
    >>> int(ellipse(10, 10, 100, 100).patch((200, 200)).mask.sum())  # pi 50^2 = 7854
    7860
    """
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    with np.errstate(invalid="ignore", over="ignore"):  # refused by `Rings.patch`
        x = left + width / 2 * (1 + np.cos(angle))
        y = top + height / 2 * (1 + np.sin(angle))
    return Rings((np.column_stack([x, y]),))


def rectangle(
    left: float | int, top: float | int, width: float | int, height: float | int
) -> Rings:
    """Build the outline of a rectangle.

    Parameters
    ----------
    left, top, width, height
        Its place and size, in pixels.

    Returns
    -------
    Rings
        One outline.
    """
    right, bottom = left + width, top + height
    return Rings((np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float),))

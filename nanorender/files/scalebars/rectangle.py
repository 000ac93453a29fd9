"""Rectangles around text and bars, in pixels of an image."""

from typing import NamedTuple


class Rectangle(NamedTuple):
    """A rectangle in an image.

    Attributes
    ----------
    left, top, right, bottom
        First column and row, and those after the last, px.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Height of the middle, px from the top of the image."""
        return (self.top + self.bottom) / 2

    def moved(self, right: int, down: int) -> "Rectangle":
        """Move the box.

        Parameters
        ----------
        right, down
            Distance, px.

        Returns
        -------
        Rectangle
            The moved box.
        """
        return Rectangle(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def united(self, other: "Rectangle") -> "Rectangle":
        """Find the smallest box around two.

        Parameters
        ----------
        other
            Another box.

        Returns
        -------
        Rectangle
            The box around both.
        """
        low = map(min, self[:2], other[:2])
        return Rectangle(*low, *map(max, self[2:], other[2:]))

    def overlaps(self, other: "Rectangle") -> bool:
        """Return whether two boxes share pixels.

        Parameters
        ----------
        other
            Another box.

        Returns
        -------
        bool
            Whether they do.
        """
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def contains(self, other: "Rectangle") -> bool:
        """Return whether the center of another box lies within.

        Parameters
        ----------
        other
            Another box.

        Returns
        -------
        bool
            Whether it does.
        """
        x = (other.left + other.right) / 2
        return self.left <= x < self.right and self.top <= other.middle < self.bottom

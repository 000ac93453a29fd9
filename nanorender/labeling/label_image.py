"""A label map while borders are widened and labels are renumbered."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64

from nanorender.tracing.spans import Spans, whole_rows


@dataclass
class LabelImage:
    """A label map that is processed pixel by pixel.

    `upsampling` has a subclass that saves work where large areas have one label.

    Attributes
    ----------
    labels : (h, w) 0 for background
    """

    labels: Int32[np.ndarray, "h w"]

    def counts(self, size: int) -> Int64[np.ndarray, "n"]:
        """Count the pixels of each label.

        Parameters
        ----------
        size
            Number of labels, the background included.

        Returns
        -------
        (size) array
            Number of pixels by label; entry 0 has no meaning.
        """
        return np.bincount(self.labels.ravel(), minlength=size)

    def border_spans(self) -> Spans:
        """Return spans that hold all pixels beside a border between two labels.

        Returns
        -------
        Spans
            Here, all pixels.
        """
        return whole_rows(*self.labels.shape)

    def clear(self, pixels: Int[np.ndarray, "n"]) -> None:
        """Make pixels background.

        Parameters
        ----------
        pixels
            Flat indices.
        """
        self.labels.reshape(-1)[pixels] = 0

    def renumber(self, numbers: Int32[np.ndarray, "n"]) -> None:
        """Replace each label k by ``numbers[k]``.

        Parameters
        ----------
        numbers
            One number for each label; that of the background must be 0.
        """
        self.labels = numbers[self.labels]

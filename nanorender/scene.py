"""Scenes: which particles lie where, and from where they are seen."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Primitives(NamedTuple):
    """Rows of convex primitives; a template is a run of rows, each placed in the unit cube.

    A primitive fills a box: `extents` are the box's edge lengths before `rotation` is applied, so
    that stretching a particle stretches the boxes and the distances stay those of true shapes.

    kind: (m) index into `primitives.KINDS`
    center: (m, 3) middle of the box
    extents: (m, 3) edge lengths of the box
    rotation: (m, 3, 3) from the primitive's axes to the template's
    rounding: (m) radius of rounded edges as a fraction of half the smallest extent, 0 to 1
    planes: (m, p, 4) outward unit normal and distance from the center of each facet of a
        polyhedron that fills the box from -1/2 to 1/2; unused rows have normal 0 and distance 1
    facets: (m) number of planes in use; 0 for the other kinds
    """

    kind: Int[np.ndarray, "m"]
    center: Float[np.ndarray, "m 3"]
    extents: Float[np.ndarray, "m 3"]
    rotation: Float[np.ndarray, "m 3 3"]
    rounding: Float[np.ndarray, "m"]
    planes: Float[np.ndarray, "m p 4"]
    facets: Int[np.ndarray, "m"]


class TemplateTable(NamedTuple):
    """All templates of a recipe; template t is the rows first[t] to first[t + 1] of `primitives`.

    first: (t + 1) first row of each template, and the number of rows
    smoothness: (t) width of the smooth union of a template's primitives, as a fraction of its size
    """

    primitives: Primitives
    first: Int[np.ndarray, "t+1"]
    smoothness: Float[np.ndarray, "t"]


class Particles(NamedTuple):
    """One row a particle; its label in images is its row plus one.

    template: (n) row of the template table
    center_nm: (n, 3) x, y, z of the middle of the particle's box
    size_nm: (n, 3) edge lengths of the box, along the particle's own axes
    rotation: (n, 3, 3) from the particle's axes to the scene's
    agglomerate: (n) number of the agglomerate that it belongs to, from 0
    population: (n) row of the recipe's list of populations
    brightness: (n) factor on the particle's gray level, around 1
    """

    template: Int[np.ndarray, "n"]
    center_nm: Float[np.ndarray, "n 3"]
    size_nm: Float[np.ndarray, "n 3"]
    rotation: Float[np.ndarray, "n 3 3"]
    agglomerate: Int[np.ndarray, "n"]
    population: Int[np.ndarray, "n"]
    brightness: Float[np.ndarray, "n"]


class View(NamedTuple):
    """What the parallel camera sees: a rectangle of the scene, in pixels of one size.

    The camera looks down the z axis, tilted by `tilt_deg` about the x axis through the middle of
    the view, as a microscope's stage is.
    """

    left_nm: float
    top_nm: float
    pixel_size_nm: float
    height_px: int
    width_px: int
    tilt_deg: float

    def resampled(self, height_px: int, width_px: int) -> "View":
        """Return the same field of view in another number of pixels."""
        scale = self.width_px / width_px
        return self._replace(
            pixel_size_nm=self.pixel_size_nm * scale, height_px=height_px, width_px=width_px
        )


class Scene(NamedTuple):
    """Everything that has a place: particles over a flat substrate at z = 0, and a view of them."""

    particles: Particles
    templates: TemplateTable
    view: View

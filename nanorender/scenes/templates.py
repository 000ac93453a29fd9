"""Particle templates: smooth unions of placed primitives in the unit cube, as data."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from scipy.spatial import HalfspaceIntersection, QhullError
from scipy.spatial.transform import Rotation

from nanorender.scenes.primitives import KINDS
from nanorender.settings import Settings

Vector = tuple[float, float, float]
_FAR = 100.0  # where a polyhedron that is open is cut off to see that it is

Fraction = Annotated[float, Field(ge=0, le=1)]


class Primitive(Settings):
    """One convex primitive that fills a box in the unit cube from -1/2 to 1/2.

    A capsule, a cylinder and a prism have their axis along x. A polyhedron is the set of points
    p of its unit box with normal . p <= distance for each facet (normal, distance).
    """

    kind: Literal["ellipsoid", "box", "capsule", "cylinder", "prism", "polyhedron"]
    center: Vector = (0.0, 0.0, 0.0)
    extents: Annotated[Vector, Field(description="edge lengths of the box")] = (1.0, 1.0, 1.0)
    rotation_deg: Annotated[
        Vector, Field(description="Euler angles about the fixed x, y and z axis, in this order")
    ] = (0.0, 0.0, 0.0)
    rounding: Annotated[
        Fraction,
        Field(description="radius of the edges as a fraction of half the smallest edge of the box"),
    ] = 0.0
    sides: Annotated[int, Field(ge=3, le=24, description="of a prism")] = 6
    facets: Annotated[
        tuple[tuple[float, float, float, float], ...],
        Field(description="of a polyhedron: outward normal x, y, z and distance from the center"),
    ] = ()

    @model_validator(mode="after")
    def _possible(self) -> "Primitive":
        if min(self.extents) <= 0:
            raise ValueError(f"extents (={self.extents}) must be positive")
        if (self.kind == "polyhedron") != bool(self.facets):
            raise ValueError("a polyhedron needs facets, and no other kind has them")
        if any(facet[3] <= 0 or not any(facet[:3]) for facet in self.facets):
            raise ValueError("a facet needs a normal other than 0 and a distance above 0")
        if self.facets and (reach := _reach(self.planes())) > 0.5 + 1e-4:
            raise ValueError(
                f"the facets let the polyhedron reach {reach:.3g} from the middle along "
                "an axis of its unit box, which ends at 0.5: move facets in, or add some"
            )
        return self

    def planes(self) -> Float[np.ndarray, "p 4"]:
        """Return unit normal and distance of the facets in the unit box; none but for facets."""
        if self.kind == "prism":
            return prism_planes(self.sides)
        planes = np.array(self.facets, float).reshape(-1, 4)
        return planes / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)


class Template(Settings):
    """A particle's shape in the unit cube; a particle stretches it to its size."""

    description: str = ""
    primitives: Annotated[tuple[Primitive, ...], Field(min_length=1, max_length=16)]
    smoothness: Annotated[
        Fraction,
        Field(description="width of the smooth union, as a fraction of the shortest edge"),
    ] = 0.0


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


def template_table(templates: Sequence[Template]) -> TemplateTable:
    """Return the templates as rows of primitives, in the order given."""
    rows = [primitive for template in templates for primitive in template.primitives]
    planes = [row.planes() for row in rows]
    padded = np.zeros((len(rows), max(1, *(len(p) for p in planes), 1), 4))
    padded[:, :, 3] = 1
    for row, facets in zip(padded, planes, strict=True):
        row[: len(facets)] = facets
    return TemplateTable(
        primitives=Primitives(
            kind=np.array([KINDS.index(row.kind) for row in rows]),
            center=np.array([row.center for row in rows]),
            extents=np.array([row.extents for row in rows]),
            rotation=Rotation.from_euler(
                "xyz", [row.rotation_deg for row in rows], degrees=True
            ).as_matrix(),
            rounding=np.array([row.rounding for row in rows]),
            planes=padded,
            facets=np.array([len(p) for p in planes]),
        ),
        first=np.cumsum([0, *(len(template.primitives) for template in templates)]),
        smoothness=np.array([template.smoothness for template in templates]),
    )


def _reach(planes: Float[np.ndarray, "p 4"]) -> float:
    """Return how far the polyhedron within planes gets from 0 along any axis, at most `_FAR`.

    Raises
    ------
    ValueError
        If it is too thin to have corners.
    """
    walls = np.concatenate([np.eye(3), -np.eye(3)])
    halfspaces = np.concatenate([planes, np.column_stack([walls, np.full(6, _FAR)])], axis=0) * [
        1,
        1,
        1,
        -1,
    ]
    try:
        corners = HalfspaceIntersection(halfspaces, np.zeros(3)).intersections
    except QhullError:
        raise ValueError("the facets leave nothing between them: move some out") from None
    return float(np.abs(corners).max())


def prism_planes(sides: int) -> Float[np.ndarray, "p 4"]:
    """Return the facets of a prism along x whose sides touch the unit box's round of diameter 1."""
    angle = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.zeros(sides), np.cos(angle), np.sin(angle), np.full(sides, 0.5)], axis=1)
    # Stretched so that its corners, not its sides, reach the faces of the box.
    corners = np.pi * (2 * np.arange(sides) + 1) / sides
    reach = np.stack([np.cos(corners), np.sin(corners)]) / np.cos(np.pi / sides) / 2
    low, high = reach.min(axis=1), reach.max(axis=1)
    normals = around[:, 1:3] * (high - low)
    distance = 0.5 - around[:, 1:3] @ ((high + low) / 2)
    around = np.concatenate([around[:, :1], normals, distance[:, None]], axis=1)
    around /= np.linalg.norm(normals, axis=1, keepdims=True)
    ends = np.array([[1, 0, 0, 0.5], [-1, 0, 0, 0.5]])
    return np.concatenate([around, ends])

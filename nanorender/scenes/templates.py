"""Particle templates: shapes in the unit cube as smooth unions of primitives."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from scipy.spatial import HalfspaceIntersection, QhullError
from scipy.spatial.transform import Rotation

from nanorender.scenes.primitives import PRIMITIVE_KINDS, PrimitiveKind
from nanorender.settings import Fraction, Settings

Vector = tuple[float, float, float]
_FAR = 100.0  # where open polyhedra are cut off to detect that they are open


class Primitive(Settings):
    """One convex primitive that fills a box in the unit cube, which extends from -1/2 to 1/2."""

    kind: PrimitiveKind
    """Shape; the axis of a capsule, a cylinder or a prism is x."""
    center: Vector = (0.0, 0.0, 0.0)
    """Center of the box in the unit cube."""
    extents: Vector = (1.0, 1.0, 1.0)
    """Edge lengths of the box before rotation."""
    rotation_deg: Vector = (0.0, 0.0, 0.0)
    """Euler angles about the fixed x, y and z axes, applied in this order, in degrees."""
    rounding: Fraction = 0.0
    """Radius of rounded edges, relative to half the shortest edge of the box."""
    sides: Annotated[int, Field(ge=3, le=24)] = 6
    """Number of sides of a prism."""
    facets: tuple[tuple[float, float, float, float], ...] = ()
    """Facets of a polyhedron in its box from -1/2 to 1/2: outward normal x, y, z and distance from
    the center."""

    @model_validator(mode="after")
    def _possible(self) -> "Primitive":
        if min(self.extents) <= 0:
            raise ValueError(f"extents must be positive, got {self.extents}")
        if (self.kind == "polyhedron") != bool(self.facets):
            raise ValueError("a polyhedron needs facets; other kinds must not have any")
        if any(facet[3] <= 0 or not any(facet[:3]) for facet in self.facets):
            raise ValueError("a facet needs a nonzero normal and a positive distance")
        if self.facets and (reach := _reach(self.planes())) > 0.5 + 1e-4:
            raise ValueError(
                f"the polyhedron must stay within 0.5 of the center along each axis, but reaches "
                f"{reach:.3g}; move facets inwards or add facets"
            )
        # The smooth maximum of the facets lies above the largest by less than the radius
        nearest = float(self.planes()[:, 3].min()) if self.facets else 0.5
        if 0.5 * self.rounding > nearest:
            raise ValueError(
                f"rounding must be at most {2 * nearest:.3g} for a polyhedron whose nearest facet "
                f"is {nearest:.3g} from the center, got {self.rounding}"
            )
        return self

    def planes(self) -> Float[np.ndarray, "p 4"]:
        """Return the planes of the facets.

        Returns
        -------
        planes : (p, 4) outward unit normal and distance from the center; empty for curved
            primitives
        """
        if self.kind == "prism":
            return prism_planes(self.sides)
        planes = np.array(self.facets, float).reshape(-1, 4)
        return planes / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)


class Template(Settings):
    """The shape of a particle in the unit cube, which is stretched to the size of the particle."""

    description: str = ""
    """One line that describes the shape."""
    primitives: Annotated[tuple[Primitive, ...], Field(min_length=1, max_length=16)]
    """Primitives whose union is the shape."""
    smoothness: Fraction = 0.0
    """Width of the smooth union, relative to the shortest edge of the particle."""


class Primitives(NamedTuple):
    """Primitives of all templates, one row each; a template is a range of rows.

    Stretching a particle stretches the boxes of its primitives, so that the distances remain those
    of true shapes.

    Attributes
    ----------
    kind : (m,) index into `PRIMITIVE_KINDS`
    center : (m, 3) center of the box
    extents : (m, 3) edge lengths of the box before rotation
    rotation : (m, 3, 3) rotation from the axes of the primitive to those of the template
    rounding : (m,) radius of rounded edges, relative to half the shortest edge of the box
    planes : (m, p, 4) outward unit normal and distance from the center of each facet of a
        polyhedron in its box from -1/2 to 1/2; unused rows have normal 0 and distance 1
    facets : (m,) number of planes in use, 0 for curved primitives
    """

    kind: Int[np.ndarray, "m"]
    center: Float[np.ndarray, "m 3"]
    extents: Float[np.ndarray, "m 3"]
    rotation: Float[np.ndarray, "m 3 3"]
    rounding: Float[np.ndarray, "m"]
    planes: Float[np.ndarray, "m p 4"]
    facets: Int[np.ndarray, "m"]


class TemplateTable(NamedTuple):
    """All templates of a recipe.

    Attributes
    ----------
    primitives : primitives of all templates; template t has the rows first[t] to first[t + 1]
    first : (t + 1,) first row of each template, and the number of rows
    smoothness : (t,) width of the smooth unions, relative to the shortest edge of the particle
    """

    primitives: Primitives
    first: Int[np.ndarray, "t+1"]
    smoothness: Float[np.ndarray, "t"]


def template_table(templates: Sequence[Template]) -> TemplateTable:
    """Build the table of templates.

    Parameters
    ----------
    templates : templates in the order of their numbers

    Returns
    -------
    table : all primitives, and the range of each template

    Examples
    --------
    >>> sphere = Template(primitives=[Primitive(kind="ellipsoid")])
    >>> template_table([sphere, sphere]).first.tolist()
    [0, 1, 2]
    """
    rows = [primitive for template in templates for primitive in template.primitives]
    planes = [row.planes() for row in rows]
    padded = np.zeros((len(rows), max(1, *(len(p) for p in planes), 1), 4))
    padded[:, :, 3] = 1
    for row, facets in zip(padded, planes, strict=True):
        row[: len(facets)] = facets
    return TemplateTable(
        primitives=Primitives(
            kind=np.array([PRIMITIVE_KINDS.index(row.kind) for row in rows]),
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
    """Return the largest coordinate of a polyhedron; raise a ValueError if it is degenerate."""
    walls = np.column_stack([np.concatenate([np.eye(3), -np.eye(3)]), np.full(6, _FAR)])
    halfspaces = np.concatenate([planes, walls]) * np.array([1, 1, 1, -1])
    try:
        corners = HalfspaceIntersection(halfspaces, np.zeros(3)).intersections
    except QhullError:
        raise ValueError("the facets enclose no volume; move some outwards") from None
    return float(np.abs(corners).max())


def prism_planes(sides: int) -> Float[np.ndarray, "p 4"]:
    """Return the facets of a prism along x, stretched to fill its box from -1/2 to 1/2.

    Parameters
    ----------
    sides : number of sides

    Returns
    -------
    planes : (sides + 2, 4) outward unit normal and distance from the center, both ends last
    """
    angle = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.zeros(sides), np.cos(angle), np.sin(angle), np.full(sides, 0.5)], axis=1)
    # Stretch it so that its corners, not its sides, reach the faces of the box
    corners = np.pi * (2 * np.arange(sides) + 1) / sides
    reach = np.stack([np.cos(corners), np.sin(corners)]) / np.cos(np.pi / sides) / 2
    low, high = reach.min(axis=1), reach.max(axis=1)
    normals = around[:, 1:3] * (high - low)
    distance = 0.5 - around[:, 1:3] @ ((high + low) / 2)
    around = np.concatenate([around[:, :1], normals, distance[:, None]], axis=1)
    around /= np.linalg.norm(normals, axis=1, keepdims=True)
    ends = np.array([[1, 0, 0, 0.5], [-1, 0, 0, 0.5]])
    return np.concatenate([around, ends])

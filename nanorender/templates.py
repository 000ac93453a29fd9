"""Particle templates: smooth unions of placed primitives in the unit cube, as data."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from nanorender.primitives import KINDS
from nanorender.settings import Settings

Vector = tuple[float, float, float]
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
        return self

    def planes(self) -> Float[np.ndarray, "p 4"]:
        """Return unit normal and distance of the facets in the unit box; none but for facets."""
        if self.kind == "prism":
            return _prism_planes(self.sides)
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


def _prism_planes(sides: int) -> Float[np.ndarray, "p 4"]:
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


def _facets(normals: Float[np.ndarray, "p 3"], distance: float | Float[np.ndarray, "p"]):
    """Return facets as settings, with the digits that matter."""
    distances = np.broadcast_to(distance, len(normals))
    rows = np.column_stack([normals, distances]) / np.linalg.norm(normals, axis=1, keepdims=True)
    return tuple(tuple(row) for row in rows.round(6).tolist())


def _signs(*magnitudes: float) -> Float[np.ndarray, "p 3"]:
    """Return the vector with every combination of signs of its parts other than 0."""
    choices = [(-value, value) if value else (0.0,) for value in magnitudes]
    return np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, 3)


_AXES = np.concatenate([np.eye(3), -np.eye(3)])


def _grain(seed: int) -> Template:
    """Return a convex grain: 10 to 16 random facets tangent to a sphere, generously rounded.

    The normals repel one another, so that no facet is much larger than another; the stretch to
    the unit cube is part of the planes.
    """
    rng = np.random.default_rng([171, seed])
    normals = rng.normal(size=(int(rng.integers(10, 17)), 3))
    for _ in range(12):
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        apart = normals[:, None] - normals[None]
        far = np.linalg.norm(apart, axis=2, keepdims=True) + np.eye(len(normals))[:, :, None]
        normals = normals + 0.05 * (apart / far**3).sum(axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    distance = rng.uniform(0.42, 0.5, len(normals))
    facets = _facets(np.concatenate([normals, _AXES]), np.append(distance, np.full(6, 0.5)))
    rounding = round(float(rng.uniform(0.35, 0.7)), 3)
    return Template(
        description="irregular rounded grain with slight facets, as in pigment-grade TiO2",
        primitives=(Primitive(kind="polyhedron", facets=facets, rounding=rounding),),
    )


def _simple(description: str, **primitive) -> Template:
    return Template(description=description, primitives=(Primitive(**primitive),))


def _satellites(*directions: Vector) -> Template:
    """Return a sphere that fills most of the cube, with a small bump in each direction."""
    bumps = tuple(
        Primitive(
            kind="ellipsoid", center=tuple(0.42 * np.array(direction)), extents=(0.26, 0.26, 0.26)
        )
        for direction in directions
    )
    body = Primitive(kind="ellipsoid", extents=(0.9, 0.9, 0.9))
    return Template(
        description=f"sphere with {len(bumps)} small bumps sintered on",
        primitives=(body, *bumps),
        smoothness=0.06,
    )


def _named_templates() -> dict[str, Template]:
    octahedron = _facets(_signs(1.0, 1.0, 1.0), 0.5 / np.sqrt(3))
    truncated = _facets(
        np.concatenate([_AXES, _signs(1.0, 1.0, 1.0)]),
        np.append(np.full(6, 0.5), np.full(8, 1.2 / np.sqrt(3))),
    )
    return {
        "sphere": _simple("sphere, or ellipsoid when stretched", kind="ellipsoid"),
        "ellipsoid": _simple("flat ellipsoid", kind="ellipsoid", extents=(1.0, 0.7, 0.5)),
        "rod": Template(
            description="round shaft with two domed tips; half-spheres at an aspect ratio of 5",
            primitives=(
                Primitive(kind="cylinder", extents=(0.8, 1.0, 1.0)),
                Primitive(kind="ellipsoid", center=(-0.4, 0.0, 0.0), extents=(0.2, 1.0, 1.0)),
                Primitive(kind="ellipsoid", center=(0.4, 0.0, 0.0), extents=(0.2, 1.0, 1.0)),
            ),
        ),
        "capsule": _simple("shaft with half-spheres at its ends", kind="capsule"),
        "wire": Template(
            description="five-sided shaft with two tapered tips, as of silver nanowires",
            primitives=(
                Primitive(kind="prism", sides=5, extents=(0.97, 1.0, 1.0), rounding=0.3),
                *(
                    Primitive(
                        kind="polyhedron",
                        center=(side * 0.485, 0.0, 0.0),
                        extents=(0.03, 1.0, 1.0),
                        rounding=0.3,
                        facets=_tip_facets(side),
                    )
                    for side in (-1, 1)
                ),
            ),
        ),
        "cube": _simple("cube with slightly rounded edges", kind="box", rounding=0.08),
        "rounded_box": _simple("box with generously rounded edges", kind="box", rounding=0.4),
        "cylinder": _simple("cylinder with rounded rims", kind="cylinder", rounding=0.15),
        "octahedron": _simple("octahedron", kind="polyhedron", facets=octahedron, rounding=0.05),
        "bipyramid": _simple(
            "six-sided bipyramid with blunt tips",
            kind="polyhedron",
            rounding=0.08,
            facets=_facets(*_bipyramid_planes(6, 0.9)),
        ),
        "truncated_cube": _simple(
            "cube with its corners cut off", kind="polyhedron", facets=truncated, rounding=0.06
        ),
        "hexagonal_plate": _simple(
            "flat six-sided plate",
            kind="prism",
            sides=6,
            extents=(0.2, 1.0, 1.0),
            rotation_deg=(0.0, 90.0, 0.0),
            rounding=0.2,
        ),
        "satellite_1": _satellites((1.0, 0.0, 0.0)),
        "satellite_2": _satellites((1.0, 0.0, 0.0), (-0.5, 0.8, 0.3)),
        "satellite_3": _satellites((0.9, 0.3, 0.3), (-0.5, 0.8, 0.3), (0.0, -0.7, 0.7)),
        "dimer": Template(
            description="two equal spheres, sintered together at an aspect ratio of 1.8",
            primitives=tuple(
                Primitive(
                    kind="ellipsoid", center=(side * 2 / 9, 0.0, 0.0), extents=(5 / 9, 1.0, 1.0)
                )
                for side in (-1, 1)
            ),
            smoothness=0.15,
        ),
    }


def _tip_facets(side: int):
    """Return facets of a five-sided pyramid that points to `side`, cut off before its apex."""
    planes = _prism_planes(5)[:5].copy()
    across = np.linalg.norm(planes[:, 1:3], axis=1)
    planes[:, 0] = side * 0.3 * across
    # As wide as the shaft where it sits on it, half a box before its middle.
    planes[:, 3] -= 0.15 * across
    ends = np.array([[side, 0, 0, 0.5], [-side, 0, 0, 0.5]])
    return _facets(
        np.concatenate([planes[:, :3], ends[:, :3]]), np.append(planes[:, 3], ends[:, 3])
    )


def _bipyramid_planes(sides: int, length: float):
    """Return normals and distances of a bipyramid along x whose waist fills the unit box."""
    around = _prism_planes(sides)[:sides]
    upper, lower = around[:, :3].copy(), around[:, :3].copy()
    upper[:, 0], lower[:, 0] = length, -length
    normals = np.concatenate([upper, lower, _AXES[[0, 3]]])
    return normals, np.append(np.tile(around[:, 3], 2), [0.5, 0.5])


BUILT_IN: dict[str, Template] = _named_templates() | {
    f"grain_{number}": _grain(number) for number in range(10)
}

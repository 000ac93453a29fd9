"""Built-in particle templates."""

import numpy as np
from jaxtyping import Float

from nanorender.scenes.templates import Primitive, Template, Vector, prism_planes


def _facets(normals: Float[np.ndarray, "p 3"], distance: float | Float[np.ndarray, "p"]):
    """Return facets as settings, rounded to six digits; normals need not be unit vectors."""
    distances = np.broadcast_to(distance, len(normals))
    rows = np.column_stack([normals, distances]) / np.linalg.norm(normals, axis=1, keepdims=True)
    return tuple(tuple(row) for row in rows.round(6).tolist())


def _signs(*magnitudes: float) -> Float[np.ndarray, "p 3"]:
    """Return the vectors with all combinations of signs of the nonzero components."""
    choices = [(-value, value) if value else (0.0,) for value in magnitudes]
    return np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, 3)


_AXES = np.concatenate([np.eye(3), -np.eye(3)])


def _grain(seed: int) -> Template:
    """Return a convex grain with 10 to 16 random facets, tangent to a sphere and rounded.

    The normals repel each other, so that the facets are about equally large.
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
    """Return a template of one primitive."""
    return Template(description=description, primitives=(Primitive(**primitive),))


def _satellites(*directions: Vector) -> Template:
    """Return a sphere with a small bump in each direction."""
    bumps = tuple(
        Primitive(
            kind="ellipsoid", center=tuple(0.42 * np.array(direction)), extents=(0.26, 0.26, 0.26)
        )
        for direction in directions
    )
    body = Primitive(kind="ellipsoid", extents=(0.9, 0.9, 0.9))
    return Template(
        description=f"sphere with {len(bumps)} small sintered bump{'s' if len(bumps) > 1 else ''}",
        primitives=(body, *bumps),
        smoothness=0.06,
    )


def _named_templates() -> dict[str, Template]:
    """Return the templates that are not random."""
    octahedron = _facets(_signs(1.0, 1.0, 1.0), 0.5)
    truncated = _facets(
        np.concatenate([_AXES, _signs(1.0, 1.0, 1.0)]),
        np.append(np.full(6, 0.5), np.full(8, 1.2)),
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
    """Return the facets of a truncated five-sided pyramid that points to `side` along x."""
    planes = prism_planes(5)[:5].copy()
    across = np.linalg.norm(planes[:, 1:3], axis=1)
    planes[:, 0] = side * 0.3 * across
    # Make it as wide as the shaft where they join, half a box before its center
    planes[:, 3] -= 0.15 * across
    ends = np.array([[side, 0, 0, 0.5], [-side, 0, 0, 0.5]])
    return _facets(
        np.concatenate([planes[:, :3], ends[:, :3]]), np.append(planes[:, 3], ends[:, 3])
    )


def _bipyramid_planes(sides: int, length: float):
    """Return the normals and distances of a bipyramid along x whose waist fills its box."""
    around = prism_planes(sides)[:sides]
    upper, lower = around[:, :3].copy(), around[:, :3].copy()
    upper[:, 0], lower[:, 0] = length, -length
    normals = np.concatenate([upper, lower, _AXES[[0, 3]]])
    return normals, np.append(np.tile(around[:, 3], 2), [0.5, 0.5])


BUILT_IN: dict[str, Template] = _named_templates() | {
    f"grain_{number}": _grain(number) for number in range(10)
}
"""Built-in templates by name; a recipe may add its own."""

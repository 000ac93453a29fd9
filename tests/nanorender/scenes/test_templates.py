import numpy as np
import pytest
from scipy.spatial import HalfspaceIntersection

from nanorender.errors import InputError
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import Primitive, Template, template_table

SIDES = [[x, y, z, 0.5] for x, y, z in np.concatenate([np.eye(3), -np.eye(3)]).tolist()]


def polyhedron(*facets: list[float]) -> str:
    return f'[[primitives]]\nkind = "polyhedron"\nfacets = {list(facets)}'


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_template_survives_its_own_toml(name):
    assert Template.from_toml(BUILT_IN[name].to_toml(), name) == BUILT_IN[name]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_template_is_described_and_stays_near_the_unit_cube(name):
    template = BUILT_IN[name]
    assert template.description
    table = template_table([template])
    primitives = table.primitives
    reach = np.einsum("mij,mj->mi", np.abs(primitives.rotation), primitives.extents / 2)
    assert np.all(np.abs(primitives.center) + reach <= 0.56)


def test_a_table_lists_the_primitives_of_one_template_after_the_other():
    chosen = [BUILT_IN["satellite_2"], BUILT_IN["sphere"], BUILT_IN["octahedron"]]
    table = template_table(chosen)
    assert table.first.tolist() == [0, 3, 4, 5]
    assert table.primitives.facets.tolist() == [0, 0, 0, 0, 8]
    assert table.smoothness.tolist() == [t.smoothness for t in chosen]
    np.testing.assert_allclose(np.linalg.norm(table.primitives.planes[4, :8, :3], axis=1), 1)


@pytest.mark.parametrize(
    "name", ["octahedron", "bipyramid", "truncated_cube", "grain_0", "grain_9"]
)
def test_a_polyhedron_fills_its_unit_cube(name):
    planes = BUILT_IN[name].primitives[0].planes() * [1, 1, 1, -1]
    corners = HalfspaceIntersection(planes, np.zeros(3)).intersections
    np.testing.assert_allclose(np.stack([-corners.min(0), corners.max(0)]), 0.5, atol=0.03)


@pytest.mark.parametrize("sides", range(3, 13))
def test_a_prism_fills_the_width_and_height_of_its_box(sides):
    template = Template(primitives=({"kind": "prism", "sides": sides},))
    planes = template.primitives[0].planes()[:sides, 1:]
    # Corners are where neighboring sides meet.
    corners = np.array(
        [
            np.linalg.solve(np.stack([a[:2], b[:2]]), [a[2], b[2]])
            for a, b in zip(planes, np.roll(planes, -1, axis=0), strict=True)
        ]
    )
    np.testing.assert_allclose(corners.min(0), -0.5, atol=1e-12)
    np.testing.assert_allclose(corners.max(0), 0.5, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[primitives]]\nkind = "polyhedron"', "needs facets"),
        ('[[primitives]]\nkind = "box"\nextents = [1, 0, 1]', "must be positive"),
        ('[[primitives]]\nkind = "torus"', "torus"),
        ('[[primitives]]\nkind = "box"\nsize = 3', "unknown key"),
        ("primitives = []", "primitives"),
        (polyhedron([1, 0, 0, 0.8], *SIDES[1:]), "reaches 0.8"),
        (polyhedron(*SIDES[1:]), "reaches 100"),
        (polyhedron(*SIDES, [1, 1, 1, 0.3]) + "\nrounding = 0.9", "at most 0.346"),
    ],
)
def test_invalid_template_is_refused_in_one_line(text, problem):
    with pytest.raises(InputError, match=problem) as caught:
        Template.from_toml(text, "recipe")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("distance", [1e-20, 1e-50])
def test_facets_that_enclose_no_volume_are_refused(distance):
    facets = ((1, 0, 0, distance), (-1, 0, 0, distance), (0, 1, 0, 0.5), (0, -1, 0, 0.5))
    facets += ((0, 0, 1, 0.5), (0, 0, -1, 0.5))
    with pytest.raises(ValueError, match="enclose no volume"):
        Primitive(kind="polyhedron", facets=facets)

import numpy as np
import pytest
from test_shaders import EDGE, PLAIN, RADIUS_NM, lit, shaded, sphere

from nanorender.imaging import ridges
from nanorender.imaging.materials import EdgeEffect

MATERIAL = EdgeEffect(**PLAIN | {"ridges": 0.3, "ridge_spacing_nm": 1200.0})


def on_a_sphere(**settings):
    of = sphere()
    return of, ridges.ridged(of.surface, [MATERIAL.model_copy(update=settings)], of.particles)


def test_normals_stay_unit_vectors_and_the_substrate_stays_flat():
    of, found = on_a_sphere()
    assert np.linalg.norm(found.normal, axis=0) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(found.normal[:, ~of.inside], of.surface.normal[:, ~of.inside])
    assert (found.crest[~of.inside] == 1).all()
    assert not np.array_equal(found.normal[:, of.inside], of.surface.normal[:, of.inside])


def test_ridges_do_not_exceed_the_maximum_slope():
    of, found = on_a_sphere()
    cosine = np.sum(found.normal * of.surface.normal, axis=0)[of.inside]
    # No drop has more than 1.6 of the slope, and the second generation adds a half.
    assert np.tan(np.arccos(np.clip(cosine, -1, 1))).max() <= 0.3 * 1.6 * 1.5 * 1.01


def test_ridges_darken_as_much_as_they_brighten():
    coarse = MATERIAL.model_copy(update={"ridge_spacing_nm": 900.0})
    plain = shaded(EdgeEffect(**PLAIN), lit())[sphere().inside].mean()
    assert shaded(coarse, lit())[sphere().inside].mean() == pytest.approx(plain, rel=0.06)


def test_the_distance_to_borders_and_its_gradient_are_those_of_the_nearest_points():
    points, rng = ridges._points(), np.random.default_rng(0)
    cells = np.stack(np.mgrid[10:20, 10:20, 10:20], axis=-1).reshape(-1, 3)
    middles = cells + points[tuple(cells.T)]
    for place in rng.uniform(13, 17, (50, 3)).astype(np.float32):
        apart = np.sort(np.linalg.norm(middles - place, axis=1))
        found = ridges._border(points, *place)
        assert found[0] == pytest.approx(apart[1] - apart[0], abs=1e-4)
        nearest = np.argsort(np.linalg.norm(middles - place, axis=1))[:2]
        toward, beyond = ((place - middles[k]) / apart[n] for n, k in enumerate(nearest))
        assert found[1:] == pytest.approx(beyond - toward, abs=1e-3)


def test_small_drops_have_finer_ridges():
    at = ridges.spacing_nm(np.full(2, 1000.0), np.array([10_000.0, 1250.0]))
    assert at == pytest.approx([1000.0, 250.0])


def test_ridges_closer_than_pixels_are_left_out():
    of, found = on_a_sphere(ridge_spacing_nm=40.0)  # 4.7 nm on this sphere, of 5 nm pixels
    assert np.array_equal(found.normal, of.surface.normal)
    assert EDGE * 5.0 > 2 * RADIUS_NM

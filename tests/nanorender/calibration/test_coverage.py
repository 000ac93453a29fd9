import numpy as np
import pytest

from nanorender.calibration.coverage import expected_coverage
from nanorender.calibration.views import Scale
from nanorender.distributions import Constant
from nanorender.recipe import read_recipe


def test_the_expected_coverage_is_that_of_discs_that_fell_at_random():
    recipe = read_recipe("powder")
    sphere = recipe.particles[0].model_copy(
        update={"templates": ("sphere",), "diameter_nm": recipe.particles[0].diameter_nm}
    )
    placement = recipe.placement.model_copy(update={"apart": 0.0})
    alone = recipe.model_copy(update={"particles": (sphere,), "placement": placement})
    drawn = sphere.diameter_nm.sample(np.random.default_rng(0), 100_000)
    per_nm2 = alone.particle_count.typical() / alone.field_nm**2
    # Poisson: what random discs leave free is exp(-their area). An aspect keeps the area.
    expected = 1 - np.exp(-per_nm2 * np.mean(np.pi / 4 * drawn**2))
    found = expected_coverage(alone, 120.0, Scale(256, 1, 1.0), 0)
    assert found == pytest.approx(expected, rel=0.04)


def test_a_tilted_sample_is_covered_as_if_its_particles_lay_closer():
    recipe = read_recipe("powder")
    camera = recipe.camera.model_copy(update={"tilt_deg": Constant(value=40.0)})
    tilted = recipe.model_copy(update={"camera": camera})
    upright, seen = (expected_coverage(r, 120.0, Scale(256, 1, 1.0), 0) for r in (recipe, tilted))
    # Poisson: the same outlines on a field that is shorter by the cosine.
    assert seen == pytest.approx(1 - (1 - upright) ** (1 / np.cos(np.radians(40.0))), rel=0.05)

"""Populations that the micrographs do not show."""

from pathlib import Path

import numpy as np
import pytest

from nanorender.calibration.calibrate import CalibrationSettings, calibrate
from nanorender.calibration.fitted_recipe import fitted_toml
from nanorender.calibration.parameters import with_settings
from nanorender.calibration.populations import (
    Discs,
    evidence_of_absence,
    fit_mixture,
    keep_populations,
)
from nanorender.distributions import Constant
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe, read_recipe
from nanorender.rendering import render

EDGE_NM, EDGE_PX = 5.0, 384
SMALL = 2  # population of `sio2`
QUICK = CalibrationSettings(evaluations=0, corrections=4, views=2, checked_views=4)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def cloud(rng, center, count=200):
    return rng.normal(center, (0.1, 8.0), (count, 2))


def two_populations(rng, first=(3.0, 120.0), second=(2.3, 160.0)):
    features = np.concatenate((cloud(rng, first), cloud(rng, second)))
    return Discs(features, np.repeat([0, 1], 200))


def test_a_population_of_which_no_disc_is_seen_is_absent(rng):
    evidence = evidence_of_absence(cloud(rng, (3.0, 120.0)), two_populations(rng), 2)
    assert evidence[0] == -np.inf
    # Half of its share of 0.5 would make each of the 200 discs less likely by a factor of 3/4
    assert evidence[1] == pytest.approx(-200 * np.log(0.75), rel=0.05)


def test_populations_that_are_seen_in_other_proportions_are_present(rng):
    real = np.concatenate((cloud(rng, (3.0, 120.0), 160), cloud(rng, (2.3, 160.0), 40)))
    assert (evidence_of_absence(real, two_populations(rng), 2) == -np.inf).all()


def test_of_populations_that_look_alike_neither_is_absent(rng):
    alike = two_populations(rng, second=(3.0, 120.0))
    assert (evidence_of_absence(cloud(rng, (3.0, 120.0)), alike, 2) < 2).all()


def test_dirt_is_no_evidence_against_a_population(rng):
    real = np.concatenate((cloud(rng, (3.0, 120.0), 100), cloud(rng, (2.3, 160.0), 100)))
    dirt = rng.uniform((1.0, 0.0), (4.0, 255.0), (600, 2))
    some = evidence_of_absence(np.concatenate((real, dirt[:100])), two_populations(rng), 2)
    assert (some == -np.inf).all()
    mostly_dirt = evidence_of_absence(np.concatenate((real, dirt)), two_populations(rng), 2)
    assert np.isnan(mostly_dirt).all()


def test_nothing_is_said_of_few_discs_and_of_small_populations(rng):
    few = evidence_of_absence(cloud(rng, (3.0, 120.0), 30), two_populations(rng), 2)
    assert np.isnan(few).all()
    features = np.concatenate((cloud(rng, (3.0, 120.0)), cloud(rng, (2.3, 160.0), 10)))
    rare = Discs(features, np.repeat([0, 1], [200, 10]))
    assert np.isnan(evidence_of_absence(cloud(rng, (3.0, 120.0)), rare, 2)[1])


def test_a_fixed_share_is_kept_and_the_likelihood_is_that_of_the_mixture():
    densities = np.array([[2.0, 2.0, 0.5], [0.5, 0.5, 2.0], [1.0, 1.0, 1.0]])
    shares, likelihood = fit_mixture(densities, fixed=2, share=0.4)
    assert shares[2] == pytest.approx(0.4)
    assert shares.sum() == pytest.approx(1)
    assert likelihood == pytest.approx(np.log(shares @ densities).sum())
    assert likelihood <= fit_mixture(densities)[1]


def micrographs(recipe):
    recipe = with_settings(
        recipe.at_scale(EDGE_NM, EDGE_PX), "camera", pixel_size_nm=Constant(value=EDGE_NM)
    )
    window = (0, EDGE_PX, 0, EDGE_PX)
    return [
        Micrograph(
            render(recipe, 5, index).image,
            EDGE_NM,
            "known",
            window,
            (EDGE_PX, EDGE_PX),
            Path("a.tif"),
        )
        for index in range(4)
    ]


def test_small_spheres_that_the_micrographs_do_not_show_are_left_out_of_the_recipe():
    base = read_recipe("sio2")
    found = calibrate(micrographs(keep_populations(base, [0, 1])), base, QUICK)
    assert found.kept == (0, 1)
    assert found.notes == (
        "the micrographs show nearly none of the glossy particles of about 55 nm, which are left "
        "out of the recipe",
    )
    written = Recipe.from_toml(fitted_toml(found, "sio2", ["a.tif"]), "fitted")
    assert [kind.material for kind in written.particles] == ["diffuse", "diffuse"]
    assert list(written.materials) == ["diffuse"]


def test_small_spheres_that_the_micrographs_show_are_kept():
    base = read_recipe("sio2")
    found = calibrate(micrographs(base), base, QUICK)
    assert found.kept == (0, 1, SMALL)
    assert found.notes == ()

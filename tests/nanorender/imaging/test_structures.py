import numpy as np
import pytest
from scipy.ndimage import label

from nanorender.imaging.structures import StructureSettings, structure_texture

SHAPE = (240, 320)
ONE_OF_EACH = {
    "scratches": {"scratches_per_um2": 300.0},
    "cracks": {"cracks_per_um2": 100.0},
    "fibers": {"fibers_per_um2": 100.0},
    "crystals": {"crystal_strength": 0.2, "crystal_diameter_nm": 40.0},
    "membrane": {"membrane_strength": 0.8, "membrane_pore_nm": 12.0},
    "curtains": {"curtain_strength": 0.1},
    "scan frames": {"scan_frames": 5.0},
}


def texture(seed: int = 0, **settings) -> np.ndarray:
    return structure_texture(StructureSettings(**settings), SHAPE, 1.0, np.random.default_rng(seed))


def test_a_plain_substrate_has_a_factor_of_one():
    assert (texture() == 1).all()


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_each_structure_is_visible_repeatable_and_not_negative(name):
    drawn = texture(**ONE_OF_EACH[name])
    assert drawn.dtype == np.float32
    assert drawn.std() > 0.01
    assert drawn.min() >= 0
    np.testing.assert_array_equal(drawn, texture(**ONE_OF_EACH[name]))
    assert not np.array_equal(drawn, texture(seed=1, **ONE_OF_EACH[name]))


def test_cracks_darken_and_fibers_brighten():
    assert texture(**ONE_OF_EACH["cracks"]).max() == 1
    assert texture(**ONE_OF_EACH["fibers"]).min() == 1


def test_a_further_structure_leaves_the_others_in_their_places():
    cracks = texture(**ONE_OF_EACH["cracks"])
    both = texture(**ONE_OF_EACH["cracks"], **ONE_OF_EACH["scan frames"])
    inside = cracks < 1
    assert (both[inside] < 1).all()


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_open_share_of_a_membrane_is_that_of_the_settings(share):
    drawn = texture(membrane_strength=1.0, membrane_pore_nm=20.0, membrane_open_fraction=share)
    assert np.mean(drawn < 1) == pytest.approx(share, abs=0.02)


def test_crystals_have_their_size():
    drawn = texture(crystal_strength=0.3, crystal_diameter_nm=30.0)
    # Away from the blurred boundaries, the gray level of a crystal is constant
    flat = np.hypot(*np.gradient(drawn)) < 1e-4
    _, count = label(flat)
    assert count == pytest.approx(SHAPE[0] * SHAPE[1] / 30**2, rel=0.35)


def test_stripes_of_curtaining_run_along_the_columns():
    drawn = texture(curtain_strength=0.2, curtain_width_nm=10.0)
    along, across = (np.abs(np.diff(drawn, axis=axis)).mean() for axis in (0, 1))
    assert across > 5 * along


def test_lines_thinner_than_a_pixel_are_fainter():
    cracks = {"cracks_per_um2": 50.0, "crack_strength": 0.9}
    thin, thick = (texture(crack_width_nm=width, **cracks) for width in (0.3, 3.0))
    assert 1 - thin.min() == pytest.approx(0.3 * (1 - thick.min()), rel=0.1)

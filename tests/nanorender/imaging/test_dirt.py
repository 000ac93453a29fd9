from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from nanorender.imaging.diamond_square import diamond_square
from nanorender.imaging.dirt import DirtSettings, substrate_texture

OFF = DirtSettings(
    patch_strength=0,
    rings_per_um2=0,
    flakes_per_um2=0,
    smears_per_um2=0,
    shading_strength=0,
)


def changed(**values) -> DirtSettings:
    return DirtSettings.model_validate(OFF.model_dump() | values)


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 200), roughness=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_a_texture_of_any_size_spans_minus_one_to_one(size, roughness, seed):
    texture = diamond_square(size, roughness, np.random.default_rng(seed))
    assert texture.shape == (size, size)
    assert texture.dtype == np.float32
    if size > 1:
        assert texture.min() == pytest.approx(-1, abs=1e-5)
        assert texture.max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("roughness", [0.2, 0.5, 0.8])
def test_differences_grow_with_distance_as_the_roughness_says(roughness):
    # Fractional Brownian: the mean squared difference grows as distance^(2H), H = 1 - roughness.
    rng = np.random.default_rng(3)
    distances = np.array([2, 4, 8, 16, 32])
    squares = np.zeros(len(distances))
    for _ in range(12):
        texture = diamond_square(257, roughness, rng).astype(float)
        squares += [np.mean((texture[:, d:] - texture[:, :-d]) ** 2) for d in distances]
    slope = np.polyfit(np.log(distances), np.log(squares), 1)[0]
    assert slope == pytest.approx(2 * (1 - roughness), abs=0.2)


@pytest.mark.parametrize("roughness", [0.3, 0.6])
def test_the_power_spectrum_falls_as_the_roughness_says(roughness):
    rng = np.random.default_rng(5)
    window = np.outer(np.hanning(256), np.hanning(256))
    power = np.zeros((256, 256))
    for _ in range(12):
        texture = diamond_square(256, roughness, rng)
        power += np.abs(np.fft.fft2((texture - texture.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    edges = np.geomspace(0.02, 0.2, 9)
    means = [power[(frequency >= a) & (frequency < b)].mean() for a, b in pairwise(edges)]
    slope = np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(means), 1)[0]
    assert slope == pytest.approx(-(2 * (1 - roughness) + 2), abs=0.35)


def test_no_dirt_gives_a_factor_of_one():
    texture = substrate_texture(OFF, (40, 60), 7.0, np.random.default_rng(0))
    np.testing.assert_array_equal(texture, np.ones((40, 60), np.float32))


def test_the_default_dirt_is_a_factor_about_one_that_is_never_negative():
    texture = substrate_texture(DirtSettings(), (300, 300), 7.0, np.random.default_rng(1))
    assert texture.mean() == pytest.approx(1, abs=0.05)
    assert texture.std() > 0.01
    assert texture.min() >= 0


def test_patches_change_the_factor_by_their_strength():
    texture = substrate_texture(
        changed(patch_strength=0.2), (90, 90), 7.0, np.random.default_rng(2)
    )
    assert texture.min() == pytest.approx(0.8, abs=1e-5)
    assert texture.max() == pytest.approx(1.2, abs=1e-5)


def test_shading_is_slow_and_has_its_strength():
    texture = substrate_texture(
        changed(shading_strength=0.1), (80, 90), 7.0, np.random.default_rng(2)
    )
    assert 0.02 < np.ptp(texture) <= 0.2
    assert np.abs(np.diff(texture, axis=0)).max() < 0.2 / 80 * 2


def test_closed_rings_are_rims_whose_line_peaks_at_their_strength():
    alone = changed(
        rings_per_um2=1.5,
        ring_strength=0.5,
        ring_closed_fraction=1.0,
        ring_chained_fraction=0.0,
        ring_diameter_nm=300,
        ring_width_nm=16,
    )
    texture = substrate_texture(alone, (300, 300), 4.0, np.random.default_rng(4))
    dirty = texture > 1.02
    assert 0.001 < dirty.mean() < 0.3
    _, count = label(~dirty)
    assert count > 1  # what a closed ring encloses is not joined to the outside


@pytest.mark.parametrize(("pixel_size_nm", "edge"), [(4.0, 500), (10.0, 200)])
def test_the_number_of_flakes_follows_the_area_and_not_the_pixels(pixel_size_nm, edge):
    flakes = changed(flakes_per_um2=10, flake_strength=0.8, flake_diameter_nm=60, ring_width_nm=4)
    covered = []
    for seed in range(10):
        texture = substrate_texture(
            flakes, (edge, edge), pixel_size_nm, np.random.default_rng(seed)
        )
        covered.append((texture > 1.1).mean())
    # Ellipses of diameter 60 nm whose minor axis is 3/4 of the major one on the mean, 10 per um2,
    # and a rim of some nm around them.
    expected = 10 * np.pi / 4 * 0.06**2 * 0.75
    assert expected * 0.8 < np.mean(covered) < expected * 2.0


def test_smears_brighten_or_darken_by_their_strength_at_most():
    smears = changed(smears_per_um2=1, smear_strength=0.1)
    texture = substrate_texture(smears, (200, 200), 7.0, np.random.default_rng(8))
    assert 0.02 < np.abs(texture - 1).max() < 0.4


def test_the_same_seed_gives_the_same_bytes():
    first, second = (
        substrate_texture(DirtSettings(), (120, 130), 7.0, np.random.default_rng(9))
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_pores_darken_their_area_of_the_film():
    edge, pixel_size_nm = 400, 5.0
    pores = changed(pores_per_um2=10, pore_strength=0.5, pore_diameter_nm=80)
    covered = []
    for seed in range(10):
        texture = substrate_texture(pores, (edge, edge), pixel_size_nm, np.random.default_rng(seed))
        assert texture.min() < 0.55
        assert texture.max() == pytest.approx(1)
        covered.append((texture < 0.75).mean())
    # Ellipses of diameter 80 nm whose minor axis is 3/4 of the major one on the mean, 10 per um2.
    expected = 10 * np.pi / 4 * 0.08**2 * 0.75
    assert np.mean(covered) == pytest.approx(expected, rel=0.35)

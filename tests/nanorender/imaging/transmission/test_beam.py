import numpy as np
import pytest

from nanorender.imaging.transmission.beam import (
    BeamSettings,
    bright_field,
    electron_wavelength_nm,
    interaction_parameter,
)

COHERENT = BeamSettings(convergence_mrad=0.0)


@pytest.mark.parametrize(
    ("voltage_kv", "wavelength_pm", "mrad_per_v_nm"),  # Kirkland 2010, table 2.1 and figure 5.1
    [(100.0, 3.701, 9.244), (200.0, 2.508, 7.288), (300.0, 1.969, 6.526)],
)
def test_wavelength_and_interaction_are_those_of_the_tables(
    voltage_kv, wavelength_pm, mrad_per_v_nm
):
    assert 1000 * electron_wavelength_nm(voltage_kv) == pytest.approx(wavelength_pm, rel=1e-3)
    assert 1000 * interaction_parameter(voltage_kv) == pytest.approx(mrad_per_v_nm, rel=1e-3)


def test_in_focus_the_intensity_follows_beer_and_lambert():
    depth = np.linspace(0, 3, 64, dtype=np.float32).reshape(8, 8)
    found = bright_field(depth, np.ones_like(depth), 1.0, COHERENT, 0.0)
    np.testing.assert_allclose(found, np.exp(-depth), rtol=1e-6)


def test_a_phase_object_shows_out_of_focus_only_and_loses_no_electrons():
    y, x = np.mgrid[:128, :128] - 64.0
    phase = np.exp(-(x**2 + y**2) / 50).astype(np.float32)
    nothing = np.zeros_like(phase)
    assert np.ptp(bright_field(nothing, phase, 0.5, COHERENT, 0.0)) == 0
    found = bright_field(nothing, phase, 0.5, COHERENT, 500.0)
    assert np.ptp(found) > 0.05
    assert found.mean() == pytest.approx(1, abs=1e-3)


def test_fringes_follow_the_transport_of_intensity_equation():
    # For small defocus z: I = 1 - wavelength z / (2 pi) laplacian(phase) (Teague 1983, equation 8)
    y, x = np.mgrid[:256, :256] - 128.0
    pixel_nm, defocus_nm = 0.5, 20.0
    phase = (0.1 * np.exp(-(x**2 + y**2) / (2 * 20.0**2))).astype(np.float32)
    laplacian = sum(
        np.gradient(np.gradient(phase.astype(float), pixel_nm, axis=axis), pixel_nm, axis=axis)
        for axis in (0, 1)
    )
    expected = -electron_wavelength_nm(200.0) * defocus_nm / (2 * np.pi) * laplacian
    found = bright_field(np.zeros_like(phase), phase, pixel_nm, COHERENT, defocus_nm) - 1
    inside = (slice(40, -40),) * 2
    np.testing.assert_allclose(found[inside], expected[inside], atol=3e-6)


def test_under_and_overfocus_are_opposite_for_weak_phases():
    rng = np.random.default_rng(0)
    phase = (0.01 * rng.standard_normal((64, 64))).astype(np.float32)
    over, under = (
        bright_field(np.zeros_like(phase), phase, 0.5, COHERENT, sign * 300.0) - 1
        for sign in (1, -1)
    )
    np.testing.assert_allclose(over, -under, atol=2e-3)


def test_convergence_damps_fringes():
    phase = np.zeros((128, 128), np.float32)
    phase[:, 64:] = 1
    nothing = np.zeros_like(phase)
    sharp, damped = (
        np.ptp(bright_field(nothing, phase, 0.5, BeamSettings(convergence_mrad=c), 1000.0))
        for c in (0.0, 1.0)
    )
    assert damped < 0.7 * sharp


def test_opposite_edges_do_not_mix():
    depth = np.zeros((64, 64), np.float32)
    depth[:, :8] = 3
    found = bright_field(depth, np.zeros_like(depth), 0.5, COHERENT, 1000.0)
    np.testing.assert_allclose(found[:, -4:], 1, atol=0.05)

"""The electron beam of a transmission microscope: from projected matter to intensity.

In bright field, the beam leaves the specimen as a wave whose amplitude falls with the thickness of
the matter (Beer-Lambert law) and whose phase is advanced by its mean inner potential (projection
approximation; Kirkland, Advanced Computing in Electron Microscopy, 2010, section 5.1). Propagation
over the defocus turns steps of the phase into Fresnel fringes and the potential of an amorphous
film into speckle (section 3.1). High-angle annular dark field records what bright field has lost.
"""

import math
from typing import Literal

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32
from pydantic import NonNegativeFloat, PositiveFloat

from nanorender.distributions import Distribution, Uniform
from nanorender.settings import Fraction, Settings

_REST_ENERGY_EV = 510_998.95
_PLANCK_TIMES_LIGHT_EV_NM = 1239.841984


class BeamSettings(Settings):
    """Illumination and imaging mode of a transmission microscope."""

    mode: Literal["bright_field", "dark_field"] = "bright_field"
    """Bright field: matter is dark. Dark field (HAADF): matter is bright, without fringes."""
    level: Fraction = 0.75
    """Gray level of the unobstructed beam; in dark field, of matter that scatters all of it."""
    voltage_kv: PositiveFloat = 200.0
    """Accelerating voltage, in kV."""
    defocus_nm: Distribution = Uniform(low=-1000.0, high=1000.0)
    """Distance of the focal plane from the specimen, in nm; it sets fringes and speckle."""
    convergence_mrad: NonNegativeFloat = 0.3
    """Half-angle of the illumination, in mrad; it damps fringes at large defocus."""


def electron_wavelength_nm(voltage_kv: float) -> float:
    """Return the relativistic wavelength of electrons (Kirkland 2010, equation 2.5).

    Parameters
    ----------
    voltage_kv : accelerating voltage, kV

    Returns
    -------
    float
        Wavelength in nm.

    Examples
    --------
    >>> round(electron_wavelength_nm(200.0), 6)
    0.002508
    """
    energy_ev = 1000 * voltage_kv
    return _PLANCK_TIMES_LIGHT_EV_NM / math.sqrt(energy_ev * (2 * _REST_ENERGY_EV + energy_ev))


def interaction_parameter(voltage_kv: float) -> float:
    """Return the phase per projected potential (Kirkland 2010, equation 5.6).

    Parameters
    ----------
    voltage_kv : accelerating voltage, kV

    Returns
    -------
    float
        Phase in rad per V nm.

    Examples
    --------
    >>> round(interaction_parameter(200.0), 5)
    0.00729
    """
    energy_ev = 1000 * voltage_kv
    ratio = (_REST_ENERGY_EV + energy_ev) / (2 * _REST_ENERGY_EV + energy_ev)
    return 2 * math.pi / (electron_wavelength_nm(voltage_kv) * energy_ev) * ratio


def bright_field(
    optical_depth: Float32[np.ndarray, "h w"],
    phase: Float32[np.ndarray, "h w"],
    pixel_size_nm: float,
    beam: BeamSettings,
    defocus_nm: float,
) -> Float32[np.ndarray, "h w"]:
    """Return the intensity of a bright-field image, 1 for the unobstructed beam.

    Parameters
    ----------
    optical_depth : (h, w) thickness over attenuation length
    phase : (h, w) advance of the phase, rad
    pixel_size_nm : of the arrays
    beam : voltage and convergence
    defocus_nm : distance of the focal plane from the specimen

    Returns
    -------
    numpy.ndarray
        (h, w) intensity.

    Examples
    --------
    In focus, the phase does not show:

    >>> depth = np.full((4, 4), np.log(2), np.float32)
    >>> phase = np.random.default_rng(0).random((4, 4), dtype=np.float32)
    >>> bright_field(depth, phase, 1.0, BeamSettings(), 0.0).round(3)[0].tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    if defocus_nm == 0:
        return np.exp(-optical_depth)
    wave = np.exp(np.complex64(1j) * phase - optical_depth / 2)
    return np.abs(_propagated(wave, pixel_size_nm, beam, defocus_nm)) ** 2


def _propagated(
    wave: Complex64[np.ndarray, "h w"],
    pixel_size_nm: float,
    beam: BeamSettings,
    defocus_nm: float,
) -> Complex64[np.ndarray, "h w"]:
    """Return the wave after Fresnel propagation, damped by the spread of the illumination.

    The frame is continued by reflection as far as fringes reach, so that opposite edges do not mix.
    """
    height, width = wave.shape
    fringe_px = math.sqrt(electron_wavelength_nm(beam.voltage_kv) * abs(defocus_nm)) / pixel_size_nm
    margin = min(math.ceil(4 * fringe_px), height - 1, width - 1)
    padded = np.pad(wave, margin, mode="reflect")
    shape = tuple(scipy.fft.next_fast_len(side) for side in padded.shape)

    # Transfer function of free space, and the envelope of partial spatial coherence
    squared = (
        scipy.fft.fftfreq(shape[0], pixel_size_nm).astype(np.float32)[:, None] ** 2
        + scipy.fft.fftfreq(shape[1], pixel_size_nm).astype(np.float32)[None] ** 2
    )
    turn = math.pi * electron_wavelength_nm(beam.voltage_kv) * defocus_nm
    damping = (math.pi * beam.convergence_mrad / 1000 * defocus_nm) ** 2
    transfer = np.exp(np.complex64(-damping - 1j * turn) * squared)

    # Zero padding must not step from the level of the wave to 0
    mean = wave.mean()
    spectrum = np.asarray(scipy.fft.fft2(padded - mean, shape)) * transfer
    propagated = np.asarray(scipy.fft.ifft2(spectrum, overwrite_x=True))
    return propagated[margin : margin + height, margin : margin + width] + mean

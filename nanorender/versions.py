"""Versions of the installed packages that determine the output."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

RENDERING_PACKAGES = ("nanorender", "numpy", "numba", "tifffile", "imagecodecs")
"""Packages that determine the bytes of a synthetic dataset."""

OUTPUT_PACKAGES = (
    *("nanorender", "numpy", "numba", "scipy", "scikit-image", "opencv-python-headless"),
    *("jax", "flax", "optax", "tifffile", "imagecodecs", "pandas", "matplotlib"),
)
"""Packages that determine the output of any command."""


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Look up the installed versions of packages.

    Parameters
    ----------
    packages
        Names of distributions.

    Returns
    -------
    dict of str to str
        Versions by name, without packages that are not installed.

    Examples
    --------
    >>> installed_versions(["numpy", "no-such-package"]).keys()
    dict_keys(['numpy'])
    """
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions

"""Diagnosis: a description of the machine, and a self-test of a few seconds."""

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from numba.core import config

from nanorender.errors import InputError
from nanorender.files.verify import verify
from nanorender.generation import generate
from nanorender.provenance.record import versions_here
from nanorender.recipe import read_recipe
from nanorender.rendering import render

TEST_S = 5.0
TEST_PIXEL_NM, TEST_PX = 4.0, 512


def describe_machine() -> Iterator[tuple[str, str]]:
    """Describe system, versions, cores and cache.

    Yields
    ------
    tuple of str
        Name and description.

    Raises
    ------
    InputError
        If the cache folder of compiled kernels cannot be written.
    """
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "versions", ", ".join(f"{name} {number}" for name, number in versions_here().items())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "cores", f"{os.cpu_count()}, {usable} of them available"
    yield "cache", _cache()


def _cache() -> str:
    """Describe the cache folder of compiled kernels."""
    folder = Path(config.CACHE_DIR)  # pyright: ignore[reportAttributeAccessIssue]: made at import
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"the cache folder {folder} cannot be written ({error.strerror}); set "
            "XDG_CACHE_HOME to another folder"
        ) from None
    kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{folder}, {kept / 2**20:.0f} MiB"


def self_test() -> str:
    """Render for some seconds, check the results and measure the speed.

    Returns
    -------
    str
        Description of the results.

    Raises
    ------
    InputError
        If a sample is not reproducible, or a dataset is damaged when read back.
    """
    recipe = read_recipe("tio2").at_scale(TEST_PIXEL_NM, TEST_PX)
    began = time.perf_counter()
    first = render(recipe, 0, 0)
    loaded_s = time.perf_counter() - began
    if render(recipe, 0, 0).image.tobytes() != first.image.tobytes():
        raise InputError("a sample rendered twice differs; reinstall the program")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "dataset"
        generate(recipe, 2, 0, folder, workers=1)
        problems = verify(folder).problems
        if problems:
            raise InputError(f"a dataset is damaged when read back: {problems[0]}")
    began, cpu_began, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < TEST_S:
        images += 1
        render(recipe, 0, images)
    cpu_ms = 1e3 * (time.process_time() - cpu_began) / images
    return (
        f"{images} images of {TEST_PX} x {TEST_PX} px with labels in {TEST_S:g} s on one core, "
        f"{cpu_ms:.0f} ms of CPU time each; kernels loaded in {loaded_s:.1f} s; output "
        "reproducible, written and verified"
    )

"""Compilation with Numba: the one module that sets its options."""

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path

import numba
from numba.core import config
from numba.extending import register_jitable


def _cache_folder() -> str:
    """Return the folder of compiled kernels, named by a hash of the files with kernels.

    Numba's cache does not notice changes in functions that a kernel calls in other files, so every
    version of these files has its own folder.
    """
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text = path.read_bytes()
        if b"nanorender.jit import" in text or path.name == "jit.py":
            sources.update(text)
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return str(base / "nanorender" / sources.hexdigest()[:16])


if "NUMBA_CACHE_DIR" not in os.environ:
    config.CACHE_DIR = _cache_folder()  # pyright: ignore[reportAttributeAccessIssue]: made at import


def is_compiled() -> bool:
    """Return whether this machine has compiled kernels of this version.

    Returns
    -------
    bool
        False if the first rendering will have to compile.
    """
    folder = Path(config.CACHE_DIR)  # pyright: ignore[reportAttributeAccessIssue]: made at import
    return next(folder.rglob("*.nbi"), None) is not None


def kernel(function: Callable) -> Callable:
    """Compile a function of arrays and numbers to machine code, to be called from Python.

    Functions that only kernels call are a `subroutine`. Copy arrays to parts of others in loops:
    Numba's assignment to slices compiles the formatting of error messages into each kernel.

    - no ``fastmath``: its reordering of arithmetic may depend on what else was compiled in the
      process, and samples must be the same bytes everywhere. Without it, kernels are 1 to 9 %
      slower.
    - ``error_model="numpy"``: division by zero gives infinity, not a branch and an exception.
    - ``nogil``: kernels of several samples may run in threads.
    - ``cache``: compiled once per machine and version.

    Parameters
    ----------
    function
        Shape checks that a test run wraps around it are removed.

    Returns
    -------
    callable
        The compiled function.
    """
    return numba.njit(
        inspect.unwrap(function),
        error_model="numpy",
        nogil=True,
        cache=True,
    )


def subroutine(function: Callable) -> Callable:
    """Let kernels call a function, compiled as a part of each of them with the same options.

    A subroutine has no entry from Python and no separate cache file, which saves a fifth of the
    compile time. Called from Python, it runs uncompiled. The compiler processes a subroutine again
    for each level of calls above it: call large ones from few places, close to their kernel.

    Parameters
    ----------
    function
        Shape checks that a test run wraps around it are removed.

    Returns
    -------
    callable
        For use in kernels.
    """
    with_options = register_jitable(error_model="numpy", nogil=True, no_cfunc_wrapper=True)
    return with_options(inspect.unwrap(function))

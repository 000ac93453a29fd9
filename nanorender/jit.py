"""The one place that names a Numba option."""

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path

import numba
from numba.core import config
from numba.extending import register_jitable


def _cache_folder() -> str:
    """Return the folder of compiled kernels, named by a hash of the files that hold kernels.

    Numba's cache does not notice a change in a function of another file that a kernel calls, so
    every version of these files gets a folder of its own.
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
    """Return whether kernels of this version were compiled on this machine before."""
    folder = Path(config.CACHE_DIR)  # pyright: ignore[reportAttributeAccessIssue]: made at import
    return next(folder.rglob("*.nbi"), None) is not None


def kernel(function: Callable) -> Callable:
    """Compile a function of arrays and numbers to machine code, to be called from Python.

    What only kernels call is a `subroutine`. Copying one array to a part of another is left to
    loops: Numba's own way brings along, into each kernel, how to word an error.

    - no ``fastmath``: how it rearranges arithmetic may depend on what else was compiled in the same
      process, and samples must be the same bytes everywhere. Leaving it out costs 1 to 9 %.
    - ``error_model="numpy"``: division by zero gives infinity, not an exception and a branch.
    - ``nogil``: kernels of several samples may run in threads.
    - ``cache``: compiled once per machine and version.

    Runtime shape checks that a test run wraps around `function` are taken off first.
    """
    return numba.njit(
        inspect.unwrap(function),
        error_model="numpy",
        nogil=True,
        cache=True,
    )


def subroutine(function: Callable) -> Callable:
    """Let kernels call a function: it is compiled as a part of each of them, as `kernel` does.

    It has neither an entry from Python nor a file in the cache of its own, which took a fifth of
    the time to compile all. From Python, it runs as it is written: slowly, and only if everything
    that it calls is Python too. The compiler goes over a subroutine again for each level of calls
    above it: call large ones from few places, not far below their kernel.
    """
    with_options = register_jitable(error_model="numpy", nogil=True, no_cfunc_wrapper=True)
    return with_options(inspect.unwrap(function))

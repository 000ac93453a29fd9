"""Peak memory of this process, on every system."""

import sys

import psutil


def peak_memory_bytes() -> int:
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # noqa: TID251 (not on Windows)

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

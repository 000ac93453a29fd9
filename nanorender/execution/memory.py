"""Memory of processes that render many images: freed pages are kept for the next image."""

import ctypes
import sys

# Parameters of mallopt, from malloc.h of the GNU C library
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed arrays for those that it creates next.

    The GNU C library returns the memory of large arrays to the system when they are freed, and the
    system clears every page again before it hands it out, which takes a noticeable part of the time
    of an image. The process then holds its peak memory until it ends. Nothing changes where another
    C library is used.

    Examples
    --------
    >>> keep_freed_memory()
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, _NEVER_TRIM)

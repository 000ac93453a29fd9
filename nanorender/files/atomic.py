"""Atomic writes: a file or folder appears complete under its name, or not at all."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nanorender.errors import UnwritableError

PART_PREFIX = ".part-"
"""Prefix of the names of incomplete files, which a killed process may leave behind."""

RENAME_WAITS_S = (0.01, 0.05, 0.2, 0.5, 1.0)
"""Waits between attempts to rename a file that another program has open, on Windows."""

_IN_USE = (5, 32)  # ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION of Windows


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it to `path` on success.

    Readers never see an incomplete `path`, even if the process is killed or power fails.

    Parameters
    ----------
    path
        The file to create or replace.

    Yields
    ------
    Path
        A temporary path in the same folder, to be written by the caller.

    Raises
    ------
    UnwritableError
        If the file cannot be written, for example because the disk is full.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> with atomic_file(folder / "table.csv") as part:
    ...     _ = part.write_text("area_nm2")
    >>> [path.name for path in folder.iterdir()]
    ['table.csv']
    """
    if path.is_dir():
        raise UnwritableError(f"{path} is a folder; give the name of a file")
    part = path.with_name(PART_PREFIX + secrets.token_hex(8))  # unique across machines
    try:
        yield part
        descriptor = os.open(part, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        move(part, path)
    except OSError as error:
        # NumPy reports a short write without an error number.
        reason = error.strerror or f"{error}; the disk may be full"
        raise UnwritableError(f"{path} cannot be written: {reason}") from None
    finally:
        with suppress(OSError):  # a failing disk may refuse this as well
            part.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name and rename it to `path` on success.

    An earlier folder is replaced as a whole, or kept if one of its files is open on Windows.

    Parameters
    ----------
    path
        The folder to create or replace.

    Yields
    ------
    Path
        An empty temporary folder beside `path`, to be filled by the caller.

    Raises
    ------
    UnwritableError
        If the folder cannot be written, or `path` is the current directory.
    """
    if path.resolve() == Path.cwd():
        raise UnwritableError(f"cannot replace {path}, the current directory; give a new folder")
    final = path.resolve()
    part = final.with_name(PART_PREFIX + final.name)
    earlier = final.with_name(f"{PART_PREFIX}{final.name}-earlier")
    try:
        for left in (part, earlier):  # by a killed process
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if final.is_dir():
            move(final, earlier)
        try:
            move(part, final)
        except OSError:
            with suppress(OSError):
                move(earlier, final)
            raise
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, replacing a file of that name.

    On Windows, a file that another program has open cannot be renamed or replaced. Virus scanners
    and search indexers open new files for a moment, so this tries again for two seconds.

    Parameters
    ----------
    source
        The file or folder.
    target
        Its new name, on the same disk.

    Raises
    ------
    OSError
        If it cannot be renamed.
    """
    for wait_s in RENAME_WAITS_S:
        try:
            os.replace(source, target)
            return
        except OSError as error:
            if getattr(error, "winerror", None) not in _IN_USE:
                raise
        time.sleep(wait_s)
    os.replace(source, target)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a binary file atomically.

    Parameters
    ----------
    path
        The file to create or replace.
    data
        Its content.

    Raises
    ------
    UnwritableError
        As `atomic_file`.
    """
    with atomic_file(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically.

    Parameters
    ----------
    path
        The file to create or replace.
    text
        Its content.

    Raises
    ------
    UnwritableError
        As `atomic_file`.
    """
    write_bytes(path, text.encode("utf-8"))

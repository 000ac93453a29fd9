"""Files that are whole or not there: written aside, flushed, renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nanorender.errors import UnwritableError

ASIDE_PREFIX = ".part-"
"""How the names of files begin that are not whole yet, or were left by a killed process."""


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give the path of a new file beside `path` to write; afterwards it takes the place of `path`.

    Nobody ever sees `path` in part, whenever the process is killed or the plug pulled.

    Raises
    ------
    UnwritableError
        If the file cannot be written: disk full, no permission, no such folder.
    """
    if path.is_dir():
        raise UnwritableError(f"{path} is a folder; name a file")
    part = path.with_name(ASIDE_PREFIX + secrets.token_hex(8))  # unlike those of other machines
    try:
        yield part
        descriptor = os.open(part, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, path)
    except OSError as error:
        # NumPy says only how many values it could not write.
        reason = error.strerror or f"{error}; the disk may be full"
        raise UnwritableError(f"{path} cannot be written: {reason}") from None
    finally:
        with suppress(OSError):  # what forbade it to be written may forbid to look for it
            part.unlink()


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Give the path of a new folder beside `path`, which it replaces when it has been filled.

    Raises
    ------
    UnwritableError
        If it cannot be written, or `path` is the folder that the process is in.
    """
    if path.resolve() == Path.cwd():
        raise UnwritableError(f"{path} is where you are, and cannot be replaced; name a new folder")
    part = path.resolve().with_name(ASIDE_PREFIX + path.resolve().name)
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a killed process
        part.mkdir(parents=True)
        yield part
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` as the whole of a file; raises InputError as `aside`."""
    with aside(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8 as the whole of a file; raises InputError as `aside`."""
    write_bytes(path, text.encode("utf-8"))

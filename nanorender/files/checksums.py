"""SHA-256 checksums of files, and checksum files in the format of ``sha256sum``."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "abc.txt"
    >>> _ = path.write_text("abc")
    >>> file_sha256(path)[:8]
    'ba7816bf'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """Compute the SHA-256 of a text in UTF-8.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def format_checksums(folder: Path, paths: Iterable[Path]) -> str:
    """Format the checksums of files as ``sha256sum --check`` reads them.

    Parameters
    ----------
    folder
        Folder that the names in the checksum file are relative to.
    paths
        Files below `folder`.

    Returns
    -------
    str
        One line per file.
    """
    return "".join(
        f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths
    )


def parse_checksums(text: str) -> dict[str, str]:
    """Parse the content of a checksum file.

    Parameters
    ----------
    text
        Lines of a checksum, two spaces and a name.

    Returns
    -------
    dict of str to str
        Checksums by file name.

    Examples
    --------
    >>> parse_checksums("00ff  images/000000.tif")
    {'images/000000.tif': '00ff'}
    """
    parts = [line.partition("  ") for line in text.splitlines()]
    return {name: checksum for checksum, _, name in parts}

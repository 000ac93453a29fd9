"""Provenance: command.toml in an output folder records the commands that made it."""

import functools
import hashlib
import inspect
import platform
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from pydantic import Field

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.checksums import file_sha256
from nanorender.settings import Settings
from nanorender.versions import OUTPUT_PACKAGES, installed_versions

RECORD_NAME = "command.toml"

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
Value = bool | int | float | str | list[str]


class CommandStep(Settings):
    """One command that wrote to a folder."""

    command: str
    """Name of the command."""
    line: str
    """Command line as typed; that of the enclosing command if there is one."""
    directory: str
    """Working directory, which relative paths start from."""
    target: str
    """Argument that names the folder."""
    settings: dict[str, Value]
    """All arguments by name, defaults included, except those that are None."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the files and folders that arguments name."""
    versions: dict[str, str]
    """Versions of Python and of the packages that determine the output."""


class CommandRecord(Settings):
    """Content of command.toml."""

    format: Literal[1] = 1
    """Version of the format."""
    steps: tuple[CommandStep, ...] = Field(min_length=1)
    """Commands that made the folder, in order."""


def recorded(
    target: str,
) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]:
    """Record the arguments of a command in its output folder when it succeeds.

    A repeated command replaces the record of its earlier run and of all that followed.

    Parameters
    ----------
    target
        Argument that names the folder.

    Returns
    -------
    callable
        Decorator of the command.
    """

    def decorate(command: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
        signature = inspect.signature(command)

        @functools.wraps(command)
        def run(*arguments: Parameters.args, **named: Parameters.kwargs) -> Returned:
            result = command(*arguments, **named)
            bound = signature.bind(*arguments, **named)
            bound.apply_defaults()
            _append(Path(str(bound.arguments[target])), _step(command, target, bound.arguments))
            return result

        run.target = target  # pyright: ignore[reportAttributeAccessIssue]: for `reproduce`
        return run

    return decorate


def _step(command: Callable, target: str, arguments: Mapping[str, object]) -> CommandStep:
    """Build the record of a command from its arguments."""
    settings = {
        name: value.as_posix() if isinstance(value, Path) else value
        for name, value in arguments.items()
        if value is not None
    }
    inputs = {
        name: content_sha256(Path(value))
        for name, value in settings.items()
        if name != target and isinstance(value, str) and _exists(value)
    }
    return CommandStep(
        command=command.__name__,
        line=shlex.join(["nanorender", *sys.argv[1:]]),
        directory=Path.cwd().as_posix(),
        target=target,
        settings=settings,  # pyright: ignore[reportArgumentType]: pydantic checks it
        inputs=inputs,
        versions=versions_here(),
    )


def _exists(name: str) -> bool:
    """Return whether a text is the path of an existing file or folder."""
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):  # not a valid path
        return False


def _append(folder: Path, step: CommandStep) -> None:
    """Add a step to the record of a folder, in place of its earlier run."""
    earlier = read_command_record(folder).steps if (folder / RECORD_NAME).is_file() else ()
    names = [one.command for one in earlier]
    kept = earlier[: names.index(step.command)] if step.command in names else earlier
    write_text(folder / RECORD_NAME, CommandRecord(steps=(*kept, step)).to_toml())


def read_command_record(folder: Path) -> CommandRecord:
    """Read command.toml.

    Parameters
    ----------
    folder
        An output folder.

    Returns
    -------
    CommandRecord
        The commands that made it.

    Raises
    ------
    InputError
        If the file is missing or invalid.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        raise InputError(
            f"{folder} has no {RECORD_NAME}, which commands write when they have succeeded; if one "
            "was interrupted, run it again"
        )
    return CommandRecord.read(path)


def versions_here() -> dict[str, str]:
    """Look up the versions of Python and of the packages that determine the output.

    Returns
    -------
    dict of str to str
        Versions by name.
    """
    return {"python": platform.python_version(), **installed_versions(OUTPUT_PACKAGES)}


def content_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, or of the names and relevant content of a folder.

    Parameters
    ----------
    path
        A file; a dataset, of which the checksums are relevant; a run, of which the model is; or
        another folder, of which all files directly in it are.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    if not path.is_dir():
        return file_sha256(path)
    if (path / "dataset.json").is_file():
        files = [path / "dataset.json", *(path / "sums").glob("*.sha256")]
    elif (path / "model.safetensors").is_file():
        files = [path / "model.safetensors"]
    else:
        files = [file for file in path.iterdir() if file.is_file() and file.name != RECORD_NAME]
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative_to(path).as_posix()):
        digest.update(f"{file_sha256(file)}  {file.name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()

"""How an output folder was made: command.toml in it, by which it can be made again."""

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
    """One command that had a part in a folder.

    command: its name
    line: as it was typed, or that of the command that it was a part of
    directory: that relative paths start from
    target: the argument that names the folder
    settings: every argument by name, defaults included, unless it is nothing
    inputs: SHA-256 of the files and folders that arguments name
    versions: of Python and the packages that decide what is written
    """

    command: str
    line: str
    directory: str
    target: str
    settings: dict[str, Value]
    inputs: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str]


class CommandRecord(Settings):
    """What command.toml says: the steps that made the folder, in their order."""

    format: Literal[1] = 1
    steps: tuple[CommandStep, ...] = Field(min_length=1)


def recorded(
    target: str,
) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]:
    """Let a command leave, in the folder that its argument `target` names, how it was made.

    The record is written when the command has succeeded. A command that was run before takes the
    place of its earlier run, and what came after that is forgotten.
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
    given = {name: value for name, value in arguments.items() if value is not None}
    settings = {
        name: str(value) if isinstance(value, Path) else value for name, value in given.items()
    }
    inputs = {
        name: content_sha256(Path(value))
        for name, value in settings.items()
        if name != target and isinstance(value, str) and _exists(value)
    }
    return CommandStep(
        command=command.__name__,
        line=shlex.join(["nanorender", *sys.argv[1:]]),
        directory=str(Path.cwd()),
        target=target,
        settings=settings,  # pyright: ignore[reportArgumentType]: pydantic checks it
        inputs=inputs,
        versions=versions_here(),
    )


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):  # too long or odd for a path: it is none
        return False


def _append(folder: Path, step: CommandStep) -> None:
    earlier = read_command_record(folder).steps if (folder / RECORD_NAME).is_file() else ()
    names = [one.command for one in earlier]
    kept = earlier[: names.index(step.command)] if step.command in names else earlier
    write_text(folder / RECORD_NAME, CommandRecord(steps=(*kept, step)).to_toml())


def read_command_record(folder: Path) -> CommandRecord:
    """Return how a folder was made; raises InputError if it does not say so."""
    path = folder / RECORD_NAME
    if not path.is_file():
        raise InputError(
            f"{folder} has no {RECORD_NAME}, which commands leave when they have succeeded; if one "
            "was interrupted, start it again"
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
    """Return the SHA-256 of a file, or of what counts in a folder and its names.

    Of a dataset its checksums count, of a run its model, of others every file directly in it.
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
    for file in sorted(files):
        digest.update(f"{file_sha256(file)}  {file.name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()

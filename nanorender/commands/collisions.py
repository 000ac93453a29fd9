"""Collisions of outputs with inputs: no command writes over what it reads.

Parameters of a command that name files are annotated with their role, and the command is decorated
with `refuse_collisions`. A test checks this for all commands.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from nanorender.errors import InputError

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

NEVER_READ = (".csv", ".parquet", ".xlsx", ".html")
"""Extensions of tables and pages, which no command reads from the top level of a folder."""

NEVER_KEPT = ("recipe.toml", "command.toml")
"""Settings that a command writes into a new folder."""


@dataclass(frozen=True)
class Reads:
    """Role of a parameter that names an input.

    Attributes
    ----------
    folders
        Whether it may name a folder; a preset may have the name of one that has nothing to do with
        it.
    """

    folders: bool = True


@dataclass(frozen=True)
class WritesFile:
    """Role of a parameter that names an output file.

    Attributes
    ----------
    also
        Extensions of further files of the same name.
    """

    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class WritesFolder:
    """Role of a parameter that names an output folder.

    Attributes
    ----------
    parts
        Folders in it that the command fills.
    replaced
        Those of them that the command deletes first.
    """

    parts: tuple[str, ...] = (".",)
    replaced: tuple[str, ...] = ()


Role = Reads | WritesFile | WritesFolder


class _Named(NamedTuple):
    """A path that a parameter names.

    Attributes
    ----------
    parameter
        Name of the parameter.
    path
        As given.
    role
        What the command does with it.
    """

    parameter: str
    path: Path
    role: Role


def refuse_collisions(command: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Let a command refuse, before it does anything, outputs that would replace its inputs.

    Parameters
    ----------
    command
        Its parameters that name files are annotated with `Reads`, `WritesFile` or `WritesFolder`.

    Returns
    -------
    callable
        The command with the check.
    """
    signature = inspect.signature(command)
    roles = {name: parameter_roles(each) for name, each in signature.parameters.items()}

    @functools.wraps(command)
    def run(*arguments: Parameters.args, **named: Parameters.kwargs) -> Returned:
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        _check(list(_named_paths(bound.arguments, roles)))
        return command(*arguments, **named)

    run.refuses_collisions = True  # pyright: ignore[reportAttributeAccessIssue]: for the tests
    return run


def parameter_roles(parameter: inspect.Parameter) -> tuple[Role, ...]:
    """Return the roles in the annotation of a parameter.

    Parameters
    ----------
    parameter
        Of a command.

    Returns
    -------
    tuple of Role
        Empty for a parameter that names no file.
    """
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return tuple(each for each in metadata if isinstance(each, Role))


def _named_paths(
    arguments: dict[str, object], roles: dict[str, tuple[Role, ...]]
) -> Iterator[_Named]:
    """Yield the paths that the arguments name, once for each role."""
    for name, value in arguments.items():
        values = value if isinstance(value, list | tuple) else [value]
        for each in values:
            if isinstance(each, str | Path) and str(each):
                yield from (_Named(name, Path(each), role) for role in roles[name])


def _check(paths: list[_Named]) -> None:
    """Raise InputError if an output is an input or another output."""
    outputs = list(_written(paths))
    inputs = [each for each in paths if isinstance(each.role, Reads) and _is_given(each)]
    for output in outputs:
        _refuse_part_of_dataset(output)
        for other in inputs:
            if other.parameter == output.parameter:
                continue  # a folder that the command works in
            if isinstance(output.role, WritesFolder):
                _refuse_folder(output, other)
            else:
                _refuse_file(output, other)
    files = [each for each in outputs if isinstance(each.role, WritesFile)]
    for index, one in enumerate(files):
        for other in files[:index]:
            if _same(one.path, other.path):
                raise InputError(
                    f"--{one.parameter} and --{other.parameter} would both write {one.path}; "
                    "give two names"
                )


def _written(paths: list[_Named]) -> Iterator[_Named]:
    """Yield the outputs, with the further files and the parts of folders."""
    for each in paths:
        match each.role:
            case WritesFile(also):
                yield each
                yield from (each._replace(path=each.path.with_suffix(end)) for end in also)
            case WritesFolder(parts, replaced):
                for part in parts:
                    role = WritesFolder(replaced=(".",) if part in replaced else ())
                    yield _Named(each.parameter, each.path / part, role)


def _is_given(named: _Named) -> bool:
    """Return whether an input exists under this name."""
    assert isinstance(named.role, Reads)
    try:
        return named.path.exists() and (named.role.folders or named.path.is_file())
    except (OSError, ValueError):  # not a valid path
        return False


def _refuse_part_of_dataset(output: _Named) -> None:
    """Raise InputError if an output lies in a folder of samples."""
    from nanorender.files.dataset import SAMPLE_FOLDERS

    place = _resolved(output.path)
    for folder in (place, *place.parents):
        if folder.name in SAMPLE_FOLDERS and (folder.parent / "dataset.json").is_file():
            raise InputError(
                f"{output.path} lies in the dataset {folder.parent}, whose files would be "
                f"replaced; give another {_noun(output)}"
            )


def _refuse_folder(output: _Named, other: _Named) -> None:
    """Raise InputError if an output folder is the input, contains it or holds its files."""
    assert isinstance(output.role, WritesFolder)
    out, read = _resolved(output.path), _resolved(other.path)
    if _same(out, read):
        what = "is also an input" if read.is_dir() else "is an input file"
        raise InputError(f"{output.path} {what}, which would be replaced; give another folder")
    if output.role.replaced and out in read.parents:
        raise InputError(
            f"{output.path} would be replaced with the input {other.path} in it; give another "
            "folder"
        )
    if read.is_file() and _same(read.parent, out) and _may_be_replaced(read):
        raise InputError(
            f"{output.path} contains the input {other.path}, which could be replaced; give "
            "another folder"
        )
    if read.is_dir() and any(_same(target.parent, out) for target in _linked_files(read)):
        raise InputError(
            f"{output.path} contains files that {other.path} links to, which could be replaced; "
            "give another folder"
        )


def _refuse_file(output: _Named, other: _Named) -> None:
    """Raise InputError if an output file is the input or would be read from the input folder."""
    out, read = _resolved(output.path), _resolved(other.path)
    if _same(out, read):
        what = "is also an input" if read.is_file() else "is an input folder"
        raise InputError(f"{output.path} {what}, which would be replaced; give another file")
    if read.is_dir() and (_is_read(out, read) or out in _linked_files(read)):
        what = "would be replaced" if out.exists() else "would be read as one of its images"
        raise InputError(
            f"{output.path} lies in the input folder {other.path} and {what}; give a file in "
            "another folder"
        )


def _may_be_replaced(file: Path) -> bool:
    """Return whether a command could write the name of an input file beside it."""
    from nanorender.files.imagefile import SUFFIXES

    if file.suffix.lower() in SUFFIXES:
        return True
    return file.name in NEVER_KEPT and not (file.parent / "dataset.json").is_file()


def _is_read(file: Path, folder: Path) -> bool:
    """Return whether a file is, or would be, among those that commands read from a folder."""
    from nanorender.files.imagefile import SUFFIXES

    suffix = file.suffix.lower()
    if file.parent == folder:
        return suffix in SUFFIXES or (file.exists() and suffix not in NEVER_READ)
    structured = any((folder / name).is_file() for name in ("dataset.json", "run.json"))
    return structured and folder in file.parents and file.exists()


def _linked_files(folder: Path) -> set[Path]:
    """Return the files that symbolic links in a folder lead to."""
    return {_resolved(path) for path in folder.iterdir() if path.is_symlink()}


def _resolved(path: Path) -> Path:
    """Resolve links and `..`; unlike `Path.resolve`, links in a loop stay as they are."""
    return Path(os.path.realpath(path))


def _same(one: Path, other: Path) -> bool:
    """Return whether two resolved paths name one file, also if case does not matter there."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _noun(output: _Named) -> str:
    """Return what to give instead of an output."""
    return "folder" if isinstance(output.role, WritesFolder) else "file"

"""Reproduction of an output folder from its record, and comparison of the two."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from pydantic import ValidationError, validate_call

from nanorender.errors import InputError
from nanorender.files.atomic import PART_PREFIX
from nanorender.provenance.record import (
    RECORD_NAME,
    CommandStep,
    content_sha256,
    read_command_record,
    versions_here,
)

VOLATILE_KEYS = {
    "log.jsonl": ("seconds",),
    "run.json": ("device", "devices", "processes"),
}
"""Keys of JSON files that depend on time and machine, not on the result."""

LOCAL_ARGUMENTS = ("shard", "scheduler", "coordinator", "process", "page")
"""Arguments to leave out: they distribute work to machines, or write a file outside the folder."""


def reproduce(
    folder: Path, again: Path, commands: Mapping[str, Callable[..., object]]
) -> tuple[str, ...]:
    """Run the recorded commands of a folder again and compare the results.

    Parameters
    ----------
    folder
        A folder with a command.toml.
    again
        A new folder for the results.
    commands
        Commands that may run, by name.

    Returns
    -------
    tuple of str
        Differences in versions and files, one line each.

    Raises
    ------
    InputError
        If the folder has no record, the record names other commands, or an input is missing or has
        changed; nothing is run then.
    """
    steps = read_command_record(folder).steps
    for step in steps:
        _check(folder, step, commands)
    for step in steps:
        _repeat(step, again, commands[step.command])
    return (*_other_versions(steps[-1]), *differences(folder, again))


def _check(folder: Path, step: CommandStep, commands: Mapping[str, Callable[..., object]]) -> None:
    """Refuse a step with an unknown command, another target or changed inputs."""
    target = getattr(commands.get(step.command), "target", None)
    if target is None:
        raise InputError(
            f"{folder / RECORD_NAME} names the unknown command '{step.command}'; only "
            f"{', '.join(commands)} can be reproduced"
        )
    # A forged target would let the other arguments write to any folder.
    if step.target != target or target not in step.settings:
        raise InputError(
            f"{folder / RECORD_NAME} has the target '{step.target}' for {step.command}, must be "
            f"'{target}'"
        )
    for name in step.inputs.keys() - set(LOCAL_ARGUMENTS):
        path = Path(str(step.settings.get(name)))
        if not (path.is_file() or path.is_dir()):
            raise InputError(
                f"{path}, an input of {folder}, does not exist; run the command in "
                f"{step.directory}, where relative paths start"
            )
        if content_sha256(path) != step.inputs[name]:
            raise InputError(f"{path} has changed since {folder} was made from it")


def _repeat(step: CommandStep, again: Path, command: Callable[..., object]) -> None:
    """Run a command with its recorded arguments, but another target."""
    settings: dict[str, Any] = {**step.settings, step.target: str(again)}
    settings = {name: value for name, value in settings.items() if name not in LOCAL_ARGUMENTS}
    with _as_typed(step.line), redirect_stdout(sys.stderr):
        try:
            validate_call(command)(**settings)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise InputError(
                f"the record of {step.command} does not fit this version: "
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            ) from None


@contextmanager
def _as_typed(line: str) -> Iterator[None]:
    """Set the recorded command line, which reports quote."""
    before = sys.argv[:]
    try:
        sys.argv[1:] = shlex.split(line)[1:]
    except ValueError as error:
        raise InputError(f"invalid command line {line[:80]!r} in the record: {error}") from None
    try:
        yield
    finally:
        sys.argv[:] = before


def _other_versions(step: CommandStep) -> list[str]:
    """List packages whose versions have changed."""
    here = versions_here()
    return [
        f"made with {name} {number}, reproduced with {here.get(name, 'none')}"
        for name, number in step.versions.items()
        if here.get(name) != number
    ]


def differences(folder: Path, again: Path) -> list[str]:
    """List the files that differ between two folders.

    Locks, command records, and entries on time and machine are ignored.

    Parameters
    ----------
    folder
        The original folder.
    again
        The reproduced folder.

    Returns
    -------
    list of str
        One line per file.
    """
    here, there = _files(folder), _files(again)
    lines = [f"{name} is missing" for name in sorted(here - there)]
    lines += [f"{name} is new" for name in sorted(there - here)]
    for name in sorted(here & there):
        if _content(folder / name) != _content(again / name):
            lines.append(f"{name} differs")
    return lines


def _files(folder: Path) -> set[str]:
    """List the files to compare, relative to the folder."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not _is_temporary(path.name)
    }


def _is_temporary(name: str) -> bool:
    """Return whether a file is a lock, a record or incomplete."""
    return name == RECORD_NAME or name.startswith(("lock", PART_PREFIX))


def _content(path: Path) -> object:
    """Return the content to compare: parsed JSON without volatile keys, or the SHA-256."""
    volatile: Sequence[str] = VOLATILE_KEYS.get(path.name, ())
    if not volatile:
        return content_sha256(path)
    try:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        parsed = [json.loads(line) for line in lines]
        return [{key: one[key] for key in one if key not in volatile} for one in parsed]
    except (ValueError, TypeError):
        return content_sha256(path)

"""An output folder made again, from what it says of itself, and compared."""

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

OF_THE_MOMENT = {
    "log.jsonl": ("seconds",),
    "run.json": ("device", "devices", "processes"),
}
"""Keys of JSON files that say when, where and how fast, not what."""


ELSEWHERE = ("shard", "scheduler", "coordinator", "process", "page")
"""Arguments that divide work among machines, which is repeated whole on this one, or that name a
file outside of the folder, which is not to be written."""


def reproduce(
    folder: Path, again: Path, commands: Mapping[str, Callable[..., object]]
) -> tuple[str, ...]:
    """Make a folder again as its record says; return a line on each way in which they differ.

    Nothing runs but `commands`, which a record names; none, if an input has changed since.

    Parameters
    ----------
    folder : a dataset, run, report or other folder that has a command.toml
    again : a new folder
    commands : by the names that records use

    Raises
    ------
    InputError
        If the folder has no record, it names other commands, or an input is gone or has changed.
    """
    steps = read_command_record(folder).steps
    for step in steps:
        _check(folder, step, commands)
    for step in steps:
        _repeat(step, again, commands[step.command])
    return (*_other_versions(steps[-1]), *differences(folder, again))


def _check(folder: Path, step: CommandStep, commands: Mapping[str, Callable[..., object]]) -> None:
    target = getattr(commands.get(step.command), "target", None)
    if target is None:
        raise InputError(
            f"{folder / RECORD_NAME} names the command '{step.command}', which cannot be repeated; "
            f"{', '.join(commands)} can"
        )
    # If a record could say which argument is the new folder, it could send the others anywhere.
    if step.target != target or target not in step.settings:
        raise InputError(
            f"{folder / RECORD_NAME} says that {step.command} writes to its '{step.target}'; it is "
            f"'{target}'"
        )
    for name in step.inputs.keys() - set(ELSEWHERE):
        path = Path(str(step.settings.get(name)))
        if not (path.is_file() or path.is_dir()):
            raise InputError(
                f"{path}, which {folder} was made from, is not there; paths start from "
                f"{step.directory}: run the command there"
            )
        if content_sha256(path) != step.inputs[name]:
            raise InputError(f"{path} has changed since {folder} was made from it")


def _repeat(step: CommandStep, again: Path, command: Callable[..., object]) -> None:
    settings: dict[str, Any] = {**step.settings, step.target: str(again)}
    settings = {name: value for name, value in settings.items() if name not in ELSEWHERE}
    with _as_typed(step.line), redirect_stdout(sys.stderr):
        try:
            validate_call(command)(**settings)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise InputError(
                f"the record of {step.command} is not of this version: "
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            ) from None


@contextmanager
def _as_typed(line: str) -> Iterator[None]:
    """Let what quotes the command line, such as a report, quote the one of the record."""
    before = sys.argv[:]
    try:
        sys.argv[1:] = shlex.split(line)[1:]
    except ValueError as error:
        raise InputError(f"the record's line {line[:80]!r} is none of a shell: {error}") from None
    try:
        yield
    finally:
        sys.argv[:] = before


def _other_versions(step: CommandStep) -> list[str]:
    here = versions_here()
    return [
        f"made with {name} {number}, again with {here.get(name, 'none')}"
        for name, number in step.versions.items()
        if here.get(name) != number
    ]


def differences(folder: Path, again: Path) -> list[str]:
    """Return a line on each file that two folders do not have alike, byte for byte.

    Locks, records of commands, and what says when and how fast, are left out.
    """
    here, there = _files(folder), _files(again)
    lines = [f"{name} was not made again" for name in sorted(here - there)]
    lines += [f"{name} was made anew" for name in sorted(there - here)]
    for name in sorted(here & there):
        if _content(folder / name) != _content(again / name):
            lines.append(f"{name} differs")
    return lines


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not _is_passing(path.name)
    }


def _is_passing(name: str) -> bool:
    return name == RECORD_NAME or name.startswith(("lock", PART_PREFIX))


def _content(path: Path) -> object:
    passing: Sequence[str] = OF_THE_MOMENT.get(path.name, ())
    if not passing:
        return content_sha256(path)
    try:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        parsed = [json.loads(line) for line in lines]
        return [{key: one[key] for key in one if key not in passing} for one in parsed]
    except (ValueError, TypeError):
        return content_sha256(path)

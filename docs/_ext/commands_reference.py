"""Reference of the command line, generated from the signatures of its commands."""

import inspect
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import typer
from sphinx.application import Sphinx
from typer.models import ArgumentInfo, CommandInfo

import cli

INTRODUCTION = """# Command line

Every command prints its options with `--help`. Invalid input prints one line and exits with code 2.
An interrupted command exits with code 130 and resumes when it is run again.

"""


class Parameter(NamedTuple):
    """An argument or option of a command."""

    names: str
    values: str
    default: str
    help: str
    required: bool
    is_argument: bool


def commands(app: typer.Typer) -> Iterator[CommandInfo]:
    """Yield the commands of an application and of those joined to it."""
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance)


def parameters(callback: Callable) -> Iterator[Parameter]:
    """Yield the parameters of a command."""
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, info = get_args(hints[name])[:2]
        is_argument = isinstance(info, ArgumentInfo)
        required = parameter.default is inspect.Parameter.empty
        # Inside Annotated, Typer keeps the first name in the place of the default.
        given = (info.default, *(info.param_decls or ()))
        declared = tuple(each for each in given if isinstance(each, str) and each.startswith("-"))
        names = declared or (f"--{name.replace('_', '-')}",)
        if is_argument:
            names = (name.upper(),)
        default = "*required*" if required else _default(name, parameter.default, names)
        shown = ", ".join(f"`{part}`" for each in names for part in each.split("/"))
        yield Parameter(shown, _values(kind, info), default, info.help or "", required, is_argument)


def _values(kind: Any, info: Any) -> str:
    """Return the values that a parameter takes."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is list:
        return f"{_values(get_args(kind)[0], info)}, repeatable"
    names = {int: "integer", float: "number", str: "text", Path: "path", bool: "flag"}
    bounds = [
        f"{sign}\u00a0{bound:g}"
        for sign, bound in (("≥", info.min), ("≤", info.max))
        if bound is not None
    ]
    return ", ".join([names[kind], *bounds])


def _default(name: str, default: Any, names: tuple[str, ...]) -> str:
    """Return a default; the number of processes depends on the machine."""
    if name == "workers":
        return "all cores"
    match default:
        case None | False | ():
            return ""
        case True:
            return f"`{names[0].partition('/')[0]}`"
        case _:
            return f"`{default}`"


def _section(command: CommandInfo) -> str:
    """Return the section on a command."""
    callback = command.callback
    assert callback is not None
    name = command.name or callback.__name__.replace("_", "-")
    text, _, example = inspect.getdoc(callback).partition("Example:")
    found = list(parameters(callback))
    arguments = [each.names.strip("`") for each in found if each.is_argument and each.required]
    arguments += [
        f"[{each.names.strip('`')}]" for each in found if each.is_argument and not each.required
    ]
    usage = " ".join(["nanorender", name, *arguments, "[OPTIONS]"])
    rows = [f"| {each.names} | {each.values} | {each.default} | {each.help} |\n" for each in found]
    head = "| option | value | default | meaning |\n|---|---|---|---|\n"
    table = head + "".join(rows) if rows else "No options.\n"
    return (
        f"### {name}\n\n{text.strip()}\n\n```text\n{usage}\n```\n\nExample:\n\n"
        f"```sh\n{' '.join(example.split())}\n```\n\n{table}\n"
    )


def page() -> str:
    """Return the page on all commands, by the panels of the help text."""
    panels: dict[str, list[str]] = defaultdict(list)
    for command in commands(cli.app):
        panel = command.rich_help_panel
        panels[panel if isinstance(panel, str) else "Commands"].append(_section(command))
    parts = [f"## {panel}\n\n{''.join(found)}" for panel, found in panels.items()]
    return INTRODUCTION + "".join(parts)


def _write(app: Sphinx) -> None:
    path = Path(app.srcdir) / "_generated" / "commands.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = page()
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before Sphinx looks for sources."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}

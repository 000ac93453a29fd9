"""NumPy docstrings rendered by Sphinx.

Types come from annotations, so that the text after ``name :`` describes the parameter, unlike in
other projects, where it is a type. Sections become field lists, which autodoc completes with types.
"""

import inspect
import re
from typing import NamedTuple

from sphinx.application import Sphinx

FIELDS = {"Parameters": "param", "Raises": "raises"}
RESULTS = {"Returns", "Yields"}
ENTRY = re.compile(r"^(?P<names>\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*) ?(?::\s+(?P<text>.*))?$")
UNDERLINE = re.compile(r"^-{3,}$")


class Entry(NamedTuple):
    """An entry of a section: its names and its description."""

    names: tuple[str, ...]
    text: str


def entries(lines: list[str]) -> list[Entry]:
    """Return the entries of a section, whose names start at the margin."""
    found: list[Entry] = []
    for line in lines:
        start = ENTRY.match(line)
        if start is not None:
            names = tuple(name.strip() for name in start["names"].split(","))
            found.append(Entry(names, (start["text"] or "").strip()))
        elif line.strip() and found:
            last = found.pop()
            found.append(Entry(last.names, f"{last.text} {line.strip()}".strip()))
    return found


def sections(docstring: str) -> dict[str, list[str]]:
    """Return the lines of each section of a docstring; those before the first under ""."""
    lines = docstring.splitlines()
    found: dict[str, list[str]] = {"": []}
    title = ""
    for number, line in enumerate(lines):
        if number and UNDERLINE.match(line.strip()) and lines[number - 1].strip():
            title = found[title].pop().strip()
            found[title] = []
        else:
            found[title].append(line)
    return found


def attributes(cls: type) -> dict[str, str]:
    """Return the descriptions of the attributes of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__doc__ or base is object:
            continue
        parts = sections(inspect.cleandoc(base.__doc__))
        for entry in entries(parts.get("Attributes", [])):
            for name in entry.names:
                found[name] = entry.text
    return found


def _field_lists(lines: list[str]) -> list[str]:
    """Return a docstring with its sections as field lists and rubrics."""
    result: list[str] = []
    for title, body in sections("\n".join(lines)).items():
        if title in FIELDS:
            for entry in entries(body):
                result += [f":{FIELDS[title]} {name}: {entry.text}" for name in entry.names]
        elif title in RESULTS:
            result += [f":{title.lower()}: {_result(body)}"]
        elif title == "Attributes":
            for entry in entries(body):
                result += [f"**{', '.join(entry.names)}**", f"   {entry.text}", ""]
        elif title:
            result += [f".. rubric:: {title}", "", *body]
        else:
            result += body
        result.append("")
    return result


def _result(lines: list[str]) -> str:
    """Return a section on what is returned, whose first line may be a type, as one text."""
    filled = [line for line in lines if line.strip()]
    typed = len(filled) > 1 and filled[1].startswith(" ") and not filled[0].endswith((".", ","))
    first = f"{filled[0]}: " if typed and " : " not in filled[0] else f"{filled[0]} "
    return (first + " ".join(line.strip() for line in filled[1:])).strip() if filled else ""


def _process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = _field_lists(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the conversion of docstrings."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}

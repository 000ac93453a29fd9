"""Names and docstrings of the public functions and classes, read from the source."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in ("nanorender", "unet")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.parent.name != "commands" and path.name != "commands.py"
}

ALLOWED_TWICE: dict[str, str] = {}
"""Names that may be defined in several modules, each with its reason."""

COMPILED = {"kernel", "subroutine"}
"""Decorators of functions for compiled code, which need one line of documentation."""

ROOT_CLASSES = {"BaseModel", "Exception", "NamedTuple", "Protocol", "Settings", "nnx.Module"}
"""Bases other than these document the methods that a class overrides."""

ONE_SIGNATURE = {
    "nanorender/measuring/measure.py": "every measurement takes a region, see `Region`"
}
"""Modules of functions of one signature, which are documented in one line each."""

Definition = ast.FunctionDef | ast.ClassDef


def public_definitions(tree: ast.Module) -> Iterator[Definition]:
    """Yield the public functions and classes at the top level of a module."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def public_names(tree: ast.Module) -> Iterator[str]:
    """Yield public top-level names except constants."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not (name.startswith("_") or name.isupper()))


def decorators(node: ast.FunctionDef) -> set[str]:
    """Return the names of a function's decorators."""
    calls = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    return {one.id if isinstance(one, ast.Name) else getattr(one, "attr", "") for one in calls}


def missing_sections(node: Definition) -> list[str]:
    """List what the docstring of a public function, method or class lacks."""
    text = ast.get_docstring(node) or ""
    if isinstance(node, ast.ClassDef):
        lacking = [] if text else [f"{node.name}: docstring"]
        if has_undocumented_fields(node) and "Attributes\n----------" not in text:
            lacking.append(f"{node.name}: Attributes")
        overrides = not {ast.unparse(base) for base in node.bases} <= ROOT_CLASSES
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                lines = missing_sections(inner)
                lines = [line for line in lines if "docstring" in line] if overrides else lines
                lacking += [f"{node.name}.{line}" for line in lines]
        return lacking
    names = decorators(node)
    if names & COMPILED:
        return [] if text else [f"{node.name}: docstring"]
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    lacking = [] if text else [f"{node.name}: docstring"]
    if {one.arg for one in parameters} - {"self", "cls"} and "Parameters\n----------" not in text:
        lacking.append(f"{node.name}: Parameters")
    returns = ast.unparse(node.returns) if node.returns else "None"
    described = "Returns\n-------" in text or "Yields\n------" in text
    described = described or bool(names & {"property", "cached_property", "remembered"})
    if (
        returns not in ("None", "NoReturn")
        and not names & {"property", "cached_property", "remembered"}
        and not described
    ):
        lacking.append(f"{node.name}: Returns")
    return lacking


def has_undocumented_fields(node: ast.ClassDef) -> bool:
    """Tell whether a class has public fields without docstrings or descriptions of their own."""
    for field, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or ast.unparse(field.target).startswith("_"):
            continue
        documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if not documented and "description=" not in ast.unparse(field):
            return True
    return False


def test_a_public_name_has_one_meaning():
    homes = defaultdict(list)
    for path, tree in MODULES.items():
        for name in public_names(tree):
            homes[name].append(path)
    repeated = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert {name: repeated[name] for name in repeated.keys() - ALLOWED_TWICE.keys()} == {}
    assert ALLOWED_TWICE.keys() <= repeated.keys(), "the list of allowed names is out of date"


@pytest.mark.parametrize("path", sorted(MODULES.keys() - ONE_SIGNATURE))
def test_public_functions_and_classes_are_documented_in_full(path):
    definitions = public_definitions(MODULES[path])
    assert [line for node in definitions for line in missing_sections(node)] == []


@pytest.mark.parametrize("path", sorted(ONE_SIGNATURE))
def test_functions_of_one_signature_have_a_docstring(path):
    definitions = public_definitions(MODULES[path])
    lacking = [line for node in definitions for line in missing_sections(node)]
    assert [line for line in lacking if "docstring" in line] == []

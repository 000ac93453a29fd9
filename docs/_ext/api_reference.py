"""Pages of the API reference, one for each package, generated from the list of modules."""

import importlib
import inspect
import pkgutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.autodoc import Options

import nanorender
import unet


def _modules() -> list[str]:
    """Return the names of all public modules that define public names."""
    found = []
    for package in (nanorender, unet):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part.startswith("_") for part in module.name.split(".")) and (
                not module.ispkg
            ):
                found.append(module.name)
    left_out = ("nanorender.commands", "nanorender.viewer.widgets")  # the latter need Qt
    return [name for name in found if not name.startswith(left_out)]


def _pages() -> dict[str, str]:
    """Return the text of each page by its name."""
    packages: dict[str, list[str]] = defaultdict(list)
    for name in _modules():
        packages[name.rpartition(".")[0]].append(name)
    pages = {}
    for package, modules in packages.items():
        summary = (inspect.getdoc(importlib.import_module(package)) or "").partition("\n")[0]
        title = f"{package}\n{'=' * len(package)}\n\n{summary}\n\n"
        parts = [
            f"{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n   :members:\n\n"
            for name in modules
        ]
        pages[package] = title + "".join(parts)
    listing = "\n".join(f"   {package}" for package in packages)
    pages["index"] = (
        "API reference\n=============\n\nLengths are in nm, arrays are ``[y, x]``, label 0 is "
        "background, and label k is row k - 1 of the truth table.\n\n"
        f".. toctree::\n   :maxdepth: 1\n\n{listing}\n"
    )
    return pages


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "_generated" / "api"
    folder.mkdir(parents=True, exist_ok=True)
    pages = _pages()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Options) -> bool | None:
    """Leave out imported members, and fields of records, described under Attributes."""
    field = type(obj).__name__ in ("_tuplegetter", "member_descriptor", "FieldInfo")
    module = getattr(obj, "__module__", None) or "nanorender"
    foreign = not module.startswith(("nanorender", "unet"))
    return True if field or foreign or name == "model_config" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", _write)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}

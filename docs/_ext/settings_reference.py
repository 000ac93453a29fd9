"""Reference pages of all settings, generated from the pydantic classes that parse them."""

import inspect
import types
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from numpy_sections import attributes, sections
from pydantic import AfterValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util import logging

from nanorender import distributions
from nanorender.calibration.calibrate import CalibrationSettings
from nanorender.outputs import OUTPUTS
from nanorender.randomization import RandomizedRecipe
from nanorender.recipe import Recipe
from nanorender.separation.separate import Separation
from nanorender.settings import Settings
from nanorender.statistics.summary import Statistics
from unet.presets import TrainSettings

LOGGER = logging.getLogger(__name__)
DISTRIBUTIONS = get_args(get_args(distributions.Distribution)[0])
NAMES = {
    float: "number",
    int: "integer",
    str: "text",
    bool: "true or false",
    Path: "file",
    Any: "number or draw",
}
VALIDATORS = {
    "_positive": "> 0",
    "_not_negative": "≥ 0",
    "check_outputs": ", ".join(f"`{name}`" for name in OUTPUTS),
}
OTHERS = {
    "randomized": (RandomizedRecipe, "A randomized recipe, for `nanorender generate FILE`."),
    "training": (TrainSettings, "A training preset, for `nanorender train --preset FILE`."),
    "separation": (Separation, "For `nanorender segment --separation FILE` and `nanorender run`."),
    "statistics": (Statistics, "From Python; `nanorender report` has an option for the main ones."),
    "calibration": (CalibrationSettings, "From Python; `nanorender calibrate` has options."),
}


class Described(NamedTuple):
    """Type and constraints of a setting, in words, and the settings classes inside it."""

    kind: str
    allowed: str
    models: tuple[type[Settings], ...]


def _described(annotation: Any, metadata: tuple[Any, ...]) -> Described:
    """Return a type in words."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        unpacked = [part for item in more for part in _parts(item)]
        return _described(inner, (*unpacked, *metadata))
    allowed = _allowed(metadata)
    arguments = get_args(annotation)
    if _is_union(annotation):
        return _union(arguments, metadata, allowed)
    if get_origin(annotation) is Literal:
        return Described("choice", ", ".join(f"`{_toml(value)}`" for value in arguments), ())
    if get_origin(annotation) in (tuple, list):
        item = _described(arguments[0], ())
        count = "" if Ellipsis in arguments else f"{len(arguments)} "
        inside = item.allowed if not allowed else f"{allowed}; {item.allowed}".rstrip("; ")
        return Described(f"list of {count}{_plural(item.kind)}", inside, item.models)
    if get_origin(annotation) is dict:
        if arguments[1] is Any:
            return Described("table of draws", allowed, ())
        item = _described(arguments[1], ())
        return Described(f"named {_plural(item.kind)}", item.allowed, item.models)
    if inspect.isclass(annotation) and issubclass(annotation, Settings):
        return Described("table", "", (annotation,))
    return Described(NAMES[annotation], allowed, ())


def _union(arguments: tuple[Any, ...], metadata: tuple[Any, ...], allowed: str) -> Described:
    """Return a union in words: a distribution, tables of several kinds, or an optional value."""
    if set(arguments) == set(DISTRIBUTIONS):
        return Described("[distribution](distributions.md)", allowed, ())
    if type(None) in arguments:
        rest = [each for each in arguments if each is not type(None)]
        return _described(reduce(or_, rest), metadata)
    parts = [_described(each, ()) for each in arguments]
    models = tuple(model for part in parts for model in part.models)
    if models:
        return Described("table", ", ".join(f"`kind = {_toml(_kind(m))}`" for m in models), models)
    return Described(" or ".join(part.kind for part in parts), allowed, ())


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _parts(item: Any) -> list[Any]:
    """Return the constraints in a part of an annotation."""
    return list(item.metadata) if isinstance(item, FieldInfo) else [item]


def _allowed(metadata: tuple[Any, ...]) -> str:
    """Return bounds in words."""
    found: list[str] = []
    for part in metadata:
        match part:
            case Ge(ge=value):
                found.append(f"≥\u00a0{value:g}")
            case Gt(gt=value):
                found.append(f">\u00a0{value:g}")
            case Le(le=value):
                found.append(f"≤\u00a0{value:g}")
            case Lt(lt=value):
                found.append(f"<\u00a0{value:g}")
            case MinLen(min_length=value):
                found.append(f"at least {value}")
            case MaxLen(max_length=value):
                found.append(f"at most {value}")
            case AfterValidator(func=function):
                found.append(VALIDATORS.get(function.__name__, ""))
    return ", ".join(filter(None, found))


def _plural(kind: str) -> str:
    return kind if kind.endswith("s") or kind == "true or false" else f"{kind}s"


def _has_kind(model: type[Settings]) -> bool:
    """Return whether a key `kind` chooses this class among others."""
    kind = model.model_fields.get("kind")
    return kind is not None and len(get_args(kind.annotation)) == 1 and not kind.is_required()


def _kind(model: type[Settings]) -> str:
    return model.model_fields["kind"].default


def _toml(value: Any) -> str:
    """Return a value as TOML has it, in one line."""
    match value:
        case bool():
            return str(value).lower()
        case str() | Path():
            return f'"{value}"'
        case int():
            return str(value)
        case float():
            return f"{value:g}"
        case tuple() | list():
            return f"[{', '.join(_toml(part) for part in value)}]"
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
        case distributions.Constant():
            return _toml(value.value)
        case Settings():
            return _toml(
                {
                    key: part
                    for key, part in value
                    if not (isinstance(part, float) and abs(part) > 1e29)
                }
            )
        case _:
            raise TypeError(f"no TOML for {value!r}")


def _default(field: FieldInfo) -> str:
    """Return the default in TOML, or that there is none."""
    default = field.default if field.default_factory is None else field.default_factory()
    if default is PydanticUndefined:
        return "*required*"
    if default is None or default in ({}, ()):
        return "none"
    if isinstance(default, Settings) and not isinstance(default, DISTRIBUTIONS):
        with_kind = _has_kind(type(default))
        return f"`kind = {_toml(_kind(type(default)))}`" if with_kind else "see below"
    if isinstance(default, tuple) and isinstance(default[0], Settings):
        return "see below"
    return f"`{_toml(default)}`"


def _rows(model: type[Settings]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield key, type, default, allowed values and description of each setting of a class."""
    described = attributes(model)
    for key, field in model.model_fields.items():
        if key == "kind" and _has_kind(model):
            continue
        kind = _described(field.annotation, tuple(field.metadata))
        text = field.description or described.get(key, "")
        if not text:
            LOGGER.warning("the setting %s of %s has no description", key, model.__qualname__)
        yield f"`{key}`", kind.kind, _default(field), kind.allowed, _sentence(text)


def _sentence(text: str) -> str:
    """Return a description as a sentence for a cell of a table."""
    words = " ".join(text.split()).replace("|", "\\|").removesuffix(".")
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _table(model: type[Settings]) -> str:
    """Return the settings of a class as a Markdown table."""
    rows = list(_rows(model))
    if not rows:
        return "No settings of its own.\n"
    titles = ("key", "type", "default", "allowed", "meaning")
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _summary(model: type[Settings]) -> str:
    """Return the text of a class's docstring before its attributes."""
    return "\n".join(sections(inspect.cleandoc(model.__doc__ or ""))[""]).strip()


def _section(model: type[Settings], title: str, level: int) -> str:
    """Return a section on a class, and on the classes inside it."""
    parts = [f"{'#' * level} {title}\n\n{_summary(model)}\n\n{_table(model)}\n"]
    for key, field in model.model_fields.items():
        for inner in _described(field.annotation, tuple(field.metadata)).models:
            parts.append(_section(inner, _title(key, inner), level + 1))
    return "".join(parts)


def _title(key: str, model: type[Settings]) -> str:
    return f'`kind = "{_kind(model)}"`' if _has_kind(model) else f"`{key}`"


def _recipe_pages() -> Iterator[tuple[str, str]]:
    """Yield name and text of a page for each section of a recipe."""
    for key, field in Recipe.model_fields.items():
        kind = _described(field.annotation, tuple(field.metadata))
        if not kind.models:
            continue
        heading = {"particles": "[[particles]]", "materials": "[materials.NAME]"}
        heading |= {"templates": "[templates.NAME]"}
        title = f"`{heading.get(key, f'[{key}]')}`"
        if len(kind.models) == 1:
            yield key, _section(kind.models[0], title, 1)
            continue
        kinds = ", ".join(f"`{_kind(model)}`" for model in kind.models)
        text = [f"# {title}\n\nThe key `kind` chooses one of {kinds}.\n\n"]
        text += [_section(model, _title(key, model), 2) for model in kind.models]
        yield key, "".join(text)


def pages() -> Iterator[tuple[str, str]]:
    """Yield name and text of every page of the settings reference."""
    sections_of_recipe = dict(_recipe_pages())
    yield "recipe", f"# Recipe\n\n{_summary(Recipe)}\n\n{_table(Recipe)}\n"
    yield from sections_of_recipe.items()
    text = (
        "Wherever a setting is a distribution, a bare number stands for a constant. Every sample, "
        "or every particle, draws its own value.\n\n"
    )
    text += "".join(_section(model, _title("", model), 2) for model in DISTRIBUTIONS)
    yield "distributions", f"# Distributions\n\n{text}"
    for name, (model, use) in OTHERS.items():
        parts = _section(model, name.capitalize(), 1).split("\n\n", 1)
        yield name, f"{parts[0]}\n\n{use}\n\n{parts[1]}"
    names = ["recipe", *sections_of_recipe, "distributions", *OTHERS]
    listing = "\n".join(names)
    yield (
        "index",
        "# Settings\n\nAll settings are TOML. Unknown keys are refused. Lengths are in nm and "
        "units are in the names. `none` as a default means that the key may be left out.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listing}\n```\n",
    )


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "_generated" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    written = set()
    for name, text in pages():
        path = folder / f"{name}.md"
        written.add(path)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in set(folder.glob("*.md")) - written:
        path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}

"""Fitted recipes as TOML: the base recipe's own text, with what was fitted changed and marked."""

from pathlib import Path
from typing import Any

import tomlkit

from nanorender.calibration.calibrate import Calibration
from nanorender.calibration.likeness import Terms
from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.recipe import Recipe, recipe_text

DIGITS = 4


def write_fitted(calibration: Calibration, base_name: str, names: list[str], path: Path) -> None:
    """Write the fitted recipe with comments: what was fitted, what was kept, and how well it fits.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_text(path, fitted_toml(calibration, base_name, names))


def refuse_other_than_toml(path: Path) -> None:
    """Raise InputError unless a path ends in .toml and its folder is there."""
    if path.suffix != ".toml" or not path.parent.is_dir():
        raise InputError(f"{path} must end in .toml and lie in a folder that is there")


def in_short(calibration: Calibration) -> str:
    """Return the loss before and after, and what chance alone makes."""
    before, after, chance = calibration.before, calibration.after, calibration.chance
    alone = "" if chance is None else f" ({chance:.3f} by chance alone)"
    return f"loss {before.loss():.3f} -> {after.loss():.3f}{alone}"


def fitted_toml(calibration: Calibration, base_name: str, names: list[str]) -> str:
    """Return the text of a fitted recipe, which reads back as `calibration.recipe`."""
    document = tomlkit.parse(recipe_text(base_name))
    before = _plain(Recipe.from_toml(tomlkit.dumps(document), base_name))
    after = _rounded(_plain(calibration.recipe))
    _change(document, before, after)
    return _header(calibration, base_name, names) + "\n" + tomlkit.dumps(document)


def _plain(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude_none=True)


def _rounded(value: Any) -> Any:
    """Return the value with floats of the digits that matter."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _change(table: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Write into a table of the document what differs, each with what it was in a comment."""
    for key, value in after.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(value, dict) and not _is_distribution(value):
            if key not in table:
                table[key] = tomlkit.table()
            _change(table[key], old or {}, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, (was, now) in enumerate(zip(old or [], value, strict=True)):
                _change(table[key][number], was, now)
        else:
            table[key] = _item(value, old)


def _is_distribution(value: dict[str, Any]) -> bool:
    return value.get("kind") in ("constant", "uniform", "normal", "lognormal", "mixture")


def _item(value: Any, old: Any) -> Any:
    """Return a value as TOML with a comment on what it was."""
    if isinstance(value, dict):
        short = {key: part for key, part in value.items() if _size(part) < 1e29}
        item = tomlkit.inline_table()
        item.update(short)
        if value["kind"] == "constant":
            item = tomlkit.item(value["value"])
    else:
        item = tomlkit.item(value)
    item.comment(f"fitted; was {_short(old)}")
    return item


def _size(part: Any) -> float:
    """Return the size of a number; bounds of 1e30 stand for none and are left out."""
    return abs(part) if isinstance(part, (int, float)) else 0.0


def _short(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    numbers = [f"{k} {v:g}" for k, v in value.items() if k != "kind" and _size(v) < 1e29]
    return f"{value['kind']}, " + ", ".join(numbers) if value["kind"] != "constant" else numbers[0]


def _header(calibration: Calibration, base_name: str, names: list[str]) -> str:
    before, after = calibration.before, calibration.after
    chance = [] if calibration.chance is None else [calibration.chance]
    worst = max(len(name) for name in Terms._fields)
    lines = [
        f"Fitted by 'nanorender calibrate' to {len(names)} micrographs: {', '.join(names)}.",
        f"It began with the recipe {base_name}, drawn to their scale; what has no mark was kept.",
        f"Loss before {before.loss():.3f}, after {after.loss():.3f}, 0 being alike:",
        *(
            f"  {name:{worst}}  {getattr(before, name):6.3f} -> {getattr(after, name):6.3f}"
            for name in Terms._fields
        ),
        *(
            f"By chance, as few of its own images as the real ones differ by {c:.3f}."
            for c in chance
        ),
        f"Fitted, with {calibration.evaluations} candidates:",
        *(f"  {name}: {was:.4g} -> {now:.4g}" for name, (was, now) in calibration.fitted.items()),
    ]
    return "".join(f"# {line}\n" for line in lines)

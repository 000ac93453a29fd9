"""Files of a calibration: the fitted recipe as TOML, and a sheet that shows the goodness of fit.

The recipe keeps the text of the base recipe; changed values are marked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nanorender.calibration.calibrate import Calibration
from nanorender.calibration.image_statistics import (
    LEVELS,
    SPECTRUM_BANDS,
    SPECTRUM_EDGE_PX,
    GrayImage,
    ImageStatistics,
)
from nanorender.calibration.observation import LossTerms
from nanorender.calibration.populations import keep_populations
from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file, write_text
from nanorender.recipe import Recipe, recipe_text

_DIGITS = 4
_UNBOUNDED = 1e29  # bounds of distributions from here on stand for none
_SHEET_COLUMNS = 4
_EDGE_INCHES = 3.0


def require_suffix(path: Path, suffix: str) -> None:
    """Check that a file can be written, before any work is done.

    Parameters
    ----------
    path : of the file
    suffix : its required ending, such as ".png"

    Raises
    ------
    InputError
        If the name ends otherwise or the folder does not exist.

    Examples
    --------
    >>> require_suffix(Path("mine.toml"), ".toml")
    """
    if path.suffix.lower() != suffix:
        raise InputError(f"{path} must end in {suffix}")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; create it")


def loss_summary(calibration: Calibration) -> str:
    """Summarize the loss before and after in one line.

    Parameters
    ----------
    calibration : of any recipe

    Returns
    -------
    Both losses, and the noise floor if known.
    """
    before, after = calibration.before.loss(), calibration.after.loss()
    return ". ".join([f"loss {before:.3f} -> {after:.3f}", *_noise_floor_lines(calibration)])


def _noise_floor_lines(calibration: Calibration) -> list[str]:
    floor = calibration.noise_floor
    return [] if floor is None else [f"Noise floor at this sample size: {floor:.3f}"]


def write_fitted(calibration: Calibration, base_name: str, names: list[str], path: Path) -> None:
    """Write the fitted recipe with comments on what was fitted and how well it fits.

    Parameters
    ----------
    calibration : to write
    base_name : preset or file of the base recipe
    names : of the micrographs
    path : TOML file

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_text(path, fitted_toml(calibration, base_name, names))


def fitted_toml(calibration: Calibration, base_name: str, names: list[str]) -> str:
    """Format the fitted recipe as TOML.

    Parameters
    ----------
    calibration : to write
    base_name : preset or file of the base recipe
    names : of the micrographs

    Returns
    -------
    Text that reads back as the fitted recipe, to four digits.
    """
    document: Any = tomlkit.parse(recipe_text(base_name))
    base = Recipe.from_toml(tomlkit.dumps(document), base_name)
    before = _plain(keep_populations(base, calibration.kept))
    after = _rounded(_plain(calibration.recipe))
    for index in reversed(range(len(base.particles))):
        if index not in calibration.kept:
            del document["particles"][index]
    for name in base.materials.keys() - before["materials"].keys():
        del document["materials"][name]
    relative_loss = after.pop("relative_loss", None)
    _mark_changes(document, before, after)
    document.pop("relative_loss", None)  # of the base, which may have been fitted, too
    if relative_loss is not None:
        document["relative_loss"] = tomlkit.item(relative_loss).comment("about 1 for a good fit")
    return _header(calibration, base_name, names) + "\n" + tomlkit.dumps(document)


def _plain(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude_none=True)


def _rounded(value: Any) -> Any:
    """Round all floats within a value to significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _mark_changes(table: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Write changed values into a table of the document, with the old ones as comments."""
    for key, value in after.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(value, dict) and not _is_distribution(value):
            if key not in table:
                table[key] = tomlkit.table()
            _mark_changes(table[key], old or {}, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, (was, now) in enumerate(zip(old or [], value, strict=True)):
                _mark_changes(table[key][number], was, now)
        else:
            item = _toml_item(value)
            item.comment(f"fitted; was {_in_words(old)}")
            table[key] = item


def _is_distribution(value: dict[str, Any]) -> bool:
    return value.get("kind") in ("constant", "uniform", "normal", "lognormal", "mixture")


def _toml_item(value: Any) -> Any:
    """Return a value as TOML, a constant as a number."""
    if not isinstance(value, dict):
        return tomlkit.item(value)
    if value["kind"] == "constant":
        return tomlkit.item(value["value"])
    item = tomlkit.inline_table()
    item.update({key: part for key, part in value.items() if _is_bounded(part)})
    return item


def _is_bounded(part: Any) -> bool:
    return not isinstance(part, (int, float)) or abs(part) < _UNBOUNDED


def _in_words(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if value["kind"] == "constant":
        return f"value {value['value']:g}"
    numbers = [f"{k} {v:g}" for k, v in value.items() if k != "kind" and _is_bounded(v)]
    return f"{value['kind']}, " + ", ".join(numbers)


def _header(calibration: Calibration, base_name: str, names: list[str]) -> str:
    """Return comments on the calibration."""
    before, after = calibration.before, calibration.after
    widest = max(len(name) for name in LossTerms._fields)
    lines = [
        f"Fitted by 'nanorender calibrate' to {len(names)} micrographs: {', '.join(names)}.",
        f"Base recipe: {base_name}, adapted to their scale. Values without a mark are unchanged.",
        *(f"Note: {note}." for note in calibration.notes),
        f"Loss before {before.loss():.3f}, after {after.loss():.3f}; 0 means no difference:",
        *(
            f"  {name:{widest}}  {getattr(before, name):6.3f} -> {getattr(after, name):6.3f}"
            for name in LossTerms._fields
        ),
        *_noise_floor_lines(calibration),
        f"Fitted parameters, from {calibration.evaluations} candidates:",
        *(f"  {name}: {was:.4g} -> {now:.4g}" for name, (was, now) in calibration.fitted.items()),
    ]
    return "".join(f"# {line}\n" for line in lines)


def write_sheet(
    calibration: Calibration, views: Mapping[str, Sequence[GrayImage]], path: Path
) -> None:
    """Write a sheet of views, distributions of real and synthetic images, and loss terms.

    Parameters
    ----------
    calibration : to show
    views : rows of views, by their titles
    path : PNG file

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    rows = len(views) + 1
    size = (_EDGE_INCHES * _SHEET_COLUMNS, _EDGE_INCHES * 1.06 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, _SHEET_COLUMNS, squeeze=False)
    for line, (title, row) in zip(grid.tolist(), views.items(), strict=False):
        _draw_views(line, title, row)
    *plots, bars = grid[-1]
    _draw_distributions(plots, "real", "black", calibration.real.statistics)
    _draw_distributions(plots, "synthetic", "tab:red", calibration.synthetic.statistics)
    plots[0].legend(frameon=False, fontsize=8)
    _draw_terms(bars, {"before": calibration.before, "after": calibration.after})
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


def _draw_views(line: Sequence[Axes], title: str, views: Sequence[GrayImage]) -> None:
    chosen = np.linspace(0, len(views) - 1, len(line)).round().astype(int)
    for axes, k in zip(line, chosen, strict=True):
        axes.imshow(views[k], cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
    line[0].set_title(title, fontsize=9, loc="left")


def _draw_distributions(plots: Sequence[Axes], name: str, color: str, of: ImageStatistics) -> None:
    """Draw gray levels, gradients and power spectrum."""
    gray, gradient, spectrum = plots
    gray.plot(np.arange(LEVELS), of.gray / of.gray.sum(), color=color, lw=1, label=name)
    gray.set(xlabel="gray level", ylabel="share of pixels", yscale="log")
    steps = of.gradients[0] / of.gradients[0].sum()
    gradient.plot(np.arange(LEVELS) / 4, steps, color=color, lw=1)
    gradient.set(xlabel="gradient, levels per px", yscale="log", xlim=(0, 40), ylim=(1e-6, None))
    edge = SPECTRUM_EDGE_PX
    frequency = (edge / 2) ** (np.arange(SPECTRUM_BANDS) / (SPECTRUM_BANDS - 1)) / edge
    present = of.spectrum > 0
    spectrum.loglog(frequency[present], of.spectrum[present] / of.gray.sum(), color=color, lw=1)
    spectrum.set(xlabel="spatial frequency, 1 / px", ylabel="power")


def _draw_terms(axes: Axes, terms: Mapping[str, LossTerms]) -> None:
    """Draw the terms as bars, one color for each name."""
    width = 0.8 / len(terms)
    for number, (name, values) in enumerate(terms.items()):
        label = f"{name}: loss {values.loss():.3f}"
        axes.barh(np.arange(len(values)) + number * width, values, width, label=label)
    axes.set_yticks(np.arange(len(LossTerms._fields)) + 0.4 - width / 2, LossTerms._fields)
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=8)

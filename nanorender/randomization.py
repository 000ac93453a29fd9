"""Domain randomization: randomized recipes, from which a recipe is drawn for every image.

A network trained on enough variety treats a real image as one more variation (Tobin et al.,
Domain randomization for transferring deep neural networks from simulation to the real world, IROS
2017). The TOML file lists specimens and ways of imaging them, as parts of recipes. Any value may be
replaced by a rule for drawing it, once for each image:

- ``{ uniform = [0.2, 0.8] }`` and ``{ log_uniform = [8, 200] }``: a number between two others
- ``{ choice = ["sphere", "cube"], weights = [3, 1] }``: one of several values
- ``{ fixed = 0.5 }``: a constant, for use with ``unit``

A setting for which ``"none"`` is drawn is left out. With ``unit = "diameter"``, the number is a
multiple of the typical diameter of the specimen.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, ValidationError

from nanorender.errors import InputError
from nanorender.outputs import check_outputs
from nanorender.recipe import Recipe, is_randomized, recipe_source, recipe_text
from nanorender.settings import Settings, first_problem

_STREAM = 1  # sets the random numbers for recipes apart from those for rendering

MOST_PARTICLES = 6000
FIELD_OVER_IMAGE = 1.5
NONE = "none"
"""Drawn value for which a setting is left out."""

DRAWS = ("uniform", "log_uniform", "choice", "fixed")


class Part(Settings):
    """Part of a recipe, drawn with a probability proportional to its weight."""

    name: str
    """Name, which the description of each drawn recipe contains."""
    weight: PositiveFloat = 1.0
    """Probability of being drawn, relative to the others."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Sections of a recipe, in which values may be replaced by draws."""


class Specimen(Part):
    """Particles and their placement."""

    diameter_nm: Any
    """Typical diameter, in nm: a number or a draw. Lengths of unit "diameter" are multiples."""
    coverage: Any
    """Covered share of the area, 0 for no particles: a number or a draw."""


class RandomizedRecipe(Settings):
    """Randomized recipe, from which a recipe is drawn for every image."""

    description: str = ""
    """One line that describes the images."""
    image_px: int = Field(default=512, ge=64, le=4096)
    """Edge of the images, in px."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Sections that all recipes have in common."""
    specimens: tuple[Specimen, ...] = Field(min_length=1)
    """Particles; one is drawn for each image."""
    imaging: tuple[Part, ...] = Field(min_length=1)
    """Ways of imaging; one is drawn for each image."""

    def for_sample(self, seed: int, index: int) -> Recipe:
        """Draw the recipe of a sample, which depends on the seed and the index alone.

        Parameters
        ----------
        seed, index : sample of a series

        Returns
        -------
        Recipe
            As `draw` returns it.
        """
        return self.draw(np.random.default_rng([seed, index, _STREAM]))

    def at_scale(self, pixel_size_nm: float, image_px: int) -> "RandomizedRecipe":
        """Raise an error, since sizes are drawn for each image.

        Parameters
        ----------
        pixel_size_nm, image_px : as in `Recipe.at_scale`

        Returns
        -------
        RandomizedRecipe
            Does not return.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(
            "a randomized recipe cannot be scaled, since sizes are drawn for each image; leave out "
            "--pixel-size-nm, and set image_px and diameter_nm in a copy of its file"
        )

    def with_outputs(self, names: str) -> "RandomizedRecipe":
        """Return the randomized recipe with additional outputs.

        Parameters
        ----------
        names : names of outputs, separated by commas

        Returns
        -------
        RandomizedRecipe
            Copy whose recipes all have the outputs.

        Raises
        ------
        InputError
            If a name is unknown.
        """
        try:
            chosen = check_outputs([name.strip() for name in names.split(",") if name.strip()])
        except ValueError as error:
            raise InputError(str(error)) from None
        return self.model_copy(update={"recipe": {**self.recipe, "outputs": list(chosen)}})

    def draw(self, rng: np.random.Generator) -> Recipe:
        """Draw a recipe.

        Parameters
        ----------
        rng : source of all choices

        Returns
        -------
        Recipe
            Recipe whose description names the parts.

        Raises
        ------
        InputError
            If the settings drawn are not a valid recipe.
        """
        specimen = _drawn_part(self.specimens, rng)
        imaging = _drawn_part(self.imaging, rng)
        diameter_nm = float(_resolved(specimen.diameter_nm, 1.0, rng))
        coverage = float(_resolved(specimen.coverage, 1.0, rng))
        parts = {}
        for part in (self.recipe, specimen.recipe, imaging.recipe):
            parts = _merged(parts, _resolved(part, diameter_nm, rng))
        parts["description"] = f"{specimen.name}, {imaging.name}"
        camera = {"image_px": self.image_px, "render_px": 2 * self.image_px, "pixel_size_nm": 1.0}
        parts["camera"] = {**camera, **parts.get("camera", {})}
        parts["field_nm"] = FIELD_OVER_IMAGE * self.image_px
        parts["particle_count"] = 1
        try:
            recipe = Recipe.model_validate(parts)
            count = _particle_count(recipe, coverage)
            return Recipe.model_validate({**parts, "particle_count": count})
        except ValidationError as error:
            raise InputError(
                f"specimen '{specimen.name}' with imaging '{imaging.name}' is not valid: "
                f"{first_problem(error, Recipe)}"
            ) from None


def _drawn_part(parts, rng):
    weights = np.array([part.weight for part in parts])
    return parts[rng.choice(len(parts), p=weights / weights.sum())]


def _resolved(value: Any, diameter_nm: float, rng: np.random.Generator) -> Any:
    """Return a value with every draw in it replaced by what was drawn."""
    if isinstance(value, list):
        return [_resolved(item, diameter_nm, rng) for item in value]
    if not isinstance(value, dict):
        return value
    how = [name for name in DRAWS if name in value]
    if not how:
        resolved = {key: _resolved(item, diameter_nm, rng) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item != NONE}
    drawn = _draw(how[0], value, rng)
    if value.get("unit") == "diameter":
        return drawn * diameter_nm
    return _resolved(drawn, diameter_nm, rng)


def _draw(how: str, value: dict[str, Any], rng: np.random.Generator) -> Any:
    try:
        match how:
            case "uniform":
                low, high = value["uniform"]
                return float(rng.uniform(low, high))
            case "log_uniform":
                low, high = value["log_uniform"]
                return float(math.exp(rng.uniform(math.log(low), math.log(high))))
            case "choice":
                weights = np.array(value.get("weights", [1.0] * len(value["choice"])), float)
                return value["choice"][rng.choice(len(value["choice"]), p=weights / weights.sum())]
            case _:
                return value["fixed"]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{value} is not a valid draw: {error}") from None


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Merge dictionaries recursively; values of the second take precedence."""
    merged = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _particle_count(recipe: Recipe, coverage: float) -> int:
    """Return the number of particles, without overlap, that cover a fraction of the field."""
    shares = np.array([kind.share for kind in recipe.particles])
    areas = []
    for kind in recipe.particles:
        width = kind.diameter_nm.typical()
        length = width if kind.length_nm is None else kind.length_nm.typical()
        areas.append(math.pi / 4 * width * length)
    area = float(np.average(areas, weights=shares))
    count = round(coverage * recipe.field_nm**2 / area)
    return int(np.clip(count, 1 if coverage > 0 else 0, MOST_PARTICLES))


def read_recipe_source(name_or_path: str | Path) -> Recipe | RandomizedRecipe:
    """Return a recipe or a randomized recipe: a preset by its name, or a TOML file.

    Parameters
    ----------
    name_or_path : name of a preset, or path of a TOML file

    Returns
    -------
    Recipe or RandomizedRecipe
        The latter for a file that lists specimens.

    Raises
    ------
    InputError
        If there is no such preset or file, or the file holds neither.
    """
    return parse_recipe_source(recipe_text(name_or_path), recipe_source(name_or_path))


def parse_recipe_source(text: str, source: str) -> Recipe | RandomizedRecipe:
    """Return the recipe or the randomized recipe in a TOML text.

    Parameters
    ----------
    text : TOML
    source : name of the text in errors

    Returns
    -------
    Recipe or RandomizedRecipe
        The latter for a text that lists specimens.

    Raises
    ------
    InputError
        If the text holds neither.
    """
    return (RandomizedRecipe if is_randomized(text) else Recipe).from_toml(text, source)

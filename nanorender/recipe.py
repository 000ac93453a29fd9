"""Recipes: everything that makes one kind of synthetic image, in one TOML file."""

from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from nanorender.distributions import scaled
from nanorender.errors import InputError
from nanorender.files.pixelsize import check_pixel_size
from nanorender.imaging.detector import DetectorSettings
from nanorender.imaging.dirt import DirtSettings
from nanorender.imaging.lighting import Lighting
from nanorender.imaging.materials import Material, Substrate
from nanorender.labeling.labels import LabelSettings
from nanorender.outputs import OUTPUTS, check_outputs
from nanorender.scenes.scene import SceneSettings
from nanorender.settings import read_text


class Recipe(SceneSettings):
    """A kind of sample and a way of imaging it.

    materials: by the names that the populations use
    outputs: what is written of each sample beside image, labels and truth, see `outputs.OUTPUTS`
    """

    description: str = ""
    materials: dict[str, Material] = Field(min_length=1)
    substrate: Substrate = Substrate()
    dirt: DirtSettings = DirtSettings()
    lighting: Lighting = Lighting()
    detector: DetectorSettings = DetectorSettings()
    labels: LabelSettings = LabelSettings()
    outputs: Annotated[
        tuple[str, ...],
        AfterValidator(check_outputs),
        Field(description=f"additional files of each sample: {', '.join(OUTPUTS)}"),
    ] = ()

    @model_validator(mode="after")
    def _materials_exist(self) -> "Recipe":
        for kind in self.particles:
            if kind.material not in self.materials:
                raise ValueError(
                    f"no material '{kind.material}'; there are {', '.join(sorted(self.materials))}"
                )
        return self

    def population_materials(self) -> tuple[Material, ...]:
        """Return the material of each population, in their order."""
        return tuple(self.materials[kind.material] for kind in self.particles)

    def with_outputs(self, names: str) -> "Recipe":
        """Return the recipe with the outputs of a text such as "parts,height".

        Raises
        ------
        InputError
            If there is no output of one of the names.
        """
        chosen = [name.strip() for name in names.split(",") if name.strip()]
        try:
            return self.model_copy(update={"outputs": check_outputs(chosen)})
        except ValueError as error:
            raise InputError(str(error)) from None

    def at_scale(self, pixel_size_nm: float, image_px: int) -> "Recipe":
        """Return the recipe for images of `image_px` pixels of about `pixel_size_nm`.

        The zoom keeps its spread. Four rays are averaged in a pixel, as small images show jagged
        outlines. The field grows if it has to, with as many more particles, so that the density
        stays what it was. Labels are left whole: training parts them itself.

        Raises
        ------
        InputError
            If no microscope has such pixels.
        """
        check_pixel_size(pixel_size_nm)
        zoom = scaled(
            self.camera.pixel_size_nm, pixel_size_nm / self.camera.pixel_size_nm.typical()
        )
        camera = self.camera.model_copy(
            update={"pixel_size_nm": zoom, "image_px": image_px, "render_px": 2 * image_px}
        )
        larger = max(1.0, 1.5 * zoom.typical() * image_px / self.field_nm)
        return self.model_copy(
            update={
                "camera": camera,
                "field_nm": self.field_nm * larger,
                "particle_count": scaled(self.particle_count, larger**2),
                "labels": self.labels.model_copy(
                    update={"border_px": 0.0, "background_border_px": 0.0}
                ),
            }
        )


def preset_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files("nanorender") / "recipes"
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".toml"))


def recipe_text(name_or_path: str | Path) -> str:
    """Return the TOML text of a preset by its name, or of a file.

    Raises
    ------
    InputError
        If there is neither.
    """
    if str(name_or_path) in preset_names():
        file = resources.files("nanorender") / "recipes" / f"{name_or_path}.toml"
        return file.read_text(encoding="utf-8")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise InputError(
            f"no recipe '{name_or_path}'; name a preset ({', '.join(preset_names())}) "
            "or a .toml file"
        )
    return read_text(path)


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Return a preset by its name, or the recipe in a TOML file.

    Raises
    ------
    InputError
        If there is neither, or the file does not hold a recipe.
    """
    preset = str(name_or_path) in preset_names()
    source = f"preset {name_or_path}" if preset else str(name_or_path)
    return Recipe.from_toml(recipe_text(name_or_path), source)

"""Recipes: all settings of one kind of synthetic image, in one TOML file."""

from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from nanorender.errors import InputError
from nanorender.files.pixelsize import check_pixel_size
from nanorender.imaging.detector import DetectorSettings
from nanorender.imaging.dirt import DirtSettings
from nanorender.imaging.lighting import Lighting
from nanorender.imaging.materials import Material, Substrate
from nanorender.labeling.labels import LabelSettings
from nanorender.outputs import OUTPUTS, check_outputs
from nanorender.recipes import preset_names
from nanorender.scenes.scene import SceneSettings
from nanorender.settings import read_text


class Recipe(SceneSettings):
    """A kind of sample and the microscope that images it."""

    description: str = ""
    """One line that describes the sample; it names the dataset."""
    materials: dict[str, Material] = Field(min_length=1)
    """Materials by the names that the populations refer to."""
    substrate: Substrate = Substrate()
    """The substrate between the particles."""
    dirt: DirtSettings = DirtSettings()
    """The dirt on the substrate."""
    lighting: Lighting = Lighting()
    """Light, shadow and ambient occlusion."""
    detector: DetectorSettings = DetectorSettings()
    """From radiance to gray levels: blur, contrast, noise and distortion."""
    labels: LabelSettings = LabelSettings()
    """The label maps."""
    outputs: Annotated[
        tuple[str, ...],
        AfterValidator(check_outputs),
        Field(description=f"additional files of each sample: {', '.join(OUTPUTS)}"),
    ] = ()

    @model_validator(mode="after")
    def _materials_exist(self) -> "Recipe":
        for kind in self.particles:
            if kind.material not in self.materials:
                known = ", ".join(sorted(self.materials))
                raise ValueError(f"no material '{kind.material}'; choose from {known}")
        return self

    def population_materials(self) -> tuple[Material, ...]:
        """Return the material of each population, in order."""
        return tuple(self.materials[kind.material] for kind in self.particles)

    def with_outputs(self, names: str) -> "Recipe":
        """Return the recipe with the given outputs.

        Parameters
        ----------
        names : names separated by commas, such as "parts,height"

        Raises
        ------
        InputError
            If a name is unknown.
        """
        chosen = [name.strip() for name in names.split(",") if name.strip()]
        try:
            return self.model_copy(update={"outputs": check_outputs(chosen)})
        except ValueError as error:
            raise InputError(str(error)) from None

    def at_scale(self, pixel_size_nm: float, image_px: int) -> "Recipe":
        """Return the recipe for images of another size and resolution.

        The relative spread of the pixel size is kept. Each pixel averages four rays, since small
        images show jagged outlines. If necessary, the field is enlarged at constant density. The
        labels of touching particles have no gaps, since training inserts them itself.

        Parameters
        ----------
        pixel_size_nm : typical edge length of a pixel, nm
        image_px : edge length of the image, px

        Raises
        ------
        InputError
            If the pixel size is outside the range of microscopes.

        Examples
        --------
        >>> read_recipe("tio2").at_scale(7.0, 512).camera.render_px
        1024
        """
        check_pixel_size(pixel_size_nm)
        pixel_size = self.camera.pixel_size_nm
        zoom = pixel_size.scaled(pixel_size_nm / pixel_size.typical())
        camera = self.camera.model_copy(
            update={"pixel_size_nm": zoom, "image_px": image_px, "render_px": 2 * image_px}
        )
        larger = max(1.0, 1.5 * zoom.typical() * image_px / self.field_nm)
        return self.model_copy(
            update={
                "camera": camera,
                "field_nm": self.field_nm * larger,
                "particle_count": self.particle_count.scaled(larger**2),
                "labels": self.labels.model_copy(
                    update={"border_px": 0.0, "background_border_px": 0.0}
                ),
            }
        )


def recipe_text(name_or_path: str | Path) -> str:
    """Read the TOML text of a preset or of a file.

    Parameters
    ----------
    name_or_path : name of a preset or path of a TOML file

    Raises
    ------
    InputError
        If there is no such preset or file.
    """
    if str(name_or_path) in preset_names():
        file = resources.files("nanorender.recipes") / f"{name_or_path}.toml"
        return file.read_text(encoding="utf-8")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise InputError(
            f"no recipe '{name_or_path}'; choose a preset ({', '.join(preset_names())}) or give "
            "the path of a .toml file"
        )
    return read_text(path)


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a preset or a recipe file.

    Parameters
    ----------
    name_or_path : name of a preset or path of a TOML file

    Raises
    ------
    InputError
        If there is no such preset or file, or the recipe is invalid.

    Examples
    --------
    >>> read_recipe("sio2").template_names()
    ('sphere',)
    """
    preset = str(name_or_path) in preset_names()
    source = f"preset {name_or_path}" if preset else str(name_or_path)
    return Recipe.from_toml(recipe_text(name_or_path), source)

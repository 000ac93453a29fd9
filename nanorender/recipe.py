"""Recipes: all settings of one kind of synthetic image, in one TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from nanorender.errors import InputError
from nanorender.files.pixelsize import check_pixel_size
from nanorender.imaging.detector import DetectorSettings
from nanorender.imaging.dirt import DirtSettings
from nanorender.imaging.lighting import Lighting
from nanorender.imaging.materials import Material, MaterialBase, Substrate, Transmission
from nanorender.imaging.publication import PublicationSettings
from nanorender.imaging.structures import StructureSettings
from nanorender.imaging.transmission.image import TransmissionSettings
from nanorender.labeling.labels import LabelSettings
from nanorender.outputs import OUTPUTS, check_outputs
from nanorender.recipes import known_names, preset_names, preset_text
from nanorender.scenes.scene import SceneSettings
from nanorender.settings import read_text

MaterialFamily = TypeVar("MaterialFamily", MaterialBase, Transmission)


class Recipe(SceneSettings):
    """A kind of sample and the microscope that images it."""

    description: str = ""
    """One line that describes the sample; it names the dataset."""
    relative_loss: PositiveFloat | None = None
    """Loss of the calibration that fitted the recipe, relative to its noise floor (at most 0.1),
    about 1 for a good fit; written by `nanorender calibrate`; left out: not fitted."""
    materials: dict[str, Material] = Field(min_length=1)
    """Materials by the names that the populations refer to."""
    substrate: Substrate = Substrate()
    """The substrate between the particles."""
    dirt: DirtSettings = DirtSettings()
    """The dirt on the substrate."""
    structures: StructureSettings = StructureSettings()
    """Structures of the substrate: scratches, cracks, fibers, crystals, membranes."""
    lighting: Lighting = Lighting()
    """Light, shadow and ambient occlusion."""
    transmission: TransmissionSettings | None = None
    """Beam and film of transmission images, in place of substrate and lighting; left out: SEM."""
    detector: DetectorSettings = DetectorSettings()
    """From radiance to gray levels: blur, contrast, noise and distortion."""
    publication: PublicationSettings | None = None
    """Marks and compression of published images; left out: none."""
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

    @model_validator(mode="after")
    def _materials_suit_the_imaging(self) -> "Recipe":
        for name, material in self.materials.items():
            if isinstance(material, Transmission) and self.transmission is None:
                raise ValueError(
                    f"material '{name}' is of kind 'transmission'; add a [transmission] section or "
                    "choose another kind"
                )
            if not isinstance(material, Transmission) and self.transmission is not None:
                raise ValueError(
                    f"material '{name}' is of kind '{material.kind}', which has no transmission "
                    "image; use kind 'transmission' or remove [transmission]"
                )
        return self

    @property
    def has_dark_particles(self) -> bool:
        """Whether particles are darker than what is around them."""
        absorbed = self.transmission is not None and self.transmission.beam.mode == "bright_field"
        return absorbed != (self.detector.polarity == "dark")

    def for_sample(self, seed: int, index: int) -> "Recipe":
        """Return the recipe of a sample, which is this recipe for all samples.

        Parameters
        ----------
        seed, index : sample of a series

        Returns
        -------
        Recipe
            The recipe itself; see `RandomizedRecipe.for_sample`.
        """
        return self

    def population_materials(self, family: type[MaterialFamily]) -> tuple[MaterialFamily, ...]:
        """Return the material of each population, in their order.

        Parameters
        ----------
        family : `MaterialBase`, or `Transmission` for a recipe of transmission images

        Returns
        -------
        tuple
            One material for each population.
        """
        materials = (self.materials[kind.material] for kind in self.particles)
        return tuple(material for material in materials if isinstance(material, family))

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

    Returns
    -------
    str
        Text of a recipe or a randomized recipe.

    Raises
    ------
    InputError
        If there is no such preset or file.
    """
    text = preset_text(str(name_or_path))
    if text is not None:
        return text
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = ", ".join(known_names())
        raise InputError(
            f"no recipe '{name_or_path}'; choose a preset ({known}) or give the path of a .toml "
            "file"
        )
    return read_text(path)


def recipe_source(name_or_path: str | Path) -> str:
    """Return the name of a recipe for error messages.

    Parameters
    ----------
    name_or_path : name of a preset or path of a TOML file

    Returns
    -------
    str
        The name, marked as a preset, or the path.
    """
    known = preset_text(str(name_or_path)) is not None
    return f"preset {name_or_path}" if known else str(name_or_path)


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a preset or the recipe in a TOML file.

    Parameters
    ----------
    name_or_path : name of a preset or path of a TOML file

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    InputError
        If there is no such preset or file, or the file does not hold a recipe.

    Examples
    --------
    >>> read_recipe("sio2").particles[0].templates
    ('sphere',)
    """
    text, source = recipe_text(name_or_path), recipe_source(name_or_path)
    if is_randomized(text):
        raise InputError(
            f"{source} is a randomized recipe, which 'generate' and 'preview' draw recipes from; "
            f"choose one recipe ({', '.join(preset_names())}) or give the path of its .toml file"
        )
    return Recipe.from_toml(text, source)


def is_randomized(text: str) -> bool:
    """Return whether a TOML text is a randomized recipe, which lists specimens.

    Parameters
    ----------
    text : TOML; False if it is not valid

    Returns
    -------
    bool
        Whether `randomization.RandomizedRecipe` reads it.

    Examples
    --------
    >>> is_randomized("[[specimens]]"), is_randomized("[[particles]]")
    (True, False)
    """
    try:
        return "specimens" in tomllib.loads(text)
    except (ValueError, RecursionError):
        return False

"""Scenes: particles on a substrate and the view of a camera."""

from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, PositiveFloat, model_validator

from nanorender.distributions import (
    Constant,
    Distribution,
    NonNegativeDistribution,
    PositiveDistribution,
)
from nanorender.errors import InputError
from nanorender.scenes.footprints import Bodies
from nanorender.scenes.placement import Agglomerates, Placement
from nanorender.scenes.population import Population, draw_bodies
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import Template, TemplateTable, template_table
from nanorender.settings import Settings

_MAX_BYTES = 8 << 30  # memory of one image
_MAX_HOURS = 0.5  # of one image
_MAX_TILT_DEG = 60.0

# Measured on sio2 and tio2 with 4e3 to 4e5 particles and 500 to 4000 pixels, one core of a Zen 4.
_PARTICLE_BYTES, _RENDERED_PIXEL_BYTES, _PIXEL_BYTES = 600, 60, 8
_PARTICLE_S, _RENDERED_PIXEL_S = 8e-6, 2e-7

# Measured on rods and spheres that lie 10 to 200 deep: a pair of particles in neighboring cells.
_PAIR_S = 4e-8


class Camera(Settings):
    """The camera above the field, with parallel rays."""

    pixel_size_nm: PositiveDistribution
    """Edge length of a pixel of the image, in nm; drawn for each image, as a microscope's zoom."""
    image_px: Annotated[int, Field(ge=16, le=16384)] = 2031
    """Edge length of the image and its labels, in pixels."""
    render_px: Annotated[int, Field(ge=16, le=16384)] = 507
    """Edge length of the rendered image, in pixels; it is resampled to `image_px`."""
    tilt_deg: Distribution = Constant(value=0)
    """Tilt of the stage, in degrees; limited to 0 to 60."""


class SceneSettings(Settings):
    """Particles on a square field, and the camera that views a part of it."""

    camera: Camera
    """The camera."""
    field_nm: PositiveFloat
    """Edge length of the field, in nm."""
    particle_count: NonNegativeDistribution
    """Number of particles on the field, of which the camera views a part; 0 for none."""
    placement: Placement = Agglomerates()
    """Positions of the particles."""
    particles: Annotated[tuple[Population, ...], Field(min_length=1)]
    """Kinds of particles."""
    templates: dict[str, Template] = Field(default_factory=dict)
    """Custom particle templates by name, in addition to the built-in ones."""

    @model_validator(mode="after")
    def _templates_exist(self) -> "SceneSettings":
        known = self.known_templates()
        for name in self.template_names():
            if name not in known:
                raise ValueError(f"no template '{name}'; choose from {', '.join(sorted(known))}")
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "SceneSettings":
        if problem := _excess(self.particle_count.typical(), self):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _fits_into_the_field(self) -> "SceneSettings":
        for kind in self.particles:
            size_nm = kind.diameter_nm.typical()
            if size_nm > self.field_nm:
                raise ValueError(
                    f"particles of {size_nm:.4g} nm are larger than the field (field_nm = "
                    f"{self.field_nm:.4g}); increase field_nm or decrease diameter_nm"
                )
        _check_view(self.camera, self.camera.pixel_size_nm.typical(), self.field_nm)
        return self

    def template_names(self) -> tuple[str, ...]:
        """Return the names of the templates in use.

        Returns
        -------
        names : each name once, in order of first use
        """
        return tuple(dict.fromkeys(name for kind in self.particles for name in kind.templates))

    def known_templates(self) -> dict[str, Template]:
        """Return the built-in and the custom templates.

        Returns
        -------
        templates : templates by name; a custom one replaces a built-in one of the same name
        """
        return {**BUILT_IN, **self.templates}


def _excess(particles: float, settings: SceneSettings) -> str:
    """Return an error text if an image takes too much memory or time, else an empty one."""
    camera = settings.camera
    rendered, image = camera.render_px**2, camera.image_px**2
    need = particles * _PARTICLE_BYTES + rendered * _RENDERED_PIXEL_BYTES + image * _PIXEL_BYTES
    hours = (particles * _PARTICLE_S + rendered * _RENDERED_PIXEL_S) / 3600
    hours += _neighbor_pairs(particles, settings) * _PAIR_S / 3600
    if need <= _MAX_BYTES and hours <= _MAX_HOURS:
        return ""
    return (
        f"{particles:.3g} particles on {settings.field_nm:.4g} nm, rendered at "
        f"{camera.render_px} x {camera.render_px} pixels, need about {need / 2**30:.3g} GiB of "
        f"memory and {hours:.2g} hours per image, more than the limit of {_MAX_BYTES >> 30} GiB or "
        f"{_MAX_HOURS} hours; decrease particle_count, render_px or image_px"
    )


def _neighbor_pairs(particles: float, settings: SceneSettings) -> float:
    """Estimate how many pairs of particles placement looks at: they grow with the square of both.

    A search visits the 3 x 3 cells of the grid around a particle, each as wide as one.
    """
    shares = np.array([kind.share for kind in settings.particles])
    lengths = [kind.typical_length_nm() for kind in settings.particles]
    visited = (3.0 * float(shares @ lengths) / float(shares.sum()) / settings.field_nm) ** 2
    return 0.5 * particles**2 * min(1.0, visited) * settings.placement.neighbor_searches()


def _check_view(camera: Camera, pixel_size_nm: float, field_nm: float) -> None:
    """Raise an InputError, a ValueError, if the view is larger than the field."""
    view_nm = pixel_size_nm * camera.image_px
    if view_nm > field_nm:
        raise InputError(
            f"the view of {camera.image_px} pixels, {view_nm:.4g} nm, is larger than the field "
            f"(field_nm = {field_nm:.4g}); increase field_nm and particle_count or decrease "
            "pixel_size_nm or image_px"
        )


class Particles(NamedTuple):
    """Particles of a scene, one row each; the label of a particle is its row plus one.

    Attributes
    ----------
    template : (n,) row of the template table
    center_nm : (n, 3) x, y, z of the center of the bounding box
    size_nm : (n, 3) edge lengths of the bounding box, along the axes of the particle
    rotation : (n, 3, 3) rotation from the axes of the particle to those of the scene
    agglomerate : (n,) number of the agglomerate, from 0
    population : (n,) row of the recipe's list of populations
    brightness : (n,) factor on the gray level, about 1
    """

    template: Int[np.ndarray, "n"]
    center_nm: Float[np.ndarray, "n 3"]
    size_nm: Float[np.ndarray, "n 3"]
    rotation: Float[np.ndarray, "n 3 3"]
    agglomerate: Int[np.ndarray, "n"]
    population: Int[np.ndarray, "n"]
    brightness: Float[np.ndarray, "n"]


class View(NamedTuple):
    """The rectangle of the scene that the camera views.

    The camera looks down the z axis, tilted about the x axis through the center of the view, as the
    stage of a microscope.

    Attributes
    ----------
    left_nm, top_nm : position of the upper left corner on the field
    pixel_size_nm : edge length of a pixel
    height_px, width_px : size of the image
    tilt_deg : tilt of the stage
    """

    left_nm: float
    top_nm: float
    pixel_size_nm: float
    height_px: int
    width_px: int
    tilt_deg: float

    def resampled(self, height_px: int, width_px: int) -> "View":
        """Return the same field of view with another number of pixels.

        Parameters
        ----------
        height_px, width_px : size of the image, in the same ratio as before

        Returns
        -------
        view : view with another pixel size

        Examples
        --------
        >>> View(0.0, 0.0, 2.0, 400, 400, 0.0).resampled(100, 100).pixel_size_nm
        8.0
        """
        scale = self.width_px / width_px
        return self._replace(
            pixel_size_nm=self.pixel_size_nm * scale, height_px=height_px, width_px=width_px
        )


class Scene(NamedTuple):
    """Particles on a flat substrate at z = 0, and the view of them.

    Attributes
    ----------
    particles : the particles
    templates : table of their templates
    view : view of the camera
    """

    particles: Particles
    templates: TemplateTable
    view: View


def _draw_view(camera: Camera, field_nm: float, rng: np.random.Generator) -> View:
    """Draw a view at a random position of the field."""
    pixel_size_nm = camera.pixel_size_nm.draw(rng)
    tilt_deg = float(np.clip(camera.tilt_deg.draw(rng), 0.0, _MAX_TILT_DEG))
    _check_view(camera, pixel_size_nm, field_nm)
    room_nm = field_nm - pixel_size_nm * camera.image_px
    left_nm, top_nm = (float(edge) for edge in rng.uniform(0.0, room_nm, 2))
    return View(left_nm, top_nm, pixel_size_nm, camera.image_px, camera.image_px, tilt_deg)


def sample_scene(settings: SceneSettings, rng: np.random.Generator) -> Scene:
    """Draw a random scene.

    Parameters
    ----------
    settings : distributions of the view and of the particles
    rng : random generator

    Returns
    -------
    scene : particles with templates, sizes and rotations by population, placed on the field

    Raises
    ------
    InputError
        If the view is larger than the field, the scene takes too much memory or time, or a
        distribution map cannot be read.

    Examples
    --------
    >>> settings = SceneSettings(
    ...     camera=Camera(pixel_size_nm=2.0, image_px=256, render_px=128),
    ...     field_nm=1000.0,
    ...     particle_count=20,
    ...     particles=[Population(templates=["sphere"], diameter_nm=50.0, material="silica")],
    ... )
    >>> scene = sample_scene(settings, np.random.default_rng(0))
    >>> scene.particles.center_nm.shape, scene.view.pixel_size_nm
    ((20, 3), 2.0)
    """
    view = _draw_view(settings.camera, settings.field_nm, rng)
    drawn = settings.particle_count.draw(rng)
    if problem := _excess(drawn, settings):
        raise InputError(problem)
    count = round(drawn)
    shares = np.array([kind.share for kind in settings.particles])
    population = rng.choice(len(shares), size=count, p=shares / shares.sum())
    # Draw the particles of each population
    names = settings.template_names()
    template = np.zeros(count, np.int32)
    size, rotation, brightness = np.empty((count, 3)), np.empty((count, 3, 3)), np.empty(count)
    for number, kind in enumerate(settings.particles):
        rows = np.flatnonzero(population == number)
        choices = np.array([names.index(name) for name in kind.templates])
        template[rows] = choices[rng.integers(len(choices), size=rows.size)]
        size[rows], rotation[rows] = draw_bodies(kind, rows.size, rng)
        brightness[rows] = kind.brightness.sample(rng, rows.size)
    # Place them; a distribution map may hold fewer
    bodies = Bodies(size, rotation)
    center, agglomerate = settings.placement.arrange(bodies, settings.field_nm, rng)
    placed = slice(len(center))
    known = settings.known_templates()
    return Scene(
        Particles(
            template[placed],
            center.astype(np.float32),
            size[placed].astype(np.float32),
            rotation[placed].astype(np.float32),
            agglomerate.astype(np.int32),
            population[placed].astype(np.int32),
            brightness[placed].astype(np.float32),
        ),
        template_table([known[name] for name in names]),
        view,
    )

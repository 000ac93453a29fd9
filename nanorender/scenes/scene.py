"""Scenes: which particles lie where, and from where they are seen."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, PositiveFloat, model_validator

from nanorender.distributions import Constant, Distribution, PositiveDistribution
from nanorender.errors import InputError
from nanorender.scenes.placement import Agglomerates, Placement
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import Template, TemplateTable, template_table
from nanorender.settings import Settings

MOST_BYTES = 8 << 30
"""The most memory that one image may need."""

# Measured on sio2 and tio2 with 4e3 to 4e5 particles and 500 to 4000 pixels, one core of a Zen 4.
PARTICLE_BYTES, RENDERED_PIXEL_BYTES, PIXEL_BYTES = 600, 60, 8
PARTICLE_S, RENDERED_PIXEL_S = 8e-6, 2e-7


class Population(Settings):
    """One kind of particle of a recipe.

    share: how many of the particles are of this kind, relative to the other kinds
    templates: names of templates, drawn from at random
    diameter_nm: diameter; of an elongated particle, of a disc as large as its outline, and of a
        wire, whose length_nm is given, its thickness
    aspect: length over width, 1 or more
    length_nm: length of rods and wires, in place of the aspect
    flatness: height over width
    orientation: "random"; "lying" with the long axis level, turned about it at random; or "flat"
        on the substrate, turned about the upright alone
    brightness: factor on the gray level of each particle
    material: name of the material that shades it
    """

    share: PositiveFloat = 1.0
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    diameter_nm: PositiveDistribution
    aspect: PositiveDistribution = Constant(value=1)
    length_nm: PositiveDistribution | None = None
    flatness: PositiveDistribution = Constant(value=1)
    orientation: Literal["random", "lying", "flat"] = "random"
    brightness: PositiveDistribution = Constant(value=1)
    material: str


class Camera(Settings):
    """The parallel camera above the field.

    pixel_size_nm: size of a pixel of the finished image; it varies as a microscope's zoom does
    image_px: edge of the finished image and its labels, in pixels
    render_px: edge of the rendered image, which is up-sampled to the finished one
    tilt_deg: tilt of the stage
    """

    pixel_size_nm: PositiveDistribution
    image_px: Annotated[int, Field(ge=16, le=16384)] = 2031
    render_px: Annotated[int, Field(ge=16, le=16384)] = 507
    tilt_deg: Distribution = Constant(value=0)


class SceneSettings(Settings):
    """What a scene is drawn from.

    particle_count: centers on the field, of which the camera sees a part
    field_nm: edge of the square field
    templates: templates of the recipe's own, beside the built-in ones
    """

    camera: Camera
    field_nm: PositiveFloat
    particle_count: PositiveDistribution
    placement: Placement = Agglomerates()
    particles: Annotated[tuple[Population, ...], Field(min_length=1)]
    templates: dict[str, Template] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _templates_exist(self) -> "SceneSettings":
        known = {**BUILT_IN, **self.templates}
        for name in self.template_names():
            if name not in known:
                raise ValueError(f"no template '{name}'; there are {', '.join(sorted(known))}")
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "SceneSettings":
        problem = _excess(self.particle_count.typical(), self.camera)
        if problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _fits_into_the_field(self) -> "SceneSettings":
        for kind in self.particles:
            size_nm = kind.diameter_nm.typical()
            if size_nm > self.field_nm:
                raise ValueError(
                    f"particles of {size_nm:.4g} nm are larger than the field (field_nm = "
                    f"{self.field_nm:.4g}); enlarge field_nm, or make diameter_nm smaller"
                )
        view_nm = self.camera.pixel_size_nm.typical() * self.camera.image_px
        if view_nm > self.field_nm:
            raise ValueError(
                f"the view of {self.camera.image_px} pixels, {view_nm:.4g} nm, is larger than the "
                f"field (field_nm = {self.field_nm:.4g}); enlarge field_nm with particle_count, or "
                "zoom in"
            )
        return self

    def template_names(self) -> tuple[str, ...]:
        """Return the names of the templates in use, each once, in order."""
        return tuple(dict.fromkeys(name for kind in self.particles for name in kind.templates))


def _excess(particles: float, camera: Camera) -> str:
    """Return what an image would cost if that is more than is allowed, else nothing."""
    rendered, image = camera.render_px**2, camera.image_px**2
    need = particles * PARTICLE_BYTES + rendered * RENDERED_PIXEL_BYTES + image * PIXEL_BYTES
    if need <= MOST_BYTES:
        return ""
    hours = (particles * PARTICLE_S + rendered * RENDERED_PIXEL_S) / 3600
    return (
        f"{particles:.3g} particles rendered at {camera.render_px} x {camera.render_px} pixels "
        f"need about {need / 2**30:.3g} GiB of memory and {hours:.2g} hours an image, and "
        f"{MOST_BYTES >> 30} GiB are allowed; make particle_count and field_nm, render_px or "
        "image_px smaller"
    )


class Particles(NamedTuple):
    """One row a particle; its label in images is its row plus one.

    template: (n) row of the template table
    center_nm: (n, 3) x, y, z of the middle of the particle's box
    size_nm: (n, 3) edge lengths of the box, along the particle's own axes
    rotation: (n, 3, 3) from the particle's axes to the scene's
    agglomerate: (n) number of the agglomerate that it belongs to, from 0
    population: (n) row of the recipe's list of populations
    brightness: (n) factor on the particle's gray level, around 1
    """

    template: Int[np.ndarray, "n"]
    center_nm: Float[np.ndarray, "n 3"]
    size_nm: Float[np.ndarray, "n 3"]
    rotation: Float[np.ndarray, "n 3 3"]
    agglomerate: Int[np.ndarray, "n"]
    population: Int[np.ndarray, "n"]
    brightness: Float[np.ndarray, "n"]


class View(NamedTuple):
    """What the parallel camera sees: a rectangle of the scene, in pixels of one size.

    The camera looks down the z axis, tilted by `tilt_deg` about the x axis through the middle of
    the view, as a microscope's stage is.
    """

    left_nm: float
    top_nm: float
    pixel_size_nm: float
    height_px: int
    width_px: int
    tilt_deg: float

    def resampled(self, height_px: int, width_px: int) -> "View":
        """Return the same field of view in another number of pixels."""
        scale = self.width_px / width_px
        return self._replace(
            pixel_size_nm=self.pixel_size_nm * scale, height_px=height_px, width_px=width_px
        )


class Scene(NamedTuple):
    """Everything that has a place: particles over a flat substrate at z = 0, and a view of them."""

    particles: Particles
    templates: TemplateTable
    view: View


def _random_rotations(count: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3 3"]:
    """Return rotations drawn evenly from all, by random unit quaternions (Shoemake 1992)."""
    q = rng.normal(size=(count, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    return np.moveaxis(
        np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        ),
        2,
        0,
    )


def _turns(
    about_z: Float[np.ndarray, "n"], about_x: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n 3 3"]:
    """Return rotations about x and then about z, angles in radians."""
    cz, sz, cx, sx = np.cos(about_z), np.sin(about_z), np.cos(about_x), np.sin(about_x)
    zero = np.zeros_like(cz)
    return np.moveaxis(
        np.array([[cz, -sz * cx, sz * sx], [sz, cz * cx, -cz * sx], [zero, sx, cx]]), 2, 0
    )


def _bodies(kind: Population, count: int, rng: np.random.Generator):
    """Return sizes (n, 3) in nm and rotations (n, 3, 3) of particles of one population."""
    diameter = kind.diameter_nm.sample(rng, count)
    if kind.length_nm is not None:
        length, width = np.maximum(kind.length_nm.sample(rng, count), diameter), diameter
    else:
        aspect = np.maximum(kind.aspect.sample(rng, count), 1.0)
        length, width = diameter * np.sqrt(aspect), diameter / np.sqrt(aspect)
    size = np.stack([length, width, width * kind.flatness.sample(rng, count)], axis=1)
    if kind.orientation == "random":
        return size, _random_rotations(count, rng)
    about_z, about_x = rng.uniform(0.0, 2.0 * np.pi, (2, count))
    return size, _turns(about_z, about_x * (kind.orientation == "lying"))


def _view(camera: Camera, field_nm: float, rng: np.random.Generator) -> View:
    """Return a view at a random place of the field."""
    pixel_size_nm = float(camera.pixel_size_nm.sample(rng, 1)[0])
    tilt_deg = float(np.clip(camera.tilt_deg.sample(rng, 1)[0], 0.0, 60.0))
    room = field_nm - pixel_size_nm * camera.image_px
    if room < 0:
        raise InputError(
            f"the view of {camera.image_px} pixels of {pixel_size_nm:.3g} nm is larger than the "
            f"field (field_nm = {field_nm:.4g}); enlarge field_nm with particle_count, or zoom in"
        )
    left_nm, top_nm = (float(edge) for edge in rng.uniform(0.0, room, 2))
    return View(left_nm, top_nm, pixel_size_nm, camera.image_px, camera.image_px, tilt_deg)


def sample_scene(settings: SceneSettings, rng: np.random.Generator) -> Scene:
    """Return a random scene.

    Templates, sizes and rotations are drawn for each particle by its population; where the
    particles sit is the placement's.

    Raises
    ------
    InputError
        If the view is larger than the field, or a distribution map cannot be read.
    """
    view = _view(settings.camera, settings.field_nm, rng)
    drawn = float(settings.particle_count.sample(rng, 1)[0])
    if problem := _excess(drawn, settings.camera):
        raise InputError(problem)
    count = max(1, round(drawn))
    shares = np.array([kind.share for kind in settings.particles])
    population = rng.choice(len(shares), size=count, p=shares / shares.sum())
    names = settings.template_names()
    template = np.zeros(count, np.int32)
    size, rotation, brightness = np.empty((count, 3)), np.empty((count, 3, 3)), np.empty(count)
    for number, kind in enumerate(settings.particles):
        rows = np.flatnonzero(population == number)
        choices = np.array([names.index(name) for name in kind.templates])
        template[rows] = choices[rng.integers(len(choices), size=rows.size)]
        size[rows], rotation[rows] = _bodies(kind, rows.size, rng)
        brightness[rows] = kind.brightness.sample(rng, rows.size)
    center, agglomerate = settings.placement.arrange(size, rotation, settings.field_nm, rng)
    kept = slice(len(center))
    known = {**BUILT_IN, **settings.templates}
    return Scene(
        Particles(
            template[kept],
            center.astype(np.float32),
            size[kept].astype(np.float32),
            rotation[kept].astype(np.float32),
            agglomerate.astype(np.int32),
            population[kept].astype(np.int32),
            brightness[kept].astype(np.float32),
        ),
        template_table([known[name] for name in names]),
        view,
    )

"""What can be written of a sample beside its image and labels, traced at the image's resolution."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Shaped, UInt8

from nanorender.labeling.layers import amodal_layers
from nanorender.recipe import OutputName
from nanorender.render import Sample
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import Surface, trace


class Output(NamedTuple):
    """One kind of file of a dataset.

    meaning: what a pixel says, for the help and the README
    of: the array that a sample and its surface at the image's resolution give
    """

    meaning: str
    of: Callable[[Sample, Surface], Shaped[np.ndarray, "..."]]


def _visible(sample: Sample, surface: Surface) -> Int32[np.ndarray, "h w"]:
    numbers = np.zeros(len(sample.scene.particles.template) + 1, np.int32)
    numbers[sample.particle + 1] = sample.truth["label"]
    return numbers[surface.particle]


def _amodal(sample: Sample, surface: Surface) -> Int32[np.ndarray, "p h w"]:
    instances = build_instances(sample.scene, sample.scene.view)
    return amodal_layers(instances, sample.scene.view, surface.particle, sample.particle)


def _parts(sample: Sample, surface: Surface) -> UInt8[np.ndarray, "h w"]:
    return np.where(surface.particle > 0, surface.part + 1, 0).astype(np.uint8)


def _agglomerates(sample: Sample, surface: Surface) -> Int32[np.ndarray, "h w"]:
    return np.append(0, sample.scene.particles.agglomerate + 1).astype(np.int32)[surface.particle]


def _height(sample: Sample, surface: Surface) -> Float32[np.ndarray, "h w"]:
    return surface.height_nm


def _normals(sample: Sample, surface: Surface) -> Float32[np.ndarray, "3 h w"]:
    return surface.normal


OUTPUTS: dict[OutputName, Output] = {
    "visible": Output("label of the particle that is seen, before borders were widened", _visible),
    "amodal": Output("label of a whole particle; those that overlap are on other pages", _amodal),
    "parts": Output("primitive of the template that is seen, from 1: a rod's shaft or tip", _parts),
    "agglomerates": Output("agglomerate, as in the truth table plus one", _agglomerates),
    "height": Output("height above the substrate in nm", _height),
    "normals": Output("x, y and z of the unit normal, a page each", _normals),
}


def outputs(sample: Sample, names: Sequence[OutputName]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the arrays of a sample by the names of their outputs, (h, w) or (pages, h, w)."""
    surface = trace(sample.scene, sample.scene.view)
    return {name: OUTPUTS[name].of(sample, surface) for name in names}

"""What can be written of a sample beside its image and labels, traced at the image's resolution."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from nanorender.raymarch import Surface, trace
from nanorender.recipe import OutputName
from nanorender.render import Sample


class Output(NamedTuple):
    """One kind of file of a dataset.

    meaning: what a pixel says, for the help and the README
    of: the array that a surface gives
    """

    meaning: str
    of: Callable[[Surface], Shaped[np.ndarray, "..."]]


def _parts(surface: Surface) -> UInt8[np.ndarray, "h w"]:
    return np.where(surface.particle > 0, surface.part + 1, 0).astype(np.uint8)


def _height(surface: Surface) -> Float32[np.ndarray, "h w"]:
    return surface.height_nm


def _normals(surface: Surface) -> Float32[np.ndarray, "3 h w"]:
    return surface.normal


OUTPUTS: dict[OutputName, Output] = {
    "parts": Output("primitive of the template that is seen, from 1: a rod's shaft or tip", _parts),
    "height": Output("height above the substrate in nm", _height),
    "normals": Output("x, y and z of the unit normal, a page each", _normals),
}


def outputs(sample: Sample, names: Sequence[OutputName]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the arrays of a sample by the names of their outputs, (h, w) or (3, h, w)."""
    surface = trace(sample.scene, sample.scene.view)
    return {name: OUTPUTS[name].of(surface) for name in names}

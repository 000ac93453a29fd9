"""Additional files of a sample, written on request: masks, parts, height and normals.

To add one, write a function of a `TracedSample` and enter it in `OUTPUTS`: recipes, the help of
the command line and the documentation read this registry. The command line imports it before
anything else, so it imports neither NumPy nor the renderer.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy import ndarray

    from nanorender.scenes.scene import Scene
    from nanorender.tracing.instances import Instances
    from nanorender.tracing.raymarch import Surface
else:
    ndarray = Scene = Instances = Surface = Any


class TracedSample(NamedTuple):
    """A sample traced in the pixels of its image.

    Attributes
    ----------
    scene : the particles and the view
    instances : the scene's, built for the view
    surface : the visible surface in the pixels of the image
    particle : (k) row in the scene of each row of the truth table
    """

    scene: Scene
    instances: Instances
    surface: Surface
    particle: ndarray


class Output(NamedTuple):
    """One kind of additional file.

    Attributes
    ----------
    meaning : of a pixel's value
    compute : returns an array (h, w) or (pages, h, w)
    """

    meaning: str
    compute: Callable[[TracedSample], Any]


def _visible(sample: TracedSample) -> Any:
    """Return labels (h, w) as in the truth table."""
    import numpy as np

    numbers = np.zeros(len(sample.scene.particles.template) + 1, np.int32)
    numbers[sample.particle + 1] = np.arange(1, len(sample.particle) + 1)
    return numbers[sample.surface.particle]


def _amodal(sample: TracedSample) -> Any:
    """Return labels (pages, h, w) of whole particles."""
    from nanorender.labeling.layers import amodal_layers

    view, seen = sample.scene.view, sample.surface.particle
    return amodal_layers(sample.instances, view, seen, sample.particle)


def _parts(sample: TracedSample) -> Any:
    """Return the primitive (h, w), uint8, from 1; 0 on the substrate."""
    return ((sample.surface.part + 1) * (sample.surface.particle > 0)).astype("uint8")


def _agglomerates(sample: TracedSample) -> Any:
    """Return the agglomerate (h, w), int32, from 1; 0 on the substrate."""
    import numpy as np

    numbers = np.append(0, sample.scene.particles.agglomerate + 1).astype(np.int32)
    return numbers[sample.surface.particle]


OUTPUTS: dict[str, Output] = {
    "visible": Output("label of the visible particle, before borders are widened", _visible),
    "amodal": Output("label of whole particles; overlapping ones are on different pages", _amodal),
    "parts": Output("visible primitive of the template, from 1: a rod's shaft or tip", _parts),
    "agglomerates": Output("agglomerate number of the truth table plus 1", _agglomerates),
    "height": Output("height above the substrate in nm", lambda sample: sample.surface.height_nm),
    "normals": Output("x, y, z of the unit normal, one page each", lambda s: s.surface.normal),
}


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of outputs without repetitions.

    Parameters
    ----------
    names
        Names in `OUTPUTS`.

    Returns
    -------
    tuple of str
        The names in their order, each once.

    Raises
    ------
    ValueError
        If there is no output of one of the names.

    Examples
    --------
    >>> check_outputs(["parts", "height", "parts"])
    ('parts', 'height')
    """
    for name in names:
        if name not in OUTPUTS:
            raise ValueError(f"unknown output '{name}'; choose from {', '.join(OUTPUTS)}")
    return tuple(dict.fromkeys(names))


def compute_outputs(scene: Scene, particle: ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Compute additional arrays of a sample.

    Parameters
    ----------
    scene
        The scene of a rendered sample.
    particle
        (k) row in the scene of each row of the sample's truth table.
    names
        Names in `OUTPUTS`.

    Returns
    -------
    dict of arrays
        By name, each (h, w) or (pages, h, w) in the pixels of the image.
    """
    from nanorender.tracing.instances import build_instances
    from nanorender.tracing.raymarch import trace_instances

    instances = build_instances(scene, scene.view)
    sample = TracedSample(scene, instances, trace_instances(instances, scene.view), particle)
    return {name: OUTPUTS[name].compute(sample) for name in names}

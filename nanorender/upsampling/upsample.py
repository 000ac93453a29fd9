"""Upsampling: exact labels and a sharp image from a view rendered with fewer pixels."""

from functools import partial
from typing import NamedTuple

from nanorender.imaging.detector import Exposure
from nanorender.scenes.scene import View
from nanorender.tracing.instances import Instances
from nanorender.tracing.raymarch import Surface
from nanorender.upsampling.exposure import expose_sharpened
from nanorender.upsampling.refinement import RefinedLabels, refine_labels
from nanorender.upsampling.silhouettes import find_silhouettes


class Upsampled(NamedTuple):
    """Labels and exposure of a view rendered with fewer pixels.

    Attributes
    ----------
    labels : exact labels in the pixels of the image
    exposure : for the detector; sharpens outlines along these labels
    """

    labels: RefinedLabels
    exposure: Exposure


def upsample(instances: Instances, surface: Surface, view: View) -> Upsampled:
    """Upsample a view to the pixels of its image.

    Parameters
    ----------
    instances
        The scene's, built for this field of view.
    surface
        The field of view in fewer pixels than `view`.
    view
        The view in the pixels of the image.

    Returns
    -------
    Upsampled
        Exact labels, and an exposure for `detect`.
    """
    labels = refine_labels(instances, surface, view)
    silhouettes = find_silhouettes(surface.particle, labels.cells, labels.labels)
    return Upsampled(labels, partial(expose_sharpened, silhouettes))

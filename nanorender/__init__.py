"""Synthetic nanoparticle micrographs with exact labels, and measurements on real micrographs.

Conventions:

- Lengths are in nm; every column, key and option names its unit (``pixel_size_nm``).
- Arrays are ``[y, x]``: x to the right, y down, z towards the detector, the substrate at z = 0.
- The center of pixel (0, 0) is at (0.5, 0.5) pixels from the upper left corner of the image.
- Label 0 is background; label k is row k - 1 of the truth table.
- Sample i of a dataset depends on recipe, seed and i only, not on workers, threads or order.

The functions that a script needs are attributes of this package, loaded when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

# Loaded by name, not by import statements: importing this package loads neither compiler nor JAX,
# and no module of nanorender imports unet.
_HOMES = {
    "InputError": "nanorender.errors",
    "Recipe": "nanorender.recipe",
    "Separation": "nanorender.separation.separate",
    "find_label_maps": "nanorender.files.segmentation",
    "generate": "nanorender.generation",
    "load_model": "unet.predict",
    "measure": "nanorender.measuring.measure",
    "preset_names": "nanorender.recipes",
    "read_labels": "nanorender.files.tiff",
    "read_micrograph": "nanorender.files.micrograph",
    "read_recipe": "nanorender.recipe",
    "read_recipe_source": "nanorender.randomization",
    "read_segmented": "nanorender.files.segmentation",
    "render": "nanorender.rendering",
    "segment_image": "unet.segment",
    "segment_micrograph": "unet.segment",
    "write_image": "nanorender.files.tiff",
    "write_labels": "nanorender.files.tiff",
}

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]: see __init__.pyi


def __getattr__(name: str) -> object:
    """Load a function or class when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nanorender' has no attribute '{name}'")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})

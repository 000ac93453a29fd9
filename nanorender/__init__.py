"""Synthetic nanoparticle micrographs with exact labels, and measurements on real micrographs.

Conventions:

- Lengths are in nm; every column, key and option names its unit (``pixel_size_nm``).
- Arrays are ``[y, x]``: x to the right, y down, z towards the detector, the substrate at z = 0.
- The center of pixel (0, 0) is at (0.5, 0.5) pixels from the upper left corner of the image.
- Label 0 is background; label k is row k - 1 of the truth table.
- Sample i of a dataset depends on recipe, seed and i only, not on workers, threads or order.
"""

__version__ = "0.1.0"

"""Synthetic nanoparticle micrographs with exact labels, and what is measured on real ones.

Conventions, valid everywhere:

- Lengths are in nm; every column, key and option names its unit (``pixel_size_nm``).
- Arrays are ``[y, x]``: x to the right, y down, z towards the detector, the substrate at z = 0.
- Pixel (0, 0) is centered at (0.5, 0.5) pixels from the upper left corner of the image.
- Label 0 is background; label k is row k - 1 of the truth table.
- Sample i of a dataset depends on (seed, i) alone, never on workers, threads or order.
"""

__version__ = "0.1.0"

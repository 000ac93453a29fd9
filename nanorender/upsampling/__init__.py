"""Rendering at reduced resolution: exact labels and sharp outlines in the full-size image.

The entry point is `upsample.upsample`, which `render` calls if fewer pixels are rendered than the
image has.
"""

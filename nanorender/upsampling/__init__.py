"""Rendering at reduced resolution: exact labels and sharp outlines at full resolution."""

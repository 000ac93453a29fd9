"""Measurements of particles: one table row per particle of a label map."""

"""Scenes: shapes of particles, their placement on the substrate, and the view of the camera."""

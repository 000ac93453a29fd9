"""Twins: synthetic images like a study's micrographs, and what their truth says of its sizes."""

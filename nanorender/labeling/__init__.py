"""Exact label maps of a view, and the ground truth about each particle."""

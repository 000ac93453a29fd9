"""Comparison of real and synthetic image sets."""

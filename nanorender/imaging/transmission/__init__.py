"""Transmission images: bright field with defocus, and high-angle annular dark field."""

"""Discs, rectangles, ellipses and rods of known size, at positions between pixels."""

import numpy as np


def grid(shape, center_x, center_y, angle=0.0):
    """Return coordinates along and across an axis at `angle`, of every pixel center."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = x - center_x, y - center_y
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def disc(shape, center_x, center_y, diameter):
    along, across = grid(shape, center_x, center_y)
    return np.hypot(along, across) < diameter / 2


def ellipse(shape, center_x, center_y, major, minor, angle=0.0):
    along, across = grid(shape, center_x, center_y, angle)
    return np.hypot(along / (major / 2), across / (minor / 2)) < 1


def rectangle(shape, center_x, center_y, length, width, angle=0.0):
    along, across = grid(shape, center_x, center_y, angle)
    return (np.abs(along) < length / 2) & (np.abs(across) < width / 2)


def rod(shape, center_x, center_y, length, width, angle=0.0):
    """Return a rod with round ends."""
    along, across = grid(shape, center_x, center_y, angle)
    beyond = np.maximum(np.abs(along) - (length - width) / 2, 0)
    return np.hypot(beyond, across) < width / 2

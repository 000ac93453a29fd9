"""Synthetic gray images and label maps, and the folder of genuine micrographs."""

from pathlib import Path

import numpy as np
import pytest

GENUINE = Path(__file__).parents[2] / "shared" / "micrographs"

needs_genuine_files = pytest.mark.skipif(
    not GENUINE.is_dir(), reason="the genuine micrographs in ../shared/micrographs are not here"
)


def noise(height=60, width=80, dtype=np.uint8):
    values = np.random.default_rng(7).normal(0.4, 0.1, (height, width)).clip(0, 1)
    return (values * np.iinfo(dtype).max).astype(dtype)


def discs(height=60, width=80):
    """Two discs that touch at a corner only, as labels."""
    labels = np.zeros((height, width), np.uint16)
    labels[10:20, 10:20] = 1
    labels[20:30, 20:30] = 2
    return labels

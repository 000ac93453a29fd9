"""Time to separate and to measure the particles of large micrographs."""

import cv2
import numpy as np

from nanorender.measuring.measure import measure
from nanorender.separation.separate import Separation, separate

EDGE = 256  # in px, of the smoke run; times are reported for 2048 and 4096


def discs(edge, spacing, diameters, rng):
    """Return a foreground of discs on a jittered grid, some of them overlapping."""
    centers = np.arange(spacing / 2, edge, spacing)
    mask = np.zeros((edge, edge), bool)
    for y in centers:
        for x in centers:
            cy, cx = y + rng.uniform(-3, 3), x + rng.uniform(-3, 3)
            radius = rng.uniform(*diameters) / 2
            top, left = (max(int(c - radius), 0) for c in (cy, cx))
            bottom, right = (min(int(c + radius) + 2, edge) for c in (cy, cx))
            window = np.s_[top:bottom, left:right]
            rows, columns = np.ogrid[window]
            mask[window] |= np.hypot(rows + 0.5 - cy, columns + 0.5 - cx) < radius
    return mask


def edge_px(benchmark, full):
    return full if benchmark.enabled else EDGE


def test_separation_of_2048_by_2048_pixels(benchmark):
    edge = edge_px(benchmark, 2048)
    mask = discs(edge, 48, (30, 54), np.random.default_rng(0))
    maps = {"foreground": mask.astype(np.float32)}
    labels = benchmark(separate, maps, Separation())
    assert abs(labels.max() - (edge / 48) ** 2) < 0.2 * (edge / 48) ** 2


def test_separation_by_predicted_interiors(benchmark):
    edge = edge_px(benchmark, 2048)
    mask = discs(edge, 48, (30, 54), np.random.default_rng(0)).astype(np.float32)
    maps = {"foreground": mask, "interior": cv2.GaussianBlur(mask, (0, 0), 3)}
    labels = benchmark(separate, maps, Separation())
    assert abs(labels.max() - (edge / 48) ** 2) < 0.2 * (edge / 48) ** 2


def test_measurement_of_5000_particles_on_4096_by_4096_pixels(benchmark):
    edge = edge_px(benchmark, 4096)
    mask = discs(edge, 57.5, (12, 50), np.random.default_rng(0))
    labels = separate({"foreground": mask.astype(np.float32)}, Separation())
    table = benchmark(measure, labels, 1.0)
    assert len(table) == labels.max()
    assert table["equivalent_diameter_nm"].between(8, 60).all()

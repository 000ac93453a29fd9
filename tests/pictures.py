"""Pictures of discs with the noise of a detector, whose parameters are known."""

import numpy as np


def discs(diameter_px=32, spacing_px=64, edge_px=512, levels=(40.0, 140.0)):
    rows, columns = np.mgrid[:edge_px, :edge_px] + 0.5
    middle = spacing_px / 2
    away = np.hypot((rows % spacing_px) - middle, (columns % spacing_px) - middle)
    # A pixel is covered in part where the outline crosses it.
    inside = np.clip(diameter_px / 2 - away + 0.5, 0, 1)
    return levels[0] + (levels[1] - levels[0]) * inside


def noise(shape, deviation, correlations, seed=0):
    """Noise of a standard deviation, and correlations of neighbors along rows and columns."""
    weights = [(1 - np.sqrt(1 - 4 * c * c)) / (2 * c) if c else 0.0 for c in correlations]
    white = np.random.default_rng(seed).standard_normal((shape[0] + 1, shape[1] + 1))
    rows = white[:, :-1] + weights[0] * white[:, 1:]
    both = rows[:-1] + weights[1] * rows[1:]
    return deviation * both / both.std()


def noisy_discs(count, deviation, seed):
    return [
        np.clip(discs() + noise((512, 512), deviation, (0, 0), seed + k), 0, 255).astype(np.float32)
        for k in range(count)
    ]

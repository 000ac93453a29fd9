"""Bias and spread of the measurements on shapes of known size.

    python benchmarks/validation.py

Shapes lie at random sub-pixel positions and angles; a pixel belongs to one if its center does, as
in a perfect segmentation. The errors are written to docs/results/validation.json.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from results import write_results

from nanorender.measuring.measure import measure

SAMPLES = 200
COLUMNS = {
    "equivalent_diameter_px": "equivalent diameter",
    "min_feret_px": "min Feret",
    "max_feret_px": "max Feret",
    "inscribed_diameter_px": "inscribed circle",
    "perimeter_px": "perimeter",
    "rod_length_px": "rod length",
    "rod_width_px": "rod width",
}


class Shape(NamedTuple):
    """A shape of known size.

    name: name, with its size in px
    contains: whether it contains points x, y from its center, its long axis along x
    reach: largest distance of its points from the center
    truth: true values by column, where they are known
    """

    name: str
    contains: Callable[[np.ndarray, np.ndarray], np.ndarray]
    reach: float
    truth: dict[str, float]


def disc(diameter):
    lengths = dict.fromkeys(list(COLUMNS)[:4], diameter) | {"perimeter_px": np.pi * diameter}

    def inside(x, y):
        return np.hypot(x, y) < diameter / 2

    return Shape(f"disc {diameter}", inside, diameter / 2, lengths)


def square(edge):
    truth = (np.sqrt(4 / np.pi) * edge, edge, np.sqrt(2) * edge, edge, 4 * edge)

    def inside(x, y):
        return np.maximum(abs(x), abs(y)) < edge / 2

    return Shape(f"square {edge}", inside, edge, dict(zip(COLUMNS, truth, strict=False)))


def ellipse(major, minor):
    a, b = major / 2, minor / 2
    # Ramanujan (1914): exact to 1e-5 at this ratio.
    h = ((a - b) / (a + b)) ** 2
    around = np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))
    truth = (np.sqrt(major * minor), minor, major, minor, around)

    def inside(x, y):
        return (x / a) ** 2 + (y / b) ** 2 < 1

    name = f"ellipse {major} x {minor}"
    return Shape(name, inside, a, dict(zip(COLUMNS, truth, strict=False)))


def rod(length, width):
    straight, radius = length - width, width / 2
    area = straight * width + np.pi * radius**2
    around = 2 * straight + np.pi * width
    truth = (np.sqrt(4 * area / np.pi), width, length, width, around, length, width)

    def inside(x, y):
        return np.hypot(np.maximum(abs(x) - straight / 2, 0), y) < radius

    return Shape(
        f"rod {length} x {width}", inside, length / 2, dict(zip(COLUMNS, truth, strict=True))
    )


SHAPES = (
    *(disc(diameter) for diameter in (5, 10, 20, 50, 100)),
    *(square(edge) for edge in (10, 20, 50)),
    *(ellipse(2 * minor, minor) for minor in (10, 20, 50)),
    *(rod(5 * width, width) for width in (5, 10, 20)),
)


def drawn(shape, rng):
    """Return a label map of the shape at a random sub-pixel position and angle."""
    edge = int(2 * shape.reach) + 6
    x0, y0 = edge / 2 + rng.uniform(-0.5, 0.5, 2)
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:edge, :edge] + 0.5
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    return shape.contains(along, across).astype(np.int32)


def errors(shape, samples, rng):
    """Return bias and spread of each column in percent of the true value."""
    rows = [measure(drawn(shape, rng), None).iloc[0] for _ in range(samples)]
    found = {}
    for column, true in shape.truth.items():
        values = np.array([row[column] for row in rows])
        ratio = 100 * (values / true - 1)
        found[column] = (float(ratio.mean()), float(ratio.std(ddof=1)))
    return found


def main() -> None:
    """Measure all shapes, write their errors and print them."""
    results = {}
    for number, shape in enumerate(SHAPES):
        found = errors(shape, SAMPLES, np.random.default_rng([0, number]))
        results[shape.name] = {
            column: {"bias_percent": bias, "spread_percent": spread}
            for column, (bias, spread) in found.items()
        }
        cells = [f"{COLUMNS[column]} {bias:+.1f} ± {spread:.1f} %"
                 for column, (bias, spread) in found.items()]  # fmt: skip
        print(f"{shape.name} px: {', '.join(cells)}", flush=True)
    print(write_results("validation", {"samples": SAMPLES, "columns": COLUMNS, "errors": results}))


if __name__ == "__main__":
    main()

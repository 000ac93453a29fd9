import runpy
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["disc", "square", "ellipse", "rod"])
def test_equivalent_diameters_are_unbiased_and_others_err_by_at_most_a_pixel_and_a_half(
    name, monkeypatch
):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    validation = runpy.run_path(str(BENCHMARKS / "validation.py"))
    shapes = [shape for shape in validation["SHAPES"] if shape.name.startswith(name)]
    assert shapes
    for shape in shapes:
        found = validation["errors"](shape, 12, np.random.default_rng(3))
        assert abs(found["equivalent_diameter_px"][0]) < 3
        for column in ("min_feret_px", "max_feret_px", "inscribed_diameter_px"):
            assert abs(found[column][0]) / 100 * shape.truth[column] < 1.5

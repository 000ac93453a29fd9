import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
validation = runpy.run_path(str(ROOT / "benchmarks" / "validation.py"))


@pytest.mark.parametrize("name", ["disc", "square", "ellipse", "rod"])
def test_the_equivalent_diameter_has_no_bias_and_ferets_err_by_a_pixel_and_a_half_at_most(name):
    for shape in validation["SHAPES"]:
        if not shape.name.startswith(name):
            continue
        found = validation["errors"](shape, 12, np.random.default_rng(3))
        assert abs(found["equivalent_diameter_px"][0]) < 3
        for column in ("min_feret_px", "max_feret_px", "inscribed_diameter_px"):
            assert abs(found[column][0]) / 100 * shape.truth[column] < 1.5


@pytest.mark.slow
def test_the_table_in_the_readme_is_what_the_script_makes():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert validation["table"](validation["SAMPLES"]) in readme

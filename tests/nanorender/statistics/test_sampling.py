import numpy as np
import pandas as pd
import pytest

from nanorender.statistics.frame import FRAME_RULES
from nanorender.statistics.sampling import FieldOfView, frame_weights, size_floor

EDGE = 200
FIELD = FieldOfView("one", EDGE, EDGE, 1.0)


def discs_in_a_frame(rng, small, large):
    """Return discs of 10 and 80 px at random places that meet the frame, as a table."""
    diameter = np.repeat([10, 80], [small, large])
    center = rng.uniform(-50, EDGE + 50, (2, small + large))
    low, high = center - diameter / 2, center + diameter / 2
    seen = ((high > 0) & (low < EDGE)).all(axis=0)
    table = pd.DataFrame(
        {
            "diameter": diameter,
            "touches_frame": ((low < 0) | (high > EDGE)).any(axis=0),
            "bbox_width_px": diameter,
            "bbox_height_px": diameter,
        }
    )
    return table[seen]


def test_only_miles_and_lantuejoul_count_large_and_small_particles_alike():
    rng = np.random.default_rng(0)
    table = discs_in_a_frame(rng, 30_000, 30_000)
    shares = {}
    for rule in FRAME_RULES:
        weights = frame_weights(table, FIELD, rule)
        shares[rule] = weights[table["diameter"] == 80].sum() / weights.sum()
    assert shares["miles_lantuejoul"] == pytest.approx(0.5, abs=0.02)
    assert shares["drop"] < 0.35
    assert shares["keep"] > 0.55


def test_corrected_numbers_per_area_are_those_of_the_whole_plane():
    table = discs_in_a_frame(np.random.default_rng(1), 30_000, 30_000)
    weights = frame_weights(table, FIELD, "miles_lantuejoul")
    expected = 60_000 * EDGE**2 / (EDGE + 100) ** 2
    assert weights.sum() == pytest.approx(expected, rel=0.02)


def test_the_size_floor_is_the_largest_of_its_causes():
    floor = size_floor(2.0, 100, 3.0, 7.5)
    assert floor.causes["pixel size"] == 4
    assert floor.causes["area opening"] == pytest.approx(2 * np.sqrt(400 / np.pi))
    assert floor.causes["label erosion"] == 12
    assert floor.causes["training range"] == 15
    assert floor.value == floor.causes["area opening"]
    assert size_floor(None, 0, 0.0, 15.0).causes.keys() == {
        "pixel size",
        "area opening",
        "label erosion",
        "training range",
    }
    assert size_floor(None, 0, 0.0, None).unit == "px"

"""Time of placing a thousand and a hundred thousand particles."""

import numpy as np
import pytest

from nanorender.scenes.footprints import Bodies
from nanorender.scenes.placement import PLACEMENTS, DistributionMap

MUST_S = {1000: 0.1, 100_000: 10.0}
GROUPED = [kind for kind in PLACEMENTS if kind is not DistributionMap]


@pytest.mark.parametrize("count", MUST_S)
@pytest.mark.parametrize("kind", GROUPED, ids=lambda kind: kind.__name__)
def test_placement_time_is_within_its_limit(benchmark, kind, count):
    count = count if not benchmark.disabled else 1000
    rng = np.random.default_rng(0)
    diameter = rng.lognormal(np.log(100), 0.3, count)
    size = np.column_stack([1.2 * diameter, diameter, diameter])
    rotation = np.tile(np.eye(3), (count, 1, 1))
    field_nm = 200.0 * count**0.5
    kind().arrange(Bodies(size[:10], rotation[:10]), field_nm, np.random.default_rng(0))
    center, _ = benchmark.pedantic(
        lambda: kind().arrange(Bodies(size, rotation), field_nm, np.random.default_rng(0)), rounds=1
    )
    assert np.isfinite(center).all()
    assert benchmark.disabled or benchmark.stats["min"] < MUST_S[count]

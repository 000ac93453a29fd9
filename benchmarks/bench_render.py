"""Time of an image with its exact labels on one core, against its limit."""

import pytest

from nanorender.bench import bench

MUST_S = {"sio2": 0.090, "tio2": 0.150, "ag": 0.110}


@pytest.mark.parametrize("name", MUST_S)
def test_time_of_a_pair_is_within_its_limit(benchmark, name):
    count = 1 if benchmark.disabled else 10
    measured = benchmark.pedantic(bench, ([name], count), rounds=1)["recipes"][name]
    benchmark.extra_info |= measured["stages"]
    assert measured["rays_per_s"] > 1e6
    # The smoke run shares its core with other tests, so its times are not checked.
    assert benchmark.disabled or measured["cpu_s_per_pair"] < MUST_S[name]

"""How long an image with its exact labels takes, beside what issue 3 demands of one core."""

import pytest

from nanorender.bench import bench

MUST_S = {"sio2": 0.090, "tio2": 0.150, "ag": 0.110}


@pytest.mark.parametrize("name", MUST_S)
def test_a_pair_takes_no_longer_than_it_must(benchmark, name):
    measured = benchmark.pedantic(bench, ([name], 10), rounds=1)["recipes"][name]
    benchmark.extra_info |= measured["stages"]
    assert measured["cpu_s_per_pair"] < MUST_S[name]

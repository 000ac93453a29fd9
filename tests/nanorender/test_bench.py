import json
import time

import pytest

from nanorender import bench as benchmark
from nanorender.bench import as_text, bench
from nanorender.errors import InputError
from nanorender.recipe import read_recipe
from nanorender.rendering import render

STAGES = ["scene", "trace", "labels", "dirt", "light", "shade", "detect"]


@pytest.fixture
def small(tmp_path):
    """Return a recipe file of small images."""
    path = tmp_path / "small.toml"
    path.write_text(read_recipe("tio2").at_scale(7.0, 128).to_toml())
    return str(path)


def test_stages_are_reported_in_order(small):
    told = []
    render(read_recipe(small), 0, 0, told.append)
    assert told == STAGES


def test_stages_add_up_to_the_processor_time_of_a_pair(small):
    measured = bench([small], 1)["recipes"][small]
    assert list(measured["stages"]) == [*STAGES, "write"]
    assert sum(measured["stages"].values()) == pytest.approx(measured["cpu_s_per_pair"])
    assert all(seconds >= 0 for seconds in measured["stages"].values())


def test_slower_stage_is_measured_as_slower(small, monkeypatch):
    def slow(*arguments):
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass

    monkeypatch.setattr(benchmark, "write_labels", slow)
    measured = bench([small], 1)["recipes"][small]
    assert measured["stages"]["write"] > 0.3
    assert measured["wall_s_per_pair"] > 0.3


def test_results_are_json_and_a_table(small):
    measured = bench([small], 2)
    assert json.loads(json.dumps(measured)) == measured
    assert measured["cores"] >= 1
    assert {"numpy", "numba"} <= set(measured["versions"])
    trace = measured["recipes"][small]["stages"]["trace"]
    assert measured["recipes"][small]["rays_per_s"] == pytest.approx(256**2 / trace)
    lines = as_text(measured).splitlines()
    assert [line.split()[0] for line in lines[1:9]] == [*STAGES, "write"]
    assert f"{1e3 * trace:.1f}" in lines[2]


def test_recipes_with_other_stages_share_a_table(small, tmp_path):
    beam = tmp_path / "beam.toml"
    beam.write_text(read_recipe("gold").at_scale(0.5, 128).to_toml())
    lines = as_text(bench([str(beam), small], 1)).splitlines()
    assert [line.split()[0] for line in lines[1:9]] == [*STAGES, "write"]
    light = lines[1 + STAGES.index("light")].split()
    assert light[1] == "-"
    assert float(light[2]) > 0


def test_zero_samples_are_refused(small):
    with pytest.raises(InputError, match="count"):
        bench([small], 0)

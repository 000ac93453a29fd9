"""Limits on time and memory of whole processes.

    pytest -n 0 -m slow -s benchmarks/bench_limits.py

Times are processor times unless their names say otherwise. The figures are printed, checked and
written to docs/results/bench_limits.json.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bench_raymarch import RENDER_PX, scene_of
from results import add_results

from nanorender.imaging.lighting import Lighting, light
from nanorender.labeling.labels import LabelSettings, label_view
from nanorender.recipes import preset_names
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import trace_instances
from nanorender.upsampling.refinement import refine_labels

pytestmark = pytest.mark.slow


def keep(**results: object) -> None:
    """Add figures to the results of this benchmark."""
    add_results("bench_limits", results, "pytest -n 0 -m slow -s benchmarks/bench_limits.py")


def run(*commands: list[object], **environment: str) -> tuple[float, float, str]:
    """Run commands concurrently; return wall seconds, processor seconds and standard error."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "cli", *map(str, command)],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for command in commands
    ]
    said = "".join(process.communicate()[1] for process in running)
    assert not any(process.returncode for process in running), said
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used, said


def generate(recipe: str, count: int, folder: Path, shard: str = "1/1") -> list[object]:
    """Return the command that renders a shard of a dataset in one process."""
    return ["generate", recipe, "-n", count, "-o", folder, "--workers", 1, "--shard", shard]


def rendered(scene, repeats: int = 7) -> float:
    """Return the least processor seconds of placement, tracing, lighting and labels."""
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        instances = build_instances(scene, scene.view)
        surface = trace_instances(instances, scene.view.resampled(RENDER_PX, RENDER_PX))
        light(surface, Lighting(), np.random.default_rng(0))
        exact = refine_labels(instances, surface, scene.view)
        label_view(scene, instances, exact, scene.view, LabelSettings())
        seconds.append(time.process_time() - began)
    return min(seconds)


def test_particles_out_of_view_are_nearly_free():
    few, many = (rendered(scene_of("grains", count)) for count in (1000, 100_000))
    print(f"\n250 in view of 1000: {1e3 * few:.1f} ms; of 100 000: {1e3 * many:.1f} ms")
    keep(particles_out_of_view={"few_s": few, "many_s": many, "few": 1000, "many": 100_000})
    assert many < 2 * few


def test_particles_under_others_cost_little():
    scene = scene_of("spheres")
    below = scene.particles._replace(
        center_nm=scene.particles.center_nm * [1, 1, 0] + [0, 0, 5],
        size_nm=scene.particles.size_nm * 0.05,
    )
    both = type(below)(*map(np.concatenate, zip(scene.particles, *[below] * 3, strict=True)))
    few, many = rendered(scene), rendered(scene._replace(particles=both))
    print(f"\n250 in view: {1e3 * few:.1f} ms; 750 more beneath them: {1e3 * many:.1f} ms")
    keep(hidden_particles={"few_s": few, "many_s": many})
    assert many < 2 * few


@pytest.mark.parametrize("recipe", preset_names())
def test_180_pairs_take_under_a_minute_on_two_cores(recipe, tmp_path):
    run(generate(recipe, 1, tmp_path / "warm"))
    one = run(generate(recipe, 60, tmp_path / "one"))
    halves = [generate(recipe, 180, tmp_path / "two", shard) for shard in ("1/2", "2/2")]
    two = run(*halves)
    print(
        f"\n{recipe}: 180 pairs in 2 processes: wall time {two[0]:.1f} s, CPU time {two[1]:.1f} s; "
        f"CPU time per pair {1e3 * two[1] / 180:.0f} ms, in 1 process {1e3 * one[1] / 60:.0f} ms; "
        f"speedup {one[0] / 60 / (two[0] / 180):.2f} x in wall time, "
        f"{2 * one[1] / 60 / (two[1] / 180):.2f} x in CPU time"
    )
    results = {"one_cpu_s": one[1] / 60, "two_cpu_s": two[1] / 180, "two_wall_s": two[0]}
    keep(**{f"pairs_{recipe}": results})
    # Contention between processes would increase the CPU time of a pair.
    assert two[1] / 2 < 60
    assert two[1] / 180 < one[1] / 60 / 0.9


def test_the_first_image_comes_within_three_seconds_of_the_start(tmp_path):
    run(generate("sio2", 1, tmp_path / "warm"))
    wall, used, _ = run(generate("sio2", 1, tmp_path / "first"))
    print(f"\nstart to first image: wall time {wall:.2f} s, CPU time {used:.2f} s")
    keep(first_image={"wall_s": wall, "cpu_s": used})
    assert used < 3


def test_compiling_all_kernels_takes_under_forty_seconds_with_one_message(tmp_path):
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    presets = preset_names()
    cold, warm = (
        [run(generate(recipe, 1, tmp_path / state / recipe), **cache) for recipe in presets]
        for state in ("cold", "warm")
    )
    # A second run of the same command does everything but compile.
    used = sum(one[1] for one in cold) - sum(one[1] for one in warm)
    said = cold[0][2]
    print(f"\ncompilation: {used:.1f} s of CPU time for all presets; message: {said.strip()}")
    keep(compiling={"cpu_s": used})
    assert used < 40
    assert len([line for line in said.splitlines() if "compil" in line]) == 1


@pytest.mark.parametrize("recipe", preset_names())
def test_a_worker_needs_less_than_600_mb(recipe, tmp_path):
    measure = (
        "import resource, sys; from pathlib import Path; from nanorender.generation import generate; "
        "from nanorender.recipe import read_recipe; "
        "generate(read_recipe(sys.argv[1]), 8, 0, Path(sys.argv[2]), workers=1); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    said = subprocess.run(
        [sys.executable, "-c", measure, recipe, str(tmp_path / "made")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    megabytes = int(said.stdout) * 1024 / 1e6
    print(f"\n{recipe}: {megabytes:.0f} MB at most")
    keep(**{f"memory_{recipe}": {"mb": megabytes}})
    assert megabytes < 600

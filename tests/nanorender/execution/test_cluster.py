"""A Dask cluster of two workers, processes of their own, on this machine."""

import filecmp
import time

import numpy as np
import psutil
import pytest

from nanorender import versions
from nanorender.errors import InputError
from nanorender.execution import cluster
from nanorender.execution.cluster import run_on_cluster
from nanorender.files.tiff import write_labels
from nanorender.files.verify import verify
from nanorender.generation import generate
from nanorender.measuring.table import tabulate
from nanorender.recipe import read_recipe

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

COUNT = 40
SEED = 5


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """A cluster of two worker processes of one thread each, the scheduler in this process."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        local_directory=tmp_path_factory.mktemp("scratch"),
    ) as started:
        yield started


def doubled(task):
    return 2 * task


def refused(task):
    raise InputError(f"task {task} cannot be done")


def killed(_task):
    psutil.Process().kill()


def test_every_task_is_returned_once_for_any_number_in_flight(two_workers):
    done = list(run_on_cluster(doubled, range(30), two_workers.scheduler_address))
    assert sorted(done) == [(task, 2 * task) for task in range(30)]


def test_samples_are_identical_after_a_worker_is_killed(two_workers, tmp_path):
    recipe = read_recipe("sio2").at_scale(12.0, 64)
    address = two_workers.scheduler_address
    victim = next(iter(two_workers.workers.values())).pid
    killed_at = []

    def kill_one(done, _total):
        if done == COUNT // 4:
            psutil.Process(victim).kill()
            killed_at.append(time.monotonic())

    made = tmp_path / "cluster"
    generate(recipe, COUNT, SEED, made, workers=1, scheduler=address, on_progress=kill_one)
    generate(recipe, COUNT, SEED, tmp_path / "alone", workers=1)
    assert killed_at
    assert verify(made) == (COUNT, ())
    names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    whole = tmp_path / "alone"
    assert names == sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert filecmp.cmpfiles(made, whole, map(str, names), shallow=False)[0] == list(map(str, names))


def test_label_maps_are_measured_on_the_cluster(two_workers, tmp_path):
    (tmp_path / "maps").mkdir()
    for number in range(3):
        write_labels(tmp_path / "maps" / f"{number}.tif", np.ones((20, 30), np.int32), 2.0)
    (tmp_path / "maps" / "3.tif").write_bytes(b"torn")
    on_cluster = tabulate(tmp_path / "maps", tmp_path / "a.csv", 1, two_workers.scheduler_address)
    assert on_cluster == tabulate(tmp_path / "maps", tmp_path / "b.csv", 1)
    assert len(on_cluster.failures) == 1
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_input_error_of_a_worker_is_raised_locally(two_workers):
    with pytest.raises(InputError, match=r"^task 3 cannot be done$"):
        list(run_on_cluster(refused, [3], two_workers.scheduler_address))


def test_workers_of_other_versions_are_refused(two_workers, monkeypatch):
    monkeypatch.setattr(versions, "version", lambda package: "0.1")  # in this process alone
    with pytest.raises(InputError, match=r"has nanorender .*, this machine 0\.1"):
        list(run_on_cluster(doubled, [1], two_workers.scheduler_address))


def test_missing_scheduler_or_workers_are_reported(monkeypatch):
    monkeypatch.setattr(cluster, "LONGEST_WAIT_S", 1)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        list(run_on_cluster(doubled, [1], "tcp://127.0.0.1:9"))
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", processes=False) as empty,
        pytest.raises(InputError, match="has no workers; start one"),
    ):
        list(run_on_cluster(doubled, [1], empty.scheduler_address))


def test_missing_scheduler_leaves_no_dataset(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "LONGEST_WAIT_S", 1)
    recipe = read_recipe("sio2").at_scale(12.0, 64)
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        generate(recipe, 2, SEED, tmp_path / "new", workers=1, scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "new").exists()


def test_a_task_that_always_kills_its_worker_is_given_up_by_name(two_workers):
    with pytest.raises(InputError, match="all workers of task 7 were killed"):
        list(run_on_cluster(killed, [7], two_workers.scheduler_address))

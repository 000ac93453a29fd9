"""Trainings on several devices and in several processes give the losses of one."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

import unet.train as training
from nanorender.errors import InputError
from unet.checkpoint import read_model
from unet.data import load_dataset
from unet.devices import (
    aligned,
    all_devices,
    any_process,
    describe_devices,
    join,
    on_all,
    training_mesh,
)
from unet.run_folder import read_log


def start(dataset, preset, run, devices, *options):
    """Start a training as a user does; on so many devices of the CPU, or on those it makes."""
    command = [sys.executable, "-m", "cli", "train", dataset, "-o", run, "--preset", preset]
    flags = f"--xla_force_host_platform_device_count={devices}" if devices else ""
    # Compiled in half the time; what is computed stays the same.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | quick
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*map(str, command), *options], env=environment, **pipes)


def finish(*processes):
    """Return what each process said, once all have ended well."""
    said = [process.communicate(timeout=240) for process in processes]
    for process, (_, errors) in zip(processes, said, strict=True):
        assert process.returncode == 0, errors
    return said


def losses(run):
    return np.array([list(line.loss.values()) for line in read_log(run)])


@pytest.fixture
def preset(small, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(small.to_toml())
    return path


@pytest.fixture
def alone(dataset, small, tmp_path):
    """The run folder of a training on one device."""
    one_device = Mesh(np.array(jax.devices()[:1]), ("batch",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "training_mesh", lambda batch: one_device)
        training.train(load_dataset(dataset, small), small, tmp_path / "alone")
    return tmp_path / "alone"


def assert_same_training(run, alone):
    # Sums over the batch are taken in another order: of seven digits a few are lost.
    np.testing.assert_allclose(losses(run), losses(alone), rtol=2e-5)
    for name, weights in read_model(alone)[1].items():
        np.testing.assert_allclose(read_model(run)[1][name], weights, atol=2e-3)


def test_two_processes_give_the_losses_of_one(dataset, preset, alone, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    run = tmp_path / "run"
    together = [
        start(dataset, preset, run, 1, "--coordinator", address, "--process", f"{i}/2")
        for i in range(2)
    ]
    (first, _), (second, said) = finish(*together)
    assert "training on 2 x cpu" in said
    assert "in 2 processes" in said
    assert first.splitlines()[-1] == str(run)
    assert str(run) not in second
    assert_same_training(run, alone)


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(dataset, preset, alone, tmp_path):
    ((_, said),) = finish(start(dataset, preset, tmp_path / "run", 2))
    assert "training on 2 x cpu" in said
    assert_same_training(tmp_path / "run", alone)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_one_core_gives_the_weights_of_all(dataset, preset, tmp_path):
    cores = os.sched_getaffinity(0)
    finish(start(dataset, preset, tmp_path / "all", None))
    os.sched_setaffinity(0, {min(cores)})
    try:
        ((_, said),) = finish(start(dataset, preset, tmp_path / "one", None))
    finally:
        os.sched_setaffinity(0, cores)
    assert "training on 2 x cpu" in said
    for name, weights in read_model(tmp_path / "all")[1].items():
        np.testing.assert_array_equal(read_model(tmp_path / "one")[1][name], weights)


def test_a_batch_is_shared_by_as_many_devices_as_divide_it():
    mesh = training_mesh(3)
    assert 3 % mesh.size == 0
    assert describe_devices(mesh).startswith("cpu (")
    assert mesh.size == 1 or jax.device_count() > 1


def test_devices_of_the_cpu_share_aligned_arrays():
    images = aligned(np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7))
    assert images.ravel().tolist() == list(range(105))
    put = on_all(all_devices(), images)
    places = {shard.data.unsafe_buffer_pointer() for shard in put.addressable_shards}
    assert places == {images.ctypes.data}


def test_one_process_agrees_with_itself():
    assert any_process(True)
    assert not any_process(False)


@pytest.mark.parametrize("process", ["2/2", "1", "-1/2", "a/b", "0/0"])
def test_a_process_that_is_none_of_them_is_refused(process):
    with pytest.raises(InputError, match="is not I/N"):
        join("localhost:1", process)


@pytest.mark.parametrize("coordinator", ["localhost", ":29500", "localhost:http"])
def test_a_coordinator_without_host_or_port_is_refused(coordinator):
    with pytest.raises(InputError, match="is not HOST:PORT"):
        join(coordinator, "0/2")

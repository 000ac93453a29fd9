"""What a training runs on: the devices of one process, or of several that train together.

Every device computes its share of each batch. The step is compiled as one program over all devices,
so that the mean of the loss, its gradient and the statistics of batch normalisation are those of
the whole batch: more devices change sums in their last digits, nothing else.
"""

import os
from contextlib import suppress

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree, Shaped

from nanorender.errors import InputError

_BATCH = "batch"  # the axis of the mesh, along which batches are divided
_CPU_DEVICES = 4  # at most, of one process
_ALIGNMENT = 64  # bytes: JAX copies what begins elsewhere


def join(coordinator: str, process: str) -> None:
    """Connect this process to the others of a training; before anything else asks for devices.

    Parameters
    ----------
    coordinator: HOST:PORT where process 0 listens
    process: number of this process, the first being 0, and how many there are: "0/2"

    Raises
    ------
    InputError
        If they are not of this form, or the others do not come.
    """
    number, _, count = process.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise InputError(
            f"process '{process}' is not I/N, with I from 0 to N - 1; of two: 0/2 and 1/2"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"coordinator '{coordinator}' is not HOST:PORT, such as node01:29500")
    try:
        jax.distributed.initialize(coordinator, int(count), int(number))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"process {number} of {count} found no others by {coordinator}: {reason}"
        ) from None


def use_device(name: str) -> None:
    """Compute on a device from now on: cpu, gpu, or one of several, such as gpu:1.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    platform, _, index = name.partition(":")
    try:
        device = jax.devices(platform)[int(index or 0)]
    except (RuntimeError, ValueError, IndexError):
        there = ", ".join(f"{device.platform}:{device.id}" for device in jax.devices())
        raise InputError(f"device '{name}' is not on this machine; there is {there}") from None
    jax.config.update("jax_default_device", device)


def divide_cpu(batch: int) -> None:
    """Make several devices of the CPU, which share batches of so many patches.

    Always up to four, however many cores there are: how a sum is divided among threads changes its
    last digits, and so the same training gives the same weights on one core and on two, as it does
    not on one device. Two cores take 0.79 times as long as by one device. What XLA_FLAGS asks for
    counts more; once a process has asked for its devices, they stay as they are.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", _dividing(batch, _CPU_DEVICES))


def _dividing(batch: int, most: int) -> int:
    """Return the largest number up to `most` that divides a batch evenly."""
    return max(n for n in range(1, most + 1) if batch % n == 0)


def training_mesh(batch: int) -> Mesh:
    """Return the devices that share batches of so many patches.

    In one process these are as many as divide the batch evenly; in several, all.

    Raises
    ------
    InputError
        If several processes cannot divide the batch evenly.
    """
    devices = jax.devices()
    count = _dividing(batch, len(devices))
    if count < len(devices) and jax.process_count() > 1:
        raise InputError(
            f"batch (={batch}) must be a multiple of {len(devices)}, the devices of "
            f"{jax.process_count()} processes"
        )
    return Mesh(np.array(devices[:count]), (_BATCH,))


def all_devices() -> Mesh:
    """Return every device that there is."""
    return Mesh(np.array(jax.devices()), (_BATCH,))


def on_all(mesh: Mesh, tree: PyTree) -> PyTree:
    """Return arrays, equal in all processes, as copies on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def aligned(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return the array where every device of the CPU takes it as it lies, without a copy each."""
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def divided(mesh: Mesh) -> NamedSharding:
    """Return the layout of arrays whose first axis is divided among the devices."""
    return NamedSharding(mesh, PartitionSpec(_BATCH))


def writes_files() -> bool:
    """Return whether this process writes: the first one does, for all."""
    return jax.process_index() == 0


def from_first_process(tree: PyTree) -> PyTree:
    """Return the arrays that the first process holds, in every process."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in one of the processes, all of which must ask."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def describe_devices(mesh: Mesh) -> str:
    """Return what is computed on, such as "2 x cpu (2 cores)" or "NVIDIA H100 in 2 processes"."""
    device = mesh.devices.flat[0]
    name = f"cpu ({os.cpu_count()} cores)" if device.platform == "cpu" else device.device_kind
    several = f"{mesh.size} x {name}" if mesh.size > 1 else name
    unused = jax.device_count() - mesh.size
    idle = f", {unused} more idle: they do not divide the batch evenly" if unused else ""
    processes = jax.process_count()
    return several + (f" in {processes} processes" if processes > 1 else "") + idle

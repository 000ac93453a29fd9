"""Devices of a training, in one process or in several that train together.

Every device computes its share of each batch. The step is compiled as one program for all devices,
so that the loss, its gradient and the statistics of batch normalization are those of the whole
batch: the number of devices changes only the last digits of sums.
"""

import os
from contextlib import suppress

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree, Shaped

from nanorender.errors import InputError

_BATCH = "batch"  # axis of the mesh along which batches are divided
_CPU_DEVICES = 4  # at most, per process
_ALIGNMENT = 64  # bytes; JAX copies arrays that begin elsewhere


def join(coordinator: str, process: str) -> None:
    """Connect this process to the others of a training, before any device is used.

    Parameters
    ----------
    coordinator : HOST:PORT on which process 0 listens
    process : number of this process, from 0, and number of processes, such as "0/2"

    Raises
    ------
    InputError
        If an argument has another form, or the other processes do not connect.
    """
    number, _, count = process.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise InputError(
            f"process '{process}' is not I/N with I from 0 to N - 1, such as 0/2 and 1/2"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"coordinator '{coordinator}' is not HOST:PORT, such as node01:29500")
    try:
        jax.distributed.initialize(coordinator, int(count), int(number))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"process {number} of {count} could not connect through {coordinator}: {reason}"
        ) from None


def use_device(name: str) -> None:
    """Set the default device.

    Parameters
    ----------
    name : platform, such as cpu or gpu, optionally with a number, such as gpu:1

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    platform, _, index = name.partition(":")
    try:
        device = jax.devices(platform)[int(index or 0)]
    except (RuntimeError, ValueError, IndexError):
        available = ", ".join(f"{device.platform}:{device.id}" for device in jax.devices())
        raise InputError(f"device '{name}' is not available; choose one of {available}") from None
    jax.config.update("jax_default_device", device)


def divide_cpu(batch: int) -> None:
    """Divide the CPU into up to four devices that share each batch.

    The number does not depend on the number of cores, so that the same training gives the same
    weights on one core and on two: how a sum is divided among the threads of one device changes its
    last digits. On two cores, a step takes 0.79 times as long as with one device. A number set in
    XLA_FLAGS has priority. Devices that the process has already used are not divided.

    Parameters
    ----------
    batch : number of patches per step
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", _dividing(batch, _CPU_DEVICES))


def _dividing(batch: int, most: int) -> int:
    """Largest number up to `most` that divides a batch evenly."""
    return max(n for n in range(1, most + 1) if batch % n == 0)


def training_mesh(batch: int) -> Mesh:
    """Return the devices that share each batch.

    Parameters
    ----------
    batch : number of patches per step

    Returns
    -------
    mesh : in one process, as many devices as divide the batch evenly; in several processes, all

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
    """Return all devices.

    Returns
    -------
    mesh : all devices
    """
    return Mesh(np.array(jax.devices()), (_BATCH,))


def on_all(mesh: Mesh, tree: PyTree) -> PyTree:
    """Copy arrays to every device.

    Parameters
    ----------
    mesh : devices
    tree : arrays, equal in all processes

    Returns
    -------
    tree : the arrays on all devices
    """
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def aligned(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Copy an array to aligned memory, which all devices of the CPU can use without copying.

    Parameters
    ----------
    array : array of any shape

    Returns
    -------
    aligned : the same values in aligned memory
    """
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def divided(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays whose first axis is divided among the devices.

    Parameters
    ----------
    mesh : devices

    Returns
    -------
    sharding : sharding by the first axis
    """
    return NamedSharding(mesh, PartitionSpec(_BATCH))


def writes_files() -> bool:
    """Return whether this process writes files, as the first one does.

    Returns
    -------
    writes : whether this is the first process
    """
    return jax.process_index() == 0


def from_first_process(tree: PyTree) -> PyTree:
    """Send arrays from the first process to all.

    Parameters
    ----------
    tree : arrays, of the same shapes in all processes

    Returns
    -------
    tree : arrays of the first process
    """
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def any_process(flag: bool) -> bool:
    """Return whether a flag is set in any process; all processes must call this.

    Parameters
    ----------
    flag : flag of this process

    Returns
    -------
    is_set : whether the flag of any process is set
    """
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def describe_devices(mesh: Mesh) -> str:
    """Describe devices, such as "2 x cpu (2 cores)" or "NVIDIA H100 in 2 processes".

    Parameters
    ----------
    mesh : devices of a training

    Returns
    -------
    text : description, with the number of devices that are not used
    """
    device = mesh.devices.flat[0]
    name = f"cpu ({os.cpu_count()} cores)" if device.platform == "cpu" else device.device_kind
    several = f"{mesh.size} x {name}" if mesh.size > 1 else name
    unused = jax.device_count() - mesh.size
    idle = f", {unused} not used: the batch cannot be divided evenly among all" if unused else ""
    processes = jax.process_count()
    return several + (f" in {processes} processes" if processes > 1 else "") + idle

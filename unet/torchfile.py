"""Tensors in files of PyTorch's first format, read without PyTorch and without running their code.

Such a file is four pickles (magic number, version, machine, tensors), a pickle of the storages'
keys, and the storages' bytes. Pickles can call anything that they name: this reader knows the four
names that tensors need and refuses all others, so that no file can do more than describe arrays.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Shaped

from nanorender.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


class StorageType(NamedTuple):
    """Type of the numbers in a storage."""

    dtype: str


class Tensor(NamedTuple):
    """A view of a storage: its key, type and length, and where the view lies in it."""

    key: str
    dtype: str
    length: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuilt(storage: tuple, offset: int, shape: tuple, strides: tuple, *_: object) -> Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2."""
    key, dtype, length = storage
    return Tensor(key, dtype, length, offset, shape, strides)


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): StorageType("<f4"),
    ("torch", "LongStorage"): StorageType("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
}


class _Unpickler(pickle.Unpickler):
    """Reads a pickle that names nothing but ALLOWED."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no tensor needs")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, str, int]:
        kind, storage_type, key, _, length, view = pid
        if kind != "storage" or not isinstance(storage_type, StorageType) or view is not None:
            raise pickle.UnpicklingError("it holds something other than tensors")
        return key, storage_type.dtype, length


def read_tensors(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the tensors of a state dictionary by name.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another format, or names anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (OSError, EOFError, pickle.UnpicklingError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} holds no tensors that can be read: {error}") from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, version, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if magic != MAGIC or version != VERSION:
        raise ValueError("it is not of PyTorch's first format")
    if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ValueError("it holds something other than tensors")
    types = {tensor.key: (tensor.dtype, tensor.length) for tensor in tensors.values()}
    storages = {key: _storage(file, *types[key]) for key in keys}
    return {name: _view(storages[tensor.key], tensor) for name, tensor in tensors.items()}


def _storage(file: BinaryIO, dtype: str, length: int) -> np.ndarray:
    """Return the next storage: its length in 8 bytes, then its numbers."""
    said = int.from_bytes(file.read(8), "little")
    values = np.frombuffer(file.read(length * np.dtype(dtype).itemsize), dtype)
    if said != length or len(values) != length:
        raise ValueError("a storage is not as long as it should be")
    return values


def _view(storage: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return a tensor; raises ValueError if it reaches beyond its storage."""
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or min(tensor.shape, default=1) < 1:
        raise ValueError("a tensor lies outside its storage")
    if tensor.offset + reach >= len(storage):
        raise ValueError("a tensor lies outside its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    window = storage[tensor.offset :]
    return np.lib.stride_tricks.as_strided(window, tensor.shape, strides).copy()

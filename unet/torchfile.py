"""Reader of PyTorch's legacy file format that neither needs PyTorch nor runs code from the file.

Such a file holds four pickles (magic number, version, machine, tensors), a pickle of the storages'
keys, and the storages' bytes. A pickle can call anything it names: this reader allows the four
names that tensors need and refuses all others, so a file can only describe arrays.
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
    """Stand-in for a storage class of PyTorch.

    Attributes
    ----------
    dtype : data type of the elements
    """

    dtype: str


class _Tensor(NamedTuple):
    """A view of a storage: the storage's key, type and length, and the view's layout in it."""

    key: str
    dtype: str
    length: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuilt(storage: tuple, offset: int, shape: tuple, strides: tuple, *_: object) -> _Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2."""
    key, dtype, length = storage
    return _Tensor(key, dtype, length, offset, shape, strides)


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): StorageType("<f4"),
    ("torch", "LongStorage"): StorageType("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
}


class _Unpickler(pickle.Unpickler):
    """Unpickler that refuses names outside ALLOWED."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}; only tensors are allowed")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, str, int]:
        kind, storage_type, key, _, length, view = pid
        if kind != "storage" or not isinstance(storage_type, StorageType) or view is not None:
            raise pickle.UnpicklingError("it contains something other than tensors")
        return key, storage_type.dtype, length


def read_tensors(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read the tensors of a state dictionary.

    Parameters
    ----------
    path : file in PyTorch's legacy format

    Returns
    -------
    Arrays by name.

    Raises
    ------
    InputError
        If the file is missing, damaged, in another format, or names anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (OSError, EOFError, pickle.UnpicklingError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} contains no readable tensors: {error}") from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, version, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if magic != MAGIC or version != VERSION:
        raise ValueError("it is not in PyTorch's legacy format")
    if not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise ValueError("it contains something other than tensors")
    types = {tensor.key: (tensor.dtype, tensor.length) for tensor in tensors.values()}
    storages = {key: _storage(file, *types[key]) for key in keys}
    return {name: _view(storages[tensor.key], tensor) for name, tensor in tensors.items()}


def _storage(file: BinaryIO, dtype: str, length: int) -> np.ndarray:
    """Read the next storage: its length in 8 bytes, then its numbers."""
    stated = int.from_bytes(file.read(8), "little")
    values = np.frombuffer(file.read(length * np.dtype(dtype).itemsize), dtype)
    if stated != length or len(values) != length:
        raise ValueError("a storage is shorter or longer than stated")
    return values


def _view(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """Copy a tensor from its storage; raise ValueError if it exceeds the storage."""
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or min(tensor.shape, default=1) < 1:
        raise ValueError("a tensor lies outside its storage")
    if tensor.offset + reach >= len(storage):
        raise ValueError("a tensor lies outside its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    window = storage[tensor.offset :]
    return np.lib.stride_tricks.as_strided(window, tensor.shape, strides).copy()

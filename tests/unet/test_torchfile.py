import pickle
from collections import OrderedDict

import numpy as np
import pytest

from nanorender.errors import InputError
from unet import torchfile
from unet.torchfile import MAGIC, VERSION, StorageType, read_tensors


class Named:
    """Pickled as the name of something in PyTorch, which need not be installed."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


class Pickler(pickle._Pickler):
    """Writes `Named` as the call of what it names, and storages by their persistent names."""

    def persistent_id(self, obj):
        if isinstance(obj, tuple) and obj and obj[0] == "storage":
            return obj
        return None

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Named):
            return super().save(obj, save_persistent_id)
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        if obj.arguments:
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        return None


def write(path, tensors, storages, magic=MAGIC):
    """Write a file of PyTorch's first format; `storages` holds the numbers by their keys."""
    with path.open("wb") as file:
        for part in (magic, VERSION, {"little_endian": True}, tensors, list(storages)):
            Pickler(file, protocol=2).dump(part)
        for values in storages.values():
            file.write(len(values).to_bytes(8, "little") + values.tobytes())
    return path


def tensor(key, length, offset, shape, strides, kind="FloatStorage"):
    storage = ("storage", Named("torch", kind), key, "cpu", length, None)
    return Named("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, None)


def test_tensors_are_views_of_their_storages(tmp_path):
    values = np.arange(24, dtype="<f4")
    tensors = OrderedDict(
        turned=tensor("7", 24, 2, (3, 4), (1, 5)),
        count=tensor("8", 1, 0, (), (), "LongStorage"),
    )
    storages = {"7": values, "8": np.array([5], "<i8")}
    found = read_tensors(write(tmp_path / "weights.pth", tensors, storages))
    expected = [[values[2 + row + 5 * column] for column in range(4)] for row in range(3)]
    np.testing.assert_array_equal(found["turned"], expected)
    assert found["count"].shape == ()
    assert found["count"] == 5


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_qtensor"),
    ],
)
def test_file_that_calls_a_function_is_refused_without_calling_it(module, name, tmp_path):
    mark = tmp_path / "called"
    hostile = Named(module, name, f"touch {mark}")
    path = write(tmp_path / "hostile.pth", OrderedDict(weight=hostile), {})
    with pytest.raises(InputError, match=rf"{module}.{name}; only tensors are allowed"):
        read_tensors(path)
    assert not mark.exists()


def test_a_call_hidden_in_the_first_pickle_is_refused(tmp_path):
    path = write(tmp_path / "hostile.pth", {}, {}, magic=Named("os", "system", "true"))
    with pytest.raises(InputError, match=r"os\.system"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (20, (3, 4), (4, 1)),
        (0, (3, 4), (100, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(offset, shape, strides, tmp_path):
    tensors = OrderedDict(weight=tensor("7", 24, offset, shape, strides))
    path = write(tmp_path / "weights.pth", tensors, {"7": np.zeros(24, "<f4")})
    with pytest.raises(InputError, match="no readable tensors"):
        read_tensors(path)


def test_files_of_another_format_are_refused(tmp_path):
    for content in (b"", b"PK\x03\x04 a newer format", pickle.dumps(7)):
        (tmp_path / "file.pth").write_bytes(content)
        with pytest.raises(InputError, match="no readable tensors"):
            read_tensors(tmp_path / "file.pth")
    whole = write(
        tmp_path / "whole.pth",
        OrderedDict(weight=tensor("7", 24, 0, (24,), (1,))),
        {"7": np.zeros(24, "<f4")},
    )
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:-8])
    with pytest.raises(InputError, match="shorter or longer than stated"):
        read_tensors(tmp_path / "cut.pth")


def test_only_four_names_are_allowed():
    assert len(torchfile.ALLOWED) == 4
    assert {value for value in torchfile.ALLOWED.values() if isinstance(value, StorageType)} == {
        StorageType("<f4"),
        StorageType("<i8"),
    }

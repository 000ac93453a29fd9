import json
import os
from typing import NamedTuple

import numpy as np
import pytest
from peak_memory import peak_memory_bytes
from safetensors.numpy import save_file

from nanorender.errors import InputError
from unet.checkpoint import (
    Preprocessing,
    read_checkpoint,
    read_model,
    write_arrays,
    write_checkpoint,
    write_model,
)
from unet.model import initial_weights
from unet.presets import Architecture
from unet.run_folder import LAST_NAME


class State(NamedTuple):
    step: np.ndarray
    weights: dict


def state_at(step):
    return State(np.int32(step), {"kernel": np.full((2, 3), step, np.float32)})


@pytest.fixture
def weights(small, rng):
    return initial_weights(small.architecture, rng)


def test_a_model_file_gives_back_header_and_weights(tmp_path, card, weights):
    write_model(tmp_path / "model.safetensors", card, weights)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        card_read, weights_read = read_model(path)
        assert card_read.model_copy(update={"weights_sha256": ""}) == card
        for name, array in weights.items():
            np.testing.assert_array_equal(weights_read[name], array)


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a run folder or a model file"):
        read_model(tmp_path)


def test_a_text_file_is_no_model(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_text("not a model")
    with pytest.raises(InputError, match="not a model file, or truncated"):
        read_model(path)


def test_a_cut_off_model_file_is_refused(tmp_path, card, weights):
    path = tmp_path / "model.safetensors"
    write_model(path, card, weights)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated"):
        read_model(path)


def test_safetensors_of_another_program_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"layer": np.zeros(3, np.float32)}, path)
    with pytest.raises(InputError, match="not a model of this version: 'training'"):
        read_model(path)


def test_weights_of_another_architecture_are_refused_by_name_and_shape(tmp_path, card, rng):
    write_model(
        tmp_path / "model.safetensors", card, initial_weights(Architecture((3, 5), 4, 1), rng)
    )
    with pytest.raises(InputError, match=r"weight 'decoder/0/.*|weight 'encoder/1/.*shape"):
        read_model(tmp_path)


def test_a_model_with_other_preprocessing_is_refused(tmp_path, card, weights):
    other = card.model_copy(update={"preprocessing": Preprocessing(clahe_clip=7.0)})
    write_model(tmp_path / "model.safetensors", other, weights)
    with pytest.raises(InputError, match=r"other preprocessing: .*clahe_clip=7\.0"):
        read_model(tmp_path)


def test_the_last_state_comes_back(tmp_path):
    for step in (1, 2):
        write_checkpoint(tmp_path, state_at(step), "same")
    state = read_checkpoint(tmp_path, state_at(0), "same")
    assert int(state.step) == 2
    np.testing.assert_array_equal(state.weights["kernel"], np.full((2, 3), 2))


def test_without_a_checkpoint_there_is_no_state(tmp_path):
    assert read_checkpoint(tmp_path, state_at(0), "same") is None


@pytest.mark.parametrize("kept_bytes", [0, 5, 60, -1])
def test_truncated_checkpoint_falls_back_to_the_previous_with_a_warning(tmp_path, kept_bytes):
    for step in (1, 2):
        write_checkpoint(tmp_path, state_at(step), "same")
    last = tmp_path / LAST_NAME
    last.write_bytes(last.read_bytes()[:kept_bytes])
    with pytest.warns(UserWarning, match=r"last.safetensors is damaged"):
        state = read_checkpoint(tmp_path, state_at(0), "same")
    assert int(state.step) == 1


def test_damaged_checkpoint_never_replaces_an_intact_one(tmp_path):
    for step in (1, 2):
        write_checkpoint(tmp_path, state_at(step), "same")
    (tmp_path / LAST_NAME).write_bytes(b"cut")
    with pytest.warns(UserWarning, match="damaged"):
        state = read_checkpoint(tmp_path, state_at(0), "same")
    write_checkpoint(tmp_path, state, "same")
    (tmp_path / LAST_NAME).write_bytes(b"cut")
    with pytest.warns(UserWarning, match="damaged"):
        assert read_checkpoint(tmp_path, state_at(0), "same") is not None


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    write_checkpoint(tmp_path, state_at(1), "one")
    with pytest.raises(InputError, match="other settings or another dataset"):
        read_checkpoint(tmp_path, state_at(0), "two")


def test_no_incomplete_files_are_left(tmp_path, rng):
    write_arrays(tmp_path / "a.safetensors", {"x": rng.random((3, 4))[:, ::2]}, {"k": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_weights_that_are_not_floats_are_refused(tmp_path, card, weights):
    whole = {name: array.astype(np.int32) for name, array in weights.items()}
    write_arrays(tmp_path / "model.safetensors", whole, card.model_dump(mode="json"))
    with pytest.raises(InputError, match="weights that are not floats"):
        read_model(tmp_path)


def test_kernels_in_half_precision_take_half_the_space(tmp_path, card, weights):
    write_model(tmp_path / "whole.safetensors", card, weights)
    write_model(tmp_path / "half.safetensors", card, weights, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    kernels = sum(array.nbytes for array in weights.values() if array.ndim > 1)
    assert sizes[0] - sizes[1] == pytest.approx(kernels / 2, abs=64)
    _, read = read_model(tmp_path / "half.safetensors")
    for name, array in weights.items():
        assert read[name].dtype == np.float32
        np.testing.assert_allclose(read[name], array, rtol=1e-3, atol=1e-6)


def test_a_model_whose_weights_were_changed_is_refused(tmp_path, card, weights):
    write_model(tmp_path / "model.safetensors", card, weights)
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-40] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="is damaged: its weights differ"):
        read_model(tmp_path)


def sparse_model(path, card, length):
    """Write a model file of one weight that is all hole, as long as it takes on paper."""
    weight = {"dtype": "F32", "shape": [length], "data_offsets": [0, 4 * length]}
    header = {"__metadata__": {"nanorender": card.model_dump_json()}, "weight": weight}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + 4 * length)


def test_weights_of_another_architecture_are_not_read(tmp_path, card):
    sparse_model(tmp_path / "model.safetensors", card, 1 << 29)
    before = peak_memory_bytes()
    with pytest.raises(InputError, match="got None"):
        read_model(tmp_path)
    assert peak_memory_bytes() - before < 500 << 20  # of 2 GiB


def test_a_file_larger_than_any_model_is_refused_at_once(tmp_path, card):
    sparse_model(tmp_path / "model.safetensors", card, 10 << 30)
    with pytest.raises(InputError, match="larger than 4 GiB; give a model of `train`"):
        read_model(tmp_path)


def test_data_types_unknown_to_numpy_are_refused(tmp_path, card, weights):
    path = tmp_path / "model.safetensors"
    small = {name: array.astype(np.uint8) for name, array in weights.items()}
    write_model(path, card, small)
    path.write_bytes(path.read_bytes().replace(b'"U8"', b'"F8_E5M2"'.ljust(4)))
    data = path.read_bytes()
    size = data.index(b"}}") + 2 - 8
    path.write_bytes(size.to_bytes(8, "little") + data[8 : 8 + size] + data[8 + size :].lstrip())
    with pytest.raises(InputError, match="is not a model file"):
        read_model(path)

"""Files of a training: the model that users hand on, and the state that a training resumes from.

Both are safetensors files with a JSON header, written aside and renamed, so that what carries its
name is whole.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from jaxtyping import Shaped
from pydantic import NonNegativeInt, PositiveFloat, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nanorender.errors import InputError
from nanorender.files.atomic import write_bytes
from nanorender.settings import Settings
from unet.data import CLAHE_CLIP, CLAHE_TILE_PX, PERCENTILES, PixelSizes
from unet.model import Weights, abstract_model, weight_shapes
from unet.presets import TrainSettings

State = TypeVar("State")
MODEL_NAME = "model.safetensors"
LAST_NAME = "last.safetensors"
PREVIOUS_NAME = "previous.safetensors"
LARGEST_MODEL_BYTES = 4 << 30  # thirty times the paper's


class Preprocessing(Settings):
    """How an image was prepared; a model made with other values does not fit this version."""

    percentiles: tuple[float, float] = PERCENTILES
    clahe_clip: float = CLAHE_CLIP
    clahe_tile_px: int = CLAHE_TILE_PX


class ModelCard(Settings):
    """The header of a model file: what its weights are and where they come from.

    Attributes
    ----------
    training: the settings of the training, the architecture among them
    pixel_sizes: seen in training
    least_trained_nm: equivalent diameter of the smallest particles seen in training
    annotated_images: how many of the training images are annotated micrographs
    dataset_sha256: hash of the training images and targets
    epoch: after which the weights were taken, the first being 1
    version: of this package
    """

    format: Literal["nanorender-unet-1"] = "nanorender-unet-1"
    training: TrainSettings
    pixel_sizes: PixelSizes
    least_trained_nm: PositiveFloat | None = None
    annotated_images: NonNegativeInt = 0
    preprocessing: Preprocessing = Preprocessing()
    dataset_sha256: str
    epoch: int
    version: str


def write_model(path: Path, card: ModelCard, weights: Weights) -> None:
    """Write a model file."""
    write_arrays(path, weights, card.model_dump(mode="json"))


def read_model(path: Path) -> tuple[ModelCard, Weights]:
    """Return header and weights of a model file, or of the model in a run folder.

    Raises
    ------
    InputError
        If there is none, the file is damaged or no model, or weights do not fit the header.
    """
    path = model_file(path)
    if path.stat().st_size > LARGEST_MODEL_BYTES:
        raise InputError(
            f"{path} is larger than {LARGEST_MODEL_BYTES >> 30} GiB; give a model of `train`"
        )
    try:
        with safe_open(path, "numpy") as file:
            card = _card(path, _header(file))
            _check_weights(path, file, card)
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a model file, or cut off: {_said(error)}") from None


def _check_weights(path: Path, file: safe_open, card: ModelCard) -> None:
    """Raise InputError if a file's weights, none of which is read, are not those of its header."""
    parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    if any(part.get_dtype() != "F32" for part in parts.values()):
        raise InputError(f"{path} holds weights that are not float32; it is no model of `train`")
    found = {name: tuple(part.get_shape()) for name, part in parts.items()}
    expected = weight_shapes(abstract_model(card.training.architecture))
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{path} holds another architecture than its header says: weight '{name}' "
                f"has shape {found.get(name)}, not {expected.get(name)}"
            )


def read_card(path: Path) -> ModelCard:
    """Return the header of a model file; raises InputError as `read_model`."""
    path = model_file(path)
    try:
        return _card(path, _read_header(path))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a model file, or cut off: {_said(error)}") from None


def _said(error: Exception) -> str:
    return str(error).splitlines()[0][:150] if str(error) else type(error).__name__


def model_file(path: Path) -> Path:
    """Return the model file of a run folder, or the one that is given; InputError without any."""
    path = path / MODEL_NAME if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a run folder or a model file of `train`")
    return path


def _card(path: Path, header: dict) -> ModelCard:
    """Return the header as a record; InputError if this version cannot use such a model."""
    try:
        card = ModelCard.model_validate(header)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(f"{path} is not a model of this version: '{key}' in its header") from None
    if card.preprocessing != Preprocessing():
        raise InputError(f"{path} was trained with other preprocessing: {card.preprocessing}")
    return card


def write_checkpoint(folder: Path, state: object, fingerprint: str) -> None:
    """Keep the state of a training as the last one, and the last one as the previous one."""
    last = folder / LAST_NAME
    if last.exists():
        last.replace(folder / PREVIOUS_NAME)
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(state).items()}
    write_arrays(last, arrays, {"fingerprint": fingerprint})


def read_checkpoint(folder: Path, like: State, fingerprint: str) -> State | None:
    """Return the newest whole state of a training, of the structure of `like`; None if none is.

    Warns when the last one is damaged; it is removed and the one before is used.

    Raises
    ------
    InputError
        If the state belongs to other settings or another dataset.
    """
    for name in (LAST_NAME, PREVIOUS_NAME):
        path = folder / name
        if not path.exists():
            continue
        try:
            header, arrays = read_arrays(path)
        except SafetensorError as error:
            warnings.warn(f"{path} is damaged ({error}); going on from before it", stacklevel=2)
            path.unlink()  # or it would become the previous one, and push a whole one out
            continue
        if header.get("fingerprint") != fingerprint:
            raise InputError(
                f"{folder} was trained with other settings or another dataset; "
                "give the same ones to go on, or another folder to start anew"
            )
        leaves = _fitting(arrays, _named_leaves(like))
        if leaves is None:
            raise InputError(f"{path} is of another version; remove it to start anew")
        return jax.tree.unflatten(jax.tree.structure(like), leaves)
    return None


def _fitting(arrays: Mapping[str, np.ndarray], like: Mapping[str, Any]) -> list | None:
    """Return the arrays in the order of the leaves that they are of; None if they do not fit."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if any(shapes.get(name) != np.shape(leaf) for name, leaf in like.items()):
        return None
    return [arrays[name] for name in like]


def write_arrays(path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], header: dict) -> None:
    """Write arrays by name and a header as a safetensors file, whole or not at all."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_bytes(path, save(contiguous, metadata={"nanorender": json.dumps(header)}))


def read_arrays(path: Path) -> tuple[dict, dict[str, Shaped[np.ndarray, "..."]]]:
    """Return header and arrays of a safetensors file; SafetensorError if it is damaged."""
    with safe_open(path, "numpy") as file:
        try:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except AttributeError as error:  # of kinds of numbers that NumPy does not have
            raise SafetensorError(f"its numbers are of another kind: {error}") from None
        return _header(file), arrays


def _read_header(path: Path) -> dict:
    """Return the header of a safetensors file without its arrays; SafetensorError if damaged."""
    with safe_open(path, "numpy") as file:
        return _header(file)


def _header(file: safe_open) -> dict:
    try:
        header = json.loads((file.metadata() or {}).get("nanorender", "{}"))
    except (ValueError, RecursionError) as error:
        raise SafetensorError(f"its header is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise SafetensorError("its header is no JSON object")
    return header


def _named_leaves(tree: object) -> dict[str, object]:
    """Return the arrays of a tree by their path in it."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}

